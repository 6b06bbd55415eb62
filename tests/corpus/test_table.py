"""A table of one's own: names, scales, raters, groups, splits and folds, and every mistake as one sentence."""

import wave

import krippendorff
import numpy as np
import pandas as pd
import pytest

from personality.corpus import ImageFolder, TableCorpus
from personality.corpus.annotations import write_labels
from personality.corpus.ratings import agreement
from personality.corpus.splits import fold_by_group
from personality.data import ClipSpectrogram
from personality.features.media import read_waveform
from personality.traits import TARGETS, TRAITS, source_id


def write_sound(path, tones, seconds=4, rate=8000):
    """A sound of one tone after another, each of `seconds`."""
    time = np.arange(seconds * rate) / rate
    sound = np.concatenate([0.5 * np.sin(2 * np.pi * tone * time) for tone in tones])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())


@pytest.fixture
def folder(tmp_path):
    """Eight subjects with three takes each, and their table."""
    rng, rows = np.random.default_rng(0), []
    for subject in range(8):
        for take in range(3):
            name = f"subject{subject:02d}_take{take}.wav"
            write_sound(tmp_path / name, [200 + 50 * subject], 1)
            rows.append((name, rng.integers(1, 8), rng.integers(1, 8)))
    pd.DataFrame(rows, columns=["path", "warmth", "competence"]).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def change(folder, **columns):
    table = pd.read_csv(folder / "labels.csv").assign(**columns)
    table.to_csv(folder / "labels.csv", index=False)
    return folder / "labels.csv"


