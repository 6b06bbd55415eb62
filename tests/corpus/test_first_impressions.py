import numpy as np
import pandas as pd
import pytest

from personality.corpus import SPLITS, FirstImpressions
from personality.corpus.annotations import write_labels
from personality.traits import TRAITS

CLIPS = {
    "train": ["-Ab_x9-7kQz.000.mp4", "J4GQm9j0JZ0.003.mp4", "_a-b_c-d_e-.001.mp4"],
    "val": ["-Ab_x9-7kQz.001.mp4", "zEyRyTnIw5I.005.mp4"],
    "test": ["9-_zEyRyTnI.002.mp4"],
}
FILES = {"train": "annotation_training.pkl", "val": "annotation_validation.pkl", "test": "annotation_test.pkl"}


@pytest.fixture
def root(tmp_path):
    """Clips as the archives unpack, and label files beside and between them."""
    random = np.random.default_rng(0)
    for split, clips in CLIPS.items():
        folder = tmp_path / f"{split}-1" / "inner" / f"{split}80_01"
        folder.mkdir(parents=True)
        for clip in clips:
            (folder / clip).touch()
        columns = [*TRAITS, "interview"]
        labels = pd.DataFrame(random.uniform(size=(len(clips), 6)), pd.Index(clips[::-1], name="clip"), columns)
        write_labels((tmp_path if split == "train" else tmp_path / f"{split}-1") / FILES[split], labels)
    return tmp_path


@pytest.mark.parametrize("split", SPLITS)
def test_a_clip_is_in_the_split_that_lists_it(root, split, caplog):
    corpus = FirstImpressions(root)
    corpus.prepare()
    clips = corpus.clips(split)
    assert list(clips.index) == sorted(CLIPS[split])
    assert clips.index.name == "clip"
    assert list(clips) == ["path", *TRAITS]
    assert all(path.endswith(f"{split}80_01/{clip}") for clip, path in clips["path"].items())
    assert clips[list(TRAITS)].to_numpy().dtype == np.float64
    assert clips["openness"].between(0, 1).all()
    assert not caplog.records
    assert corpus.evidence() is None


def test_what_has_no_partner_is_listed_once(root, caplog):
    next(root.rglob(CLIPS["train"][0])).unlink()
    (root / "stray.000.mp4").touch()
    corpus = FirstImpressions(root)
    for split in SPLITS:
        corpus.clips(split)
    assert len(corpus.clips("train")) == 2
    assert [record.message for record in caplog.records] == [
        f"Labels without a video, left out: 1 clip ({CLIPS['train'][0]})",
        "Videos without a label, left out: 1 clip (stray.000.mp4)",
    ]


def test_a_split_without_label_file_does_not_hinder_the_others(root):
    next(root.rglob(FILES["test"])).unlink()
    corpus = FirstImpressions(root)
    assert len(corpus.clips("val")) == 2
    with pytest.raises(FileNotFoundError, match=r"listed in a file annotation_test.pkl there.*download the data set"):
        corpus.clips("test")


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_root_without_clips_says_what_to_do(tmp_path, folder):
    with pytest.raises(
        FileNotFoundError, match=r"holds 0 mp4 files and 0 label files.*download the data set from https"
    ):
        FirstImpressions(tmp_path / folder).prepare()


def test_an_unknown_split_is_refused(root):
    with pytest.raises(ValueError, match=r"no split 'validation'. Expected one of train, val, test"):
        FirstImpressions(root).clips("validation")


def test_a_clip_in_two_splits_is_refused(root):
    next(root.rglob(FILES["test"])).write_bytes(next(root.rglob(FILES["val"])).read_bytes())
    with pytest.raises(
        ValueError, match=r"put 2 clips \(-Ab_x9-7kQz.001.mp4, zEyRyTnIw5I.005.mp4\) into more than one"
    ):
        FirstImpressions(root).prepare()
