"""Late fusion: combine the scores of several models, for example one of sound and one of faces."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from personality.evaluation.predictions import common_labels, is_evaluable, scored_targets


def fuse(models: Sequence[pd.DataFrame], weights: np.ndarray | None = None) -> pd.DataFrame:
    """Average the scores of several models clip by clip, as the winner of the ChaLearn challenge of 2016 did.

    Args:
        models: Predictions of each model for the same split. A clip that one of them did not score gets no score.
        weights: `(models, targets)` from `learn_weights`, in the same order; by default the plain mean.

    Returns:
        Predictions: the fused scores, and the labels if the predictions of all models have them.
    """
    targets = [target for target in scored_targets(models[0]) if all(target in predictions for predictions in models)]
    clips = models[0].index.append([predictions.index for predictions in models[1:]]).unique().sort_values()
    if weights is None:
        weights = np.full((len(models), len(targets)), 1 / len(models))
    if weights.shape != (len(models), len(targets)):
        raise ValueError(
            f"Got weights of shape {weights.shape} for {len(models)} models and {len(targets)} targets. Expected one "
            "for each model and target; learn them on validation predictions of the same models, in the same order."
        )
    weighted = [table[targets].reindex(clips) * weight for table, weight in zip(models, weights, strict=True)]
    scores = sum(weighted[1:], start=weighted[0])
    if not scores.notna().any(axis=None):
        raise ValueError("No clip is scored in all files. Expected predictions for the same split; check the names.")
    if all(f"{targets[0]}_label" in predictions for predictions in models):
        scores = scores.join(common_labels(models).add_suffix("_label"))
    if all("group" in predictions for predictions in models):
        scores["group"] = models[0]["group"]
    return scores.rename_axis(index=models[0].index.name or "clip")


def learn_weights(validation: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Learn the weight of each model for each target, on clips that no model was trained on.

    The weights of a target minimise the squared error of the weighted sum of scores under the constraint that none is
    negative (Lawson and Hanson 1974). They need not add up to 1.

    Args:
        validation: Predictions with labels, one table for each model.

    Returns:
        The weights: a row a model, a column a target.
    """
    labels = common_labels(validation)
    shared = np.logical_and.reduce(
        [is_evaluable(predictions).reindex(labels.index, fill_value=False) for predictions in validation]
    )
    if not shared.any():
        raise ValueError("No validation clip is scored by all models. Expected the same clips; check the names.")
    weights = {}
    for target in labels.columns.tolist():
        clips = labels.index[shared & labels[target].notna()]
        scores = np.stack([predictions.loc[clips, target] for predictions in validation], axis=1)
        weights[target], _ = nnls(scores, labels.loc[clips, target].to_numpy())
    return pd.DataFrame(weights)
