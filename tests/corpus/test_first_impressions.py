"""Label files, tables and folders in every form in which people have them."""

import pickle
import wave

import numpy as np
import pandas as pd
import pytest
import zips

from personality.corpus import SPLITS, FirstImpressions
from personality.corpus.annotations import read_labels, write_labels
from personality.evaluation.fairness import read_groups
from personality.features.media import MediaError, read_frames, read_waveform
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
    assert list(clips) == ["path", "group", *TRAITS]
    assert all(path.endswith(f"{split}80_01/{clip}") for clip, path in clips["path"].items())
    assert clips[list(TRAITS)].to_numpy().dtype == np.float64
    assert clips["openness"].between(0, 1).all()
    assert not caplog.records
    assert corpus.cues() is None


def test_what_has_no_partner_is_listed_once(root, caplog):
    next(root.rglob(CLIPS["train"][0])).unlink()
    (root / "stray.000.mp4").touch()
    corpus = FirstImpressions(root)
    for split in SPLITS:
        corpus.clips(split)
    assert len(corpus.clips("train")) == 2
    assert [record.message for record in caplog.records] == [
        "Clips without a label, left out: 1 clip (stray.000.mp4)",
        f"Labels without a clip, left out: 1 clip ({CLIPS['train'][0]})",
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


# ---- what people have


CHALLENGE = {"train": "training_gt.csv", "val": "validation_gt.csv", "test": "test_gt.csv"}
ORDER = ["Extraversion", "Agreeableness", "Conscientiousness", "Neurotisicm", "Openness"]


def test_labels_of_the_first_challenge(root):
    expected = {split: FirstImpressions(root).clips(split) for split in SPLITS}
    for split, name in FILES.items():
        labels = read_labels(next(root.rglob(name)))
        labels.columns = labels.columns.str.capitalize().str.replace("Neuroticism", "Neurotisicm")
        labels[ORDER].rename_axis("VideoName").add_prefix("Value").to_csv(root / CHALLENGE[split])
        next(root.rglob(name)).unlink()
    for split in SPLITS:
        pd.testing.assert_frame_equal(FirstImpressions(root).clips(split), expected[split])
    with pytest.raises(ValueError, match=r"training_gt.csv has no labels of interview. Expected a label file of 2017"):
        FirstImpressions(root, interview=True).prepare()


def test_the_interview_is_a_sixth_label_on_demand(root):
    clips = FirstImpressions(root, interview=True).clips("train")
    assert list(clips) == ["path", "group", *TRAITS, "interview"]
    assert clips["interview"].tolist() == read_labels(root / FILES["train"])["interview"].tolist()


@pytest.mark.parametrize("suffix", [".mp4.wav", ".wav"])
def test_sound_alone_is_enough_to_listen(root, suffix, caplog):
    clip = CLIPS["val"][0]
    next(root.rglob(clip)).unlink()
    folder = root / "VoiceData/validationData"
    folder.mkdir(parents=True)
    for name in [clip, CLIPS["val"][1]]:
        with wave.open(str(folder / name.replace(".mp4", suffix)), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16000))
    with caplog.at_level("INFO"):
        corpus = FirstImpressions(root)
        corpus.prepare()
    assert "val: 2 of 2 labelled clips found" in caplog.text
    assert "0 in archives, 1 as sound alone" in caplog.text
    paths = corpus.clips("val").path
    assert paths[CLIPS["val"][1]].endswith("5.mp4")  # the video goes before its sound
    assert len(read_waveform(paths[clip], 8000)) == 8000
    with pytest.raises(MediaError, match=r"wav cannot be decoded as video: it has no video"):
        read_frames(paths[clip], 1)


def test_folders_and_archives_may_be_mixed_and_hold_labels_too(root):
    expected = {split: FirstImpressions(root).clips(split) for split in SPLITS}
    for path in [root / FILES["train"], next(root.rglob(CLIPS["train"][0])), next(root.rglob(CLIPS["test"][0]))]:
        (root / f"{path.name}.zip").write_bytes(zips.deflated({f"some/folder/{path.name}": path.read_bytes()}))
        path.unlink()
    corpus = FirstImpressions(root)
    for split in SPLITS:
        assert corpus.clips(split).drop(columns="path").equals(expected[split].drop(columns="path"))
    assert [isinstance(path, str) for path in corpus.clips("train").path] == [False, True, True]


