"""What each part of a joint model is worth: voice, face, words.

A table of predictions then has a column `<target>_from_<part>` for each: what the part adds to the score, in units of
the label; empty where the clip lacks the part, which then adds nothing. The rest of the score is the bias.
"""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.intervals import RESAMPLES, estimates, predictor_sums, resample
from personality.evaluation.metrics import trait_mean
from personality.evaluation.predictions import (
    FROM,
    UNIT,
    Scale,
    groups_of,
    is_evaluable,
    is_share,
    labels_of,
    rescaled,
    scored_targets,
    scores_of,
)

SHOWN = {
    "explained": "share of R2",
    "of score": "share of the scores' variance",
    "only: skill": "skill of it alone",
    "without: skill": "skill without it",
    "gain: skill": "gain in skill",
}
"""The metrics of `part_table` that texts and the report show, and their titles."""


def part_names(predictions: pd.DataFrame) -> list[str]:
    """Name the parts of predictions, none for those of a single model.

    >>> part_names(pd.DataFrame(columns=["openness", "openness_from_voice", "openness_from_face"]))
    ['voice', 'face']
    >>> part_names(pd.DataFrame(columns=["distance_from_home", "distance_from_home_label"]))  # a label of one's own
    []
    """
    targets = scored_targets(predictions)
    return [*dict.fromkeys(str(name).rpartition(FROM)[2] for name in predictions if is_share(str(name), targets))]


def shares_of(predictions: pd.DataFrame, part: str, targets: Sequence[str]) -> pd.DataFrame:
    """Return what a part adds to the scores of targets, 0 where it is missing."""
    shares = predictions[[f"{target}{FROM}{part}" for target in targets]].fillna(0.0)
    return shares.set_axis([*targets], axis=1)


