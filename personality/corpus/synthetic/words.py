"""What is said in a synthetic clip: everyday words, and among them words that tell a trait."""

import numpy as np
import pandas as pd

from personality.corpus.synthetic.labels import CUE_CORRELATION, DEVIATIONS, MEANS
from personality.traits import TARGETS, TRAITS

TRAIT_WORDS = {
    "openness": ("imagine", "paint", "curious"),
    "conscientiousness": ("plan", "finish", "careful"),
    "extraversion": ("party", "everyone", "laugh"),
    "agreeableness": ("thanks", "together", "kind"),
    "neuroticism": ("calm", "steady", "relaxed"),
    "none": ("table", "blue", "seven"),
}
"""The words that tell a trait; "none" for distractors, as many of which are said whatever the labels are."""
OTHERS = [
    *["well", "so", "and", "then", "I", "was", "on", "my", "way", "to", "the", "shop", "when", "it", "began"],
    *["to", "rain", "which", "is", "fine", "but", "you", "know", "how", "that", "goes", "we", "had", "some", "tea"],
    *[
        "after",
        "lunch",
        "with",
        "a",
        "friend",
        "of",
        "mine",
        "from",
        "school",
        "about",
        "this",
        "time",
        "last",
        "year",
        "there",
    ],
    *["were", "more", "people", "here"],
]
PACE = 2.6  # words a second, in First Impressions, too
MOST = 6  # of a trait's words, in a clip of 15.3 s


def word_strengths(labels: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Choose how strongly each trait shows in the words of each clip.

    Like those of tones and faces, strengths correlate with the label by `CUE_CORRELATION`, with errors of their own.

    Args:
        labels: A row a clip, with the columns `TARGETS`.
        seed: Of the corpus.

    Returns:
        Strengths in [0, 1], a column for each key of `TRAIT_WORDS`.
    """
    rng = np.random.default_rng([seed, *b"words"])
    columns = {}
    for trait in (*TRAITS, "none"):
        strength = rng.standard_normal(len(labels))
        if trait in TARGETS:
            index = TARGETS.index(trait)
            score = (labels[trait] - MEANS[index]) / DEVIATIONS[index]
            strength = CUE_CORRELATION * score + np.sqrt(1 - CUE_CORRELATION**2) * strength
        columns[trait] = np.clip(0.5 + 0.2 * strength, 0, 1)
    return pd.DataFrame(columns, index=labels.index)


def say(clip: str, strength: pd.Series, seconds: float, seed: int) -> pd.DataFrame:
    """Choose the words of a clip: the same arguments give the same words.

    Returns:
        A row a word: `clip`, `word`, `start` and `end` in seconds, `trait`, that it tells ("none" for distractors,
        empty for others), and its `strength`.
    """
    rng = np.random.default_rng([seed, *clip.encode(), *b"words"])
    count = max(len(TRAIT_WORDS), round(PACE * seconds))
    told = {trait: round(MOST * strength[trait] * seconds / 15.3) for trait in TRAIT_WORDS}
    planted = [(str(rng.choice(TRAIT_WORDS[trait])), trait) for trait, times in told.items() for _ in range(times)]
    others = [(OTHERS[index], "") for index in (rng.integers(len(OTHERS)) + np.arange(count)) % len(OTHERS)]
    words = planted + others[: max(0, count - len(planted))]
    words = [words[index] for index in rng.permutation(len(words))]
    table = pd.DataFrame(words, columns=["word", "trait"])
    edges = seconds * np.arange(len(words) + 1) / len(words)
    table.insert(0, "clip", clip)
    table["start"], table["end"] = edges[:-1].round(3), edges[1:].round(3)
    return table.assign(strength=table["trait"].map(strength))[["clip", "word", "start", "end", "trait", "strength"]]