def test_it_says_what_it_found_and_what_is_missing_by_split(root, caplog):
    next(root.rglob(CLIPS["val"][1])).unlink()
    next(root.rglob(FILES["test"])).unlink()
    with caplog.at_level("INFO"):
        FirstImpressions(root).prepare()
    found, text = (record.message for record in caplog.records if record.levelname == "INFO")
    assert found == f"4 clips below {root}: 0 in archives, 0 as sound alone"
    assert "train: 3 of 3 labelled clips found, 3 groups" in text
    assert "val: 1 of 2 labelled clips found, 1 group; 100.0% of its clips are of a group that is also in train" in text
    assert "test: no labels" in text


def test_what_macos_adds_to_folders_is_not_a_clip(root, caplog):
    path = next(root.rglob(CLIPS["train"][0]))
    (path.parent / f"._{path.name}").write_bytes(b"a fork")
    (root / "macos.zip").write_bytes(zips.plain({f"__MACOSX/._{path.name}": b"a fork"}))
    assert FirstImpressions(root).clips("train").path.iloc[0] == str(path)
    assert not caplog.records


# ---- transcripts and groups


def test_transcripts_are_read_as_the_utf_8_that_they_are(root):
    def text(word):
        return b"T" + len(word).to_bytes(4, "little") + word

    spoken = {CLIPS["train"][0]: "Ça va?", CLIPS["train"][1]: "", "gone.000.mp4": "Hello."}
    content = (
        b"\x80\x02}(" + b"".join(text(clip.encode()) + text(words.encode()) for clip, words in spoken.items()) + b"u."
    )
    (root / "transcription_training.pkl").write_bytes(content)
    corpus = FirstImpressions(root)
    transcripts = corpus.transcripts("train")
    assert [word.text for word in transcripts[CLIPS["train"][0]]] == ["Ça", "va?"]
    assert transcripts[CLIPS["train"][1]] == []
    assert transcripts.keys() == {*CLIPS["train"][:2]}
    assert corpus.transcripts("test") == {}
    (root / "transcription_test.pkl").write_bytes(pickle.dumps({"openness": {"a.mp4": 0.5}}, protocol=2))
    with pytest.raises(ValueError, match=r"transcription_test.pkl holds a dict. Expected a dict from clip to text"):
        FirstImpressions(root).transcripts("train")


def test_groups_come_from_the_tables_that_ship_with_the_clips(root, tmp_path):
    (first, second, third), other = CLIPS["train"], CLIPS["test"][0]
    lines = f"VideoName;Ethnicity;Gender\n{first};1;2\n{second};3;1\n"
    (root / "eth_gender_annotations_dev.csv").write_text(lines)
    (root / "eth_gender_annotations_test.csv").write_text(f"VideoName;Ethnicity;Gender\n{other};2;2\n")
    ages = f"video name,age group\n{first.removesuffix('.mp4')},34\n{third},17\n".replace("video name", "VideoName")
    (root / "fi_age_labels.zip").write_bytes(zips.deflated({"ages/labels.csv": ages.encode("utf-8-sig")}))
    (root / "other.csv").write_text("something,else\n1,2\n")
    corpus = FirstImpressions(root)
    groups = corpus.people("train")
    assert groups.index.equals(corpus.clips("train").index)
    groups.to_csv(tmp_path / "groups.csv")
    words = read_groups(tmp_path / "groups.csv")
    assert words.loc[first].tolist() == ["female", "Asian", "30 to 39"]
    assert words.loc[second].tolist()[:2] == ["male", "African-American"]
    assert words["age"].isna().tolist() == [False, True, False]
    assert corpus.people("test").loc[other].tolist()[:2] == ["2", "2"]


def test_a_corpus_without_them_returns_none(root):
    assert FirstImpressions(root).transcripts("train") == {}
    assert FirstImpressions(root).people("train") is None


# ---- fingerprint


def test_the_fingerprint_tells_files_apart_by_name_and_size(root):
    before = FirstImpressions(root).fingerprint("train")
    assert before == FirstImpressions(str(root)).fingerprint("train")
    assert before != FirstImpressions(root).fingerprint("val")
    path = next(root.rglob(CLIPS["train"][1]))
    path.write_bytes(b"now of another size")
    after = FirstImpressions(root).fingerprint("train")
    assert after != before
    (root / "a.zip").write_bytes(zips.deflated({path.name: path.read_bytes()}))
    path.unlink()
    assert FirstImpressions(root).fingerprint("train") == after
