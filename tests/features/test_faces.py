"""A real photograph of a face (it ships with scikit-image) is put where we know it to be."""

import cv2
import numpy as np
import pytest
import skimage.data

from personality.features.faces import crop_faces, find_faces

FACE_X, FACE_Y, FACE_SIDE = 225, 115, 97  # pixels in the photograph, from brows to chin


def photograph(*faces, height=360, width=640, light=1.0):
    """A frame with a face for each `(x, y, side)`, the place in shares of width and height, the side of the shorter."""
    frame = np.random.default_rng(0).integers(60, 120, (9, 16, 3), dtype=np.uint8)
    frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
    for x, y, side in faces:
        scale = side * min(height, width) / FACE_SIDE
        place = np.array([[scale, 0, x * width - scale * FACE_X], [0, scale, y * height - scale * FACE_Y]])
        head = np.zeros((512, 512), np.uint8)
        head[: FACE_Y + FACE_SIDE, FACE_X - FACE_SIDE : FACE_X + FACE_SIDE] = 1
        put = cv2.warpAffine(skimage.data.astronaut(), place, (width, height), flags=cv2.INTER_AREA)
        frame = np.where(cv2.warpAffine(head, place, (width, height))[..., None], put, frame)
    return np.clip(frame * light, 0, 255).astype(np.uint8)


def clip(*frames):
    return np.stack(frames)


def centres(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def sides(boxes, height=360, width=640):
    """Width and height of boxes as shares of the shorter side of the frame."""
    return (boxes[:, 2:] - boxes[:, :2]) * [width, height] / min(height, width)


@pytest.mark.parametrize("light", [0.15, 1.0, 1.8])
@pytest.mark.parametrize("side", [0.2, 0.35])
@pytest.mark.parametrize(("height", "width"), [(360, 640), (640, 360), (1080, 1920), (288, 352)])
def test_a_face_is_found_where_it_is(height, width, side, light):
    boxes, found = find_faces(photograph((0.4, 0.45, side), height=height, width=width, light=light)[None])
    assert found.tolist() == [True]
    np.testing.assert_allclose(
        centres(boxes) * [width, height], [[0.4 * width, 0.45 * height]], atol=0.2 * side * min(height, width)
    )
    wide, high = sides(boxes, height, width)[0]
    assert wide == pytest.approx(high)
    assert 1.2 * side < wide < 2.2 * side  # the face and a margin


def test_a_grey_video_is_no_obstacle():
    grey = cv2.cvtColor(photograph((0.5, 0.5, 0.4)), cv2.COLOR_RGB2GRAY)
    assert find_faces(np.stack([grey] * 3, axis=-1)[None])[1].all()


@pytest.mark.parametrize("place", [(0.12, 0.2), (0.88, 0.2), (0.1, 0.85)])
def test_a_square_at_the_edge_stays_within_the_frame(place):
    boxes, found = find_faces(photograph((*place, 0.3))[None])
    assert found.all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    wide, high = sides(boxes)[0]
    assert wide == pytest.approx(high)


def test_a_face_that_fills_the_frame_gets_all_of_its_height():
    boxes, found = find_faces(photograph((0.5, 0.5, 0.9))[None])
    assert found.all()
    assert sides(boxes)[0] == pytest.approx([1, 1])


def test_a_person_who_moves_is_followed_with_a_square_of_one_size():
    x = np.array([0.4, 0.45, 0.5, 0.55])
    boxes, found = find_faces(clip(*(photograph((place, 0.5, 0.3 + 0.02 * number)) for number, place in enumerate(x))))
    assert found.all()
    np.testing.assert_allclose(centres(boxes)[:, 0], x, atol=0.02)
    np.testing.assert_allclose(sides(boxes), sides(boxes)[0, 0])


def test_a_frame_without_the_face_shows_where_it_mostly_is():
    seen, gone = photograph((0.3, 0.5, 0.4)), photograph()
    boxes, found = find_faces(clip(seen, gone, seen, gone[::-1]))
    assert found.tolist() == [True, False, True, False]
    np.testing.assert_allclose(boxes[1::2], boxes[::2])


def test_the_clip_s_face_is_the_largest_of_those_that_stay():
    boxes, _ = find_faces(clip(*[photograph((0.25, 0.5, 0.25), (0.7, 0.5, 0.4))] * 3))
    np.testing.assert_allclose(centres(boxes)[:, 0], 0.7, atol=0.03)


def test_a_larger_face_in_one_frame_does_not_make_the_square_jump():
    steady, passer_by = (0.25, 0.5, 0.25), (0.7, 0.5, 0.45)
    boxes, found = find_faces(clip(*[photograph(steady)] * 2, photograph(passer_by), photograph(steady)))
    assert found.tolist() == [True, True, False, True]
    np.testing.assert_allclose(centres(boxes)[:, 0], 0.25, atol=0.03)


def test_what_is_seen_in_one_frame_of_many_is_no_face():
    frames = [photograph()] * 9
    boxes, found = find_faces(clip(photograph((0.25, 0.5, 0.3)), *frames))
    assert not found.any()
    np.testing.assert_allclose(centres(boxes), 0.5)


@pytest.mark.parametrize("picture", ["chelsea", "coffee", "rocket", "hubble_deep_field"])
def test_a_clip_without_a_face_gets_its_centre(picture):
    image = getattr(skimage.data, picture)()
    boxes, found = find_faces(clip(image, image))
    height, width = image.shape[:2]
    assert found.tolist() == [False, False]
    np.testing.assert_allclose(centres(boxes), 0.5)
    np.testing.assert_allclose(sides(boxes, height, width), 1)


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(228, 170, (0, 0, 1, 170 / 228)), (100, 100, (0, 0, 1, 1)), (90, 160, (35 / 160, 0, 125 / 160, 1))],
)
def test_the_upper_square_is_a_square_at_the_top_and_in_the_middle(height, width, box):
    boxes, found = find_faces(np.zeros((2, height, width, 3), np.uint8), "upper")
    np.testing.assert_allclose(boxes, [box, box])
    assert found.all()


