"""Losses between scores and labels."""

from functools import partial

from torch import Tensor
from torch.nn import functional

LOSSES = {
    "mse": partial(functional.mse_loss, reduction="none"),
    "l1": partial(functional.l1_loss, reduction="none"),
    "huber": partial(functional.huber_loss, reduction="none"),
}
LOSS_NAMES = (*LOSSES, "ccc", "ccc_mse")
"""Those of `LOSSES`, which are errors of segments; concordance, which is of the clips of a batch; and both."""


def concordance(scores: Tensor, labels: Tensor) -> Tensor:
    r"""Compute Lin's concordance correlation coefficient over clips (Lin 1989), differentiably.

    $2 s_{xy} / (s_x^2 + s_y^2 + (\bar x - \bar y)^2)$: 1 where scores are the labels, 0 where they are constant.

    Args:
        scores: `(clips, targets)`.
        labels: `(clips, targets)`, NaN where there is none.

    Returns:
        `(targets,)`.

    >>> import torch
    >>> round(concordance(torch.tensor([[0.1], [0.5]]), torch.tensor([[0.2], [0.6]])).item(), 3)
    0.889
    """
    known = labels.isfinite()
    count = known.sum(0).clamp(min=1)
    x, y = scores.where(known, 0), labels.where(known, 0)
    mean_x, mean_y = x.sum(0) / count, y.sum(0) / count
    x, y = (x - mean_x) * known, (y - mean_y) * known
    spread = (x.square() + y.square()).sum(0) / count + (mean_x - mean_y).square()
    return 2 * (x * y).sum(0) / count / spread.clamp(min=1e-9)
