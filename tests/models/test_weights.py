"""Weight files of every kind, against the same network in NumPy on the same file's arrays."""

import hashlib
import logging
import os
import pickle
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from scipy.io import savemat
from torch.utils.data import DataLoader

from personality.models import DAN, CamCNN, Linear, RegularCNN
from personality.models.backbones.vgg import VGG_MEAN
from personality.models.weight_files import read_weights
from personality.models.weights import load_weights
from personality.traits import QUANTILES, Batch

VGGISH = ["conv1", "pool", "conv2", "pool", "conv3_1", "conv3_2", "pool", "conv4_1", "conv4_2"]
DEPTHS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
VGG_FACE = [name for n, depth in DEPTHS.items() for name in [*(f"conv{n}_{i + 1}" for i in range(depth)), "pool"]]
WIDTH = 0.05
FILTERS = [3, 6, 13, 26, 26]  # what a width of 0.05 makes of 64, 128, 256, 512, 512
SOUND, FACE = (1, 1, 24, 40), (1, 3, 64, 96)  # maps of 3 x 5 and 2 x 3: height and width differ everywhere
HIDDEN = (205, 100)  # round(4096 * 0.05), and another size
VGGISH_PLACES = {"conv1": 0, "conv2": 3, "conv3_1": 6, "conv3_2": 8, "conv4_1": 11, "conv4_2": 13}
TENSORFLOW_SCOPES = {"conv3_1": "conv3/conv3_1", "conv3_2": "conv3/conv3_2"}
TENSORFLOW_SCOPES |= {
    "conv4_1": "conv4/conv4_1",
    "conv4_2": "conv4/conv4_2",
    "fc1_1": "fc1/fc1_1",
    "fc1_2": "fc1/fc1_2",
}


def draw(backbone, channels, connected, order):
    """Random weights and biases by layer, each kernel in the order of its publication: "hwio" or "oihw"."""
    rng = np.random.default_rng(0)
    layers = {}
    for name in backbone:
        if name != "pool":
            filters = FILTERS[int(name[4]) - 1]
            shape = (3, 3, channels, filters) if order == "hwio" else (filters, channels, 3, 3)
            kernel = rng.normal(0, (2 / (9 * channels)) ** 0.5, shape)
            layers[name] = kernel.astype(np.float32), rng.normal(0, 0.3, filters).astype(np.float32)
            channels = filters
    for name, shape in connected.items():
        outputs = shape[0] if order == "oihw" else shape[-1]
        kernel = rng.normal(0, (2 * outputs / np.prod(shape)) ** 0.5, shape)
        layers[name] = kernel.astype(np.float32), rng.normal(0, 0.3, outputs).astype(np.float32)
    return layers


def maps_in_numpy(image, backbone, layers, order):
    """The backbone on an image (height, width, channels), kernels in the order in which the file has them."""
    maps = image.astype(np.float64)
    for name in backbone:
        if name == "pool":
            height, width, channels = maps.shape
            blocks = maps[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2, channels)
            maps = blocks.max((1, 3))
        else:
            kernel, bias = layers[name]
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(maps, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))
            maps = np.maximum(np.einsum(f"yxihw,{order}->yxo", windows, kernel, optimize=True) + bias, 0)
    return maps


def write_matconvnet(path, net=None):
    order = "hwio"
    layers = draw(VGG_FACE, 3, {"fc6": (2, 3, 26, 205), "fc7": (1, 1, 205, 100), "fc8": (1, 1, 100, 7)}, order)
    cells = np.empty((1, 2 * len(layers)), object)
    for index, (name, arrays) in enumerate(layers.items()):
        weights = np.empty((1, 2), object)
        weights[0, 0], weights[0, 1] = arrays[0], arrays[1][:, None]
        cells[0, 2 * index] = {"weights": weights, "type": "conv", "name": name}
        cells[0, 2 * index + 1] = {"type": "relu", "name": f"after_{name}"}
    content = {"layers": cells, "meta": {"normalization": {"averageImage": [129.1863, 104.7624, 93.5940]}}}
    savemat(path, {net: content} if net else content)

    def hidden(image):
        maps = maps_in_numpy(image, VGG_FACE, layers, order)
        first = np.maximum(np.einsum("hwi,hwio->o", maps, layers["fc6"][0]) + layers["fc6"][1], 0)
        return np.maximum(first @ layers["fc7"][0][0, 0] + layers["fc7"][1], 0)

    return layers, hidden


