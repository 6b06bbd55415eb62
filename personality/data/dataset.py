"""The clips of a split as a dataset that is read a batch at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from personality.data.cache_rows import ArrayRows
from personality.traits import Batch

Rng = Callable[[Tensor], np.random.Generator]


class ClipDataset(Dataset[Batch]):
    """Batches of clips from arrays.

    Args:
        inputs: `(clips, segments, channels, *space)`, zeros for padding: an array, or a tensor on a device.
        segments: `(clips,)`: how many segments are real.
        labels: `(clips, targets)`.
        count: How many segments of each clip to read, chosen at random; by default all.
        rng: From the rows of a batch to the generator that chooses its segments.
        encoded_by: See `Batch`.
        rows: The clips to serve; by default those with segments.

    Example:
        >>> dataset = ClipDataset(np.ones((3, 2, 1, 4), "float32"), np.array([2, 0, 1]), torch.rand(3, 5))
        >>> len(dataset)
        2
        >>> batch = dataset.__getitems__([0, 1])
        >>> batch.inputs.shape, batch.segments.tolist(), batch.clip.tolist()
        (torch.Size([2, 2, 1, 4]), [2, 1], [0, 2])
    """

    def __init__(
        self,
        inputs: ArrayRows | np.ndarray | Tensor,
        segments: np.ndarray,
        labels: Tensor,
        count: int | None = None,
        rng: Rng = lambda rows: np.random.default_rng(rows.tolist()),
        encoded_by: str = "",
        rows: np.ndarray | None = None,
    ) -> None:
        self.inputs, self.segments, self.labels, self.count, self.rng = inputs, segments, labels, count, rng
        self.encoded_by = encoded_by
        self.rows = np.flatnonzero(segments > 0) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Read a batch; a `DataLoader` needs `collate_fn=same`."""
        return self.read(self.rows[indices])

    def read(self, rows: np.ndarray) -> Batch:
        """Read a batch of clips by their rows in the arrays."""
        segments, total = self.segments[rows].astype(np.int64), self.inputs.shape[1]
        index: tuple[np.ndarray, ...] = (rows,)
        if self.count is not None and self.count < total:
            order = self.rng(torch.from_numpy(rows)).random((len(rows), total))
            order[np.arange(total) >= segments[:, None]] = 1  # padding is chosen last
            index = rows[:, None], np.argsort(order, axis=1)[:, : self.count]
            segments = np.minimum(segments, self.count)
        if isinstance(self.inputs, Tensor):
            device = self.inputs.device
            inputs = self.inputs[tuple(torch.from_numpy(part).to(device, non_blocking=True) for part in index)]
        else:
            inputs = torch.from_numpy(self.inputs[index])
        clip = torch.from_numpy(rows)
        return Batch(inputs, self.labels[clip], torch.from_numpy(segments), clip, self.encoded_by)


def same(batch: Any) -> Any:
    """Return a batch as it is."""
    return batch
