"""The metrics of a split while a model is trained and tested, over all processes.

torchmetrics provides the synchronisation between processes. It takes seconds to import, and the commands of
`python -m personality.evaluation` do without it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from personality.evaluation.metrics import compute_metrics, trait_mean


class TraitMetrics(Metric):
    """All metrics over the clips of a split, exact for any batch size and number of processes.

    A clip is known by its row in the split, so a clip that a distributed sampler repeats is counted once. `compute`
    returns the mean of each metric over the traits under its name, and that of each target under `metric/target`.

    Args:
        targets: Names of the scores, in order.
        mean: `(targets,)` mean label of the training clips.
        clips: Number of clips in the split. Memory is allocated once: small tensors of each batch would stay between
            the batches' large ones and keep the allocator from returning memory.
        span: The highest label less the lowest, `(targets,)` if they differ: accuracy and MSE are those on a scale of
            length 1.

    Example:
        >>> metrics = TraitMetrics(["openness"], torch.tensor([0.5]), clips=2)
        >>> metrics.update(torch.tensor([[0.5], [0.7]]), torch.tensor([[0.4], [0.7]]), torch.tensor([0, 1]))
        >>> metrics.update(torch.tensor([[0.7]]), torch.tensor([[0.7]]), torch.tensor([1]))
        >>> round(metrics.compute()["accuracy/openness"].item(), 3)
        0.95
    """

    full_state_update = False
    table: Tensor
    """`(clips, 1 + 2 * targets)`: 1 if the clip has been seen, its scores, its labels."""

    def __init__(self, targets: Sequence[str], mean: Tensor, clips: int, span: Tensor | float = 1.0) -> None:
        super().__init__()
        if mean.shape != (len(targets),):
            raise ValueError(
                f"Got a mean of shape {tuple(mean.shape)} for {len(targets)} targets: expected one mean label a target,"
                " in the same order."
            )
        self.targets = list(targets)
        self.mean = mean / span
        self.span = span
        self.add_state("table", torch.zeros(clips, 1 + 2 * len(targets)), dist_reduce_fx=_merge)

    def update(self, scores: Tensor, labels: Tensor, clip: Tensor) -> None:
        """Add a batch: `(B, targets)` scores and labels, and `(B,)` the clips' rows in their split."""
        rows = [torch.ones_like(scores[:, :1]), scores / self.span, labels / self.span]
        clip = clip.to(self.table.device, non_blocking=True)
        self.table[clip] = torch.cat([part.detach().to(self.table) for part in rows], dim=1)

    def compute(self) -> dict[str, Tensor]:
        """Compute the metrics of the clips seen so far, in all processes together."""
        table = self.table.cpu()  # not every accelerator has float64
        scores, labels = table[table[:, 0] > 0, 1:].chunk(2, dim=1)
        result = {}
        for name, values in compute_metrics(scores, labels, self.mean.cpu()).items():
            result[name] = trait_mean(values, self.targets).float()
            result |= {f"{name}/{target}": value.float() for target, value in zip(self.targets, values, strict=True)}
        return result


def _merge(tables: Tensor) -> Tensor:
    """Take each clip's row from the first of the processes that saw it: `(processes, clips, n)` to `(clips, n)`."""
    return tables[tables[..., 0].argmax(0), torch.arange(tables.shape[1], device=tables.device)]