def write_dag(path):
    order = "oihw"
    layers = draw(VGG_FACE, 3, {"fc6": (205, 26 * 2 * 3), "fc7": (100, 205), "fc8": (7, 100)}, order)
    save_state(path, layers, str, _use_new_zipfile_serialization=False)  # as old as the published file

    def hidden(image):
        flat = maps_in_numpy(image, VGG_FACE, layers, order).transpose(2, 0, 1).ravel()
        first = np.maximum(layers["fc6"][0] @ flat + layers["fc6"][1], 0)
        return np.maximum(layers["fc7"][0] @ first + layers["fc7"][1], 0)

    return layers, hidden


def write_torch_vggish(path, backbone="features", head="embeddings"):
    order, connected = "oihw", ["embeddings.0", "embeddings.2", "embeddings.4"]
    shapes = [(205, 3 * 5 * 26), (100, 205), (12, 100)]
    layers = draw(VGGISH, 1, dict(zip(connected, shapes, strict=True)), order)
    save_state(
        path,
        layers,
        lambda name: name.replace("embeddings", head) if "." in name else f"{backbone}.{VGGISH_PLACES[name]}",
    )

    def hidden(image):
        flat = maps_in_numpy(image, VGGISH, layers, order).ravel()  # channels last, as in TensorFlow
        first = np.maximum(layers[connected[0]][0] @ flat + layers[connected[0]][1], 0)
        return np.maximum(layers[connected[1]][0] @ first + layers[connected[1]][1], 0)

    return layers, hidden


def write_tensorflow(path, scope="vggish", ending="", last="fc2"):
    order = "hwio"
    layers = draw(VGGISH, 1, {"fc1_1": (3 * 5 * 26, 205), "fc1_2": (205, 100), last: (100, 12)}, order)
    variables = {f"{scope}/model/train/global_step{ending}": np.array(7)}
    for name, (weights, biases) in reversed(layers.items()):
        name = f"{scope}/{TENSORFLOW_SCOPES.get(name, name)}"
        variables |= {f"{name}/weights{ending}": weights, f"{name}/biases{ending}": biases}
        variables[f"{name}/weights/Adam{ending}"] = np.zeros_like(weights)
    with path.open("wb") as file:  # to a name, NumPy would add a suffix
        np.savez(file, **variables)

    def hidden(image):
        flat = maps_in_numpy(image, VGGISH, layers, order).ravel()
        first = np.maximum(flat @ layers["fc1_1"][0] + layers["fc1_1"][1], 0)
        return np.maximum(first @ layers["fc1_2"][0] + layers["fc1_2"][1], 0)

    return layers, hidden


def save_state(path, layers, key, **how):
    state = {}
    for name, (weight, bias) in layers.items():
        state |= {f"{key(name)}.weight": torch.from_numpy(weight), f"{key(name)}.bias": torch.from_numpy(bias)}
    torch.save(state, path, **how)


FORMATS = {
    "MatConvNet": (FACE, write_matconvnet),
    "MatConvNet as Oxford has it": (FACE, partial(write_matconvnet, net="net")),
    "vgg_face_dag": (FACE, write_dag),
    "torchvggish": (SOUND, write_torch_vggish),
    "torchaudio": (SOUND, partial(write_torch_vggish, backbone="features_network", head="embedding_network")),
    "TensorFlow": (SOUND, write_tensorflow),
    "TensorFlow as the audio system saved it": (
        SOUND,
        partial(write_tensorflow, scope="cnn", ending=":0", last="logits"),
    ),
}


def modality(shape):
    return "image" if shape is FACE else "audio"


def regular(shape, **settings):
    return RegularCNN(shape, modality=modality(shape), **({"hidden": (4096, 2000), "width": WIDTH} | settings)).eval()


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def as_inputs(image):
    """What a model gets for an image around 0: a backbone for faces subtracts the mean of its pixels."""
    mean = VGG_MEAN if image.shape[2] == 3 else 0
    return torch.from_numpy((image + mean).transpose(2, 0, 1)[None]).float()