def test_whole_frames_are_whole():
    frames = clip(*[photograph((0.3, 0.5, 0.4))] * 2)
    boxes, found = find_faces(frames, "whole")
    assert boxes.tolist() == [[0, 0, 1, 1]] * 2
    assert found.all()
    assert crop_faces(frames, boxes).shape == (2, 3, 224, 224)


@pytest.mark.parametrize("size", [48, 224])
def test_a_crop_is_that_part_of_the_frame(size):
    y, x = np.mgrid[:720, :1280]
    frames = np.stack([x / 1280, y / 720, np.zeros_like(x)], axis=-1)[None] * 255
    crops = crop_faces(frames.round().astype(np.uint8), np.array([[0.25, 0.1, 0.5, 0.1 + 0.25 * 16 / 9]]), size)
    assert crops.shape == (1, 3, size, size)
    assert crops.dtype == np.uint8
    assert crops.flags.c_contiguous
    steps = (np.arange(size) + 0.5) / size
    np.testing.assert_allclose(crops[0, 0, size // 2], 255 * (0.25 + 0.25 * steps), atol=1.5)
    np.testing.assert_allclose(crops[0, 1, :, size // 2], 255 * (0.1 + 0.25 * 16 / 9 * steps), atol=1.5)
    assert crops[0, 2].max() == 0


def test_every_frame_has_its_own_crop():
    frames = clip(*(np.full((90, 160, 3), level, np.uint8) for level in (10, 20, 30)))
    crops = crop_faces(frames, np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0.9, 0.9, 1, 1]]), 32)
    assert crops.mean((1, 2, 3)).tolist() == [10, 20, 30]


def test_faces_of_yunet_count_as_those_of_the_cascade_do(tmp_path, monkeypatch):
    class YuNet:
        """As OpenCV documents it: the size comes first, the picture is BGR, a row is x, y, width, height, ..."""

        def setInputSize(self, size):  # noqa: N802
            self.size = size

        def detect(self, image):
            assert image.shape[:2] == self.size[::-1]
            blue = np.argwhere(image[..., 0] > image[..., 2] + 50)
            if not len(blue):
                return 0, None
            (top, left), (bottom, right) = blue.min(0), blue.max(0) + 1
            return 1, np.array([[left, top, right - left, bottom - top, *[0] * 10, 0.99]], np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: YuNet())
    (tmp_path / "yunet.onnx").touch()
    face = np.zeros((720, 1280, 3), np.uint8)
    face[200:440, 300:500, 2] = 255
    boxes, found = find_faces(clip(face, np.zeros_like(face)), str(tmp_path / "yunet.onnx"))
    assert found.tolist() == [True, False]
    np.testing.assert_allclose(centres(boxes) * [1280, 720], [[400, 320]] * 2, atol=4)
    np.testing.assert_allclose(sides(boxes, 720, 1280) * 720, 1.6 * 240, atol=8)


def test_a_detector_that_does_not_exist_is_named(tmp_path):
    frames = photograph()[None]
    with pytest.raises(ValueError, match=r"upper or the path of a YuNet model \(\.onnx\), but got 'mtcnn'"):
        find_faces(frames, "mtcnn")
    with pytest.raises(FileNotFoundError, match=r"no YuNet model at .*gone\.onnx; name one"):
        find_faces(frames, str(tmp_path / "gone.onnx"))
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ValueError, match=r"text\.onnx is no YuNet model: .*ONNX"):
        find_faces(frames, str(tmp_path / "text.onnx"))
