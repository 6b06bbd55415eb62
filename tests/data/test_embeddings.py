"""Numbers of each clip that another program computed: every kind of file, what is learnt, and every bad file."""

import codecs
import logging

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.preprocessing import StandardScaler

import personality
from personality.corpus import TableCorpus
from personality.data import Embeddings
from personality.models import DAN, CamCNN, Linear, RegularCNN, Ridge
from personality.traits import TRAITS

CLIPS = [f"p{person:02d}_take{take}.mp4" for person in range(12) for take in range(2)]
NUMBERS = ["pitch", "pauses", "loudness"]


@pytest.fixture
def table(tmp_path):
    """A corpus of 24 clips of 12 people. The files are empty: no input may read them."""
    rng = np.random.default_rng(0)
    for clip in CLIPS:
        (tmp_path / clip).touch()
    labels = pd.DataFrame(rng.uniform(0.2, 0.8, (len(CLIPS), 5)), columns=TRAITS)
    labels.insert(0, "path", CLIPS)
    labels.insert(1, "person", [clip[:3] for clip in CLIPS])
    labels.to_csv(tmp_path / "labels.csv", index=False)
    return lambda **more: TableCorpus(tmp_path / "labels.csv", group="person", **more)


@pytest.fixture
def vectors():
    """Numbers of very different sizes, `(clips, 3)`."""
    return np.random.default_rng(1).normal([200, 0.1, -40], [50, 0.02, 9], (len(CLIPS), 3)).astype(np.float32)


@pytest.fixture
def sequences():
    """A sequence of 4 numbers a clip, 10 or 11 vectors long."""
    rng = np.random.default_rng(2)
    return {clip: rng.normal(3, 2, (10 + row % 2, 4)).astype(np.float32) for row, clip in enumerate(CLIPS)}


def csv(vectors, path, separator=",", **columns):
    frame = pd.DataFrame(vectors, columns=NUMBERS).assign(**columns)
    frame.insert(0, "clip", CLIPS)
    frame.to_csv(path, index=False, sep=separator)
    return path


def ready(data):
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture
def opened(table, tmp_path):
    """Open files as the numbers of the corpus, prepared and set up."""

    def build(files, **settings):
        return ready(Embeddings(table(), files, cache=str(tmp_path / "cache"), **settings))

    return build


def everything(data):
    """The stored numbers of every clip, by name."""
    found = {}
    for split in data.splits():
        rows = data.usable(split)
        found |= dict(zip(data.clips(split).index[rows], data.fetch(split, rows).inputs.numpy(), strict=True))
    return found


def save(kind, vectors, folder):
    """Write the same vectors in a way that people write them."""
    path, bare = folder / f"numbers.{kind.split()[0]}", [clip.removesuffix(".mp4") for clip in CLIPS]
    if kind == "csv":
        return csv(vectors, path)
    if kind == "csv excel":
        frame = pd.DataFrame(vectors, columns=NUMBERS).map(lambda value: str(value).replace(".", ","))
        frame.insert(0, "Video Name", bare)
        path.write_bytes(codecs.BOM_UTF8 + frame.to_csv(index=False, sep=";").encode())
    elif kind == "npz a clip":
        np.savez(path, **dict(zip(bare, vectors, strict=True)), names=NUMBERS)
    elif kind == "npz clips":
        np.savez(path, clips=np.array(CLIPS), numbers=vectors, names=np.array(NUMBERS))
    elif kind == "folder":
        path.mkdir()
        for clip, vector in zip(CLIPS, vectors, strict=True):
            np.save(path / f"{clip}.npy", vector)
    else:
        with h5py.File(path, "w") as file:
            file["names"] = NUMBERS
            if kind == "h5 clips":
                file["clips"], file["numbers"] = CLIPS, vectors
            else:
                for clip, vector in zip(bare, vectors, strict=True):
                    file[clip] = vector
    return path


