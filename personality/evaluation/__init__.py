"""Evaluation of predictions: metrics, baselines, intervals, and tools for files of predictions."""

from typing import TYPE_CHECKING, Any

from personality.evaluation.calibration import calibration, rescale
from personality.evaluation.fairness import fairness, read_groups
from personality.evaluation.fusion import fuse, fuse_folds, learn_weights
from personality.evaluation.leaderboard import leaderboard
from personality.evaluation.metrics import compute_metrics
from personality.evaluation.predictions import read_predictions, read_trait_labels, write_predictions
from personality.evaluation.results import compare, evaluate, evaluate_folds

if TYPE_CHECKING:
    from personality.evaluation.trait_metrics import TraitMetrics

__all__ = [
    "TraitMetrics",
    "calibration",
    "compare",
    "compute_metrics",
    "evaluate",
    "evaluate_folds",
    "fairness",
    "fuse",
    "fuse_folds",
    "leaderboard",
    "learn_weights",
    "read_groups",
    "read_predictions",
    "read_trait_labels",
    "rescale",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line starts without torchmetrics."""
    if name != "TraitMetrics":
        raise AttributeError(f"module 'personality.evaluation' has no attribute {name!r}")
    from personality.evaluation.trait_metrics import TraitMetrics

    return TraitMetrics
