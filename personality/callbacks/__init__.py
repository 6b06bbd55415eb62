"""Callbacks of a training, for `Trainer(callbacks=[...])`, and how checkpoints are written."""

from personality.callbacks.checkpoints import AtomicCheckpoints
from personality.callbacks.keep_metrics import KeepMetrics, MetricsFile
from personality.callbacks.report_progress import ReportProgress
from personality.callbacks.require_finite_loss import RequireFiniteLoss
from personality.callbacks.save_artifacts import SaveArtifacts
from personality.callbacks.save_heatmaps import SaveHeatmaps
from personality.callbacks.save_report import SaveReport
from personality.callbacks.save_results import SaveResults

__all__ = [
    "AtomicCheckpoints",
    "KeepMetrics",
    "MetricsFile",
    "ReportProgress",
    "RequireFiniteLoss",
    "SaveArtifacts",
    "SaveHeatmaps",
    "SaveReport",
    "SaveResults",
]