@pytest.mark.parametrize(("shape", "write"), FORMATS.values(), ids=FORMATS)
def test_the_network_computes_what_the_file_describes(shape, write, tmp_path):
    path = tmp_path / "weights"  # no suffix: the content tells
    layers, hidden = write(path)
    model = regular(shape)
    taken = load_weights(model, str(path))
    assert len(taken) == len(layers) - 1
    assert taken[0] in ("conv1", "conv1_1")

    image = np.random.default_rng(1).normal(size=(*shape[2:], shape[1]))
    expected = hidden(image)
    assert expected.std() > 0.1
    weight, bias = (tensor.detach().numpy() for tensor in model.head.linear.parameters())
    with torch.no_grad():
        inputs = as_inputs(image)
        np.testing.assert_allclose(model.head.pool(model.backbone(inputs))[0], expected, atol=1e-4)
        np.testing.assert_allclose(model(inputs)[0], weight @ expected + bias, atol=1e-4)


@pytest.mark.parametrize("plus", [False, True], ids=["DAN", "DAN+"])
@pytest.mark.parametrize(("shape", "write"), [FORMATS["MatConvNet"], FORMATS["TensorFlow"]], ids=["face", "sound"])
def test_the_nested_backbone_of_a_dan_is_filled(shape, write, plus, tmp_path):
    layers, _ = write(tmp_path / "weights")
    model = DAN(shape, modality=modality(shape), width=WIDTH, plus=plus).eval()
    taken = load_weights(model, str(tmp_path / "weights"))
    assert taken == [name for name in layers if name.startswith("conv")]
    image = np.random.default_rng(1).normal(size=(*shape[2:], shape[1]))
    backbone = VGGISH if shape is SOUND else VGG_FACE[:-1]
    expected = [maps_in_numpy(image, backbone, layers, "hwio")]
    if plus:
        expected.insert(0, maps_in_numpy(image, backbone[:-1], layers, "hwio"))
    with torch.no_grad():
        maps = model.backbone(as_inputs(image))[0]
    np.testing.assert_allclose(maps, np.concatenate(expected, 2).transpose(2, 0, 1), atol=1e-4)


def test_connected_layers_are_taken_as_long_as_they_fit(tmp_path, caplog):
    write_tensorflow(tmp_path / "weights.npz")
    model = regular((1, 1, 32, 40))  # maps of 4 x 5: the first fully connected layer has other inputs
    before = state(model)
    with caplog.at_level(logging.INFO):
        taken = load_weights(model, str(tmp_path / "weights.npz"))
    assert taken == ["conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"]
    assert "left as initialised: head.pool.2, head.pool.5, head.linear" in caplog.text
    assert all(
        torch.equal(tensor, before[name]) == name.startswith(("head", "target"))
        for name, tensor in state(model).items()
    )

    taken = load_weights(regular(SOUND, hidden=(4096, 4096)), str(tmp_path / "weights.npz"))
    assert taken[-2:] == ["conv4_2", "fc1_1"]


def train(model, folder):
    """Two steps of real training on noise; the path of its checkpoint."""

    class Noise(LightningDataModule):
        target_mean = torch.full((5,), 0.5)
        target_scale = torch.tensor([[0.0], [1.0]]).repeat(1, 5)
        target_quantiles = torch.linspace(0, 1, QUANTILES).unsqueeze(1).repeat(1, 5)

        def clips(self, split):
            return range(4)

        def train_dataloader(self):
            inputs = torch.randn(2, 2, *model.input_shape)
            batches = [Batch(clips, torch.rand(2, 5), torch.ones(2), torch.arange(2)) for clips in inputs]
            return DataLoader(batches, batch_size=None)

        val_dataloader = train_dataloader

        encoded_by = ""

        def encode(self, network, key, compute):
            """Serve inputs."""

    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=Noise())
    trainer.save_checkpoint(folder / "run.ckpt")
    return str(folder / "run.ckpt")


