"""Face frames: frames at even intervals, cropped to the face."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import face_alignment, faces, media
from personality.traits import Axis, Batch, Coordinates


def extract(source: Any, frames: int, size: int, detector: str) -> dict[str, np.ndarray]:
    """Crop frames at even intervals to the face: `(frames, 3, size, size)` uint8 RGB.

    `transforms` `(frames, 2, 3)` are those of `Coordinates`.
    """
    images, seconds = media.read_frames(source, frames)
    if detector == "dlib":
        pixels, found, transforms = face_alignment.align_faces(images, size)
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    else:
        boxes, found = faces.find_faces(images, detector)
        pixels = faces.crop_faces(images, boxes, size)
        transforms = faces.box_transforms(boxes, size)
    return {"inputs": pixels, "transforms": transforms, "found": found, "seconds": seconds}


class FaceFrames(TraitDataModule):
    """Frames at even intervals, cropped to the face, `(10, 3, 224, 224)` uint8 a clip (Zhang et al. 2016).

    Validation scores all of them; a training step takes all or `train_segments` of them. A model gets their pixels from
    0 to 255: its backbone knows the mean and the scale that it was trained on.

    Args:
        corpus: Where the clips and their labels are.
        frames: How many of each clip.
        size: Height and width of the stored frames in pixels; by default 150 for the detector `dlib`, else 224.
        crop: Height and width that the model sees: a random crop, mirrored half of the time, in training, the centre
            otherwise. By default whole frames, never mirrored.
        augment: Strength of augmentation in training: rotation in radians, scale, brightness, contrast and saturation.
            0.15 suits a network without pretrained weights. Needs `crop`.
        detector: `haar`, the path of a YuNet model, `whole` for whole frames, or `upper` for the upper square of
            portraits (see `faces.find_faces`). `dlib` turns each face upright by five landmarks, as pretrained face
            networks expect (see `face_alignment.align_faces`; extra `pretrained`).
        normalise: `none`, the only choice.
        **loading: See `TraitDataModule`.
    """

    modality = "image"
    normalisations = ("none",)

    def __init__(
        self,
        corpus: Corpus,
        frames: int = 10,
        size: int | None = None,
        crop: int | None = None,
        augment: float = 0.0,
        detector: str = "haar",
        normalise: str | None = "none",
        **loading: Any,
    ) -> None:
        size = size or (face_alignment.SIZE if detector == "dlib" else 224)
        if not 0 < (crop or size) <= size:
            raise ValueError(
                f"Got a crop of {crop} pixels from frames of {size}: expected no more; choose a size above."
            )
        if augment and not crop:
            raise ValueError(f"Got augment {augment} without a crop: expected a crop below the size; choose one.")
        if detector == "dlib":
            face_alignment.load_landmarks()  # raises before each clip fails
        elif detector not in ("whole", "upper"):
            faces.load_detector(detector)
        super().__init__(
            corpus,
            partial(extract, frames=frames, size=size, detector=detector),
            (frames, 3, crop or size, crop or size),
            stored_shape=(frames, 3, size, size),
            dtype="uint8",
            extra_arrays={
                "transforms": ((frames, 2, 3), "float64"),
                "found": ((frames,), "bool"),
                "seconds": ((frames,), "float64"),
            },
            normalise=normalise,
            **loading,
        )
        self.crop_size, self.augment, self.augments = crop, augment, crop is not None

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate a frame; its space is height by width, in shares of the video frame."""
        cache = self.caches[split]
        size, seen = cache.inputs.shape[-1], self.input_shape[-1]
        transform = np.array(cache.extra("transforms")[clip, segment])
        transform[:, 2] += transform[:, :2].sum(1) * ((size - seen) // 2)  # from the first position that the model sees
        middle, along = (seen - 1) / 2, np.arange(seen)
        axes = (
            Axis("height", transform[1] @ [np.full(seen, middle), along, np.ones(seen)]),
            Axis("width", transform[0] @ [along, np.full(seen, middle), np.ones(seen)]),
        )
        moment = float(cache.extra("seconds")[clip][segment])
        return Coordinates(moment, moment, axes, transform if transform[0, 1] else None)

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
    lit: Tensor = middle + (crops - middle) * (1 + 2 * contrast) + 128 * light
    return lit.clamp(0, 255)
