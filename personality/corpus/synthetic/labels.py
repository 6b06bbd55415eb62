"""The table of the sample corpus: the person, the labels and the strength of each cue, clip by clip."""

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
"""Means, standard deviations and correlations of `TARGETS` in the 6,000 training clips of First Impressions V2."""
PERSON_VARIANCE = 0.62  # share of the labels' variance there that lies between persons
NEW_PERSONS = 0.163  # share of validation clips there whose person is not in training
MORE_CLIPS = 5  # clips that a person has there at most, besides the first; three in all is usual

CUE_TRAITS = {
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
"""The trait that each cue depends on; "none" for distractors. Cues are tones, and features of the face."""
CUE_CORRELATION = 0.98
"""Correlation of a cue's strength with its label: the difficulty. A model that reads a tone without error reaches this
PCC, and a skill of 1 - sqrt(1 - 0.98²) = 0.80. The errors of sound and picture are independent. With a much lower
correlation, the best prediction of a trait would also use the cues of the other traits, which correlate with it."""


def clip_table(sizes: tuple[int, ...], seed: int) -> pd.DataFrame:
    """Generate the clips of a corpus at random.

    Args:
        sizes: Clips in each of `SPLITS`.
        seed: The same seed gives the same table.

    Returns:
        A row a clip: index `clip`, columns `split`, the labels of `TARGETS` and the strengths of the cues of
        `CUE_TRAITS`, all in [0, 1].
    """
    rng = np.random.default_rng(seed)
    table = _assign_persons(sizes, rng)
    names = _source_names(table["person"].max() + 1, rng)
    numbers = table.groupby("person").cumcount()
    clips = [f"{names[person]}.{number:03d}.mp4" for person, number in zip(table["person"], numbers, strict=True)]
    table.index = pd.Index(clips, name="clip")

    by_person, by_clip = (rng.standard_normal((len(table), len(TARGETS))) for _ in range(2))
    scores = np.sqrt(PERSON_VARIANCE) * by_person[table["person"]] + np.sqrt(1 - PERSON_VARIANCE) * by_clip
    scores = scores @ np.linalg.cholesky(CORRELATIONS).T  # of mean 0 and deviation 1
    table[list(TARGETS)] = (MEANS + DEVIATIONS * scores).clip(0, 1)
    for cue, trait in CUE_TRAITS.items():
        strength = rng.standard_normal(len(table))
        if trait != "none":
            strength = CUE_CORRELATION * scores[:, TARGETS.index(trait)] + np.sqrt(1 - CUE_CORRELATION**2) * strength
        table[cue] = (0.5 + 0.2 * strength).clip(0, 1)
    return table.drop(columns="person")


def _assign_persons(sizes: tuple[int, ...], rng: np.random.Generator) -> pd.DataFrame:
    """Choose the person of every clip: most in val and test are also in train, as in First Impressions."""
    new = [0, *(math.ceil(NEW_PERSONS * size) for size in sizes[1:])]
    known = np.subtract(sizes, new)
    persons = min(sizes[0], math.ceil(sum(known) / 3))
    more = rng.permutation(np.tile(np.arange(persons), max(MORE_CLIPS, sum(known) // persons)))
    by_split = np.split(np.concatenate([np.arange(persons), more])[: sum(known)], np.cumsum(known)[:-1])
    rows = []
    for split, in_train, count in zip(SPLITS, by_split, new, strict=True):
        others = persons + (np.arange(count) + 1) // 2
        persons += len(set(others))
        rows += [(split, person) for person in (*in_train, *others)]
    return pd.DataFrame(rows, columns=["split", "person"])


def _source_names(count: int, rng: np.random.Generator) -> list[str]:
    """Return names of source videos as YouTube has them: eleven characters, the first of which may be a hyphen."""
    letters = rng.choice(list(string.ascii_letters + string.digits + "-_"), (count, 11))
    names = ["".join(row) for row in letters]
    return [f"-{names[0][1:5]}_{names[0][6:]}", *names[1:]]
