"""Face frames: frames at even intervals, cropped to the face."""

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
    """Crop frames at even intervals to the face: `(frames, 3, size, size)` uint8 RGB."""
    images, seconds = media.read_frames(source, frames)
    boxes, found = faces.find_faces(images, detector)
    return {
        "inputs": faces.crop_faces(images, boxes, size),
        "boxes": boxes.astype(np.float32),
        "found": found,
        "seconds": seconds,
    }


class FaceFrames(TraitDataModule):
    """Frames at even intervals, cropped to the face, `(10, 3, 224, 224)` uint8 a clip (Zhang et al. 2016).

    Validation scores all of them; a training step takes all or `train_segments` of them.

    Args:
        corpus: Where the clips and their labels are.
        frames: How many of each clip.
        size: Height and width of the stored frames in pixels.
        crop: Height and width that the model sees: a random crop, mirrored half of the time, in training, the centre
            otherwise. By default whole frames, never mirrored.
        augment: Strength of augmentation in training: rotation in radians, scale, brightness, contrast and saturation.
            0.15 suits a network without pretrained weights. Needs `crop`.
        detector: `haar`, the path of a YuNet model, `whole` for whole frames, or `upper` for the upper square of
            portraits (see `faces.find_faces`).
        normalise: `vgg_face` subtracts the mean colour that published weights expect; or see `TraitDataModule`.
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
            raise ValueError(f"Got augment {augment} without a crop: expected a crop below the size; choose one.")
        if detector not in ("whole", "upper"):
            faces.load_detector(detector)  # raises before each clip fails
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
        """Locate a frame; its space is height by width, in shares of the video frame."""
        cache = self.caches[split]
        size, seen = cache.inputs.shape[-1], self.input_shape[-1]
        left, top, right, bottom = cache.extra("boxes")[clip, segment].astype(float)
        seconds = cache.extra("seconds")[clip]
        centres = ((size - seen) // 2 + np.arange(seen) + 0.5) / size
        axes = Axis("height", top + centres * (bottom - top)), Axis("width", left + centres * (right - left))
        moment = float(seconds[segment])
        return Coordinates(moment, moment, axes)

    def crop(self, batch: Batch) -> Batch:
        """Crop frames: at random in training, to the centre otherwise."""
        if not self.crop_size:
            return batch
        if self.trainer is not None and self.trainer.training:
            clips = batch.inputs.shape[0]
            frames, rng = batch.inputs.flatten(0, 1), self.rng(torch.as_tensor(batch.clip))
            if self.augment:
                crops = _augment(frames, self.crop_size, self.augment, rng)
            else:
                crops = _random_crop(frames, self.crop_size, rng)
            return batch._replace(inputs=crops.unflatten(0, (clips, -1)))
        start = (batch.inputs.shape[-1] - self.crop_size) // 2
        return batch._replace(inputs=batch.inputs[..., start : start + self.crop_size, start : start + self.crop_size])

    def normalise(self, batch: Batch) -> Batch:
        """Crop and normalise a stored batch, on its own device."""
        if self.normalisation != "vgg_face":
            return super().normalise(batch)
        batch = self.crop(batch)
        mean = torch.tensor(MEAN).view(3, 1, 1).to(batch.inputs.device, non_blocking=True)
        return batch._replace(inputs=batch.inputs - mean)

    def baseline(self, inputs: Tensor) -> Tensor:
        """Return the mean colour of each frame, in the shape of the inputs `(N, 3, height, width)`."""
        return inputs.mean((2, 3), keepdim=True).expand_as(inputs)


def _random_crop(frames: Tensor, crop: int, rng: np.random.Generator) -> Tensor:
    """Crop frames `(N, 3, size, size)` at random and mirror half of them: `(N, 3, crop, crop)`."""
    rest = frames.shape[-1] - crop
    tops, lefts, mirrored = (
        torch.from_numpy(rng.integers(0, most + 1, (len(frames), 1))).to(frames.device, non_blocking=True)
        for most in (rest, rest, 1)
    )
    along = torch.arange(crop, device=frames.device)
    rows, columns = tops + along, lefts + torch.where(mirrored.bool(), along.flip(0), along)
    each = torch.arange(len(frames), device=frames.device).view(-1, 1, 1)
    crops = frames.permute(0, 2, 3, 1)[each, rows.unsqueeze(2), columns.unsqueeze(1)]  # (N, crop, crop, 3)
    return crops.permute(0, 3, 1, 2)


def _augment(frames: Tensor, crop: int, augment: float, rng: np.random.Generator) -> Tensor:
    """Crop, mirror, rotate and scale frames at random and change their colours: float32 from 0 to 255."""
    turn, scale, down, right, mirror, light, contrast, colour = (
        torch.from_numpy(rng.uniform(-1, 1, (8, len(frames)))).float().to(frames.device, non_blocking=True)
    )
    share = crop / frames.shape[-1]
    turn, scale = augment * turn, share * (1 + augment * scale)
    down, right, mirror = (1 - share) * down, (1 - share) * right, mirror.sign()
    rows = torch.stack([scale * turn.cos() * mirror, -scale * turn.sin(), right], 1)
    columns = torch.stack([scale * turn.sin() * mirror, scale * turn.cos(), down], 1)
    grid = functional.affine_grid(torch.stack([rows, columns], 1), [len(frames), 3, crop, crop], align_corners=False)
    crops = functional.grid_sample(frames.float(), grid, padding_mode="reflection", align_corners=False)
    light, contrast, colour = (augment * each.view(-1, 1, 1, 1) for each in (light, contrast, colour))
    grey = crops.mean(1, keepdim=True)
    crops = grey + (crops - grey) * (1 + 2 * colour)
    middle = crops.mean((1, 2, 3), keepdim=True)
    return (middle + (crops - middle) * (1 + 2 * contrast) + 128 * light).clamp(0, 255)
