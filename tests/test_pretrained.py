"""A folder to pass on: what it holds, what it gives back, and everything that it must not do."""

import inspect
import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from safetensors.torch import load_file, save_file
from test_predictor import CASES, Recording, checkpoint
from test_scripts import run

import personality
from personality import corpus as corpora
from personality import data as inputs
from personality import models
from personality.corpus import FirstImpressions, TableCorpus, VideoFiles
from personality.data import Embeddings, RawWavFFT
from personality.evaluation.result_files import write_results
from personality.evaluation.text import format_value
from personality.explanation.summary import summary
from personality.model_card import model_card
from personality.models import CamCNN, Linear
from personality.pretrained import DETECTOR, MACHINE
from personality.scripts import arguments
from personality.traits import TRAITS

QUIET = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


@pytest.fixture
def saved(corpus, tmp_path):
    """A folder of a small model of spectra."""
    personality.save_pretrained(checkpoint(tmp_path, corpus, *CASES["spectra"][:3]), tmp_path / "model")
    return tmp_path / "model"


def changed(folder, **parts):
    """Change settings in the config of a folder."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {name: config[name] | part for name, part in parts.items()}))
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_folder_predicts_and_explains_as_the_checkpoint_does(case, corpus, tmp_path):
    path = checkpoint(tmp_path, corpus, *CASES[case][:3])
    personality.save_pretrained(path, tmp_path / "model")
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    video = corpus.clips("test").path.iloc[0]
    before, after = personality.load(path), personality.load(tmp_path / "model")
    assert before.predict(video).to_numpy().tobytes() == after.predict(video).to_numpy().tobytes()
    maps, again = (predictor.explain(video, segment=0).maps for predictor in (before, after))
    assert all(maps[trait].tobytes() == again[trait].tobytes() for trait in TRAITS)
    assert isinstance(after.data.corpus, VideoFiles)
    with pytest.raises(FileNotFoundError, match="Got no videos"):
        after.data.prepare_data()


def test_methods_and_function_write_the_same_and_a_card_that_was_edited_is_kept(corpus, tmp_path):
    path = checkpoint(tmp_path, corpus, *CASES["spectra"][:3])
    personality.save_pretrained(path, tmp_path / "model")
    video = corpus.clips("test").path.iloc[0]
    (tmp_path / "model/README.md").write_text("Checked by its author.")
    for number, again in enumerate(
        (
            personality.load(path),
            personality.load(path, videos=[video]),
            personality.load(tmp_path / "model"),
            personality.load(tmp_path / "model", corpus={"root": str(corpus.root)}),
        )
    ):
        again.save_pretrained(tmp_path / str(number))
        for name in ("config.json", "model.safetensors"):
            assert (tmp_path / str(number) / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
        assert ("Checked by its author" in (tmp_path / str(number) / "README.md").read_text()) == (number > 1)
    assert type(again.data.corpus) is type(corpus)
    assert again.data.corpus.sizes == corpus.sizes
    model, data = again
    assert (model, data) == (again.model, again.data)


def test_no_path_of_the_machine_is_in_a_folder(tmp_path, corpus):
    other = FirstImpressions(tmp_path, keep_videos=tmp_path / "kept")
    data = RawWavFFT(other, cache=str(tmp_path / "cache"), processes=3)
    model = CamCNN(data.input_shape, width=0.05, weights=str(tmp_path / "vggish.npz"))
    personality.Predictor(model, data).save_pretrained(tmp_path / "model")
    table = tmp_path / "model/config.json"
    text = table.read_text() + (tmp_path / "model/README.md").read_text()
    assert str(tmp_path) not in text
    assert not any(part in text for part in tmp_path.parts[1:])
    assert "`vggish.npz`" in text
    assert "CC BY-NC 4.0" in text
    assert json.loads(table.read_text())["corpus"]["interview"] is False


def test_every_setting_that_holds_a_path_is_known():
    for part, module in {"corpus": corpora, "data": inputs, "model": models}.items():
        for name in module.__all__:
            kind = getattr(module, name)
            parameters = inspect.signature(kind).parameters.values() if isinstance(kind, type) else ()
            paths = {each.name for each in parameters if "Path" in str(each.annotation)}
            assert paths <= MACHINE[part], name
    assert DETECTOR in inspect.signature(inputs.FaceFrames).parameters
    listed = {path for path in arguments.PATHS if "." in path}
    assert listed <= {f"{part}.{name}" for part, names in MACHINE.items() for name in names}


def test_what_a_data_module_has_learnt_is_passed_on(tmp_path):
    clips = [f"p{person}_{take}.mp4" for person in range(8) for take in range(2)]
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(rng.uniform(0.2, 0.8, (len(clips), 5)), columns=TRAITS)
    labels.assign(path=clips, person=[clip[:2] for clip in clips]).to_csv(tmp_path / "labels.csv", index=False)
    numbers = pd.DataFrame(rng.normal([200, 0.1], [50, 0.02], (len(clips), 2)), columns=["pitch", "pauses"])
    numbers.assign(clip=clips).to_csv(tmp_path / "sound.csv", index=False)
    for clip in clips:
        (tmp_path / clip).touch()
    corpus = TableCorpus(tmp_path / "labels.csv", group="person")
    data = Embeddings(corpus, str(tmp_path / "sound.csv"), select=["pitch", "pauses"], cache=str(tmp_path / "cache"))
    trainer = Trainer(accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, **QUIET)
    trainer.fit(Linear(data.input_shape, modality="vector", sigmoid=False), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    personality.save_pretrained(tmp_path / "last.ckpt", tmp_path / "model")
    assert json.loads((tmp_path / "model/config.json").read_text())["learnt"]["numbers"] == ["pitch", "pauses"]

    here = {"corpus": {"file": str(tmp_path / "labels.csv")}, "data": {"files": str(tmp_path / "sound.csv")}}
    _, again = personality.load(tmp_path / "model", **here)
    assert again.settings["select"] == ["pitch", "pauses"]
    for name in ("mean", "std"):
        assert torch.equal(again.state_dict()[name], data.state_dict()[name])
    with pytest.raises(ValueError, match=r"name corpus and data\.files"):
        personality.load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"settings of Embeddings do not fit it.*'files'"):
        personality.load(tmp_path / "model", corpus=here["corpus"])


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module in the current folder that leaves a trace when it is imported, and a pickle that does so when read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil.py").write_text(
        "from pathlib import Path; from personality.models import CamCNN as Model; Path('trace').touch()"
    )
    yield
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("part", "target"),
    [
        ("model", "evil.Model"),
        ("model", "os.system"),
        ("model", "builtins.eval"),
        ("model", "personality.models.base.torch.load"),
        ("model", "personality.models.weights.load_weights"),
        ("model", "personality.models.../evil.Model"),
        ("model", "personality.models"),
        ("model", "personality.modelsevil.Model"),
        ("model", "personality.data.RawWavFFT"),
        ("model", "personality.models.TraitRegressor"),
        ("model", "test_predictor.Model"),
        ("model", ["evil.Model"]),
        ("model", None),
        ("data", "evil.Model"),
        ("data", "personality.data.base.torch.load"),
        ("data", "personality.corpus.VideoFiles"),
        ("data", "personality.data.TraitDataModule"),
        ("corpus", "evil.Model"),
        ("corpus", "personality.corpus.files.shutil.rmtree"),
    ],
)
def test_a_config_that_asks_for_anything_else_is_refused_before_it_is_imported(part, target, saved, evil):
    changed(saved, **{part: {"_target_": target}})
    with pytest.raises(ValueError, match=r"Do not trust|which is not here|do not fit it|does not fit the"):
        personality.load(saved, corpus={"root": "x"} if part == "corpus" else None)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trace",)


def test_a_pickle_is_no_file_of_weights(saved, evil):
    shutil.copy(saved / "model.safetensors", saved / "pytorch_model.bin")
    for content in (pickle.dumps(Trap()), b"", b"\xff" * 100, (saved / "model.safetensors").read_bytes()[:-4]):
        (saved / "model.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.safetensors cannot be read.*fetch it again"):
            personality.load(saved)
    torch.save({"state_dict": Trap()}, saved / "model.safetensors")
    with pytest.raises(ValueError, match="cannot be read"):
        personality.load(saved)


def test_settings_of_a_machine_in_a_config_have_no_effect(saved, tmp_path):
    own = {"cache": str(tmp_path / "trace"), "processes": 1000, "time_limit": 1e9, "on_device": True}
    predictor = personality.load(changed(saved, data=own, model={"weights": "http://127.0.0.1:9/evil.pth"}))
    assert not {*own} & {name for name in own if predictor.data.settings[name] == own[name]}
    assert predictor.model.weights is None
    assert not (tmp_path / "trace").exists()


def test_damaged_folders_are_refused(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no checkpoint .*nothing"):
        personality.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"There is no config\.json in .*best\.ckpt"):
        personality.load(tmp_path)
    with pytest.raises(ValueError, match=r"settings of RawWavFFT do not fit it: .*'colour'"):
        personality.load(changed(saved, data={"colour": "red"}))
    config = json.loads((saved / "config.json").read_text())
    for text in ("", "[]", "{}", json.dumps(config | {"model": 3}), json.dumps(config)[:-9]):
        (saved / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json is not the config of a model.*fetch it again"):
            personality.load(saved)


def test_without_the_extra_an_address_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="uv sync --extra hub"):
        personality.load("hf://ada/voices")


def test_weights_of_another_network_are_refused(saved):
    weights = load_file(saved / "model.safetensors")
    save_file(weights | {"head.linear.bias": torch.zeros(6)}, saved / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit the CamCNN that it names"):
        personality.load(saved)


def test_classes_of_others_are_not_saved_but_their_corpus_is_only_left_out(corpus, tmp_path):
    path = checkpoint(tmp_path, corpus, Recording, {}, CamCNN)
    with pytest.raises(ValueError, match=r"Recording: expected a class of personality\.data.*checkpoint together with"):
        personality.save_pretrained(path, tmp_path / "model")
    assert not (tmp_path / "model").exists()

    class Ours(type(corpus)):
        pass

    data = RawWavFFT(Ours(corpus.root))
    personality.Predictor(CamCNN(data.input_shape, width=0.05), data).save_pretrained(tmp_path / "model")
    assert json.loads((tmp_path / "model/config.json").read_text())["corpus"] == {}
    assert "Describe them here" in (tmp_path / "model/README.md").read_text()
    personality.load(tmp_path / "model")


def test_the_card_has_the_results_of_the_run(corpus, tmp_path):
    run, rng = tmp_path / "run", np.random.default_rng(0)
    names = [f"-source{number // 2:04d}.{number % 2:03d}.mp4" for number in range(60)]
    labels = pd.DataFrame(rng.uniform(0, 1, (60, 5)), pd.Index(names, name="clip"), TRAITS)
    predictions = (labels / 2 + 0.3).join(labels.add_suffix("_label"))[20:]
    for folder in ("checkpoints", "heatmaps/test"):
        (run / folder).mkdir(parents=True)
    labels[:30].to_csv(run / "labels_train.csv")
    people = pd.DataFrame({"gender": ["1", "2"] * 20}, predictions.index)
    write_results(run, "test", [(predictions, labels[:30])], people=people)
    measured = pd.DataFrame({"method": "hirescam", "group": names, "deletion": rng.uniform(0, 1, 60)})
    summary(measured, "method").to_csv(run / "heatmaps/test/faithfulness.csv")

    path = checkpoint(run / "checkpoints", corpus, *CASES["spectra"][:3])
    personality.save_pretrained(path, tmp_path / "model")
    card = (tmp_path / "model/README.md").read_text()
    results = pd.read_csv(run / "results_test.csv")
    shown = results[(results.metric == "accuracy") & (results.target == "mean")]
    assert {*shown.subset} == {"all clips", "new sources"}
    for column in ("value", "low", "high"):
        assert all(format_value(value) in card for value in shown[column])
    assert f"{measured.deletion.mean():.3f} [" in card
    assert "female" in card
    assert "Training clips: 30 clips from 15 sources." in card
    assert "this model is its `best.ckpt`" in card
    assert "Do not use it to decide about people" in card
    assert "synthetic" in card
    assert "source0" not in card
    assert str(tmp_path) not in card
    front, _, _ = card.removeprefix("---\n").partition("---\n")
    assert OmegaConf.create(front).library_name == "personality"


@pytest.mark.parametrize(
    ("backbone", "settings", "licence"),
    [
        (None, {}, "trained from scratch"),
        (None, {"weights": "/home/me/vgg-face.mat"}, "the file `vgg-face.mat`. Of published weights"),
        ("dlib_face", {}, "public domain"),
        ("dlib_face", {"width": 0.5}, "trained from scratch"),
        ("torchaudio:WAVLM_BASE_PLUS:6", {}, "torchaudio:WAVLM_BASE_PLUS:6: MIT"),
        ("torchaudio:VOXPOPULI_ASR_BASE_10K_DE", {}, "CC BY-NC 4.0"),
        ("timm:resnet18", {}, "timm:resnet18: "),
    ],
)
def test_the_card_names_the_licence_of_weights(backbone, settings, licence):
    model = {"backbone": backbone, "modality": "image", "input_shape": [10, 3, 150, 150], "weights": None} | settings
    card = model_card({"corpus": {}, "data": {}, "model": model}, "hf://ada/faces")
    assert f"started from: {licence}" in card or licence in card
    assert "/home/me" not in card


def test_explain_takes_a_folder(saved, corpus, tmp_path):
    video = corpus.clips("test").path.iloc[0]
    output = run("explain", str(saved), str(video), "callbacks.heatmaps.top=1", folder=tmp_path)
    folder = Path(output.rstrip().rpartition(" ")[2])
    scores = pd.read_csv(tmp_path / folder / "predictions_test.csv")
    expected = personality.load(saved).predict(video)
    np.testing.assert_allclose(scores[[*TRAITS]], expected[[*TRAITS]], atol=1e-6)
    assert (tmp_path / folder / "report.html").is_file()
    assert "Got no videos" in run("explain", str(saved), folder=tmp_path, expect=1)
