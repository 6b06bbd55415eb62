"""Do scores mean what they say? Models trained on squared errors play safe and stay near the mean."""

import pandas as pd
from torch import Tensor

from personality.evaluation.intervals import RESAMPLES, estimates, sums_of
from personality.evaluation.metrics import moments
from personality.evaluation.predictions import labels_of, measurable, names_of
from personality.tables import listed
from personality.traits import TARGETS


def calibration_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """Describe the line that best foretells labels from scores: label = slope * score + intercept, by least squares.

    Args:
        sums: `(..., 9, targets)` sums of `personality.evaluation.metrics.clip_sums`.

    Returns:
        `(..., targets)` for slope (1 if scores mean what they say, above 1 if they are too timid; undefined for
        constant scores), intercept, deviation (of the scores, over that of the labels: 0 for a constant), and bias
        (mean score minus mean label).
    """
    score, label, variance_score, variance_label, covariance = moments(sums)
    slope = covariance / variance_score
    return {
        "slope": slope,
        "intercept": label - slope * score,
        "deviation": (variance_score / variance_label.where(variance_label > 0, float("nan"))).sqrt(),
        "bias": score - label,
    }


def calibration(predictions: pd.DataFrame, *, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Estimate the calibration of each target, with 95 % intervals.

    Returns:
        A line a number: over (`all clips`), clips, row (`model`), measure (slope, intercept, deviation, bias), target,
        value, low, high.
    """
    labels = labels_of(predictions)[measurable(predictions)]
    numbers = estimates(
        sums_of([predictions], labels, None),
        names_of(labels),
        ["model"],
        labels.columns.tolist(),
        statistic=calibration_from_sums,
        resamples=resamples,
    )
    return numbers.assign(over="all clips", clips=len(labels))[["over", "clips", *numbers.columns]]


def rescale(predictions: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """Replace each score by the label that the validation predictions of the same model lead one to expect.

    Args:
        predictions: Predictions, say for the test split; their labels are not looked at.
        validation: Predictions of the same model with labels, on clips that it was not trained on.

    Returns:
        The predictions with scores slope * score + intercept, and the spreads over segments scaled alike.
    """
    labels = labels_of(validation)[measurable(validation)]
    line = calibration_from_sums(sums_of([validation], labels, None).sum(0))
    slope, intercept = (pd.Series(line[name][0].numpy(), index=labels.columns) for name in ("slope", "intercept"))
    targets = [target for target in TARGETS if target in predictions]
    slope = slope.reindex(targets)
    unknown = [*slope.index[slope.isna()]]
    if unknown:
        raise ValueError(
            f"The validation predictions cannot tell how to rescale {listed(unknown, 6)}. Expected labels for it, and "
            "scores that differ from clip to clip; give the validation predictions of the same model."
        )
    result = predictions.copy()
    for target in targets:
        result[target] = slope[target] * predictions[target] + intercept[target]
        if f"{target}_std" in predictions:
            result[f"{target}_std"] = abs(slope[target]) * predictions[f"{target}_std"]
    return result