def part_table(
    folds: Sequence[tuple[pd.DataFrame, pd.DataFrame | None]], scale: Scale = UNIT, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Measure what each part is worth, with 95 % intervals by source.

    Args:
        folds: Predictions with labels and the columns of parts, and labels of the training clips, for skill: one pair,
            or one for each fold.
        scale: The lowest and the highest label there can be.
        resamples: Of the bootstrap.

    Returns:
        A row for each part, metric and target (`mean` is over the traits): columns part, clips (that have the part),
        metric, target, value, low, high. Metrics are `explained`, the share of the labels' variance: those of all parts
        and of the bias add up to R2; `of score`, the share of the scores' variance, which add up to 1; and the metrics
        of `only`, the score from this part alone, of `without`, the score without it, and of `gain`, the model less
        `without`.
    """
    predictions = pd.concat([scored[is_evaluable(scored)] for scored, _ in folds])
    labels, scores, parts = labels_of(predictions), scores_of(predictions), part_names(predictions)
    targets, groups = [*labels], groups_of(predictions).tolist()
    shares = {part: shares_of(predictions, part, targets) for part in parts}
    bias = scores - sum(shares.values())
    tables = {"model": scores}
    tables |= {f"only {part}": bias + share for part, share in shares.items()}
    tables |= {f"without {part}": scores - share for part, share in shares.items()}
    relative, truth = [rescaled(table, scale) for table in tables.values()], rescaled(labels, scale)
    sums = torch.cat([
        predictor_sums(relative, truth.loc[scored.index[is_evaluable(scored)]], _relative_labels(train, targets, scale))
        for scored, train in folds
    ])  # fmt: skip
    pairs = [("model", f"without {part}") for part in parts]
    found = estimates(sums, groups, [*tables], targets, pairs=pairs, resamples=resamples)
    rows = [_variance(shares, scores, labels, groups, resamples)]
    for part in parts:
        for kind, name in {
            "only": f"only {part}",
            "without": f"without {part}",
            "gain": f"model - without {part}",
        }.items():
            some = found[found["predictor"] == name]
            rows.append(some.assign(part=part, metric=f"{kind}: " + some["metric"]).drop(columns="predictor"))
    table = pd.concat(rows, ignore_index=True)
    counts = {part: int(predictions[f"{targets[0]}{FROM}{part}"].notna().sum()) for part in parts}
    table["clips"] = table["part"].map(counts)
    return table[["part", "clips", "metric", "target", "value", "low", "high"]]


def _relative_labels(train: pd.DataFrame | None, targets: Sequence[str], scale: Scale) -> pd.DataFrame | None:
    return None if train is None else rescaled(train.reindex(columns=[*targets]), scale)


def _variance(
    shares: dict[str, pd.DataFrame],
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    groups: Sequence[str],
    resamples: int,
) -> pd.DataFrame:
    r"""Divide R2 and the variance of the scores among the parts.

    With scores $s = b + \sum_p c_p$ and labels $y$, $R^2 = \sum_p (2 cov(c_p, y) - cov(c_p, s)) / var(y)$ less the
    squared difference of the means over var(y).
    """
    known = torch.tensor(labels.notna().to_numpy())
    y, s = (torch.tensor(table.to_numpy(float)).where(known, 0.0) for table in (labels, scores))
    columns = [known.double(), y, s, y * y, s * s]
    for share in shares.values():
        c = torch.tensor(share.to_numpy(float)).where(known, 0.0)
        columns += [c, c * y, c * s]
    sums = torch.stack(columns, dim=1)  # (clips, n, targets)

    def compute(sums: Tensor) -> Tensor:
        count, y, s, yy, ss = (
            sums[..., index, :] / sums[..., 0, :] if index else sums[..., 0, :] for index in range(5)
        )
        found = []
        for index in range(len(shares)):
            c, cy, cs = (sums[..., 5 + 3 * index + each, :] / count for each in range(3))
            with_labels, with_scores = cy - c * y, cs - c * s
            found.append((2 * with_labels - with_scores) / (yy - y * y))
            found.append(with_scores / (ss - s * s))
        return torch.stack(found, dim=-2)  # (..., 2 * parts, targets)

    targets = [str(name) for name in labels]

    def with_mean(values: Tensor) -> Tensor:
        return torch.cat([trait_mean(values, targets).unsqueeze(-1), values], dim=-1)

    value = with_mean(compute(sums.sum(0)))
    low, high = torch.full_like(value, torch.nan), torch.full_like(value, torch.nan)
    if len({*groups}) > 1:
        drawn = with_mean(compute(resample(sums, groups, resamples)))
        low, high = drawn.nanquantile(drawn.new_tensor([0.025, 0.975]), dim=0)
    names = [(part, metric) for part in shares for metric in ("explained", "of score")]
    rows = [(*name, target) for name in names for target in ("mean", *targets)]
    table = pd.DataFrame(rows, columns=["part", "metric", "target"])
    return table.assign(**{n: v.flatten().numpy() for n, v in {"value": value, "low": low, "high": high}.items()})


def part_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the traits as text with their intervals: a row a part, a column for each of `SHOWN`."""
    means = table[(table["target"] == "mean") & table["metric"].isin(SHOWN)]
    numbers = means[["value", "low", "high"]].to_numpy()
    cells = means.assign(cell=[f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in numbers])
    by_part = cells.pivot_table("cell", "part", "metric", "first", sort=False)
    return by_part[[name for name in SHOWN if name in by_part]].rename(columns=SHOWN)


def parts_text(table: pd.DataFrame) -> str:
    """Return `part_cells` as text, with what they mean."""
    cells = part_cells(table).rename_axis(index=None, columns=None)
    cells.insert(0, "clips", table.groupby("part")["clips"].first())
    notes = [
        "The shares of R2 of all parts and of the bias add up to R2.",
        "Means over the traits, with 95 % intervals from a bootstrap over sources.",
    ]
    return "\n".join([cells.to_string(), "", *notes])
