"""An exported file gives the same scores and maps as the model, for every experiment and any number of segments."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from personality.data.standardise import standardise
from personality.explanation import cam
from personality.explanation.export import WARNING, export_model
from personality.features import audio
from personality.scripts.command_line import CONF
from personality.traits import TRAITS

PAGE = Path(__file__).parents[2] / "docs/export.md"
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("[!_]*.yaml"))
EXPERIMENTS.remove("face_and_sound")  # a joint model has several inputs and is refused
EVERY_DAY = ("clip_cam", "sound_embeddings")  # the others take up to two minutes


def build(experiment, folder):
    """Build the data and a small model of an experiment, with random weights."""
    small = [] if experiment == "wavlm" else ["model.width=0.05"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [f"experiment=[{experiment}]", f"corpus.root={folder}", *small])
    if OmegaConf.is_missing(config.data, "files"):
        (folder / "numbers.csv").write_text("clip,pitch,loudness\na.mp4,200,-20\n")
        config.data.files = str(folder / "numbers.csv")
    if experiment == "wavlm":
        config.model.backbone += ":1"  # one layer of the transformer
    data = instantiate(config.data, corpus=instantiate(config.corpus, _convert_="all"), _convert_="all")
    if experiment == "sound_embeddings":
        numbers = {"numbers": data.numbers, "mean": torch.tensor([150.0, -25.0]), "std": torch.tensor([50.0, 5.0])}
        data.load_state_dict(numbers)
    torch.manual_seed(0)
    shape = {"input_shape": data.input_shape, "modality": data.modality, "targets": data.targets}
    model = instantiate(config.model, **shape, _convert_="all").eval()
    with torch.no_grad():  # as a trained model's, not hundreds, of which a ten-thousandth is the limit of float32
        model.head[1].weight /= model(inputs_of(model, 3)).abs().max().clamp(min=1)
    model.target_scale.copy_(torch.tensor([[1.0], [7.0]]).expand(2, 5))
    if model.reference is not None:
        model.reference.normal_()
    return model, data


def inputs_of(model, segments):
    inputs = torch.randn(segments, *model.input_shape[1:])
    return (128 + 50 * inputs).round().clamp(0, 255) if model.modality == "image" else inputs


def expected(model, inputs):
    """The scores and maps of the model itself, in units of the labels."""
    (low, high), attribution = model.target_scale, cam.best(model, inputs)
    maps = cam.resize(attribution.maps, tuple(inputs.shape[2:]))
    span = (high - low).view(-1, *[1] * (inputs.ndim - 2))
    with torch.no_grad():
        scores = low + (high - low) * model(inputs)
    return scores, maps * span, low + (high - low) * attribution.bias


def assert_equal(got, model, inputs):
    for one, other in zip(got, expected(model, inputs), strict=True):
        np.testing.assert_allclose(np.asarray(one), other.numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "experiment", [pytest.param(name, marks=() if name in EVERY_DAY else pytest.mark.slow) for name in EXPERIMENTS]
)
def test_a_file_of_every_experiment_gives_the_scores_and_maps_of_the_model(experiment, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs `uv sync --extra export`")
    model, data = build(experiment, tmp_path)
    export_model(tmp_path / "model.onnx", model, data)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    export_model(tmp_path / "model.pt2", model, data)
    described = {"metadata.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=described).module()
    for segments in (1, 3):
        inputs = inputs_of(model, segments)
        assert_equal(session.run(["scores", "maps", "bias"], {"segments": inputs.numpy()}), model, inputs)
        assert_equal(program(inputs), model, inputs)
    assert session.get_inputs()[0].shape == ["segments", *model.input_shape[1:]]
    of_onnx, of_torch = session.get_modelmeta().custom_metadata_map, json.loads(described["metadata.json"])
    assert of_onnx.keys() == of_torch.keys()
    for name, value in of_torch.items():
        assert of_onnx[name] == (value if isinstance(value, str) else json.dumps(value))
    assert of_torch["warning"] == WARNING
    assert of_torch["targets"] == [*TRAITS]
    assert of_torch["input_shape"] == ["N", *model.input_shape[1:]]
    assert of_torch["normalise"] == data.normalisation
    assert str(tmp_path) not in json.dumps(of_torch)
    if experiment == "sound_embeddings":
        assert of_torch["mean"] == [150.0, -25.0]


def test_the_mean_of_a_map_and_the_bias_are_the_score(tmp_path):
    model, data = build("clip_cam", tmp_path)
    export_model(tmp_path / "model.pt2", model, data)
    scores, maps, bias = torch.export.load(tmp_path / "model.pt2").module()(inputs_of(model, 4))
    torch.testing.assert_close(maps.flatten(2).mean(2) + bias, scores)


def test_the_lines_of_the_documentation_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="needs `uv sync --extra export`")
    lines = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    model, data = build("clip_cam", tmp_path)
    export_model(tmp_path / "model.onnx", model, data)
    patches = audio.clip_spectrogram(torch.randn(round(15.3 * audio.RATE)) / 10)
    front_end = ModuleType("vggish_input")
    front_end.wavfile_to_examples = lambda _: patches[:, 0].numpy()
    monkeypatch.setitem(sys.modules, "vggish_input", front_end)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(lines, names)
    assert_equal(
        [names[name] for name in ("scores", "maps", "bias")], model, standardise(patches[None], torch.tensor([15]))[0]
    )
    assert all(target in capsys.readouterr().out for target in TRAITS[:1])


def test_the_model_stays_as_it_is(tmp_path):
    model, data = build("sound_embeddings", tmp_path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_model(tmp_path / "model.pt2", model.train(), data)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.head.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_another_ending_is_refused_with_those_that_are_known(tmp_path):
    model, data = build("sound_embeddings", tmp_path)
    with pytest.raises(ValueError, match=r"model\.pkl.*\.onnx or \.pt2"):
        export_model(tmp_path / "model.pkl", model, data)
