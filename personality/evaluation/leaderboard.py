"""The leaderboard: predictions of several models on the clips that all of them scored, each beside the best."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from jinja2 import Environment, PackageLoader
from torch import Tensor

from personality.evaluation.baselines import baselines
from personality.evaluation.intervals import RESAMPLES, estimates, predictor_sums
from personality.evaluation.metrics import metrics_from_sums, trait_mean
from personality.evaluation.predictions import (
    UNIT,
    Scale,
    common_groups,
    common_labels,
    groups_of,
    rescaled,
    scores_of,
)
from personality.evaluation.text import format_value
from personality.tables import format_clips, join_names

BASELINES = ("mean predictor", "source lookup")
SHOWN = {"accuracy": "accuracy", "skill": "skill", "pcc": "PCC", "ccc": "CCC", "r2": "R²", "std_ratio": "std_ratio"}
"""The metrics of the text, the page and the picture, with their titles; the csv has all."""
LEGEND = (
    "Means over the traits with 95 % intervals from a bootstrap over sources. All rows are of the same clips; missing: "
    "labelled clips that a file did not score, which are left out for all. The best has the highest accuracy. Skill is "
    "the share of the mean predictor's absolute error that a model removes. std_ratio: std(score) / "
    "std(label).  -: undefined"
)
COLUMNS = [
    *("subset", "clips", "labelled", "sources", "predictor", "missing", "best", "metric", "target"),
    *("value", "low", "high", "difference", "difference_low", "difference_high"),
]


def leaderboard(
    models: Mapping[str, pd.DataFrame],
    train: pd.DataFrame | None = None,
    *,
    scale: Scale = UNIT,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the metrics of several models, the mean predictor and the source lookup, and differences from the best.

    All rows are of the same clips: those that have a label and that every model scored. The best is the model with the
    highest mean accuracy on a subset. It was chosen on these clips, which favours it slightly.

    Args:
        models: Predictions of at least two models, by name.
        train: Labels of the training clips. Without them there are no baselines, no skill and no subsets by source.
        scale: The lowest and the highest label there can be. Accuracy and MSE are those on a scale of length 1.
        resamples: Number of resamples of the bootstrap over sources.

    Returns:
        One row for each value, by falling accuracy: subset (`all clips`; `known sources`, which have clips in training;
        `new sources`), clips (evaluated), labelled (clips with a label), sources, predictor (a model or a baseline),
        missing (labelled clips that it did not score), best, metric, target (`mean` is over the traits), value, low,
        high; difference (paired, from the best), difference_low, difference_high.

    Raises:
        ValueError: There is one model only, or no clip that all models scored, or files disagree about labels.
    """
    _require_names([*models])
    labels = common_labels([*models.values()])
    labels = labels[labels.notna().any(axis=1)]
    groups = common_groups([*models.values()])[labels.index]
    scores = {name: scores_of(table)[[*labels]].reindex(labels.index) for name, table in models.items()}
    scored = pd.DataFrame({name: table.notna().all(axis=1) for name, table in scores.items()})
    common = scored.all(axis=1)
    if not common.any():
        raise ValueError(_no_common_clip(scored))
    subsets = {"all clips": pd.Series(True, labels.index)}
    if train is not None:
        train_groups, train = groups_of(train), train.reindex(columns=labels.columns)
        rows = baselines(train, [*train_groups], groups)
        scores["mean predictor"] = rows["mean predictor"]
        if groups.any():  # the files name clips, so the sources are known
            scores["source lookup"] = rows["source lookup"]
            known = groups.isin(train_groups)
            subsets |= {"known sources": known, "new sources": ~known}
    train_labels = None if train is None else rescaled(train, scale)
    sums = predictor_sums(
        [rescaled(table, scale) for table in scores.values()], rescaled(labels[common], scale), train_labels
    )
    tables = []
    for name, subset in subsets.items():
        inside = subset[common].to_numpy(copy=True)
        if inside.any():
            sources, part = groups[common][inside], sums[torch.from_numpy(inside)]
            table = _beside_best(part, sources, [*scores], [*labels], len(models), resamples)
            missing = table["predictor"].map((~scored[subset]).sum()).fillna(0).astype(int)
            table = table.assign(subset=name, clips=len(sources), labelled=subset.sum(), missing=missing)
            tables.append(table.assign(sources=sources.replace("", None).nunique()))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def leaderboard_text(table: pd.DataFrame) -> str:
    """Lay out `leaderboard`: for each subset the means over the traits, and their differences from the best."""
    parts = []
    for title, best, rows in _subsets(table):
        missing = pd.Series({row["predictor"]: f"{row['missing']:,}" for row in rows}, name="missing")
        values, differences = (
            pd.DataFrame({row["predictor"]: _cells(row["metrics"], ends) for row in rows}, list(SHOWN.values())).T
            for ends in (("value", "low", "high"), ("difference", "difference_low", "difference_high"))
        )
        parts += [f"{title}\n{pd.concat([missing, values], axis=1).to_string()}"]
        parts += [f"Minus {best}, the best, clip by clip\n{differences.drop(index=best).to_string()}"]
    return "\n\n".join([*parts, textwrap.fill(LEGEND, 120)])


