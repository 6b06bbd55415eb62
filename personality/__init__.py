"""Apparent Big Five traits from short videos, by sound and by faces, with heatmaps that show why."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personality.predictor import Predictor, load, save_pretrained

__all__ = ["Predictor", "load", "save_pretrained"]


def __getattr__(name: str) -> Any:
    """Import on first use: processes that only decode videos start without Lightning."""
    if name not in __all__:
        raise AttributeError(f"module 'personality' has no attribute {name!r}")
    from personality import predictor

    return getattr(predictor, name)
