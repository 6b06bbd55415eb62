"""What the frozen part of a model makes of the inputs: computed once, and kept beside the features."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from personality.atomic import atomic_write
from personality.data.cache_rows import ArrayRows, CacheRows
from personality.features.cache import FeatureCache
from personality.progress import progress
from personality.traits import Batch

BATCH = 16
"""How many clips are encoded at once."""


def encodings(features: FeatureCache | CacheRows, key: str) -> ArrayRows | np.memmap:
    """Open the encodings of clips, `(clips, segments, ...)`."""
    if isinstance(features, CacheRows):
        return ArrayRows(open_memmap(_path(features.cache, key), "r"), features.rows)
    return open_memmap(_path(features, key), "r")


def encode(
    cache: FeatureCache, normalise: Callable[[Batch], Batch], network: nn.Module, key: str, device: torch.device
) -> None:
    """Encode all clips of a cache.

    Descriptors of segments are stored in float32, and maps, which are large, in float16.

    Args:
        cache: The features.
        normalise: From a stored batch to the inputs of the network.
        network: `(N, channels, *space)` to `(N, ...)`.
        key: Of the network. What is there under it is left as it is.
        device: Where to compute.
    """
    path = _path(cache, key)
    if path.exists():
        return
    training, network = network.training, network.to(device).eval()
    segments = torch.from_numpy(cache.segments.clip(min=0).astype(np.int64))

    def part(rows: np.ndarray) -> Tensor:
        clips = torch.from_numpy(rows)
        batch = Batch(torch.from_numpy(cache.inputs[rows]).to(device), torch.empty(0), segments[clips], clips)
        inputs = normalise(batch).inputs
        real = (torch.arange(inputs.shape[1]) < segments[clips].unsqueeze(1)).to(device)
        found: Tensor = network(inputs[real])
        padded = found.new_zeros(*real.shape, *found.shape[1:])
        padded[real] = found
        return padded

    rows = np.flatnonzero(cache.segments > 0)
    array: np.memmap | None = None
    name = f"Encodings of {cache.folder.parent.name}"
    with torch.inference_mode(), atomic_write(path) as temporary:
        starts = range(0, len(rows), BATCH)
        for start in progress(starts, name, len(starts), "batches"):
            some = rows[start : start + BATCH]
            found = part(some).cpu().numpy()
            if array is None:
                dtype = np.float32 if found.ndim == 3 else np.float16
                array = open_memmap(temporary, "w+", dtype, (len(cache.clips), *found.shape[1:]))
            array[some] = found
    network.train(training)


def _path(cache: FeatureCache, key: str) -> Path:
    """Return the file of encodings: another network has another one, and so have other clips that failed."""
    segments = hashlib.sha256(cache.segments.tobytes()).hexdigest()[:8]
    return cache.folder / f"encoded-{key}-{segments}.npy"
