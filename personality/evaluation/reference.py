"""What a score means: its place among the training labels, and how wrong the model is about people it has not met."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.metrics import compute_metrics
from personality.evaluation.predictions import (
    groups_of,
    is_evaluable,
    labels_of,
    read_predictions,
    read_trait_labels,
    scores_of,
)

log = logging.getLogger(__name__)

BEST = "best.ckpt"
"""The checkpoint that a run tests, where there are several."""
FEWEST = 20
"""Clips from which an error is estimated."""
COVERAGE = 0.8
"""Of the intervals."""
NEW, ALL = "new sources", "all clips"
NUMBERS = ["rmse", "low", "high"]


@dataclass(frozen=True, eq=False)
class KnownError:
    """The error of a model that its run measured."""

    split: str
    """Of the clips: `test`, or `val` where the corpus has no test labels."""
    subset: str
    """`new sources`, people of whom no clip was in training; `all clips` where these are fewer than 20 or unknown."""
    clips: int
    sources: int
    table: pd.DataFrame
    """A row for each target: `rmse`; `low` and `high`, between which label minus score lies for 80 % of new clips."""

    @classmethod
    def measure(cls, split: str, predictions: pd.DataFrame, train: pd.DataFrame | None = None) -> Self | None:
        """Measure the error of predictions on clips of new sources, else on all; None for fewer than 20 clips.

        The ends of the interval are the quantiles 0.1 and 0.9 of label minus score. The lowest of n errors counts as
        the quantile 1 / (n + 1), and so on, so that 80 % of new errors lie between the ends also where n is small.

        Args:
            split: The name of the split.
            predictions: With labels.
            train: Labels of the training clips. Without them it is unknown which sources are new.
        """
        found = predictions[is_evaluable(predictions)]
        groups, subset = groups_of(found), ALL
        if train is not None and groups.any():
            new = ~groups.isin(groups_of(train))
            if new.sum() >= FEWEST:
                found, groups, subset = found[new], groups[new], NEW
        if len(found) < FEWEST:
            return None
        labels = labels_of(found)
        scores = scores_of(found)[labels.columns]
        x, y = (torch.tensor(table.to_numpy(float)) for table in (scores, labels))
        rmse = compute_metrics(x, y, torch.zeros(y.shape[1]))["mse"].sqrt().numpy()
        table = pd.DataFrame(np.nan, labels.columns, NUMBERS).assign(rmse=rmse)
        for target, errors in (labels - scores).items():
            if len(known := errors.dropna()) >= FEWEST:
                ends = [0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2]
                table.loc[target, ["low", "high"]] = np.quantile(known, ends, method="weibull")
        table = table.dropna().rename_axis("target")
        return cls(split, subset, len(found), groups.nunique(), table) if len(table) else None

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> Self | None:
        """Measure the error from the predictions of the run that a checkpoint lies in.

        None where the run has none, or where it tested another checkpoint, the `best.ckpt` beside this one.
        """
        run = run_of(checkpoint)
        if run is None or (checkpoint.name != BEST and checkpoint.with_name(BEST).exists()):
            return None
        split = "test" if (run / "results_test.csv").is_file() else "val"
        file, train = run / f"predictions_{split}.csv", run / "labels_train.csv"
        if not file.is_file():
            return None
        no_limits = -np.inf, np.inf  # the run has checked its labels
        try:
            labels = read_trait_labels(train, no_limits) if train.is_file() else None
            return cls.measure(split, read_predictions(file, scale=no_limits), labels)
        except (ValueError, OSError) as error:
            log.warning(
                "The error of %s is not known, since the results of its run cannot be read: %s", checkpoint, error
            )
            return None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build what `config` returned; raise TypeError, ValueError or LookupError for anything else."""
        table = pd.DataFrame({name: {**config[name]} for name in NUMBERS}, dtype=float).rename_axis("target")
        return cls(str(config["split"]), str(config["subset"]), int(config["clips"]), int(config["sources"]), table)

    @property
    def config(self) -> dict[str, Any]:
        """All of it as plain text and numbers."""
        counts = {"split": self.split, "subset": self.subset, "clips": self.clips, "sources": self.sources}
        return counts | {name: self.table[name].to_dict() for name in NUMBERS}