@pytest.mark.parametrize("kind", ["csv", "csv excel", "npz a clip", "npz clips", "folder", "h5 a clip", "h5 clips"])
def test_the_same_numbers_come_from_every_kind_of_file(opened, vectors, tmp_path, kind):
    data = opened(save(kind, vectors, tmp_path))
    assert data.input_shape == (1, 1, 3)
    assert data.numbers == (NUMBERS if kind != "folder" else [f"numbers.folder {index}" for index in range(3)])
    found = everything(data)
    assert sorted(found) == CLIPS
    for clip, vector in zip(CLIPS, vectors, strict=True):
        np.testing.assert_allclose(found[clip][0, 0], vector, rtol=1e-6)


def test_files_stand_behind_each_other_and_columns_can_be_chosen(opened, vectors, tmp_path):
    first = csv(vectors, tmp_path / "sound.csv", note="good")
    np.savez(tmp_path / "face.npz", clips=CLIPS, pitch=vectors[:, :1] * 2, age=vectors[:, 1:2])
    files = [first, tmp_path / "face.npz"]
    with pytest.raises(ValueError, match=r"sound\.csv has 'good' and other text in the column note\. Expected numbers"):
        opened(files)
    data = opened(files, select=["loudness", "pitch", "age"])
    assert data.numbers == ["pitch", "loudness", "pitch 0", "age 0"]
    stored = everything(data)[CLIPS[5]][0, 0]
    np.testing.assert_allclose(stored, [vectors[5, 0], vectors[5, 2], vectors[5, 0] * 2, vectors[5, 1]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"face\.npz has no warmth, but sound, pitch, age, pitch, pauses"):
        opened(files, select=["warmth"])


def test_numbers_of_the_same_name_are_told_apart(opened, vectors, tmp_path):
    files = [csv(vectors, tmp_path / f"{name}.csv") for name in ("before", "after")]
    assert opened(files).numbers[:4] == ["before pitch", "before pauses", "before loudness", "after pitch"]


@pytest.mark.parametrize("layout", ["feature/clip", "clip/feature"])
def test_a_file_of_several_features_is_read_whole_or_in_part(opened, vectors, sequences, tmp_path, layout):
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for clip, vector in zip(CLIPS, vectors, strict=True):
            for feature, values in {
                "wavlm": sequences[clip],
                "dino": sequences[clip][:, :2] * 3,
                "text": vector,
            }.items():
                file[f"{feature}/{clip}" if layout == "feature/clip" else f"{clip}/{feature}"] = values
    with pytest.raises(ValueError, match=r"sequences \(.*all\.h5\) beside vectors \(text .* set data\.frames=1"):
        opened(tmp_path / "all.h5")
    data = opened(tmp_path / "all.h5", select=["wavlm", "dino"])
    assert data.input_shape == (1, 6, 10)
    assert data.normalise(data.fetch("train", [0])).inputs.shape == (1, 1, 6, 10)
    data = opened(tmp_path / "all.h5", frames=1)
    assert data.input_shape == (1, 1, 9)
    found = dict(zip(data.numbers, everything(data)[CLIPS[3]][0, 0], strict=True))
    np.testing.assert_allclose(found["wavlm 2"], sequences[CLIPS[3]][:, 2].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["text 1"], vectors[3, 1], rtol=1e-6)


def test_a_sequence_keeps_its_mean_and_its_time(opened, sequences, tmp_path):
    np.savez(tmp_path / "wavlm.npz", **sequences)
    data = opened(tmp_path / "wavlm.npz", frames=5, rate=2.0)
    whole = everything(data)[CLIPS[0]]
    np.testing.assert_allclose(whole[0], sequences[CLIPS[0]].reshape(5, 2, 4).mean(1).T, rtol=1e-5)
    start, end, (axis,), _ = data.coordinates("test", 0, 0)
    vectors = len(sequences[data.clips("test").index[0]])
    assert (start, end, axis.name) == (0, vectors / 2, "time")
    np.testing.assert_allclose(axis.values, (np.arange(5) + 0.5) * end / 5)
    (axis,) = opened(tmp_path / "wavlm.npz").coordinates("test", 0, 0).axes
    assert (axis.name, len(axis.values)) == ("frame", 10)


@pytest.mark.parametrize("fold", [0, 1])
def test_what_is_learnt_is_learnt_from_the_training_clips_of_the_fold(table, vectors, tmp_path, fold):
    file = csv(vectors, tmp_path / "sound.csv")
    data = ready(Embeddings(table(folds=4, fold=fold), file, cache=str(tmp_path / "cache")))
    rows = {split: [CLIPS.index(clip) for clip in data.clips(split).index] for split in ("train", "test")}
    scaler = StandardScaler().fit(vectors[rows["train"]].astype(np.float64))
    for split, of_split in rows.items():
        inputs = data.normalise(data.fetch(split, range(len(of_split)))).inputs[:, 0, 0]
        np.testing.assert_allclose(inputs, scaler.transform(vectors[of_split]), atol=1e-4)


def test_a_number_that_is_always_the_same_becomes_0(opened, vectors, tmp_path):
    data = opened(csv(vectors, tmp_path / "sound.csv", fixed=1e5 / 3))
    inputs = data.normalise(data.fetch("test", [0, 1])).inputs
    assert inputs[..., 3].abs().max() < 0.01
    assert inputs[..., :3].abs().min() > 1e-4


def test_sequences_are_standardised_over_the_clips_and_their_time(opened, sequences, tmp_path):
    np.savez(tmp_path / "wavlm.npz", **sequences)
    data = opened(tmp_path / "wavlm.npz", frames=10)
    inputs = data.normalise(data.fetch("train", data.usable("train"))).inputs
    np.testing.assert_allclose(inputs.mean((0, 1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std((0, 1, 3), correction=0), 1, atol=1e-5)


@pytest.mark.parametrize("normalise", ["training", "none"])
def test_deletion_leaves_the_mean_of_the_training_clips(opened, vectors, tmp_path, normalise):
    data = opened(csv(vectors, tmp_path / "sound.csv"), normalise=normalise)
    inputs = data.normalise(data.fetch("train", data.usable("train"))).inputs.flatten(0, 1)
    baseline = data.baseline(inputs)
    assert baseline.shape == inputs.shape
    np.testing.assert_allclose(baseline[0], inputs.mean(0), rtol=1e-5, atol=1e-5)


def fit(model, data, folder):
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    trainer = Trainer(accelerator="cpu", max_epochs=3, default_root_dir=folder, log_every_n_steps=1, **quiet)
    trainer.fit(model, data)
    trainer.save_checkpoint(folder / "last.ckpt")
    return trainer


def test_a_checkpoint_scores_alike_without_learning_again(table, vectors, tmp_path):
    file = csv(vectors, tmp_path / "sound.csv")
    data = Embeddings(table(), file, cache=str(tmp_path / "cache"))
    model = Linear(data.input_shape, modality="vector", sigmoid=False)
    trainer = fit(model, data, tmp_path)
    (expected,) = trainer.validate(model, data, verbose=False)
    smaller = pd.read_csv(tmp_path / "labels.csv").query("person > 'p05'")  # another mean, if it were learnt again
    smaller.to_csv(tmp_path / "labels_2.csv", index=False)
    loaded, again = personality.load(tmp_path / "last.ckpt", corpus={"file": str(tmp_path / "labels_2.csv")})
    ready(again)
    clip = again.clips("test").index[0]
    split = next(split for split in data.splits() if clip in data.clips(split).index)
    row = data.clips(split).index.get_loc(clip)
    with torch.no_grad():
        one = loaded.score(again.normalise(again.fetch("test", [0]))).clips
        two = model.eval().score(data.normalise(data.fetch(split, [row]))).clips
    torch.testing.assert_close(one, two)
    loaded, again = personality.load(tmp_path / "last.ckpt")
    (found,) = trainer.validate(loaded, again, verbose=False)
    assert found == pytest.approx(expected)


def test_ridge_regression_of_numbers_is_that_of_scikit_learn(table, vectors, tmp_path):
    data = Embeddings(table(), csv(vectors, tmp_path / "sound.csv"), cache=str(tmp_path / "cache"))
    model = Ridge(data.input_shape, modality="vector", penalties=[0.1], folds=2)
    fit(model, data, tmp_path)
    train, test = ([CLIPS.index(clip) for clip in data.clips(split).index] for split in ("train", "test"))
    scaler = StandardScaler().fit(vectors[train].astype(np.float64))
    labels = data.clips("train")[[*TRAITS]].to_numpy()
    expected = SklearnRidge(alpha=0.1 * len(train)).fit(scaler.transform(vectors[train]), labels)
    scores = model.score(data.normalise(data.fetch("test", range(len(test))))).clips.detach()
    np.testing.assert_allclose(scores, expected.predict(scaler.transform(vectors[test])), atol=1e-5)


def test_a_checkpoint_of_other_numbers_is_refused(table, vectors, tmp_path):
    file = csv(vectors, tmp_path / "sound.csv")
    data = Embeddings(table(), file, cache=str(tmp_path / "cache"))
    fit(Linear(data.input_shape, modality="vector"), data, tmp_path)
    pd.read_csv(file)[["clip", "pauses", "pitch", "loudness"]].to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(ValueError, match=r"other\.csv, and the checkpoint .* 3: pauses stands where pitch stood"):
        personality.load(tmp_path / "last.ckpt", data={"files": [str(tmp_path / "other.csv")]})
    with pytest.raises(ValueError, match=r"Got videos for a model whose input \(vector\) is not computed from videos"):
        personality.load(tmp_path / "last.ckpt", videos=tmp_path / CLIPS[0])


@pytest.mark.parametrize("build", [Linear, CamCNN, DAN, RegularCNN])
def test_every_model_takes_a_sequence(opened, sequences, tmp_path, build):
    np.savez(tmp_path / "wavlm.npz", **sequences)
    data = opened(tmp_path / "wavlm.npz")
    model = build(data.input_shape, modality="vector", width=0.01).eval()
    assert model.score(data.normalise(data.fetch("test", [0, 1]))).clips.isfinite().all()
    assert model.backbone(torch.ones(2, 4, 10)).equal(torch.ones(2, 4, 10))


@pytest.mark.parametrize("build", [CamCNN, DAN])
def test_a_model_that_averages_refuses_a_vector(build):
    with pytest.raises(ValueError, match=r"vector of 26 numbers .* would mix these numbers.*model=linear"):
        build((1, 1, 26), modality="vector")
    assert RegularCNN((1, 1, 26), modality="vector", width=0.01)(torch.zeros(2, 1, 26)).shape == (2, 5)


def test_a_clip_without_good_numbers_is_left_out_and_listed(opened, vectors, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "personality")
    arrays = dict(zip(CLIPS[2:], vectors[2:], strict=True))
    arrays |= {CLIPS[4]: vectors[4] * np.nan, CLIPS[5]: vectors[5][:2], CLIPS[6]: vectors[6:8]}
    np.savez(tmp_path / "sound.npz", **arrays, names=NUMBERS)
    data = opened(tmp_path / "sound.npz")
    failures = pd.concat([data.stored(split).failures() for split in data.stored_splits()])
    reasons = failures.set_index("clip")["reason"].str.replace(r"\S+/", "", regex=True).to_dict()
    assert reasons == {
        CLIPS[0]: f"ValueError: sound.npz has no clip {CLIPS[0]}. Expected numbers for it; add them.",
        CLIPS[1]: f"ValueError: sound.npz has no clip {CLIPS[1]}. Expected numbers for it; add them.",
        CLIPS[4]: f"ValueError: sound.npz has no number for pitch of {CLIPS[4]}. Expected one; compute it again.",
        CLIPS[5]: f"ValueError: sound.npz has an array (2,) for {CLIPS[5]}. Expected (3,), as other clips have; "
        "compute it again.",
        CLIPS[6]: f"ValueError: sound.npz has an array (2, 3) for {CLIPS[6]}. Expected (3,), as other clips have; "
        "compute it again.",
    }
    assert "5 of 24 all clips are left out; the first: p00_take0.mp4: ValueError: " in caplog.text
    assert len(everything(data)) == 19


def test_a_file_that_changes_is_read_again(opened, vectors, tmp_path):
    before = everything(opened(csv(vectors, tmp_path / "sound.csv")))
    after = everything(opened(csv(vectors + 1, tmp_path / "sound.csv")))
    np.testing.assert_allclose(after[CLIPS[0]], before[CLIPS[0]] + 1, rtol=1e-5)


def text(content):
    return lambda path, _: path.write_text(content)


def doubled(path, vectors):
    np.savez(path, clips=[*CLIPS, "p03_take1"], numbers=np.concatenate([vectors, vectors[:1]]))


BAD = {
    "no clips.csv": (text("pitch,pauses\n1,2\n"), r"has the columns pitch, pauses\. Expected .* one of them clip"),
    "no numbers.csv": (text("clip\na\nb\n"), r"has clips, but no column of numbers\."),
    "double.csv": (text("clip,pitch\na,1\na.mp4,2\n"), r"has more than one line for 1 clip \(a\.mp4\)"),
    "with labels.csv": (
        text("clip,pitch,openness\na,1,.5\n"),
        r"has the labels openness beside its numbers, and a model must not see them\..*data\.select",
    ),
    "text.csv": (text("clip,pitch,mood\na,1,good\n"), r"has 'good' and other text in the column mood\. Expected"),
    "no header.csv": (text("a,1,2\nb,3,4\n"), r"has the columns a, 1, 2\. Expected a first line"),
    "double.npz": (doubled, r"has more than one array for 1 clip \(p03_take1\.mp4\)"),
    "fewer.npz": (
        lambda path, vectors: np.savez(path, clips=CLIPS[:-1], numbers=vectors),
        r"has an array numbers \(24, 3\) and 23 names in clips\. Expected as many rows as names",
    ),
    "objects.npz": (
        lambda path, vectors: np.savez(path, clips=np.array(CLIPS, dtype=object), numbers=vectors),
        r"holds clips as objects of Python\. Expected text; save it as np\.array\(clips, dtype=str\)",
    ),
    "cubes.npz": (
        lambda path, vectors: np.savez(path, a=np.zeros((2, 3, 4)), b=np.zeros((2, 3, 4))),
        r"has an array \(2, 3, 4\) in cubes for a\. Expected a vector \(numbers,\) or a sequence",
    ),
    "names.npz": (
        lambda path, vectors: np.savez(path, a=vectors[0], names=["pitch"]),
        r"has 1 names for the 3 numbers of names\. Expected one each",
    ),
    "text.npz": (text("no archive"), r"is no npz file: .*Expected one that np\.savez wrote"),
    "half.npz": (
        lambda path, vectors: (np.savez(path, a=vectors[0]), path.write_bytes(path.read_bytes()[:90])),
        r"is no npz file: .*save it again",
    ),
    "text.h5": (text("no file"), r"is no HDF5 file: .*Expected one that h5py wrote"),
    "empty.h5": (lambda path, _: h5py.File(path, "w").close(), r"has no array\. Expected one for each clip"),
    "matrix.npy": (lambda path, vectors: np.save(path, vectors), r"is one array, which has no names of clips\."),
    "numbers.xlsx": (text("PK"), r"has the suffix '\.xlsx'\. Expected a csv, npz or HDF5 file"),
    "folder": (lambda path, _: path.mkdir(), r"has no npy file\. Expected one for each clip"),
    "nothing.csv": (lambda path, _: None, r"There is no .*nothing\.csv\. Expected a csv.*check data\.files"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence_with_its_name(table, vectors, tmp_path, name):
    write, message = BAD[name]
    write(tmp_path / name, vectors)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        Embeddings(table(), tmp_path / name)
    assert name in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalise": "clip"}, r"Got normalise 'clip' for embeddings.*set data\.normalise=training"),
        ({"normalise": "patches"}, r"Got normalise 'patches': expected one of training, none"),
        ({"frames": 0}, r"Got frames 0: expected a number above 0"),
        ({"rate": -2}, r"Got rate -2"),
        ({"files": []}, r"expected at least one file"),
    ],
)
def test_settings_that_cannot_be_are_refused(table, vectors, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        Embeddings(table(), **({"files": csv(vectors, tmp_path / "sound.csv")} | settings))
