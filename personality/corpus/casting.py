"""Who appears in a made corpus, how people would judge them, and how strong each planted cue is."""

import math
import string

import numpy as np
import pandas as pd

from personality.corpus.base import SPLITS
from personality.traits import TARGETS

MEANS = np.array([0.566, 0.523, 0.476, 0.548, 0.520, 0.504])
DEVIATIONS = np.array([0.147, 0.155, 0.152, 0.136, 0.154, 0.150])
CORRELATIONS = np.array(
    [
        [1.000, 0.583, 0.774, 0.649, 0.774, 0.772],
        [0.583, 1.000, 0.589, 0.658, 0.720, 0.832],
        [0.774, 0.589, 1.000, 0.711, 0.796, 0.818],
        [0.649, 0.658, 0.711, 1.000, 0.733, 0.828],
        [0.774, 0.720, 0.796, 0.733, 1.000, 0.879],
        [0.772, 0.832, 0.818, 0.828, 0.879, 1.000],
    ]
)
"""Of `TARGETS`, as measured on the 6,000 training clips of First Impressions V2."""
LIKENESS = 0.62  # share of the labels' variance that lies between people there, not between clips of one
STRANGERS = 0.163  # share of validation clips there whose people are not in training
CLIPS_OF_ONE = 5  # that a person may have besides the first, there; three in all is usual

MEANING = {
    "hum": "extraversion",
    "hoot": "openness",
    "coo": "agreeableness",
    "whistle": "none",
    "chirp": "conscientiousness",
    "tweet": "none",
    "cricket": "neuroticism",
    "smile": "extraversion",
    "eyes": "openness",
    "blush": "agreeableness",
    "fringe": "none",
    "mole": "conscientiousness",
    "collar": "none",
    "brows": "neuroticism",
}
"""The trait that each cue, tone or feature of the face, tells; "none" for those that tell nothing."""
FIDELITY = 0.98
"""How strength and label correlate: the difficulty. Whoever reads a trait's tone without error reaches this PCC, and so
a skill of 1 - sqrt(1 - 0.98²) = 0.80; sound and picture err independently. Were it much lower, the best guess at a
trait would lean on the cues of the others, which correlate with it, and its evidence would have no one place."""


def cast(sizes: tuple[int, ...], seed: int) -> pd.DataFrame:
    """Draw the clips of a corpus by lot.

    Args:
        sizes: Clips in each of `SPLITS`.
        seed: All follows from it.

    Returns:
        A row a clip: index `clip`, columns `split`, `TARGETS` with the labels, and the cues of `MEANING` with their
        strengths, all in [0, 1].
    """
    random = np.random.default_rng(seed)
    table = _assign_people(sizes, random)
    names = _name_people(table["person"].max() + 1, random)
    numbers = table.groupby("person").cumcount()
    clips = [f"{names[who]}.{number:03d}.mp4" for who, number in zip(table["person"], numbers, strict=True)]
    table.index = pd.Index(clips, name="clip")

    person, clip = (random.standard_normal((len(table), len(TARGETS))) for _ in range(2))
    standing = np.sqrt(LIKENESS) * person[table["person"]] + np.sqrt(1 - LIKENESS) * clip
    standing = standing @ np.linalg.cholesky(CORRELATIONS).T
    table[list(TARGETS)] = (MEANS + DEVIATIONS * standing).clip(0, 1)
    for cue, trait in MEANING.items():
        strength = random.standard_normal(len(table))
        if trait != "none":
            strength = FIDELITY * standing[:, TARGETS.index(trait)] + np.sqrt(1 - FIDELITY**2) * strength
        table[cue] = (0.5 + 0.2 * strength).clip(0, 1)
    return table.drop(columns="person")


def _assign_people(sizes: tuple[int, ...], random: np.random.Generator) -> pd.DataFrame:
    """Choose the person of every clip: most who are tested are known from training, as in First Impressions."""
    strange = [0, *(math.ceil(STRANGERS * size) for size in sizes[1:])]
    familiar = np.subtract(sizes, strange)
    people = min(sizes[0], math.ceil(sum(familiar) / 3))
    again = random.permutation(np.tile(np.arange(people), max(CLIPS_OF_ONE, sum(familiar) // people)))
    known = np.split(np.concatenate([np.arange(people), again])[: sum(familiar)], np.cumsum(familiar)[:-1])
    rows = []
    for split, faces, count in zip(SPLITS, known, strange, strict=True):
        newcomers = people + (np.arange(count) + 1) // 2
        people += len(set(newcomers))
        rows += [(split, person) for person in (*faces, *newcomers)]
    return pd.DataFrame(rows, columns=["split", "person"])


def _name_people(count: int, random: np.random.Generator) -> list[str]:
    """Name the videos they were cut from as YouTube does: eleven characters, of which the first may be a hyphen."""
    letters = random.choice(list(string.ascii_letters + string.digits + "-_"), (count, 11))
    names = ["".join(word) for word in letters]
    return [f"-{names[0][1:5]}_{names[0][6:]}", *names[1:]]
