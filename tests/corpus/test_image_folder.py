"""Extracted frames: every kind of image, in natural order, split so that nobody is on both sides."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from personality.corpus import ImageFolder
from personality.corpus.annotations import write_labels
from personality.features.media import MediaError, read_frames
from personality.traits import TARGETS, source_id


def save(path, brightness, shape=(40, 30, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, brightness, np.uint8))


def test_images_come_in_natural_order_as_upright_colour_of_one_size(tmp_path):
    save(tmp_path / "frame10.png", 100)
    save(tmp_path / "frame2.bmp", 20, (60, 45, 3))
    save(tmp_path / "frame1.png", 10, (40, 30))  # grey
    save(tmp_path / "frame3.png", 30, (40, 30, 4))  # its alpha is 30 as well
    frames, moments = read_frames(tmp_path, 4)
    assert frames.shape == (4, 40, 30, 3)
    assert frames.mean((1, 2, 3)) == pytest.approx([10, 20, 30, 100], abs=1.5)
    assert moments.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "expected"), [(1, [50]), (2, [20, 80]), (8, [10, 10, 20, 20, 50, 50, 80, 80])])
def test_images_are_picked_evenly_and_repeated_where_they_are_few(tmp_path, count, expected):
    for number, brightness in enumerate([10, 20, 50, 80]):
        save(tmp_path / f"frame{number}.png", brightness)
    frames, _ = read_frames(tmp_path, count)
    assert frames.mean((1, 2, 3)) == pytest.approx(expected, abs=1.5)


def test_a_damaged_image_is_passed_over_and_a_folder_of_them_is_named(tmp_path):
    (tmp_path / "frame1.jpg").write_bytes(b"\xff\xd8\xff broken")
    with pytest.raises(MediaError, match=f"{tmp_path.name} has no image that can be decoded"):
        read_frames(tmp_path, 2)
    save(tmp_path / "frame2.png", 70)
    frames, _ = read_frames(tmp_path, 2)
    assert frames.mean((1, 2, 3)) == pytest.approx([70, 70], abs=1.5)


def test_clips_are_folders_that_a_label_file_names(tmp_path, caplog):
    clips = [f"{letter * 11}.{number:03d}.mp4" for letter in "abcdefghij" for number in range(3)]
    labels = pd.DataFrame(0.5, index=pd.Index(clips, name="clip"), columns=list(TARGETS))
    write_labels(tmp_path / "annotation_training.pkl", labels)
    for clip in clips[1:]:
        save(tmp_path / "ImageData/trainingData" / clip.removesuffix(".mp4") / "frame1.jpg", 90)
    corpus = ImageFolder(tmp_path)
    corpus.prepare()
    splits = {split: corpus.clips(split) for split in ("train", "val", "test")}
    assert sum(map(len, splits.values())) == 29
    sources = [{source_id(clip) for clip in table.index} for table in splits.values()]
    assert not sources[0] & sources[1] | sources[0] & sources[2] | sources[1] & sources[2]
    for table in splits.values():
        assert [f"{Path(path).name}.mp4" for path in table["path"]] == table.index.tolist()
    assert clips[0] in caplog.text
    assert len(ImageFolder(tmp_path, split="official").clips("train")) == 29
