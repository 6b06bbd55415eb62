"""Every model on every shape of input."""

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from personality.data import LogFilterbank
from personality.models import DAN, CamCNN, Linear, RegularCNN, TraitRegressor
from personality.models.backbones import build_backbone
from personality.models.losses import concordance
from personality.traits import Batch

SHAPES = {
    "clip spectrogram": (15, 1, 96, 64),
    "summary spectrogram": (1, 1, 208, 64),
    "raw-wav FFT": (1, 1, 30_605),
    "face frames": (10, 3, 224, 224),
    "log-mel with deltas": (15, 3, 96, 64),
    "log filterbank": (1, 1, 1529, 26),
}
MODELS = {
    "regular": partial(RegularCNN, width=0.05),
    "cam": partial(CamCNN, width=0.05),
    "dan": partial(DAN, width=0.05),
    "dan+": partial(DAN, width=0.05, plus=True),
    "linear": Linear,
}
FACES = (1, 3, 224, 224)


def parameters(model: TraitRegressor) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_every_model_takes_every_input(build, name):
    shape = SHAPES[name]
    model = build(shape, modality="image" if name == "face frames" else "audio").eval()
    inputs = torch.randn(2, *shape[1:])
    with torch.no_grad():
        scores = model(inputs)
        assert torch.equal(scores, model.head(model.backbone(inputs)))
    assert scores.shape == (2, 5)
    assert scores.isfinite().all()


@pytest.mark.parametrize(("plus", "count"), [(False, 14_719_813), (True, 14_724_933)])
def test_dan_has_the_published_number_of_parameters(plus, count):
    assert parameters(DAN(FACES, modality="image", plus=plus)) == count


def test_regular_cnn_on_faces_is_vgg_face_with_five_outputs():
    with torch.device("meta"):
        model = RegularCNN(FACES, modality="image")
    assert parameters(model) / 1e6 == pytest.approx(134.28, abs=0.005)


def test_backbones_have_the_published_sizes():
    vggish = build_backbone((1, 1, 96, 64))
    assert sum(parameter.numel() for parameter in vggish.parameters()) == 4_499_712
    assert vggish(torch.zeros(1, 1, 208, 64)).shape == (1, 512, 26, 8)
    assert build_backbone((1, 1, 61_208)).eval()(torch.zeros(1, 1, 61_208)).shape == (1, 256, 95)


def test_spectrum_convolves_as_same_padding_does():
    convolution = build_backbone((1, 1, 700))[0]
    impulse = torch.zeros(1, 1, 700)
    impulse[..., 350] = 1
    (response,) = torch.nonzero(
        (convolution(impulse) - convolution(0 * impulse)).abs().sum((0, 1)) > 1e-6, as_tuple=True
    )
    assert response.tolist() == list(range(346, 354))


@pytest.mark.parametrize(("name", "activation"), [("spectrum", nn.Sigmoid), ("spectrum_relu", nn.ReLU)])
def test_spectrum_backbones_differ_in_their_activation(name, activation):
    backbone = build_backbone((1, 1, 700), name=name)
    assert {type(layer) for layer in (backbone.activation1, backbone.activation2, backbone.activation3)} == {activation}


@pytest.mark.parametrize(("name", "shape"), [("vggish", (1, 1, 700)), ("spectrum", FACES)])
def test_a_backbone_of_other_dimensions_is_refused(name, shape):
    with pytest.raises(ValueError, match="does not fit an input of"):
        build_backbone(shape, name=name)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="backbone 'vgish': expected one of vggish"):
        CamCNN((1, 1, 96, 64), backbone="vgish")
    with pytest.raises(ValueError, match="Got loss 'mean': expected one of mse, l1, huber"):
        Linear((1, 1, 96, 64), loss="mean")
    with pytest.raises(TypeError, match="learning_rate"):
        CamCNN((1, 1, 96, 64), learning_rate=1)