@pytest.mark.parametrize("batch_norm", [False, True])
def test_another_model_starts_from_a_trained_regular_cnn(batch_norm, tmp_path):
    trained = RegularCNN(SOUND, width=WIDTH, batch_norm=batch_norm, hidden=(40,))
    checkpoint = train(trained, tmp_path)
    trained.eval()
    inputs = torch.randn(2, *SOUND[1:])
    for build in (CamCNN, DAN, partial(DAN, plus=True)):
        model = build(SOUND, width=WIDTH, batch_norm=batch_norm)
        taken = load_weights(model, checkpoint)
        assert len(taken) == (12 if batch_norm else 6)
        with torch.no_grad():
            assert torch.equal(model.eval().backbone(inputs)[:, -26:], trained.backbone(inputs))
    same = RegularCNN(SOUND, width=WIDTH, batch_norm=batch_norm, hidden=(40,))
    assert load_weights(same, checkpoint)[-1] == "head.pool.2"
    assert torch.equal(same.head.pool[2].weight, trained.head.pool[2].weight)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_pretraining_as_the_original_takes_two_settings(batch_norm, tmp_path):
    trained = RegularCNN(SOUND, width=WIDTH, batch_norm=batch_norm, hidden=(40,))
    checkpoint = train(trained, tmp_path)
    model = CamCNN(SOUND, width=WIDTH, batch_norm=batch_norm, weights=checkpoint, freeze_backbone=True)
    train(model, tmp_path)
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, trained.backbone.state_dict()[name])


def test_a_spectrum_backbone_starts_from_another_of_its_kind(tmp_path):
    shape = (1, 1, 1280)
    trained = RegularCNN(shape, width=WIDTH, hidden=())
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "run.ckpt")
    model = CamCNN(shape, width=WIDTH)
    assert load_weights(model, str(tmp_path / "run.ckpt")) == ["conv1", "conv2", "conv3"]
    assert torch.equal(model.backbone.conv3.weight, trained.backbone.conv3.weight)


WRONG = {
    "another network": (
        write_tensorflow,
        lambda: CamCNN(FACE, modality="image", width=WIDTH),
        r"has the convolutions conv1, .*; expected conv1_1, .* model\.backbone",
    ),
    "a model without backbone": (
        write_tensorflow,
        lambda: Linear(SOUND),
        r"has the convolutions conv1, .*; expected none",
    ),
    "another width": (
        write_dag,
        lambda: CamCNN(FACE, modality="image", width=0.25),
        r"layer conv1_1 with bias \(3,\), weight \(3, 3, 3, 3\); "
        r"expected bias \(16,\), weight \(16, 3, 3, 3\)\. Set model\.width=1",
    ),
    "other channels": (
        write_dag,
        lambda: CamCNN((1, 1, 64, 96), backbone="vgg_face", width=WIDTH),
        r"expected bias \(3,\), weight \(3, 1, 3, 3\)\..* VGG-Face of 3",
    ),
    "batch normalisation": (
        write_tensorflow,
        lambda: CamCNN(SOUND, width=WIDTH, batch_norm=True),
        r"without batch normalisation; expected one with\. Set model\.batch_norm=false",
    ),
}


@pytest.mark.parametrize(("write", "build", "message"), WRONG.values(), ids=WRONG)
def test_weights_of_another_network_are_refused_whole(write, build, message, tmp_path):
    write(tmp_path / "weights")
    model = build()
    before = state(model)
    with pytest.raises(ValueError, match=f"(?s){tmp_path / 'weights'}.*{message}"):
        load_weights(model, str(tmp_path / "weights"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(model).items())


def test_nothing_is_taken_when_only_the_last_layer_does_not_fit(tmp_path):
    other = CamCNN(SOUND, width=WIDTH)
    torch.save(other.state_dict() | {"backbone.conv4_2.bias": torch.zeros(25)}, tmp_path / "weights.pth")
    model = CamCNN(SOUND, width=WIDTH)
    with pytest.raises(ValueError, match="layer conv4_2"):
        load_weights(model, str(tmp_path / "weights.pth"))
    assert not torch.equal(model.backbone.conv1.weight, other.backbone.conv1.weight)


def test_a_normalised_backbone_does_not_fit_a_plain_one(tmp_path):
    torch.save(CamCNN(SOUND, width=WIDTH, batch_norm=True).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"with batch normalisation; expected one without. Set model.batch_norm=true"):
        load_weights(CamCNN(SOUND, width=WIDTH), str(tmp_path / "weights.pth"))


def test_a_file_without_convolutions_is_refused(tmp_path):
    np.savez(tmp_path / "weights.npz", labels=np.zeros(3))
    with pytest.raises(ValueError, match=r"weights.npz has the convolutions none; expected conv1, "):
        load_weights(CamCNN(SOUND, width=WIDTH), str(tmp_path / "weights.npz"))


@pytest.mark.parametrize("write", [write_matconvnet, write_dag, write_torch_vggish, write_tensorflow])
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.95])
def test_a_truncated_file_is_named_with_the_words_of_its_reader(write, share, tmp_path):
    path = tmp_path / "weights"
    write(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"{path} cannot be read as weights: \w+.* fetch it again") as caught:
        read_weights(path)
    assert str(caught.value.__cause__ or "") in str(caught.value) or "weights_only" in str(caught.value.__cause__)
    assert "weights_only" not in str(caught.value)  # nobody is told to read it unsafely


