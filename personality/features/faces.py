"""Detection of the face in the frames of a clip with OpenCV, and cropping."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from cv2.data import haarcascades

SEARCH_SIZE = 320  # pixels of the longer side of a frame for detection: 40 ms a frame
SMALLEST = 0.1  # of a face, as a share of the shorter side of a frame
MARGIN = 0.3  # of a face's side, on each side, so that the crop contains forehead, chin and hair
SAME_SIZE = 1.5  # largest ratio of the sides of one face in two frames
RAREST = 0.2  # share of the frames in which a face must be found

Detector = Callable[[np.ndarray], np.ndarray]
"""`(height, width, 3)` uint8 RGB -> `(faces, 4)`: left, top, width and height of each face in pixels."""

cv2.setNumThreads(1)  # several processes run at a time, and OpenCV's threads do not survive a fork


def find_faces(frames: np.ndarray, detector: str = "haar") -> tuple[np.ndarray, np.ndarray]:
    """Find the face of the person in a clip: a square that keeps its size throughout the clip.

    Of several faces, the one that is large and in most frames at about the same position is chosen. A frame without
    it gets the median square of the others; a clip without a face gets the largest square in the centre.

    Args:
        frames: `(count, height, width, 3)` uint8 RGB of one clip.
        detector: "haar", the cascade that comes with OpenCV; the path of a YuNet model (.onnx), which also finds turned
            faces; "whole" for the whole frame, which need not be a square; or "upper" for the largest square at the top
            of the frame, for portraits.

    Returns:
        The boxes, `(count, 4)` float64: left, top, right and bottom as shares of the frame's width and height; and
        whether the face was found in the frame, `(count,)` bool.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: The detector is none of these, or the file is not a YuNet model.
    """
    count, height, width, _ = frames.shape
    if detector == "whole":
        return np.tile([0.0, 0.0, 1.0, 1.0], (count, 1)), np.ones(count, bool)
    if detector == "upper":
        margin = max(0, 1 - height / width) / 2
        return np.tile([margin, 0.0, 1 - margin, min(1, width / height)], (count, 1)), np.ones(count, bool)
    detect = load_detector(detector)
    faces, found = _track([_detect_all(frame, detect) for frame in frames])
    if not found.any():
        faces[:] = width / 2, height / 2, max(height, width)
    x, y, side = faces.T
    side = np.minimum(side * (1 + 2 * MARGIN), min(height, width))
    left = np.clip(x - side / 2, 0, width - side)
    top = np.clip(y - side / 2, 0, height - side)
    return np.stack([left, top, left + side, top + side], axis=1) / [width, height, width, height], found


@cache  # loading takes longer than detection in a frame
def load_detector(name: str) -> Detector:
    """Load a detector: "haar" or the path of a YuNet model.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: There is no such detector, or the file is not a YuNet model.
    """
    if name == "haar":
        return _haar()
    if name.endswith(".onnx"):
        return _yunet(name)
    raise ValueError(f"Expected a detector haar, whole, upper or the path of a YuNet model (.onnx), but got {name!r}")


def crop_faces(frames: np.ndarray, boxes: np.ndarray, size: int = 224) -> np.ndarray:
    """Crop a box of each frame and scale it to a square.

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
        interpolation = cv2.INTER_AREA if bottom - top > size else cv2.INTER_CUBIC
        crops.append(cv2.resize(frame[top:bottom, left:right], (size, size), interpolation=interpolation))
    return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))


def box_transforms(boxes: np.ndarray, size: int) -> np.ndarray:
    """Return where the pixels of `crop_faces` lie.

    Args:
        boxes: `(count, 4)` left, top, right and bottom as shares of the frame's width and height.
        size: Pixels of a side of the crops.

    Returns:
        `(count, 2, 3)`: times `(column, row, 1)` of a pixel it gives x and y of its centre, as shares of the frame.
    """
    transforms = np.zeros((len(boxes), 2, 3))
    for axis in (0, 1):
        step = (boxes[:, axis + 2] - boxes[:, axis]) / size
        transforms[:, axis, axis], transforms[:, axis, 2] = step, boxes[:, axis] + step / 2
    return transforms


def _detect_all(frame: np.ndarray, detect: Detector) -> np.ndarray:
    """Return all faces in a frame, `(faces, 3)`: x and y of the centre and the side, in pixels."""
    scale = min(1, SEARCH_SIZE / max(frame.shape))
    boxes = detect(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)) / scale
    return np.column_stack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(axis=1)])


def _track(detected: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Choose one face from all detected faces. Return it in each frame, `(count, 3)`, and whether it was found there.

    A face is the x and y of its centre and its side. Two detections are the same face if their centres are less than a
    side apart and neither side is more than `SAME_SIZE` times the other. The face with the largest sum of sides,
    counted once a frame, is chosen.
    """
    count = len(detected)
    frame = np.repeat(np.arange(count), [len(faces) for faces in detected])
    faces = np.concatenate(detected)
    x, y, side = faces.T
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    same = (distance < side[:, None]) & (np.abs(np.log(side[:, None] / side)) <= np.log(SAME_SIZE))
    support = sum((same * side)[:, frame == number].max(axis=1, initial=0) for number in range(count))

    tracked, found = np.zeros((count, 3)), np.zeros(count, bool)
    if len(faces):
        chosen = np.argmax(support)
        for face in np.argsort(-distance[chosen]):  # the nearest in each frame comes last and overwrites the others
            if same[chosen, face]:
                tracked[frame[face]], found[frame[face]] = faces[face], True
    if found.mean() < RAREST:
        found[:] = False
    if found.any():
        tracked[~found] = np.median(tracked[found], axis=0)
        tracked[:, 2] = np.median(tracked[found, 2])
    return tracked, found


def _haar() -> Detector:
    """Load the cascade of Viola and Jones (2001) that comes with OpenCV: frontal faces."""
    cascade = cv2.CascadeClassifier(f"{haarcascades}haarcascade_frontalface_alt2.xml")
    equaliser = cv2.createCLAHE(clipLimit=2)  # local contrast: finds nearly all faces in bad light

    def detect(frame: np.ndarray) -> np.ndarray:
        grey = equaliser.apply(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
        smallest = round(SMALLEST * min(grey.shape))
        return np.reshape(cascade.detectMultiScale(grey, minSize=(smallest, smallest)), (-1, 4))

    return detect


def _yunet(model: str) -> Detector:
    """Load the network of Wu, Peng and Yu (2023): also turned and partly covered faces."""
    if not Path(model).is_file():
        raise FileNotFoundError(f"There is no YuNet model at {model}; name one from opencv_zoo, or use detector haar")
    try:
        network = cv2.FaceDetectorYN.create(model, "", (SEARCH_SIZE, SEARCH_SIZE))
    except cv2.error as error:
        raise ValueError(f"{model} is no YuNet model: {error.err}; name one from opencv_zoo, or use haar") from error

    def detect(frame: np.ndarray) -> np.ndarray:
        network.setInputSize((frame.shape[1], frame.shape[0]))
        _, faces = network.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return np.empty((0, 4)) if faces is None else faces[:, :4]

    return detect
