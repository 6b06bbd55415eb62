"""Aligned faces of a real photograph, against dlib's own."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import skimage.data

from personality.features import face_alignment
from personality.features.face_alignment import align_faces, find_landmarks, similarity

dlib = pytest.importorskip("dlib", reason="needs `uv sync --extra pretrained`")
if importlib.util.find_spec("face_recognition_models") is None:
    pytest.skip("needs `uv sync --extra pretrained`", allow_module_level=True)

EYES = [(195, 101), (255, 104)]  # the outer corners of the left and the right eye in the photograph


def photograph(scale=1.0, degrees=0.0):
    """The photograph, scaled and turned around the face; and the matrix that did it."""
    image = skimage.data.astronaut()
    size = [round(side * scale) for side in image.shape[1::-1]]
    turn = cv2.getRotationMatrix2D((225, 115), degrees, 1.0)
    matrix = turn * scale
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.warpAffine(image, matrix, size, flags=flags), matrix


@pytest.mark.parametrize("degrees", [0, 12, -15])
@pytest.mark.parametrize("scale", [0.5, 1, 2, 4, 9])
def test_a_chip_is_that_of_dlib(scale, degrees):
    frame, _ = photograph(scale, degrees)
    faces = align_faces(frame[None])
    assert faces.found.tolist() == [True]
    assert faces.chips.shape == (1, 150, 150, 3)
    assert faces.chips.dtype == np.uint8

    points = dlib.points([dlib.point(*(int(value) for value in each)) for each in find_landmarks(frame)])
    expected = dlib.get_face_chip(frame, dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), points), 150, 0.25)
    difference = np.abs(expected.astype(int) - faces.chips[0])
    assert difference.mean() < (0.6 if scale <= 2 else 1.6)  # dlib cuts off at each step what is below one
    assert difference.max() < 16


@pytest.mark.parametrize("degrees", [0, 20, -15])
@pytest.mark.parametrize("scale", [0.6, 1.5])
def test_eyes_are_level_and_their_places_in_the_frame_are_told(scale, degrees):
    frame, matrix = photograph(scale, degrees)
    faces = align_faces(frame[None])
    to_frame = faces.transforms[0] * np.array([[frame.shape[1]], [frame.shape[0]]])
    to_chip = np.linalg.inv(np.vstack([to_frame, [0, 0, 1]]))
    corners = [to_chip[:2] @ [*(matrix @ [x + 0.5, y + 0.5, 1]), 1] for x, y in EYES]
    np.testing.assert_allclose(corners[0], [37, 46], atol=5)
    np.testing.assert_allclose(corners[1], [111, 46], atol=5)


def test_a_heatmap_s_pixel_is_brought_back_to_where_its_colour_came_from():
    frame, _ = photograph(2, 10)
    faces = align_faces(frame[None])
    x, y = np.meshgrid(np.arange(20, 130), np.arange(20, 130))
    shares = faces.transforms[0] @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    columns, rows = (shares * [[frame.shape[1]], [frame.shape[0]]] - 0.5).round().astype(int)
    there = frame[rows, columns].reshape(*x.shape, 3)
    difference = np.abs(cv2.blur(there, (5, 5)).astype(int) - cv2.blur(faces.chips[0, 20:130, 20:130], (5, 5)))
    assert difference.mean() < 1.5


def test_a_frame_without_the_face_is_cut_as_the_nearest_with_it():
    left, right, empty = photograph()[0], np.roll(photograph()[0], 60, axis=1), np.zeros((512, 512, 3), np.uint8)
    faces = align_faces(np.stack([left, empty, empty, empty, right]))
    assert faces.found.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(faces.transforms[1], faces.transforms[0])
    np.testing.assert_array_equal(faces.transforms[3], faces.transforms[4])
    np.testing.assert_allclose(faces.transforms[4, 0, 2] - faces.transforms[0, 0, 2], 60 / 512, atol=0.01)


@pytest.mark.parametrize("size", [50, 150])
@pytest.mark.parametrize(("height", "width"), [(120, 200), (200, 120)])
def test_a_clip_without_a_face_gets_its_central_square(height, width, size):
    y, x = np.mgrid[:height, :width]
    frame = np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)
    faces = align_faces(np.stack([frame, frame]), size)
    assert faces.found.tolist() == [False, False]
    steps = (np.arange(size) + 0.5) * 120 / size - 0.5
    np.testing.assert_allclose(faces.chips[0, size // 2, 1:-1, 0], steps[1:-1] + (width - 120) / 2, atol=1)
    np.testing.assert_allclose(faces.chips[1, 1:-1, size // 2, 1], steps[1:-1] + (height - 120) / 2, atol=1)
    np.testing.assert_allclose(
        faces.transforms[0] @ [(size - 1) / 2, (size - 1) / 2, 1], [0.5, 0.5]
    )  # the middle is the middle


def test_the_larger_of_two_faces_is_taken():
    small = cv2.resize(skimage.data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    frame = np.zeros((512, 1024, 3), np.uint8)
    frame[:256, :256], frame[:, 512:] = small, skimage.data.astronaut()
    assert find_landmarks(frame)[:, 0].min() > 512 + 150


def test_a_similarity_is_fitted_by_least_squares():
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(0, 300, (5, 2))
    chip = (face_alignment.MEAN_FACE + 0.25) / 1.5
    x, y = chip.T
    columns = np.vstack([np.column_stack([x, -y, x * 0 + 1, x * 0]), np.column_stack([y, x, x * 0, x * 0 + 1])])
    a, b, right, down = np.linalg.lstsq(columns, landmarks.T.ravel(), rcond=None)[0]
    middle = np.array([[a, -b], [b, a]]) @ [0.5, 0.5] + [right, down]
    matrix = similarity(landmarks)
    np.testing.assert_allclose(matrix @ [74.5, 74.5, 1], middle)
    np.testing.assert_allclose(np.hypot(*matrix[:, 0]), (np.hypot(a, b) - 1) / 149)
    np.testing.assert_allclose(np.arctan2(matrix[1, 0], matrix[0, 0]), np.arctan2(b, a))


@pytest.fixture
def unloaded():
    face_alignment.load_landmarks.cache_clear()
    yield
    face_alignment.load_landmarks.cache_clear()


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("package", ["dlib", "face_recognition_models"])
def test_without_the_extra_its_name_is_told(package, monkeypatch):
    if package == "dlib":
        monkeypatch.setitem(sys.modules, "dlib", None)
    else:
        monkeypatch.setattr("personality.packaged.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"dlib-bin and face-recognition-models \(.+\): run `uv sync --extra pretr"):
        find_landmarks(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.usefixtures("unloaded")
def test_the_package_of_the_landmarks_is_not_imported():
    assert importlib.util.find_spec("face_recognition_models")
    find_landmarks(np.zeros((64, 64, 3), np.uint8))
    assert "face_recognition_models" not in sys.modules
