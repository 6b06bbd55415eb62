"""Face frames: moments spread evenly over a clip, cut to the face."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import faces, media
from personality.traits import Axis, Batch, Coordinates

MEAN = (129.1863, 104.7624, 93.5940)
"""Of red, green and blue, from 0 to 255, in the portraits that VGG-Face was trained on (Parkhi et al. 2015)."""


def extract(source: Any, frames: int, size: int, detector: str) -> dict[str, np.ndarray]:
    """Cut the face out of frames that are spread evenly over a file, `(frames, 3, size, size)` uint8 RGB."""
    images, seconds = media.read_frames(source, frames)
    boxes, found = faces.find_faces(images, detector)
    return {
        "inputs": faces.crop_faces(images, boxes, size),
        "boxes": boxes.astype(np.float32),
        "found": found,
        "seconds": seconds,
    }


class FaceFrames(TraitDataModule):
    """Frames spread evenly over a clip and cut to the face, `(10, 3, 224, 224)` uint8 a clip (Zhang et al. 2016).

    All of them are scored in validation, and all take part in a training step unless `train_segments` says fewer.

    Args:
        corpus: Where the clips and their labels are.
        frames: How many a clip.
        size: Pixels of a side, as stored_shape on disk.
        crop: Pixels of a side that the model sees: in training at a random place of each frame and mirrored half of the
            time, else in the middle. By default all of them, as they are.
        augment: How much training also turns (in radians), scales, lights and colours each frame: 0.15 tells a network
            that starts from scratch what does not matter. Needs `crop`; nothing of it happens outside training.
        detector: `haar`, the path of a YuNet model, `whole` for no crop at all, or `upper` for the upper square of
            portraits (see `faces.find_faces`).
        normalise: `vgg_face` takes the mean away that published weights expect; or what `TraitDataModule` offers.
        **loading: See `TraitDataModule`.
    """

    modality = "image"
    normalisations = ("vgg_face", *TraitDataModule.normalisations)

    def __init__(
        self,
        corpus: Corpus,
        frames: int = 10,
        size: int = 224,
        crop: int | None = None,
        augment: float = 0.0,
        detector: str = "haar",
        normalise: str = "vgg_face",
        **loading: Any,
    ) -> None:
        if not 0 < (crop or size) <= size:
            raise ValueError(
                f"Got a crop of {crop} pixels from frames of {size}: expected no more; choose a size above."
            )
        if augment and not crop:
            raise ValueError("Got a augment but no crop: choose a crop below the size, which leaves room to move.")
        if detector not in ("whole", "upper"):
            faces.load_detector(detector)  # or an error, before each clip fails by it
        super().__init__(
            corpus,
            partial(extract, frames=frames, size=size, detector=detector),
            (frames, 3, crop or size, crop or size),
            stored_shape=(frames, 3, size, size),
            dtype="uint8",
            extra_arrays={
                "boxes": ((frames, 4), "float32"),
                "found": ((frames,), "bool"),
                "seconds": ((frames,), "float64"),
            },
            normalise=normalise,
            **loading,
        )
        self.crop_size, self.augment = crop, augment

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """A frame stands for its part of the clip; its space is height by width, in shares of the video frame."""
        cache = self.caches[split]
        size, seen = cache.inputs.shape[-1], self.input_shape[-1]
        left, top, right, bottom = cache.extra("boxes")[clip, segment].astype(float)
        seconds = cache.extra("seconds")[clip]
        centres = ((size - seen) // 2 + np.arange(seen) + 0.5) / size
        axes = Axis("height", top + centres * (bottom - top)), Axis("width", left + centres * (right - left))
        moment = float(seconds[segment])
        return Coordinates(moment, moment, axes)

    def crop(self, batch: Batch) -> Batch:
        """Cut to what the model sees: in training a place of each frame at random, else its middle."""
        if not self.crop_size:
            return batch
        if self.trainer is not None and self.trainer.training:
            clips = batch.inputs.shape[0]
            frames, rng = batch.inputs.flatten(0, 1), self.rng(torch.as_tensor(batch.clip))
            cut = (
                _augment(frames, self.crop_size, self.augment, rng)
                if self.augment
                else _random_crop(frames, self.crop_size, rng)
            )
            return batch._replace(inputs=cut.unflatten(0, (clips, -1)))
        start = (batch.inputs.shape[-1] - self.crop_size) // 2
        return batch._replace(inputs=batch.inputs[..., start : start + self.crop_size, start : start + self.crop_size])

    def normalise(self, batch: Batch) -> Batch:
        """Turn a batch as it is on disk into a model's inputs."""
        if self.normalisation != "vgg_face":
            return super().normalise(batch)
        batch = self.crop(batch)
        mean = torch.tensor(MEAN).view(3, 1, 1).to(batch.inputs.device, non_blocking=True)
        return batch._replace(inputs=batch.inputs - mean)


def _random_crop(frames: Tensor, crop: int, rng: np.random.Generator) -> Tensor:
    """Cut frames `(N, 3, size, size)` at a random place, and mirror half of them: `(N, 3, crop, crop)`."""
    rest = frames.shape[-1] - crop
    tops, lefts, mirrored = (
        torch.from_numpy(rng.integers(0, most + 1, (len(frames), 1))).to(frames.device, non_blocking=True)
        for most in (rest, rest, 1)
    )
    along = torch.arange(crop, device=frames.device)
    rows, columns = tops + along, lefts + torch.where(mirrored.bool(), along.flip(0), along)
    each = torch.arange(len(frames), device=frames.device).view(-1, 1, 1)
    cut = frames.permute(0, 2, 3, 1)[each, rows.unsqueeze(2), columns.unsqueeze(1)]  # ..., crop, crop, 3
    return cut.permute(0, 3, 1, 2)


def _augment(frames: Tensor, crop: int, augment: float, rng: np.random.Generator) -> Tensor:
    """Crop at random, and by up to `augment` turn, scale, light and colour frames: float32, within 0 and 255."""
    turn, scale, down, right, mirror, light, contrast, colour = (
        torch.from_numpy(rng.uniform(-1, 1, (8, len(frames)))).float().to(frames.device, non_blocking=True)
    )
    share = crop / frames.shape[-1]
    turn, scale = augment * turn, share * (1 + augment * scale)
    down, right, mirror = (1 - share) * down, (1 - share) * right, mirror.sign()
    rows = torch.stack([scale * turn.cos() * mirror, -scale * turn.sin(), right], 1)
    columns = torch.stack([scale * turn.sin() * mirror, scale * turn.cos(), down], 1)
    grid = functional.affine_grid(torch.stack([rows, columns], 1), [len(frames), 3, crop, crop], align_corners=False)
    cut = functional.grid_sample(frames.float(), grid, padding_mode="reflection", align_corners=False)
    light, contrast, colour = (augment * each.view(-1, 1, 1, 1) for each in (light, contrast, colour))
    grey = cut.mean(1, keepdim=True)
    cut = grey + (cut - grey) * (1 + 2 * colour)
    middle = cut.mean((1, 2, 3), keepdim=True)
    return (middle + (cut - middle) * (1 + 2 * contrast) + 128 * light).clamp(0, 255)
