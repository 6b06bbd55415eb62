"""Optimisers and schedules by name."""

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
SCHEDULES = "one_cycle", "constant"


def build_optimiser(
    parameters: Sequence[tuple[Sequence[nn.Parameter], float]],
    name: str,
    lr: float,
    weight_decay: float,
    schedule: str,
    steps: int,
) -> OptimizerLRSchedulerConfig | torch.optim.Optimizer:
    """Build an optimiser and its schedule, as Lightning takes them.

    Args:
        parameters: Groups of parameters, each with its learning rate; a group that is frozen is left out.
        name: One of `OPTIMISERS`.
        lr: Default learning rate.
        weight_decay: As the optimiser defines it.
        schedule: One of `SCHEDULES`.
        steps: Of the whole training.
    """
    groups: list[dict[str, Any]] = [
        {"params": [*group], "lr": rate} for group, rate in parameters if any(each.requires_grad for each in group)
    ]
    extra: dict[str, Any] = {"momentum": 0.9} if name == "sgd" else {}
    extra["fused"] = True  # one pass over all parameters
    optimiser: torch.optim.Optimizer = OPTIMISERS[name](groups, lr=lr, weight_decay=weight_decay, **extra)
    if schedule == "constant":
        return optimiser
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=[group["lr"] for group in groups], total_steps=steps, cycle_momentum=False
    )
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": one_cycle, "interval": "step"}}
