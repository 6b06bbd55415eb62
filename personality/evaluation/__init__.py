"""How good the scores are: measures, baselines, intervals, and tools for files of predictions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from personality.evaluation.calibration import calibration, rescale
from personality.evaluation.fairness import fairness, read_groups
from personality.evaluation.fusion import fuse, learn_weights
from personality.evaluation.metrics import TraitMetrics, measures
from personality.evaluation.predictions import read_predictions, read_traits, write_predictions
from personality.evaluation.results import compare, evaluate

if TYPE_CHECKING:
    from personality.evaluation.metrics_file import KeepMetrics, MetricsFile
    from personality.evaluation.save_results import SaveResults

__all__ = [
    "KeepMetrics",
    "MetricsFile",
    "SaveResults",
    "TraitMetrics",
    "calibration",
    "compare",
    "evaluate",
    "fairness",
    "fuse",
    "learn_weights",
    "measures",
    "read_groups",
    "read_predictions",
    "read_traits",
    "rescale",
    "write_predictions",
]

LAZY = {
    "KeepMetrics": "personality.evaluation.metrics_file",
    "MetricsFile": "personality.evaluation.metrics_file",
    "SaveResults": "personality.evaluation.save_results",
}


def __getattr__(name: str) -> Any:
    """Import what works within a trainer on first use: files of predictions are measured without Lightning."""
    if name not in LAZY:
        raise AttributeError(f"module 'personality.evaluation' has no attribute {name!r}")
    return getattr(import_module(LAZY[name]), name)
