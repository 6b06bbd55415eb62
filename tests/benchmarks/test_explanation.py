"""All five traits' maps of 100 spectrograms, beside other libraries on the same model and batch."""

import captum.attr
import pytest
import torch
import torchcam.methods

from personality.explanation import cam
from personality.models import CamCNN


@pytest.fixture(scope="module")
def model():
    return CamCNN((15, 1, 96, 64)).eval()


@pytest.fixture(scope="module")
def batch():
    return torch.randn(100, 1, 96, 64)


def by_captum(model, batch):
    net = torch.nn.Sequential(model.backbone, model.head)
    method = captum.attr.LayerGradCam(net, net[0])
    return [method.attribute(batch, target=trait) for trait in range(5)]


def by_torchcam(model, batch):
    extractor = torchcam.methods.CAM(model, "features", fc_layer="head.linear")
    with torch.no_grad():
        scores = model(batch)
    maps = [extractor(trait, scores) for trait in range(5)]
    extractor.remove_hooks()
    return maps


def by_torchcam_gradients(model, batch):
    extractor = torchcam.methods.GradCAM(model, "features")
    scores = model(batch)
    maps = [extractor(trait, scores, retain_graph=True) for trait in range(5)]
    extractor.remove_hooks()
    return maps


WAYS = {
    "ours, from the input": cam.class_activation,
    "ours, by gradients": cam.hirescam,
    "captum GradCAM": by_captum,
    "torchcam CAM": by_torchcam,
    "torchcam GradCAM": by_torchcam_gradients,
}


@pytest.mark.parametrize("way", WAYS)
def test_maps_of_100_spectrograms(benchmark, model, batch, way):
    benchmark.group = "maps of 100 spectrograms, five traits"
    benchmark.pedantic(WAYS[way], args=(model, batch), rounds=3, warmup_rounds=1)


def test_from_maps_that_validation_already_has(benchmark, model, batch):
    benchmark.group = "maps of 100 spectrograms, five traits"
    with torch.no_grad():
        activations = model.backbone(batch)
        benchmark.pedantic(cam.class_activation_of, args=(model, activations), rounds=20, warmup_rounds=2)