@pytest.mark.parametrize("start", [b"MATLAB 7.3 MAT-file, Platform: GLNXA64", b"\x89HDF\r\n\x1a\n"])
def test_the_newest_matlab_format_is_explained(start, tmp_path):
    (tmp_path / "vgg-face.mat").write_bytes(start.ljust(1000, b"\0"))
    with pytest.raises(ValueError, match=r"vgg-face.mat is an HDF5 file, MATLAB's format 7.3. .*-v7"):
        load_weights(CamCNN(FACE, modality="image", width=WIDTH), str(tmp_path / "vgg-face.mat"))


class Intruder:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def as_pickle(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))


def as_npz(path, content):
    with path.open("wb") as file:
        np.savez(file, **{"vggish/conv1/weights": np.array([content], object), "vggish/conv1/biases": np.zeros(3)})


def as_checkpoint(path, content):
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(3, 1, 3, 3)}, "hyper_parameters": content}, path)


@pytest.mark.parametrize("name", ["vgg-face.mat", "vgg_face_dag.pth", "vggish.npz"])
@pytest.mark.parametrize("write", [as_pickle, as_npz, as_checkpoint])
def test_a_hostile_file_runs_nothing(write, name, tmp_path):
    path, trace = tmp_path / name, tmp_path / "trace"
    write(path, Intruder(trace))
    with pytest.raises(ValueError, match=f"{path} cannot be read as weights: .*(mkdir|Object arrays cannot be loaded)"):
        load_weights(CamCNN(SOUND, width=WIDTH), str(path))
    assert not trace.exists()


def test_the_intruder_would_run(tmp_path):
    pickle.loads(pickle.dumps(Intruder(tmp_path / "trace")))
    assert (tmp_path / "trace").is_dir()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web server on this machine with one weight file: its address, and the requests it had."""
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "cache"))
    write_tensorflow(tmp_path / "site" / "vggish.npz")
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *request):
            requests.append(request)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "site"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_downloaded_once(site, tmp_path):
    address, requests = site
    content = (tmp_path / "site" / "vggish.npz").read_bytes()
    for _ in range(2):
        load_weights(CamCNN(SOUND, width=WIDTH), f"{address}/vggish.npz", hashlib.sha256(content).hexdigest().upper())
    assert len(requests) == 1
    (cached,) = (tmp_path / "cache").rglob("*vggish.npz")
    assert cached.read_bytes() == content


def test_a_download_with_another_checksum_is_refused_and_removed(site, tmp_path):
    address, _ = site
    with pytest.raises(ValueError, match=f"{address}/vggish.npz has the SHA-256 checksum .*, expected {'0' * 64}"):
        load_weights(CamCNN(SOUND, width=WIDTH), f"{address}/vggish.npz", sha256="0" * 64)
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_a_file_with_another_checksum_is_refused_and_kept(tmp_path):
    write_tensorflow(tmp_path / "weights.npz")
    with pytest.raises(ValueError, match=r"weights.npz has the SHA-256 checksum .*model.sha256"):
        load_weights(CamCNN(SOUND, width=WIDTH), str(tmp_path / "weights.npz"), sha256="0" * 64)
    assert (tmp_path / "weights.npz").is_file()


def test_an_address_without_the_file_is_told(site, tmp_path):
    address, _ = site
    with pytest.raises(
        ConnectionError, match=f"{address}/none.pth cannot be downloaded: HTTP Error 404.*model.weights"
    ):
        load_weights(CamCNN(SOUND, width=WIDTH), f"{address}/none.pth")
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_being_offline_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"cannot be downloaded: .*check it and the connection, or download"):
        load_weights(CamCNN(SOUND, width=WIDTH), "http://127.0.0.1:9/vggish.npz")  # nobody listens there


def test_a_missing_file_is_told():
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth does not exist. Expected .*model.weights"):
        load_weights(CamCNN(SOUND, width=WIDTH), "nowhere.pth")
