"""Is a model as good for everybody? Every measure by gender, ethnicity and age, and the largest gap between groups."""

import itertools
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.calibration import calibration_from_sums
from personality.evaluation.intervals import RESAMPLES, estimates, sums_of
from personality.evaluation.metrics import measures_from_sums
from personality.evaluation.predictions import labels_of, measurable
from personality.tables import ATTRIBUTES, listed, numbers, read_table, refuse_doubled
from personality.traits import source_id

CODES = {
    "gender": {"1": "male", "2": "female"},
    "ethnicity": {"1": "Asian", "2": "Caucasian", "3": "African-American"},
}
"""What the numbers mean in the tables that ship with First Impressions: how the annotators saw the person."""
FEWEST = 10
"""A group of fewer sources stands in the table, but its gap to others would be noise."""


def read_groups(path: str | Path) -> pd.DataFrame:
    """Read who is seen in each clip.

    Args:
        path: A csv with a column clip (or VideoName) or source, and any of gender, ethnicity and age. The codes of
            the data set's own `eth_gender_annotations` are put into words, ages in years into decades.

    Returns:
        Groups as text, missing where a cell is blank: index `clip` or `source`, a column an attribute.
    """
    table = read_table(path, "clip", "source")
    refuse_doubled(table.index, str(path))
    groups = table[[name for name in ATTRIBUTES if name in table]].copy()
    if groups.columns.empty:
        raise ValueError(f"{path} has no column {listed(ATTRIBUTES)}. Expected at least one of them; name it so.")
    for name, words in CODES.items():
        if name in groups and groups[name].dropna().isin(list(words)).all():
            groups[name] = groups[name].map(words)
    if "age" in groups and groups["age"].dropna().str.fullmatch(r"\d+(\.\d*)?").all():
        decade = (numbers(table, "age", path) // 10 * 10).astype("Int64")
        groups["age"] = (decade.astype("string") + " to " + (decade + 9).astype("string")).astype(object)
    return groups


def fairness(
    predictions: pd.DataFrame,
    groups: pd.DataFrame,
    train: pd.DataFrame | None = None,
    *,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Measure each group of people, and for each measure the gap between the best and the worst of the groups.

    Args:
        predictions: Scores and labels.
        groups: From `read_groups`; clips that it does not know stand aside.
        train: Labels of the training clips; without them skill is undefined.
        resamples: How many times the bootstrap draws.

    Returns:
        A line a number: over (the attribute), clips, sources, row (the group, or `largest gap`), pair (whose gap),
        measure (those of `evaluate`, and bias: mean score minus mean label), target, value, low, high. Of many groups
        some two will differ by chance: the interval of the largest gap knows nothing of its having been chosen.
    """
    labels = labels_of(predictions)[measurable(predictions)]
    keys = labels.index if groups.index.name == "clip" else pd.Index([source_id(clip) for clip in labels.index])
    of_clips = groups.reindex(keys).set_axis(labels.index)
    if of_clips.isna().all(axis=None):
        raise ValueError(
            f"The table of groups knows none of the {len(labels):,} measured clips: it names {groups.index[0]}, the "
            f"predictions {labels.index[0]}. Expected the same names; give the table of the same split."
        )
    sums = sums_of([predictions], labels, train)
    return pd.concat(
        [
            _by_group(sums, of_clips[name], labels.columns.tolist(), resamples)
            for name in groups
            if of_clips[name].notna().any()
        ],
        ignore_index=True,
    )


def _by_group(sums: Tensor, group: pd.Series, targets: list[str], resamples: int) -> pd.DataFrame:
    """Measure the groups of one attribute: sums `(clips, 1, 9, targets)` and the group of each clip."""
    known = group.notna().to_numpy()
    member = pd.get_dummies(group[known])
    clips = pd.Series(source_id(clip) for clip in member.index)
    sources = pd.Series({name: clips[member[name].to_numpy()].nunique() for name in member})
    names = member.columns.tolist()
    pairs = list(itertools.permutations(sources.index[sources >= FEWEST], 2))
    parts = sums[torch.tensor(known)] * torch.tensor(member.to_numpy())[:, :, None, None]
    numbers = estimates(
        parts, member.index.tolist(), names, targets, statistic=_with_bias, pairs=pairs, resamples=resamples
    )
    groups = numbers[numbers.row.isin(names)]
    groups = groups.assign(clips=groups.row.map(member.sum()), sources=groups.row.map(sources), pair="")
    groups[["low", "high"]] = groups[["low", "high"]].where(groups.sources > 1)
    gaps = numbers[~numbers.row.isin(names)].dropna(subset="value")
    largest = gaps.loc[gaps.value.groupby([gaps.measure, gaps.target], sort=False).idxmax()]
    largest = largest.assign(pair=largest.row, row="largest gap", clips=len(member), sources=clips.nunique())
    columns = ["over", "clips", "sources", "row", "pair", "measure", "target", "value", "low", "high"]
    return pd.concat([groups, largest]).assign(over=str(group.name))[columns]


def _with_bias(sums: Tensor) -> dict[str, Tensor]:
    return measures_from_sums(sums) | {"bias": calibration_from_sums(sums)["bias"]}
