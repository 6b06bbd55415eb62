"""Why a model scores as it does: maps of the evidence, how true they are, and pictures of them."""

from personality.explanation.heatmaps import SaveHeatmaps
from personality.explanation.report import SaveReport

__all__ = ["SaveHeatmaps", "SaveReport"]