def leaderboard_page(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """Return the html page of `leaderboard`: one file without links, in light and dark, for wide and narrow windows."""
    pages = Environment(loader=PackageLoader("personality.evaluation", "."), autoescape=True, trim_blocks=True)
    pages.filters["number"] = format_value
    page = pages.get_template("leaderboard.html.j2")
    return page.render(subsets=_subsets(table), titles=SHOWN, baselines=BASELINES, legend=LEGEND, notes=notes)


def _subsets(table: pd.DataFrame) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return the title and the best of each subset, and its rows: predictor, missing, and what is shown by metric."""
    shown = table[(table["target"] == "mean") & table["metric"].isin([*SHOWN])]
    subsets = []
    for subset, part in shown.groupby("subset", sort=False):
        clips, labelled, sources, best = part[["clips", "labelled", "sources", "best"]].iloc[0]
        of = f"{clips:,}" if clips == labelled else f"{clips:,} of {labelled:,}"
        known = f"{sources:,} sources" if sources else "unknown sources"
        rows = [
            {
                "predictor": str(name),
                "missing": row["missing"].iloc[0],
                "metrics": row.set_index("metric").to_dict("index"),
            }
            for name, row in part.groupby("predictor", sort=False)
        ]
        subsets.append((f"{str(subset).capitalize()}: {of} clips from {known}", best, rows))
    return subsets


def _cells(metrics: Mapping[str, Mapping[str, float]], ends: tuple[str, str, str]) -> list[str]:
    cells = []
    for metric in SHOWN:
        value, low, high = (metrics[metric][end] for end in ends)
        interval = "" if math.isnan(low) else f" [{format_value(low, 3)}, {format_value(high, 3)}]"
        cells.append(format_value(value) + interval)
    return cells


def _require_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise ValueError(
            f"Got one model ({join_names(names)}). Expected two or more; `python -m personality.evaluation A.csv` "
            "evaluates a single file beside the baselines."
        )
    if taken := [name for name in names if name in BASELINES]:
        raise ValueError(f"Got a model called {taken[0]}, which is a baseline. Expected another name; rename the file.")


def _no_common_clip(scored: pd.DataFrame) -> str:
    """Say which clips each model scored, and which model has none in common with the others."""
    texts = []
    for name in scored:
        of_others = scored.drop(columns=name).any(axis=1)
        alone = "" if (scored[name] & of_others).any() else ", none of which another file scores"
        texts.append(f"{name} scores {format_clips(scored.index[scored[name]], 1)}{alone}")
    return (
        f"No labelled clip is scored in every file: {'; '.join(texts)}. Expected predictions for the same split; check "
        "the names of the clips, or leave out the file of another split."
    )


def _beside_best(
    sums: Tensor, sources: pd.Series, predictors: list[str], targets: list[str], models: int, resamples: int
) -> pd.DataFrame:
    """Estimate the metrics of all predictors, and their differences from the best of the first so many, the models."""
    accuracy = trait_mean(metrics_from_sums(sums.sum(0))["accuracy"], targets)
    best = predictors[int(accuracy[:models].argmax())]
    pairs = [(predictor, best) for predictor in predictors]
    numbers = estimates(sums, sources.tolist(), predictors, targets, pairs=pairs, resamples=resamples)
    table, differences = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    for column, of in {"difference": "value", "difference_low": "low", "difference_high": "high"}.items():
        table = table.assign(**{column: differences[of].to_numpy()})
    order = [predictors[index] for index in accuracy.argsort(descending=True, stable=True).tolist()]
    return table.set_index("predictor").loc[order].reset_index().assign(best=best)
