"""Late fusion: the scores of several models, say one of sound and one of faces, made into one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from personality.evaluation.predictions import agreed_labels, measurable
from personality.traits import TARGETS


def fuse(several: Sequence[pd.DataFrame], weights: np.ndarray | None = None) -> pd.DataFrame:
    """Average the scores of several models, clip by clip, as the winner of the ChaLearn challenge of 2016 did.

    Args:
        several: Predictions for the same split. A clip that one of them did not score gets no fused score.
        weights: `(models, targets)` from `learn_weights`, in the same order; by default the plain mean.

    Returns:
        Predictions: the fused scores, and the labels if all the models' predictions hold them.
    """
    targets = [target for target in TARGETS if all(target in predictions for predictions in several)]
    clips = several[0].index.append([predictions.index for predictions in several[1:]]).unique().sort_values()
    if weights is None:
        weights = np.full((len(several), len(targets)), 1 / len(several))
    if weights.shape != (len(several), len(targets)):
        raise ValueError(
            f"Got weights of shape {weights.shape} for {len(several)} models and {len(targets)} targets. Expected one "
            "a model and target; learn them on validation predictions of the same models, in the same order."
        )
    parts = [predictions[targets].reindex(clips) * row for predictions, row in zip(several, weights, strict=True)]
    scores = sum(parts[1:], start=parts[0])
    if not scores.notna().any(axis=None):
        raise ValueError("No clip is scored in all files. Expected predictions for the same split; check the names.")
    if all(f"{targets[0]}_label" in predictions for predictions in several):
        scores = scores.join(agreed_labels(several).add_suffix("_label"))
    return scores.rename_axis(index=several[0].index.name or "clip")


def learn_weights(validation: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Learn how much to trust each model for each target, on predictions for clips that none was trained on.

    For each target the weights are those, none negative, that bring the weighted sum of the scores closest to the
    labels in squares (Lawson and Hanson 1974). They need not add up to 1.

    Args:
        validation: Predictions with labels, one table a model.

    Returns:
        The weights: a row a model, a column a target.
    """
    labels = agreed_labels(validation)
    shared = np.logical_and.reduce(
        [measurable(predictions).reindex(labels.index, fill_value=False) for predictions in validation]
    )
    if not shared.any():
        raise ValueError("No validation clip is scored by all models. Expected the same clips; check the names.")
    weights = {}
    for target in labels.columns.tolist():
        clips = labels.index[shared & labels[target].notna()]
        scores = np.stack([predictions.loc[clips, target] for predictions in validation], axis=1)
        weights[target], _ = nnls(scores, labels.loc[clips, target].to_numpy())
    return pd.DataFrame(weights)
