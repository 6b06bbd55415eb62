"""Where the face is in the frames of a clip, and crops of it. The only room that knows the detector (OpenCV)."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from cv2.data import haarcascades

SEARCH_SIZE = 320  # pixels of the longer side of a frame when it is searched: 40 ms a frame
SMALLEST = 0.1  # face that is searched for, as a share of the shorter side of a frame
MARGIN = 0.3  # of a face's side, all around it: forehead, chin and hair belong to the crop
SAME_SIZE = 1.5  # times larger or smaller, and it is another face
RAREST = 0.2  # share of the frames: what is seen in fewer is no face

Detector = Callable[[np.ndarray], np.ndarray]
"""`(height, width, 3)` uint8 RGB -> `(faces, 4)`: left, top, width and height of each face in pixels."""

cv2.setNumThreads(1)  # many processes work side by side, and OpenCV's threads do not survive a fork


def find_faces(frames: np.ndarray, detector: str = "haar") -> tuple[np.ndarray, np.ndarray]:
    """Find the face of the person whom a clip shows: a square around it that keeps its size throughout the clip.

    Of several faces it is the one that is large and most often about the same place; what else a detector sees is
    passed over. A frame without the face has the square where it is in the median of the others; a clip without a face
    has it in the centre, as large as the frame allows.

    Args:
        frames: `(count, height, width, 3)` uint8 RGB: moments of one clip.
        detector: "haar", the cascade that comes with OpenCV; the path of a YuNet model (.onnx), which sees turned faces
            too; "whole", which takes each whole frame for a face and is no square; or "upper", the largest square at
            the top of a frame, where the face of a portrait is.

    Returns:
        The boxes, `(count, 4)` float64: left, top, right and bottom as shares of the frame's width and height. And
        whether the face was found in this very frame, `(count,)` bool.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: The detector is none of these, or the file is no YuNet model.
    """
    count, height, width, _ = frames.shape
    if detector == "whole":
        return np.tile([0.0, 0.0, 1.0, 1.0], (count, 1)), np.ones(count, bool)
    if detector == "upper":
        margin = max(0, 1 - height / width) / 2
        return np.tile([margin, 0.0, 1 - margin, min(1, width / height)], (count, 1)), np.ones(count, bool)
    detect = load_detector(detector)
    faces, found = _follow([_seen(frame, detect) for frame in frames])
    if not found.any():
        faces[:] = width / 2, height / 2, max(height, width)
    x, y, side = faces.T
    side = np.minimum(side * (1 + 2 * MARGIN), min(height, width))
    left = np.clip(x - side / 2, 0, width - side)
    top = np.clip(y - side / 2, 0, height - side)
    return np.stack([left, top, left + side, top + side], axis=1) / [width, height, width, height], found


@cache  # loading takes longer than a frame
def load_detector(name: str) -> Detector:
    """Load a detector that looks for faces: "haar" or the path of a YuNet model.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: The name is another, or the file is no YuNet model.
    """
    if name == "haar":
        return _haar()
    if name.endswith(".onnx"):
        return _yunet(name)
    raise ValueError(f"Expected a detector haar, whole, upper or the path of a YuNet model (.onnx), but got {name!r}")


def crop_faces(frames: np.ndarray, boxes: np.ndarray, size: int = 224) -> np.ndarray:
    """Cut a box out of each frame and scale it to a square.

    Args:
        frames: `(count, height, width, 3)` uint8 RGB.
        boxes: `(count, 4)` left, top, right and bottom as shares of the frame's width and height.
        size: Pixels of a side.

    Returns:
        `(count, 3, size, size)` uint8 RGB.
    """
    height, width = frames.shape[1:3]
    crops = []
    for frame, box in zip(frames, boxes * [width, height, width, height], strict=True):
        left, top, right, bottom = box.round().astype(int)
        finer = cv2.INTER_AREA if bottom - top > size else cv2.INTER_CUBIC
        crops.append(cv2.resize(frame[top:bottom, left:right], (size, size), interpolation=finer))
    return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))


def _seen(frame: np.ndarray, detect: Detector) -> np.ndarray:
    """All faces in a frame, `(faces, 3)`: x and y of the centre and the side, in pixels."""
    scale = min(1, SEARCH_SIZE / max(frame.shape))
    boxes = detect(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)) / scale
    return np.column_stack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(axis=1)])


def _follow(seen: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Everything seen in each frame -> the clip's face in each frame, `(count, 3)`, and whether it was seen there.

    A face is the x and y of its centre and its side. Two are the same if their centres are less than a side apart and
    neither side is more than `SAME_SIZE` times the other. The clip's face is the one that adds up to the largest sum of
    sides, counted once a frame.
    """
    count = len(seen)
    frame = np.repeat(np.arange(count), [len(faces) for faces in seen])
    faces = np.concatenate(seen)
    x, y, side = faces.T
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    same = (distance < side[:, None]) & (np.abs(np.log(side[:, None] / side)) <= np.log(SAME_SIZE))
    support = sum((same * side)[:, frame == number].max(axis=1, initial=0) for number in range(count))

    followed, found = np.zeros((count, 3)), np.zeros(count, bool)
    if len(faces):
        chosen = np.argmax(support)
        for face in np.argsort(-distance[chosen]):  # in each frame the nearest comes last and stays
            if same[chosen, face]:
                followed[frame[face]], found[frame[face]] = faces[face], True
    if found.mean() < RAREST:
        found[:] = False
    if found.any():
        followed[~found] = np.median(followed[found], axis=0)
        followed[:, 2] = np.median(followed[found, 2])
    return followed, found


def _haar() -> Detector:
    """The cascade of Viola and Jones (2001) that ships with OpenCV: frontal faces."""
    cascade = cv2.CascadeClassifier(f"{haarcascades}haarcascade_frontalface_alt2.xml")
    equaliser = cv2.createCLAHE(clipLimit=2)  # local contrast: finds nearly all of the faces in bad light

    def detect(frame: np.ndarray) -> np.ndarray:
        grey = equaliser.apply(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
        smallest = round(SMALLEST * min(grey.shape))
        return np.reshape(cascade.detectMultiScale(grey, minSize=(smallest, smallest)), (-1, 4))

    return detect


def _yunet(model: str) -> Detector:
    """The network of Wu, Peng and Yu (2023): faces turned aside and half covered too."""
    if not Path(model).is_file():
        raise FileNotFoundError(f"There is no YuNet model at {model}; name one from opencv_zoo, or take detector haar")
    try:
        network = cv2.FaceDetectorYN.create(model, "", (SEARCH_SIZE, SEARCH_SIZE))
    except cv2.error as error:
        raise ValueError(f"{model} is no YuNet model: {error.err}; name one from opencv_zoo, or take haar") from error

    def detect(frame: np.ndarray) -> np.ndarray:
        network.setInputSize((frame.shape[1], frame.shape[0]))
        _, faces = network.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return np.empty((0, 4)) if faces is None else faces[:, :4]

    return detect