@dataclass(frozen=True, eq=False)
class Reference:
    """What a trained model knows of the labels that it was trained on, and of its error.

    Example:
        predictor = personality.load("best.ckpt")
        predictor.reference.table(predictor.predict("talk.mp4"))
        predictor.reference.remark
    """

    labels: pd.DataFrame
    """Quantiles of the training labels: index the share of training clips, from 0 to 1; a column for each target. NaN
    of a model that was not trained."""
    scale: pd.DataFrame
    """The lowest and the highest label there can be: rows `low` and `high`, a column for each target."""
    error: KnownError | None
    """None if it is not known."""

    @classmethod
    def of(cls, targets: Sequence[str], quantiles: Tensor, scale: Tensor, origin: Mapping[str, Any]) -> Self:
        """Build it from what a model has: `target_quantiles`, `target_scale` and `origin`."""
        labels = pd.DataFrame(quantiles.double().cpu().numpy(), np.linspace(0, 1, len(quantiles)), [*targets])
        labels = labels.where(np.isfinite(labels))  # before training
        ends = pd.DataFrame(scale.double().cpu().numpy(), ["low", "high"], [*targets])
        error = origin.get("error")
        return cls(labels, ends, None if error is None else KnownError.from_config(error))

    def table(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Set scores beside the training labels and the model's error.

        Scores lie closer to the mean than labels do, so that very low and very high percentiles are rare.

        Args:
            scores: Of clips: a column for each target, such as `Predictor.predict` returns. Others are ignored.

        Returns:
            A row for each clip and target, index `clip` and `target`: `score`; `percentile`, the percentage of training
            clips whose label is lower, equal ones counted by half, from 0 to 100; `low` and `high`, the interval in
            which 80 % of the labels lie that people would give, as far as the error is known: else NaN. All but the
            percentile are in units of the label.
        """
        tables = {}
        for target in self.labels:
            values = scores[target].to_numpy(float)
            rows = {"score": values, "percentile": self.percentiles(str(target), values)}
            for end in ("low", "high"):
                rows[end] = np.clip(values + self._error(str(target), end), *self.scale[target])
            tables[target] = pd.DataFrame(rows, scores.index)
        joined = pd.concat(tables, names=["target", "clip"]).swaplevel()
        order = pd.MultiIndex.from_product([scores.index, self.labels.columns], names=["clip", "target"])
        return joined.reindex(order)

    def percentiles(self, target: str, scores: np.ndarray) -> np.ndarray:
        """Return for scores `(clips,)` the percentage of training clips whose label is lower: see `table`."""
        known, shares = self.labels[target].to_numpy(), 100 * self.labels.index.to_numpy()
        if np.isnan(known).any():
            return np.full(len(scores), np.nan)
        below, not_above = 100 - np.interp(-scores, -known[::-1], shares), np.interp(scores, known, shares)
        middle: np.ndarray = (below + not_above) / 2
        return middle

    def _error(self, target: str, name: str) -> float:
        table = pd.DataFrame() if self.error is None else self.error.table
        return float(table[name].to_dict()[target]) if target in table.index else np.nan

    @property
    def remark(self) -> str:
        """Say in a sentence or two on which clips the error was measured, or that it is not known."""
        if self.error is None:
            return (
                "The error of this model on people whom it has not met is not known: there are no results of a test "
                f"of at least {FEWEST} clips beside the model."
            )
        found = self.error
        counted = f"{found.clips:,} {found.split} clips from {found.sources:,} sources"
        if found.subset == NEW:
            return f"The error was measured on {counted} of which training had no clip: on people whom it has not met."
        return (
            f"The error was measured on all {counted}. The error on new sources, people whom the model has not met, is "
            "not known, and probably larger."
        )


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of results that a checkpoint lies in, at most two levels up."""
    return next((folder for folder in checkpoint.absolute().parents[:2] if [*folder.glob("results_*.csv")]), None)
