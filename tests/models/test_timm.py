"""Backbones of timm: their maps, their pixels and their weights, from files alone."""

import pytest
import torch

from personality.explanation import cam
from personality.models import DAN, CamCNN, Ridge
from personality.models.backbones import build_backbone
from personality.models.weights import default_weights, load_weights

timm = pytest.importorskip("timm", reason="needs `uv sync --extra timm`")

CNN, TRANSFORMER, REGISTERS, WINDOWS = (
    "resnet18",
    "vit_tiny_patch16_224",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "swin_tiny_patch4_window7_224",
)


def maps(name, side, channels=3, modality="image"):
    torch.manual_seed(0)
    backbone = build_backbone((1, channels, side, side), modality, f"timm:{name}").eval()
    with torch.no_grad():
        return backbone, backbone(torch.full((2, channels, side, side), 100.0))


@pytest.mark.parametrize(
    ("name", "side", "shape"),
    [
        (CNN, 150, (512, 5, 5)),
        (TRANSFORMER, 160, (192, 10, 10)),
        (REGISTERS, 154, (384, 11, 11)),
        (WINDOWS, 224, (768, 7, 7)),
        ("convnext_atto", 96, (320, 3, 3)),
        ("efficientnet_b0", 96, (1280, 3, 3)),
    ],
)
def test_maps_are_channels_first(name, side, shape):
    assert maps(name, side)[1].shape == (2, *shape)


@pytest.mark.parametrize(("name", "tokens"), [(TRANSFORMER, 1), (REGISTERS, 5)])
def test_a_transformer_s_maps_are_its_normalised_patches(name, tokens):
    backbone, _ = maps(name, 112)
    image = backbone.normalise(255 * torch.rand(2, 3, 112, 112))
    with torch.no_grad():
        expected = backbone.network.network.forward_features(image)[:, tokens:]
        torch.testing.assert_close(backbone.network(image).flatten(2).transpose(1, 2), expected)


def test_pixels_are_normalised_as_the_network_was_trained():
    from timm.data import create_transform, resolve_data_config

    backbone, _ = maps("vit_tiny_patch16_224", 224)
    settings = timm.get_pretrained_cfg("vit_tiny_patch16_224").to_dict()
    pixels = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8)
    from PIL import Image

    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    expected = create_transform(**resolve_data_config({"crop_pct": 1.0}, pretrained_cfg=settings))(image)
    torch.testing.assert_close(backbone.normalise(pixels.unsqueeze(0))[0], expected)


def test_sound_is_not_taken_for_pixels():
    backbone, shown = maps(CNN, 96, channels=1, modality="audio")
    assert shown.shape == (2, 512, 3, 3)
    assert torch.equal(backbone[0](torch.ones(3)), torch.ones(3))


@pytest.mark.parametrize("build", [CamCNN, DAN, Ridge])
@pytest.mark.parametrize("name", [CNN, TRANSFORMER])
def test_positions_and_bias_add_up_to_the_score(name, build):
    torch.manual_seed(0)
    model = build((1, 3, 96, 96), modality="image", backbone=f"timm:{name}").eval()
    torch.nn.init.normal_(model.head[1].weight)
    images = 255 * torch.rand(2, 3, 96, 96)
    found, bias, score = cam.hirescam(model, images)
    torch.testing.assert_close(found.mean((2, 3)) + bias, score, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(bias, model.head[1].bias.expand_as(bias), atol=1e-5 * score.abs().max().item(), rtol=0)
    torch.testing.assert_close(model.head[2](score), model(images).detach())


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", [CNN, TRANSFORMER])
def test_weights_come_from_a_file_of_timm(name, suffix, tmp_path):
    torch.manual_seed(1)
    published = timm.create_model(name).eval()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(published.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(published.state_dict(), path)
    model = CamCNN((1, 3, 224, 224), modality="image", backbone=f"timm:{name}").eval()
    taken = load_weights(model, str(path))
    assert len(taken) > 50
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = published.forward_features(image)
        shown = model.backbone.network(image)
    torch.testing.assert_close(shown.flatten(2), expected.flatten(2) if name == CNN else expected[:, 1:].mT)

    own = tmp_path / "run.ckpt"  # as a checkpoint of this package has them
    torch.save({"state_dict": model.state_dict()}, own)
    other = CamCNN((1, 3, 224, 224), modality="image", backbone=f"timm:{name}").eval()
    load_weights(other, str(own))
    with torch.no_grad():
        assert torch.equal(other.backbone(image), model.backbone(image))
    wrong = CamCNN((1, 3, 224, 224), modality="image", backbone="timm:resnet26").eval()
    with pytest.raises(ValueError, match=r"run\.ckpt is a checkpoint of another network: .*Missing key.*model\.ba"):
        load_weights(wrong, str(own))


def test_weights_fit_inputs_of_another_size_and_number_of_channels(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model(TRANSFORMER).state_dict(), path)
    model = CamCNN((1, 1, 160, 128), modality="image", backbone=f"timm:{TRANSFORMER}").eval()
    load_weights(model, str(path))
    with torch.no_grad():
        assert model.backbone(torch.zeros(1, 1, 160, 128)).shape == (1, 192, 10, 8)


@pytest.mark.parametrize("content", [b"text", None])
def test_a_file_of_another_network_is_named(content, tmp_path):
    path = tmp_path / "weights.pth"
    if content:
        path.write_bytes(content)
    else:
        torch.save(timm.create_model("resnet26").state_dict(), path)
    model = CamCNN((1, 3, 64, 64), modality="image", backbone=f"timm:{CNN}")
    with pytest.raises(ValueError, match=r"weights\.pth holds no weights for timm:resnet18: .*model\.weights"):
        load_weights(model, str(path))


def test_without_a_connection_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = CamCNN((1, 3, 64, 64), modality="image", backbone=f"timm:{CNN}")
    with pytest.raises(ConnectionError, match=r"timm:resnet18 are neither in the cache .*set model\.weights to"):
        load_weights(model, default_weights(f"timm:{CNN}"))
    with pytest.raises(ValueError, match=r"checksum for the weights of timm:resnet18, .* leave model\.sha256 unset"):
        load_weights(model, f"timm:{CNN}", sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match=r"timm:resnet26 does not exist"):
        load_weights(model, "timm:resnet26")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", r"timm:resnet81, which timm .* does not have: .*such as resnet"),
        ("resnet18.nobody", r"timm:resnet18\.nobody, of which timm has no weights: expected resnet18\.a1_in1k"),
        ("vit_small_patch16_dinov3", r"does not take inputs of 150 x 150: .*trained on 256 x 256; set data\.size"),
    ],
)
def test_a_name_or_a_size_that_timm_refuses_is_explained(name, message):
    with pytest.raises(ValueError, match=message):
        build_backbone((1, 3, 150, 150), "image", f"timm:{name}")