def test_a_clip_is_scored_by_the_mean_of_its_real_segments():
    model = Linear((4, 1, 3), sigmoid=False)
    torch.nn.init.normal_(model.head.linear.weight)
    inputs = torch.randn(2, 4, 1, 3)
    clips, segments, _ = model.score(Batch(inputs, torch.zeros(2, 5), torch.tensor([4, 3]), torch.arange(2)))
    assert torch.allclose(clips[0], model(inputs[0]).mean(0), atol=1e-6)
    assert torch.allclose(clips[1], model(inputs[1, :3]).mean(0), atol=1e-6)
    assert torch.equal(segments.isnan().any(2), torch.tensor([[False] * 4, [False] * 3 + [True]]))


def test_clips_without_a_label_and_padding_do_not_train():
    model = Linear((2, 1, 3), sigmoid=False)
    model.log = lambda *_, **__: None
    inputs, traits = torch.randn(2, 2, 1, 3), torch.full((2, 5), 0.4)
    whole = model.training_step(Batch(inputs, traits, torch.tensor([2, 2]), torch.arange(2)), 0)
    traits = torch.stack([traits[0], torch.full((5,), torch.nan)])
    first = model.training_step(Batch(inputs, traits, torch.tensor([2, 2]), torch.arange(2)), 0)
    alone = model.training_step(Batch(inputs[:1], traits[:1], torch.tensor([2]), torch.arange(1)), 0)
    assert first.isfinite()
    assert first.item() == pytest.approx(alone.item())
    assert first.item() != pytest.approx(whole.item())
    inputs[0, 1] = 1e3
    padded = model.training_step(Batch(inputs[:1], traits[:1], torch.tensor([1]), torch.arange(1)), 0)
    assert padded.item() == pytest.approx(((model(inputs[0, :1]) - 0.4) ** 2).mean().item(), rel=1e-5)


@pytest.mark.parametrize(("loss", "expected"), [("mse", 0.25), ("l1", 0.5), ("huber", 0.125)])
def test_an_error_of_one_half_costs_what_the_loss_says(loss, expected):
    model = Linear((1, 1, 3), sigmoid=False, loss=loss)
    model.log = lambda *_, **__: None
    batch = Batch(torch.zeros(1, 1, 1, 3), torch.full((1, 5), 0.5), torch.tensor([1]), torch.arange(1))
    assert model.training_step(batch, 0).item() == expected


def test_concordance_is_that_of_torchmetrics_and_leaves_missing_labels_out():
    scores, labels = torch.rand(40, 5), torch.rand(40, 5)
    labels[3, 1] = torch.nan
    for target, found in enumerate(concordance(scores, labels)):
        known = labels[:, target].isfinite()
        x, y = scores[known, target].double(), labels[known, target].double()
        spread = x.var(correction=0) + y.var(correction=0) + (x.mean() - y.mean()) ** 2
        expected = 2 * ((x - x.mean()) * (y - y.mean())).mean() / spread
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert concordance(torch.full((4, 1), 0.5), torch.rand(4, 1)).item() == 0


@pytest.mark.parametrize("loss", ["ccc", "ccc_mse"])
def test_the_loss_by_concordance_is_of_clips(loss):
    model = Linear((2, 1, 3), sigmoid=False, loss=loss)
    model.log = lambda *_, **__: None
    inputs, labels, segments = torch.randn(6, 2, 1, 3), torch.rand(6, 5), torch.tensor([2, 1, 2, 2, 1, 2])
    labels[0, 0] = torch.nan
    batch = Batch(inputs, labels, segments, torch.arange(6))
    clips = model.score(batch).clips
    expected = (1 - concordance(clips, labels)).mean()
    if loss == "ccc_mse":
        plain = Linear((2, 1, 3), sigmoid=False)
        plain.load_state_dict(model.state_dict())
        plain.log = lambda *_, **__: None
        expected = expected + plain.training_step(batch, 0)
    found = model.training_step(batch, 0)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("sigmoid", [False, True])
def test_training_starts_from_the_mean_of_the_labels(sigmoid):
    means = torch.tensor([0.3, 0.4, 0.55, 0.6, 0.7])
    model = Linear((1, 1, 3), sigmoid=sigmoid)
    labels = {"target_mean": means, "target_scale": model.target_scale, "target_quantiles": torch.rand(101, 5)}
    model.trainer = SimpleNamespace(datamodule=SimpleNamespace(**labels))
    model.setup("fit")
    assert torch.equal(model.target_mean, means)
    torch.testing.assert_close(model.head.linear.bias.detach(), (means / (1 - means)).log() if sigmoid else means)
    torch.testing.assert_close(model(torch.zeros(1, 1, 3))[0], means)


