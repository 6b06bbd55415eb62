"""Backbones of torchaudio: small networks of its kinds, with random weights, against torchaudio itself."""

import pytest
import torch
import torchaudio
from torchaudio.models import wav2vec2_model, wavlm_model
from torchaudio.pipelines import Wav2Vec2Bundle

from personality.explanation import cam
from personality.models import CamCNN, Ridge
from personality.models.backbones import build_backbone
from personality.models.weights import default_weights, load_weights

SHAPE = (2, 1, 8000)
SMALL = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [
        (16, 10, 5),
        (16, 3, 2),
        (16, 3, 2),
        (16, 3, 2),
        (16, 3, 2),
        (16, 2, 2),
        (16, 2, 2),
    ],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 24,
    "encoder_projection_dropout": 0.1,
    "encoder_num_heads": 4,
    "encoder_num_layers": 3,
    "encoder_ff_interm_features": 32,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.05,
    "aux_num_out": None,
}
WAV2VEC2 = SMALL | {
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_dropout": 0.1,
}
WAVLM = SMALL | {
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_buckets": 16,
    "encoder_max_distance": 40,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_dropout": 0.1,
}
NETWORKS = {
    "SMALL_WAV2VEC2": (wav2vec2_model, "Wav2Vec2", WAV2VEC2 | {"aux_num_out": 5}, False),
    "SMALL_HUBERT": (wav2vec2_model, "Wav2Vec2", WAV2VEC2, True),
    "SMALL_WAVLM": (wavlm_model, "WavLM", WAVLM, True),
}


@pytest.fixture
def networks(monkeypatch, tmp_path):
    """Networks that torchaudio builds, and files of their random weights, under names in its pipelines."""
    found = {}
    for name, (build, kind, params, normalise) in NETWORKS.items():
        torch.manual_seed(len(name))
        bundle = Wav2Vec2Bundle(f"{name}.pth", params, 16_000, normalise, kind)
        monkeypatch.setattr(torchaudio.pipelines, name, bundle, raising=False)
        found[name] = build(**params).eval()
        for parameter in found[name].parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        torch.save(found[name].state_dict(), tmp_path / f"{name}.pth")
    return found


@pytest.mark.parametrize("layer", ["", ":2", ":3"])
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_torchaudio_s_own_features(networks, tmp_path, name, layer):
    model = CamCNN(SHAPE, backbone=f"torchaudio:{name}{layer}").eval()
    assert load_weights(model, str(tmp_path / f"{name}.pth"))
    wave = 0.1 * torch.randn(1, 8000)
    heard = torch.nn.functional.layer_norm(wave, wave.shape) if NETWORKS[name][-1] else wave
    with torch.no_grad():
        layers, _ = networks[name].extract_features(heard)
        maps = model.backbone(wave.unsqueeze(1))
    assert maps.shape == (1, 24, 24)
    torch.testing.assert_close(maps.mT, layers[int(layer[1:] or 3) - 1], atol=1e-6, rtol=1e-6)


def test_every_segment_is_heard_by_itself(networks, tmp_path):
    model = CamCNN(SHAPE, backbone="torchaudio:SMALL_HUBERT").eval()
    load_weights(model, str(tmp_path / "SMALL_HUBERT.pth"))
    waves = torch.stack([0.01 * torch.randn(1, 8000), 0.5 * torch.randn(1, 8000)])
    with torch.no_grad():
        together, alone = model(waves), torch.cat([model(wave.unsqueeze(0)) for wave in waves])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("build", [CamCNN, Ridge])
@pytest.mark.parametrize("method", [cam.hirescam, cam.grad_cam])
def test_moments_and_bias_add_up_to_the_score(networks, tmp_path, build, method):
    model = build(SHAPE, backbone="torchaudio:SMALL_WAVLM").eval()
    load_weights(model, str(tmp_path / "SMALL_WAVLM.pth"))
    torch.nn.init.normal_(model.head[1].weight)
    waves = torch.randn(3, 1, 8000)
    maps, bias, score = method(model, waves)
    torch.testing.assert_close(maps.mean(2) + bias, model(waves).detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(score, model(waves).detach())
    assert cam.resize(maps, (8000,)).shape == (3, 5, 8000)


def test_a_checkpoint_holds_the_weights(networks, tmp_path):
    one, other = (CamCNN(SHAPE, backbone="torchaudio:SMALL_WAVLM:2").eval() for _ in range(2))
    load_weights(one, str(tmp_path / "SMALL_WAVLM.pth"))
    torch.save({"state_dict": one.state_dict()}, tmp_path / "run.ckpt")
    load_weights(other, str(tmp_path / "run.ckpt"))
    wave = torch.randn(1, 1, 8000)
    with torch.no_grad():
        assert torch.equal(one.backbone(wave), other.backbone(wave))


@pytest.mark.parametrize("name", ["HUBERT_BASE", "WAVLM_BASE_PLUS:1", "WAV2VEC2_ASR_BASE_960H:1"])
def test_published_names_build_networks_of_the_published_size(name):
    layers = build_backbone((3, 1, 16000), "audio", f"torchaudio:{name}").to("meta")
    assert layers(torch.empty(2, 1, 16000, device="meta")).shape == (2, 768, 49)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("WAVLM_BASE_PULS", SHAPE, r"which torchaudio .* does not have: .*such as WAVLM_BASE_PLUS"),
        ("SMALL_WAVLM:4", SHAPE, r"Got layer 4 of SMALL_WAVLM: expected a number from 1 to 3"),
        ("SMALL_WAVLM:", SHAPE, r"Got layer nothing of SMALL_WAVLM"),
        ("SMALL_WAVLM", (1, 1, 100), r"does not take inputs of 1 x 100: .*choose data=waveform"),
    ],
)
def test_a_name_or_an_input_that_does_not_fit_is_explained(networks, name, shape, message):
    with pytest.raises(ValueError, match=message):
        build_backbone(shape, "audio", f"torchaudio:{name}")


def test_a_file_of_another_network_is_named(networks, tmp_path):
    model = CamCNN(SHAPE, backbone="torchaudio:SMALL_WAVLM")
    with pytest.raises(ValueError, match=r"SMALL_HUBERT\.pth holds no weights for torchaudio:SMALL_WAVLM: it has no "):
        load_weights(model, str(tmp_path / "SMALL_HUBERT.pth"))
    wider = wavlm_model(**WAVLM | {"encoder_ff_interm_features": 40}).state_dict()
    torch.save(wider, tmp_path / "wider.pth")
    with pytest.raises(ValueError, match=r"wider\.pth holds no weights .*is \(.*40.*\) instead of \(.*32"):
        load_weights(model, str(tmp_path / "wider.pth"))
    (tmp_path / "text.pth").write_text("text")
    with pytest.raises(ValueError, match=r"text\.pth holds no weights .*Expected the file https://.*SMALL_WAVLM\.pth"):
        load_weights(model, str(tmp_path / "text.pth"))


def test_without_a_connection_the_remedy_is_told(networks, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing answers there
    name = "torchaudio:SMALL_WAVLM"
    model = CamCNN(SHAPE, backbone=name)
    assert default_weights(name) == name
    with pytest.raises(ConnectionError, match=r"neither in the cache nor .*download https://.*SMALL_WAVLM\.pth else"):
        load_weights(model, name)
