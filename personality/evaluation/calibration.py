"""Calibration of scores against labels. Models trained on squared errors stay near the mean; rescaling corrects it."""

import pandas as pd
from torch import Tensor

from personality.evaluation.intervals import RESAMPLES, estimates, predictor_sums
from personality.evaluation.metrics import moments
from personality.evaluation.predictions import groups_of, is_evaluable, labels_of, scored_targets
from personality.tables import join_names


def calibration_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """Fit label = slope * score + intercept by least squares, and compare the means of scores and labels.

    Args:
        sums: `(..., 9, targets)` sums of `personality.evaluation.metrics.clip_sums`.

    Returns:
        `(..., targets)` for slope (1 for calibrated scores, above 1 for scores too close to their mean; undefined for
        constant scores), intercept, and bias (mean score minus mean label).
    """
    of = moments(sums)
    slope = of.covariance / of.score_variance
    return {
        "slope": slope,
        "intercept": of.label - slope * of.score,
        "bias": of.score - of.label,
    }


def calibration(predictions: pd.DataFrame, *, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Estimate the calibration of each target, with 95 % intervals.

    Returns:
        One row for each value: subset (`all clips`), clips, predictor (`model`), metric (slope, intercept, bias),
        target, value, low, high.
    """
    labels = labels_of(predictions)[is_evaluable(predictions)]
    numbers = estimates(
        predictor_sums([predictions], labels, None),
        groups_of(predictions)[labels.index].tolist(),
        ["model"],
        labels.columns.tolist(),
        statistic=calibration_from_sums,
        resamples=resamples,
    )
    return numbers.assign(subset="all clips", clips=len(labels))[["subset", "clips", *numbers.columns]]


def rescale(predictions: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """Rescale scores by the line that fits labels to scores on validation clips.

    Args:
        predictions: Predictions, for example of the test split. Their labels are not used.
        validation: Predictions of the same model with labels, on clips that it was not trained on.

    Returns:
        The predictions with scores slope * score + intercept, and the `_std` columns scaled accordingly.
    """
    labels = labels_of(validation)[is_evaluable(validation)]
    line = calibration_from_sums(predictor_sums([validation], labels, None).sum(0))
    slope, intercept = (pd.Series(line[name][0].numpy(), index=labels.columns) for name in ("slope", "intercept"))
    targets = scored_targets(predictions)
    slope = slope.reindex(targets)
    unknown = [*slope.index[slope.isna()]]
    if unknown:
        raise ValueError(
            f"The validation predictions do not determine how to rescale {join_names(unknown, 6)}. Expected labels for "
            "it and scores that differ between clips; give the validation predictions of the same model."
        )
    result = predictions.copy()
    for target in targets:
        result[target] = slope[target] * predictions[target] + intercept[target]
        if f"{target}_std" in predictions:
            result[f"{target}_std"] = abs(slope[target]) * predictions[f"{target}_std"]
    return result