def test_names_that_suggest_groups_are_asked_about_before_anything_is_split(folder):
    with pytest.raises(ValueError, match=r"8 prefixes are shared.*corpus.group=prefix"):
        TableCorpus(folder / "labels.csv").clips("train")
    corpus = TableCorpus(folder / "labels.csv", group="prefix", scale=[1, 7])
    groups = [set(corpus.clips(split)["group"]) for split in ("train", "val", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 8
    assert corpus.targets == ["warmth", "competence"]


def test_clips_have_the_names_of_their_files_wherever_the_run_is_started(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = [f"subject{subject:02d}_take{take}.mp4" for subject in range(8) for take in range(3)]
    for file in ("labels.csv", folder / "labels.csv", f"../{folder.name}/labels.csv"):
        assert [*TableCorpus(file, group="prefix").clips("all").index] == names


@pytest.mark.parametrize("folds", [3, 5, 8])
def test_each_fold_tests_other_groups_and_all_are_tested_once(folder, folds):
    tested = []
    for fold in range(folds):
        corpus = TableCorpus(folder / "labels.csv", group="prefix", folds=folds, fold=fold)
        parts = {split: corpus.clips(split) for split in ("train", "val", "test")}
        sets = [set(part["group"]) for part in parts.values()]
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]  # noqa: PT018
        assert sum(map(len, parts.values())) == 24
        tested += [*parts["test"].index]
    assert sorted(tested) == [*corpus.clips("all").index]


def test_folds_have_similar_labels_and_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{number}" for number in range(200)], rng.integers(1, 6, 200))
    labels = pd.DataFrame({"x": rng.normal(size=len(groups)) + pd.factorize(groups)[0] / 20})
    folds = fold_by_group(groups.tolist(), labels, 5)
    sizes = pd.Series(folds).value_counts()
    assert sizes.max() - sizes.min() <= 10
    assert labels["x"].groupby(folds).mean().std() < 0.1 * labels["x"].std()
    order = rng.permutation(len(groups))
    again = fold_by_group(groups[order].tolist(), labels.iloc[order].reset_index(drop=True), 5)
    assert (again == folds[order]).all()


def test_another_fold_finds_the_features_of_every_clip(folder, tmp_path):
    for fold in range(3):
        corpus = TableCorpus(folder / "labels.csv", group="prefix", folds=3, fold=fold)
        data = ClipSpectrogram(corpus, segments=1, cache=str(tmp_path / "cache"), processes=0)
        data.prepare_data()
        data.setup()
        for split in ("train", "val", "test"):
            whole = data.stored("all")
            rows = [whole.clips.index(clip) for clip in data.clips(split).index]
            batch = data.fetch(split, np.arange(len(rows)))
            np.testing.assert_array_equal(batch.inputs.numpy(), whole.inputs[rows])
            assert batch.labels.tolist() == data.clips(split)[data.targets].to_numpy().tolist()
    assert len([*(tmp_path / "cache").rglob("inputs.npy")]) == 1


def test_rows_of_a_long_recording_are_the_sound_of_their_time(tmp_path):
    tones = [300, 600, 900, 1200]
    for name in ("ann", "ben", "cem"):
        write_sound(tmp_path / f"{name}.wav", tones)
    rows = [(f"{name}.wav", 4 * part, 4 * part + 4, part / 4) for name in ("ann", "ben", "cem") for part in range(4)]
    pd.DataFrame(rows, columns=["path", "start", "end", "calm"]).to_csv(tmp_path / "t.csv", index=False)
    corpus = TableCorpus(tmp_path / "t.csv", group="file")
    clips = corpus.clips("all")
    assert [*clips.index[:2]] == ["ann.000.mp4", "ann.001.mp4"]
    assert set(clips["group"]) == {"ann.wav", "ben.wav", "cem.wav"}
    for number, path in enumerate(clips["path"][:4]):
        sound = read_waveform(path, 8000)
        assert len(sound) == pytest.approx(32_000, abs=10)
        assert np.abs(np.fft.rfft(sound[4000:28_000])).argmax() / 3 == pytest.approx(tones[number], abs=2)
    first = corpus.fingerprint("all")
    table = pd.read_csv(tmp_path / "t.csv").assign(start=lambda table: table["start"] + 0.5)
    table.to_csv(tmp_path / "t.csv", index=False)
    assert TableCorpus(tmp_path / "t.csv", group="file").fingerprint("all") != first


def test_a_table_of_image_folders_is_the_image_folder(tmp_path):
    import cv2

    clips = [f"{letter * 11}.{number:03d}.mp4" for letter in "abcdefgh" for number in range(3)]
    labels = pd.DataFrame(np.random.default_rng(0).random((24, 6)), pd.Index(clips, name="clip"), [*TARGETS])
    write_labels(tmp_path / "annotation_training.pkl", labels)
    for clip in clips:
        (tmp_path / clip.removesuffix(".mp4")).mkdir()
        cv2.imwrite(str(tmp_path / clip.removesuffix(".mp4") / "frame1.png"), np.full((40, 30, 3), 90, np.uint8))
    table = labels[[*TRAITS]].assign(path=[clip.removesuffix(".mp4") for clip in clips], who=[*map(source_id, clips)])
    table.to_csv(tmp_path / "table.csv", index=False)
    ours = TableCorpus(tmp_path / "table.csv", group="who", scale=[0, 1])
    for split in ("train", "val", "test"):
        pd.testing.assert_frame_equal(ours.clips(split), ImageFolder(tmp_path).clips(split))
    assert ours.targets == [*TRAITS]


def test_rows_of_several_raters_are_averaged_and_their_agreement_is_told(folder, caplog):
    table = pd.read_csv(folder / "labels.csv")
    rated = pd.concat([table.assign(rater="a"), table.assign(rater="b", warmth=8 - table["warmth"])])
    rated.to_csv(folder / "labels.csv", index=False)
    with caplog.at_level("INFO"):
        clips = TableCorpus(folder / "labels.csv", group="prefix").clips("all")
    assert (clips["warmth"] == 4).all()
    assert clips["competence"].tolist() == table.sort_values("path")["competence"].tolist()
    assert "24 clips, each the mean of 2 raters" in caplog.text
    assert "competence 1.00 (1.00)" in caplog.text


@pytest.mark.parametrize("missing", [0, 0.4])
def test_agreement_is_that_of_another_library(missing):
    rng = np.random.default_rng(1)
    ratings = pd.DataFrame(rng.integers(1, 8, (60, 1)) + rng.integers(-1, 2, (60, 4)), dtype=float)
    ratings = ratings.mask(rng.random(ratings.shape) < missing)
    expected = krippendorff.alpha(ratings.to_numpy().T, level_of_measurement="interval")
    assert agreement(ratings)[0] == pytest.approx(expected, abs=1e-9)


def test_agreement_is_what_the_simulated_reliability_says():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=(5000, 1)), rng.normal(size=(5000, 3))
    ratings = pd.DataFrame(truth + noise)
    alpha, ceiling = agreement(ratings)
    assert alpha == pytest.approx(0.5, abs=0.03)  # half of the variance is the clips'
    assert ceiling == pytest.approx(np.corrcoef(truth[:, 0], (truth + noise).mean(1))[0, 1], abs=0.02)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "semicolons"])