class Converted(LogFilterbank):
    """Inputs of the type that the model has."""

    def normalise(self, batch):
        normalised = super().normalise(batch)
        return normalised._replace(inputs=normalised.inputs.to(self.trainer.lightning_module.dtype))


def restored(model: TraitRegressor) -> TraitRegressor:
    """The model with another's state, tensors and all."""
    model.load_state_dict(copy.deepcopy(model).state_dict(), assign=True)
    return model


@pytest.mark.parametrize(
    ("precision", "change"),
    [
        ("32-true", lambda model: model),
        ("32-true", lambda model: model.double().float()),
        ("32-true", lambda model: model.to("cpu", torch.float64).to(torch.float32)),
        ("32-true", copy.deepcopy),
        ("32-true", restored),
        ("64-true", lambda model: model),
        ("64-true", lambda model: model.double()),
    ],
    ids=["as built", "double and back", "to and back", "copied", "restored", "64 bits", "double"],
)
def test_skill_is_measured_against_the_training_mean_whatever_was_done_to_the_model(corpus, loading, precision, change):
    data = Converted(corpus, **loading)
    model = change(Linear(data.input_shape))
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    trainer = Trainer(accelerator="cpu", max_epochs=1, precision=precision, **quiet)
    trainer.fit(model, data)

    def skill(split):  # by its formula, in pandas
        batch = data.normalise(data.fetch(split, range(len(data.clips(split)))))
        with torch.no_grad():
            clips = model.eval().score(batch).clips
        labels = data.clips(split)[data.targets]
        errors = (labels - clips.numpy()).abs().sum()
        of_half = (labels - 0.5).abs().sum()
        of_mean = (labels - data.clips("train")[data.targets].mean()).abs().sum()
        assert ((1 - errors / of_mean) - (1 - errors / of_half)).abs().max() > 0.05
        return 1 - errors / of_mean

    expected = skill("val")
    for trait in data.targets:
        assert trainer.callback_metrics[f"val/skill/{trait}"].item() == pytest.approx(expected[trait], abs=1e-5)

    again = Linear(data.input_shape).double().to(model.dtype)
    again.load_state_dict(model.state_dict())
    trainer.test(again, data, verbose=False)
    expected = skill("test")
    for trait in data.targets:
        assert trainer.callback_metrics[f"test/skill/{trait}"].item() == pytest.approx(expected[trait], abs=1e-5)


@pytest.mark.parametrize(
    ("optimiser", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_each_optimiser_is_what_it_is_called(optimiser, kind):
    built = Linear((1, 1, 3), optimiser=optimiser, schedule="constant").configure_optimizers()
    assert type(built) is kind
    assert built.param_groups[0].get("momentum") == (0.9 if optimiser == "sgd" else None)


@pytest.mark.parametrize("backbone_lr", [0.001, 0])
def test_the_two_parts_learn_at_their_own_rates(backbone_lr):
    model = CamCNN((1, 1, 96, 64), width=0.05, lr=0.01, backbone_lr=backbone_lr, schedule="constant")
    backbone, head = model.configure_optimizers().param_groups
    assert (backbone["lr"], head["lr"]) == (backbone_lr, 0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Guards may run slower")  # on Python 3.13.0 alone
def test_a_compiled_network_is_the_same_network():
    model = CamCNN((2, 1, 96, 64), width=0.05, batch_norm=True).eval()
    inputs, names = torch.randn(3, 1, 96, 64), list(model.state_dict())
    expected = model(inputs)
    model.compile(backend="eager")
    assert torch.equal(model(inputs), expected)
    assert list(model.state_dict()) == names


def test_a_frozen_backbone_stays_as_it_is():
    model = CamCNN((1, 1, 96, 64), width=0.05, batch_norm=True, freeze_backbone=True, schedule="constant").train()
    (group,) = model.configure_optimizers().param_groups
    assert [tuple(parameter.shape) for parameter in group["params"]] == [(5, 26), (5,)]
