"""Maps are exact where they say so, and those of other libraries."""

from functools import partial
from pathlib import Path

import captum.attr
import pytest
import torch
import torchcam.methods
from hydra.utils import instantiate
from omegaconf import OmegaConf

from personality.explanation import cam
from personality.models import DAN, CamCNN, Linear, RegularCNN, TraitRegressor

SPECTROGRAM, SPECTRUM = (1, 1, 96, 64), (1, 1, 6400)


def randomised(model: TraitRegressor) -> TraitRegressor:
    """Give every parameter a value that matters: fresh biases are 0."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.double()


def inputs(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", [SPECTROGRAM, SPECTRUM])
@pytest.mark.parametrize("method", cam.METHODS.values(), ids=cam.METHODS)
def test_map_and_bias_add_up_to_the_score(method, shape):
    model = randomised(CamCNN(shape, width=0.05)).eval()
    attribution = method(model, inputs(shape))
    assert torch.allclose(attribution.maps.flatten(2).mean(2) + attribution.bias, model(inputs(shape)), atol=1e-12)


@pytest.mark.parametrize("shape", [SPECTROGRAM, SPECTRUM])
def test_on_a_cam_cnn_three_methods_are_the_same_exact_map(shape):
    model = randomised(CamCNN(shape, width=0.05))
    maps = [cam.METHODS[name](model, inputs(shape)) for name in ("class_activation", "hirescam", "grad_cam")]
    for other in maps[1:]:
        assert torch.allclose(maps[0].maps, other.maps, atol=1e-12)
    assert torch.allclose(maps[0].bias, model.head.linear.bias.expand(3, -1), atol=1e-12)


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("shape", [SPECTROGRAM, SPECTRUM, (1, 3, 64, 64)])
def test_on_dan_hirescam_is_the_exact_share_of_every_position(shape, plus):
    model = randomised(DAN(shape, width=0.05, plus=plus)).eval()
    attribution = cam.hirescam(model, inputs(shape))
    assert torch.allclose(attribution.bias, model.head.linear.bias.expand(3, -1), atol=1e-12)
    assert torch.allclose(torch.sigmoid(attribution.score), model(inputs(shape)), atol=1e-12)
    assert attribution.maps.abs().max() > 0


def test_dan_agrees_with_the_formula_of_its_decomposition():
    model = randomised(DAN(SPECTROGRAM, width=0.05)).eval()
    activations = model.backbone(inputs(SPECTROGRAM)).flatten(2).detach()
    highest, where = activations.max(2)
    mean, positions = activations.mean(2), activations.shape[2]
    for_max, for_mean = model.head.linear.weight.chunk(2, dim=1)
    is_highest = torch.nn.functional.one_hot(where, positions)
    share = torch.einsum("tc,nc,ncp->ntp", for_max, highest / highest.norm(dim=1, keepdim=True), is_highest.double())
    share = share + torch.einsum("tc,ncp,n->ntp", for_mean, activations, 1 / mean.norm(dim=1)) / positions
    maps = cam.hirescam(model, inputs(SPECTROGRAM)).maps.flatten(2)
    assert torch.allclose(maps / positions, share, atol=1e-12)


def test_a_regular_cnn_keeps_the_share_of_its_biases_apart():
    model = randomised(RegularCNN(SPECTROGRAM, width=0.02)).eval()
    attribution = cam.hirescam(model, inputs(SPECTROGRAM))
    score = model(inputs(SPECTROGRAM))
    biases = [layer.bias for layer in model.head.modules() if isinstance(layer, torch.nn.Linear)]
    for trait in range(5):
        gradients = torch.autograd.grad(score[0, trait], biases, retain_graph=True)
        share = sum((bias * gradient).sum() for bias, gradient in zip(biases, gradients, strict=True))
        assert attribution.bias[0, trait] == pytest.approx(share.item(), abs=1e-12)


def test_a_linear_model_owes_its_score_to_input_times_weight():
    model = randomised(Linear((1, 1, 40)))
    maps = cam.best(model, inputs((1, 1, 40))).maps / 40
    assert torch.allclose(maps[:, 2], inputs((1, 1, 40))[:, 0] * model.head.linear.weight[2], atol=1e-12)


@pytest.mark.parametrize("shape", [SPECTROGRAM, SPECTRUM])
@pytest.mark.parametrize(
    ("theirs", "build"),
    [
        *[("CAM", CamCNN), ("GradCAM", CamCNN), ("GradCAM", DAN), ("GradCAM", RegularCNN)],
        *[("LayerCAM", CamCNN), ("LayerCAM", DAN), ("LayerCAM", RegularCNN)],
    ],
)
def test_maps_equal_those_of_torchcam(theirs, build, shape):
    model = randomised(build(shape, width=0.05)).float().eval()
    batch = inputs(shape).float()
    method = {"CAM": cam.class_activation, "GradCAM": cam.grad_cam, "LayerCAM": cam.layer_cam}[theirs]
    ours = method(model, batch).maps
    layer = {"fc_layer": "head.linear"} if theirs == "CAM" else {}
    extractor = getattr(torchcam.methods, theirs)(model, "backbone", **layer)
    if theirs != "CAM":
        ours = ours.clamp(min=0) / ours[0, 0].numel()  # theirs has a ReLU, and is not in units of the score
    for trait in range(5):
        score = model(batch).logit() if build is DAN else model(batch)
        (their_maps,) = extractor(trait, score, normalized=False)
        assert torch.allclose(ours[:, trait], their_maps, atol=1e-6)
    extractor.remove_hooks()


def lowest(batch):
    """A baseline other than zeros."""
    return batch.amin(tuple(range(1, batch.ndim)), keepdim=True).expand_as(batch).contiguous()


def logits(model):
    """The score before the last activation, as other libraries can be asked for it."""
    return torch.nn.Sequential(model.backbone, model.head.pool, model.head.linear).eval()


@pytest.mark.parametrize("shape", [SPECTROGRAM, SPECTRUM])
@pytest.mark.parametrize("build", [CamCNN, DAN, RegularCNN])
def test_maps_equal_those_of_captum(build, shape):
    model = randomised(build(shape, width=0.05)).eval()
    batch, net = inputs(shape), logits(model)
    products = captum.attr.LayerGradientXActivation(net, net[0])
    weighted = captum.attr.LayerGradCam(net, net[0])
    for trait in range(5):
        ours = cam.hirescam(model, batch).maps[:, trait]
        theirs = products.attribute(batch, target=trait).sum(1) * ours[0].numel()
        assert torch.allclose(ours, theirs, atol=1e-10) == (build is not DAN)  # whose lengths HiResCAM holds constant
        ours = cam.grad_cam(model, batch).maps[:, trait]
        theirs = weighted.attribute(batch, target=trait)[:, 0] * ours[0].numel()
        assert torch.allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "window", "stride"), [((1, 1, 32, 24), 8, 4), ((1, 3, 32, 24), 7, 5), (SPECTRUM, 20, 8)]
)
def test_occlusion_equals_that_of_captum(shape, window, stride):
    backbone = None if shape == SPECTRUM else "vggish"
    model = randomised(CamCNN(shape, backbone=backbone, width=0.05)).eval()
    batch, one = inputs(shape), len(shape) == 3
    windows = (shape[1], *[window**2 if one else window] * (len(shape) - 2))
    strides = (shape[1], *[stride * window if one else stride] * (len(shape) - 2))
    theirs = captum.attr.Occlusion(logits(model))
    for trait in (0, 3):
        ours = cam.occlusion(model, batch, window, stride, baseline=lowest).maps[:, trait]
        expected = theirs.attribute(batch, windows, target=trait, strides=strides, baselines=lowest(batch))[:, 0]
        assert torch.allclose(ours, expected.double(), atol=1e-6, rtol=1e-5)  # theirs is float32


def test_occlusion_depends_neither_on_the_layers_nor_on_the_batch():
    model = randomised(CamCNN(SPECTROGRAM, width=0.05)).eval()
    whole = cam.occlusion(model, inputs(SPECTROGRAM))
    opaque = torch.nn.Module()
    opaque.backbone, opaque.head = logits(model), torch.nn.Sequential(*[torch.nn.Identity()] * 3)
    blind = cam.occlusion(opaque, inputs(SPECTROGRAM), batch=1)
    assert torch.allclose(whole.maps, blind.maps, atol=1e-12)
    assert torch.allclose(cam.occlusion(model, inputs(SPECTROGRAM)[1:2]).maps[0], whole.maps[1], atol=1e-12)


@pytest.mark.parametrize("method", [cam.hirescam, cam.layer_cam, cam.grad_cam])
@pytest.mark.parametrize("build", [CamCNN, DAN, RegularCNN])
def test_earlier_maps_are_finer_and_of_the_same_score(method, build):
    model = randomised(build(SPECTROGRAM, width=0.05)).eval()
    shapes = [tuple(method(model, inputs(SPECTROGRAM), earlier=n).maps.shape[2:]) for n in range(4)]
    assert shapes == [(12, 8), (24, 16), (48, 32), (96, 64)]
    scores = [method(model, inputs(SPECTROGRAM), earlier=n).score for n in (0, 2)]
    assert torch.allclose(*scores, atol=1e-12)
    with pytest.raises(ValueError, match="expected 0 to 3"):
        method(model, inputs(SPECTROGRAM), earlier=4)


@pytest.mark.parametrize("build", [CamCNN, RegularCNN])
def test_earlier_maps_equal_those_of_captum(build):
    model = randomised(build(SPECTROGRAM, width=0.05)).eval()
    batch = inputs(SPECTROGRAM)
    products = captum.attr.LayerGradientXActivation(logits(model), model.backbone.relu2)  # before the last but one
    maps = cam.hirescam(model, batch, earlier=2).maps
    for trait in range(5):
        theirs = products.attribute(batch, target=trait).sum(1) * maps[0, 0].numel()
        assert torch.allclose(maps[:, trait], theirs, atol=1e-10)


def test_a_random_map_is_other_noise_for_other_inputs_and_the_same_for_the_same():
    model = randomised(CamCNN(SPECTROGRAM, width=0.05))
    first = cam.random_map(model, inputs(SPECTROGRAM)).maps
    assert torch.equal(first[1], cam.random_map(model, inputs(SPECTROGRAM)[1:2]).maps[0])
    assert not torch.equal(first[0], first[1])
    assert torch.corrcoef(first.flatten(1))[0, 1].abs() < 0.2


@pytest.mark.parametrize("method", cam.METHODS.values(), ids=cam.METHODS)
def test_a_model_is_left_as_it_was(method):
    model = CamCNN(SPECTROGRAM, width=0.05).train()
    model.backbone.conv2.eval()
    batch, random = torch.randn(2, 1, 96, 64), torch.get_rng_state()
    with torch.inference_mode():
        method(model, batch)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    assert model.training
    assert all(module.training for module in model.modules() if module is not model.backbone.conv2)
    assert not model.backbone.conv2.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_dropout_does_not_touch_a_map():
    model = CamCNN(SPECTRUM, width=0.05).train()
    batch = torch.randn(2, 1, 6400)
    assert torch.equal(cam.best(model, batch).maps, cam.best(model, batch).maps)


def test_class_activation_refuses_another_head():
    with pytest.raises(ValueError, match="DAN makes 52 numbers of 26 maps: use hirescam"):
        cam.class_activation(DAN(SPECTROGRAM, width=0.05), torch.zeros(1, 1, 96, 64))


def test_enlarging_keeps_the_mean():
    maps = torch.randn(2, 5, 12, 8)
    assert torch.allclose(cam.resize(maps, (96, 64)).mean((2, 3)), maps.mean((2, 3)), atol=1e-6)


def test_maps_of_few_cells_stay_blocks():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert torch.equal(cam.resize(maps, (4, 4))[0, 0, :2], torch.tensor([[1.0, 1.0, 2.0, 2.0]] * 2))
    smooth = cam.resize(torch.arange(25.0).view(1, 1, 5, 5), (10, 10))
    assert smooth.unique().numel() > 25


@pytest.mark.parametrize(
    ("method", "build", "words"),
    [
        (partial(cam.best, earlier=1), CamCNN, "class_activation.* got an unexpected keyword argument 'earlier'"),
        (cam.class_activation, DAN, "Class activation needs a head"),
        (partial(cam.hirescam, earlier=9), DAN, "Got earlier=9"),
    ],
)
def test_a_method_that_does_not_suit_a_model_is_refused_beforehand(method, build, words):
    with pytest.raises(ValueError, match=words):
        cam.check(method, build(SPECTROGRAM, width=0.05))


def test_what_suits_is_not_refused():
    for method in cam.METHODS.values():
        cam.check(method, CamCNN(SPECTROGRAM, width=0.05))
    cam.check(partial(cam.best, earlier=1), DAN(SPECTROGRAM, width=0.05))


def test_windows_leave_no_gaps():
    with pytest.raises(ValueError, match="stride of 32 for windows of 16"):
        cam.occlusion(CamCNN(SPECTROGRAM, width=0.05), inputs(SPECTROGRAM), stride=32)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("conf/cam/*.yaml")), ids=lambda path: path.stem)
def test_a_method_of_the_configuration_is_known_by_its_name(path):
    model = CamCNN((2, 1, 32, 32), width=0.05)
    method = cam.with_baseline(instantiate(OmegaConf.load(path)), torch.zeros_like)
    assert cam.name_of(method, model) == (model.explained_by if path.stem == "best" else path.stem)
