"""Late fusion: combine the scores of several models, for example one of sound and one of faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from personality.evaluation.predictions import common_labels, is_evaluable, scored_targets


def fuse(models: Sequence[pd.DataFrame], weights: np.ndarray | None = None) -> pd.DataFrame:
    """Average the scores of several models clip by clip, as the winner of the ChaLearn challenge of 2016 did.

    Args:
        models: Predictions of each model for the same split. A clip that one of them did not score gets no score.
        weights: `(models + 1, targets)` from `learn_weights`, in the same order; by default the plain mean.

    Returns:
        Predictions: the fused scores, and the labels if the predictions of all models have them.
    """
    targets = [target for target in scored_targets(models[0]) if all(target in predictions for predictions in models)]
    clips = models[0].index.append([predictions.index for predictions in models[1:]]).unique().sort_values()
    if weights is None:
        weights = np.full((len(models) + 1, len(targets)), 1 / len(models))
        weights[-1] = 0
    if weights.shape != (len(models) + 1, len(targets)):
        raise ValueError(
            f"Got weights of shape {weights.shape} for {len(models)} models and {len(targets)} targets. Expected one "
            "for each model and target, and a constant; learn them on validation predictions of the same models, in "
            "the same order."
        )
    weighted = [table[targets].reindex(clips) * weight for table, weight in zip(models, weights[:-1], strict=True)]
    scores = sum(weighted[1:], start=weighted[0]) + weights[-1]
    if not scores.notna().any(axis=None):
        raise ValueError("No clip is scored in all files. Expected predictions for the same split; check the names.")
    if all(f"{targets[0]}_label" in predictions for predictions in models):
        scores = scores.join(common_labels(models).add_suffix("_label"))
    if all("group" in predictions for predictions in models):
        scores["group"] = models[0]["group"]
    return scores.rename_axis(index=models[0].index.name or "clip")


def learn_weights(validation: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Learn the weight of each model for each target, and a constant, on clips that no model was trained on.

    They minimise the squared error of the weighted sum of scores under the constraint that no weight is negative
    (Lawson and Hanson 1974). The weights need not add up to 1: where each model scores close to the mean, because it
    knows little, two that know different things may together go further.

    Args:
        validation: Predictions with labels, one table for each model.

    Returns:
        The weights: a row a model and last the row `constant`; a column a target.
    """
    from scipy.optimize import nnls  # the other commands start without it

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
        wanted = labels.loc[clips, target].to_numpy()
        found, _ = nnls(scores - scores.mean(0), wanted - wanted.mean())
        weights[target] = [*found, wanted.mean() - scores.mean(0) @ found]
    return pd.DataFrame(weights, index=[*range(len(validation)), "constant"])


def fuse_folds(runs: Sequence[Path]) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Fuse runs with folds: fold by fold, with weights that are learnt on the validation clips of the fold.

    Args:
        runs: The folders of the runs, which have the same folds of the same clips.

    Returns:
        For each fold its fused predictions, and the labels of its training clips: the input of `evaluate_folds`.
    """
    counts = {str(run): len([*run.glob("fold_*/predictions_test.csv")]) for run in runs}
    if len({*counts.values()}) != 1 or not min(counts.values()):
        found = ", ".join(f"{count} in {run}" for run, count in counts.items())
        raise ValueError(f"Got finished folds: {found}. Expected runs with the same folds=; name their folders.")
    fused = []
    for fold in range(min(counts.values())):
        folders = [run / f"fold_{fold}" for run in runs]
        train, validation, test = (
            [pd.read_csv(folder / f"{name}.csv", index_col="clip", dtype={"group": str}) for folder in folders]
            for name in ("labels_train", "predictions_val", "predictions_test")
        )
        for folder, table in zip(folders, train, strict=True):
            if seen := {*table.index} & {*test[0].index, *validation[0].index}:
                raise ValueError(
                    f"{folder} was trained on {min(seen)}, which {folders[0]} tests or validates. Expected the same "
                    "folds; run both with the same corpus, corpus.group and folds."
                )
        fused.append((fuse(test, learn_weights(validation).to_numpy()), train[0]))
    return fused