def test_every_kind_of_table_says_the_same(folder, suffix):
    expected = TableCorpus(folder / "labels.csv", group="prefix").clips("all")
    table, file = pd.read_csv(folder / "labels.csv"), folder / f"other.{suffix}"
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(file)
    elif suffix == "semicolons":
        table.to_csv(file, index=False, sep=";", encoding="utf-8-sig", decimal=",")
    else:
        table.to_csv(file, index=False, sep="\t" if suffix == "tsv" else ",")
    pd.testing.assert_frame_equal(TableCorpus(file, group="prefix").clips("all"), expected)


def test_missing_labels_and_files_are_left_out_and_told(folder, caplog):
    labels = pd.read_csv(folder / "labels.csv")
    labels.loc[3, "warmth"] = np.nan
    labels.to_csv(folder / "labels.csv", index=False)
    (folder / "subject00_take1.wav").unlink()
    corpus = TableCorpus(folder / "labels.csv", group="prefix", scale=[1, 7])
    assert len(corpus.clips("all")) == 23
    assert "left out: 1 clip (subject00_take1.mp4)" in caplog.text
    assert corpus.clips("all")["warmth"].isna().sum() == 1


@pytest.mark.parametrize(
    ("columns", "settings", "parts"),
    [
        ({"warmth": 9}, {"scale": [1, 7]}, ["9 for warmth of subject00_take0.mp4", "1 to 7"]),
        ({"warmth": ["high"] + [3] * 23}, {"labels": ["warmth"]}, ["'high' for warmth of subject00_take0.mp4"]),
        ({"who": [None] + ["x", "y"] * 11 + ["z"]}, {"group": "who"}, ["no who for 1 clip (subject00_take0.mp4)"]),
        ({"who": "x"}, {"group": "who"}, ["All 24 clips", "one group, 'x'"]),
        ({}, {"folds": 9}, ["8 groups", "9 folds", "fewer folds"]),
        ({"path": "subject00_take0.wav"}, {}, ["subject00_take0.mp4 twice", "line 3", "rater"]),
        ({"path": "elsewhere/a.wav", "rater": range(24)}, {"group": "clip"}, ["one group"]),
        ({"path": [f"gone/{row}.wav" for row in range(24)]}, {"group": "clip"}, ["None of the 24 paths", "exists"]),
        ({"path": [None] + ["a.wav"] * 23}, {}, ["no path in line 2"]),
        ({"start": 5, "end": 4}, {}, ["times 5 to 4 in line 2"]),
        ({"split": ["train", "test"] * 12}, {}, ["8 groups into several splits", "corpus.shared_groups=true"]),
        ({"split": "somewhere"}, {}, ["'somewhere' as split"]),
        ({}, {"labels": ["warmht"]}, ["no column warmht", "did you mean warmth"]),
        ({}, {"scale": [7, 1]}, ["Got scale [7, 1]"]),
        ({}, {"fold": 2}, ["Got fold 2 of no folds"]),
        ({}, {"folds": 5, "fold": 5}, ["Got fold 5 of 5 folds", "0 to 4"]),
    ],
)
def test_a_mistake_is_one_sentence_before_any_training(folder, columns, settings, parts):
    file = change(folder, **columns)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        TableCorpus(file, **{"group": "prefix"} | settings).clips("train")
    assert all(part in str(error.value) for part in parts), error.value


def test_a_column_split_is_followed_and_val_is_made_where_it_lacks(folder):
    subject = np.repeat(np.arange(8), 3)
    file = change(folder, split=np.where(subject < 6, "Training", "test"))
    corpus = TableCorpus(file, group="prefix")
    assert len(corpus.clips("test")) == 6
    assert {len(corpus.clips("val")) + len(corpus.clips("train"))} == {18}
    assert not set(corpus.clips("val")["group"]) & set(corpus.clips("train")["group"])


def test_a_row_without_an_end_goes_on_to_the_end_of_the_file(tmp_path, caplog):
    for name in ("ann", "ben", "cem"):
        write_sound(tmp_path / f"{name}.wav", [300, 600])
    rows = [(f"{name}.wav", start, end, 0.5) for name in ("ann", "ben", "cem") for start, end in [(0, 5), (4, None)]]
    pd.DataFrame(rows, columns=["path", "start", "end", "calm"]).to_csv(tmp_path / "t.csv", index=False)
    paths = TableCorpus(tmp_path / "t.csv", group="file").clips("all")["path"]
    assert [len(read_waveform(path, 8000)) for path in paths[:2]] == pytest.approx([40_000, 32_000], abs=10)
    assert "overlap with an earlier clip of their file: 3 clips (ann.001.mp4" in caplog.text
