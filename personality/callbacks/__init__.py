"""Callbacks of a training, for `Trainer(callbacks=[...])`."""

from personality.callbacks.require_finite_loss import RequireFiniteLoss

__all__ = ["RequireFiniteLoss"]
