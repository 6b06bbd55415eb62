"""Grounded skill: how much of the variance that a model explains rests on what human annotators marked."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.intervals import estimates
from personality.explanation.charts import draw_stacked_bars
from personality.explanation.explainer import Explainer

log = logging.getLogger(__name__)

BEHAVIOUR = "expression", "action", "voice", "words"
"""The kinds of annotations that are behaviour."""
PARTS = "annotated behaviour", "annotated background", "nothing marked"
FEWEST = 3
"""Labelled clips: two always correlate by 1."""
EXPLAINED = "explained variance"


def split_maps(maps: np.ndarray, masks: Mapping[str, np.ndarray], joined: bool) -> np.ndarray:
    """Split the score of a clip into the parts that lie on annotated behaviour, on annotated background, on neither.

    Args:
        maps: `(segments, targets, *space)`.
        masks: For each kind `(segments, *space)` boolean.
        joined: Whether all segments count, as of sound. Else those with an annotation do, as of pictures.

    Returns:
        `(len(PARTS), targets)`: sums of the maps over the positions of a part, divided by the number of all positions.
        Together they are the score without its bias, before the model's last activation.
    """
    nowhere = np.zeros((len(maps), *maps.shape[2:]), bool)
    behaviour = np.any([masks.get(kind, nowhere) for kind in BEHAVIOUR], axis=0)
    background = masks.get("background", nowhere) & ~behaviour
    space = tuple(range(1, nowhere.ndim))
    counted = np.ones(len(maps), bool) if joined else (behaviour | background).any(axis=space)
    parts = np.stack([behaviour, background, ~(behaviour | background)])[:, counted]
    parts, flat = parts.reshape(*parts.shape[:2], -1), maps[counted].reshape(*maps[counted].shape[:2], -1)
    split: np.ndarray = np.einsum("psx,stx->pt", parts.astype(float), flat.astype(float)) / max(1, parts[0].size)
    return split


def grounded_skill(explainer: Explainer, clips: list[int], parts: np.ndarray) -> pd.DataFrame:
    r"""Divide the explained variance of each trait among the parts of the score, with 95 % intervals over sources.

    The explained variance is $r^2$, the squared correlation of the score $s = \sum_k s_k$ with the label $y$. The part
    $k$ has $r^2 \operatorname{cov}(s_k, y) / \operatorname{cov}(s, y)$ of it: the parts add up. One below 0 works
    against the others.

    Args:
        explainer: Knows the labels.
        clips: Rows of the split.
        parts: `(clips, len(PARTS), targets)` of `split_maps`.

    Returns:
        A row for each value: `clips`, `sources`, `part` (of `PARTS`, or `EXPLAINED`), `target` (`mean` is over the
        traits), `value`, `low`, `high`. No rows for fewer than `FEWEST` labelled clips.
    """
    targets, table = explainer.data.targets, explainer.data.clips(explainer.split).iloc[clips]
    known = table[targets].notna().all(axis=1).to_numpy()
    labels, split = torch.tensor(table[targets].to_numpy(float)[known]), torch.tensor(parts[known])
    score = split.sum(1)
    moments = [torch.ones_like(labels), labels, labels**2, score, score**2, score * labels]
    sums = torch.stack([*moments, *split.unbind(1), *(split * labels.unsqueeze(1)).unbind(1)], dim=1).unsqueeze(1)
    groups = [*table["group"].astype(str)[known]]
    if len(labels) < FEWEST:
        return pd.DataFrame()
    found = estimates(sums, groups, ["map"], targets, statistic=_explained)
    counts = {"clips": len(groups), "sources": len({*groups})}
    found = found.rename(columns={"metric": "part"}).assign(**counts)
    return found[["clips", "sources", "part", "target", "value", "low", "high"]]


def _explained(sums: Tensor) -> dict[str, Tensor]:
    count, label, label_2, score, score_2, product = sums[..., :6, :].unbind(-2)
    splits, products = sums[..., 6:9, :], sums[..., 9:, :]
    covariance = product - score * label / count
    explained = covariance**2 / ((label_2 - label**2 / count) * (score_2 - score**2 / count))
    shares = (products - splits * (label / count).unsqueeze(-2)) / covariance.unsqueeze(-2)
    return {EXPLAINED: explained} | dict(zip(PARTS, (explained.unsqueeze(-2) * shares).unbind(-2), strict=True))


def save_grounded_skill(folder: Path, explainer: Explainer, clips: list[int], parts: np.ndarray) -> None:
    """Write `grounded_skill.csv` and a stacked bar for each trait, `grounded_skill.png`."""
    table = grounded_skill(explainer, clips, parts)
    if table.empty or table["value"].isna().all():
        return
    table.to_csv(folder / "grounded_skill.csv", index=False, float_format="%.7g")
    wide = table.pivot_table("value", "part", "target", sort=False)
    draw_stacked_bars(
        folder / "grounded_skill.png", wide.reindex(index=PARTS, columns=explainer.data.targets), EXPLAINED
    )
    log.info(
        "Explained variance of the %s split, by what the maps lie on:\n%s", explainer.split, wide.round(3).to_string()
    )
