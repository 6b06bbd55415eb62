"""The head in closed form, and what is frozen computed once: by a Trainer, on the sample corpus."""

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from sklearn.linear_model import Ridge as Reference
from sklearn.preprocessing import StandardScaler

import personality
from personality.data import ClipSpectrogram, FaceFrames
from personality.explanation import cam
from personality.models import DAN, CamCNN, RegularCNN, Ridge

QUIET = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False) | {
    "accelerator": "cpu", "num_sanity_val_steps": 0, "deterministic": True,
}  # fmt: skip


def spectrograms(corpus, loading, tmp_path, **words):
    return ClipSpectrogram(corpus, segments=4, **loading | {"cache": str(tmp_path)} | words)


def ridge(data, **words):
    torch.manual_seed(0)
    return Ridge(data.input_shape, modality=data.modality, width=0.05, folds=2, penalties=[0.3], **words)


def descriptors(model, data, split):
    """Computed with nothing but the network."""
    data.setup()
    batch = data.normalise(data.fetch(split, range(len(data.clips(split)))))
    with torch.no_grad():
        found = model.eval().head.pool(model.backbone(batch.inputs.flatten(0, 1))).unflatten(0, batch.inputs.shape[:2])
    return np.stack([each[:count].mean(0) for each, count in zip(found.numpy(), batch.segments, strict=True)])


@pytest.mark.parametrize("stages", [None, {"pool2": 2, "conv4_2": 1}])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_head_is_the_solution_of_scikit_learn(corpus, loading, tmp_path, stages, batch_size):
    data = spectrograms(corpus, loading, tmp_path, batch_size=batch_size)
    model = ridge(data, stages=stages, maximum=True)
    trainer = Trainer(max_epochs=9, default_root_dir=tmp_path, **QUIET)
    trainer.fit(model, data)
    assert trainer.current_epoch == 1  # a solution needs no second epoch
    scaler = StandardScaler().fit(inputs := descriptors(model, data, "train"))
    labels = data.clips("train")[data.targets].to_numpy()
    reference = Reference(0.3 * len(labels)).fit(scaler.transform(inputs), labels)
    others = descriptors(model, data, "test")
    weight, bias = (tensor.detach().numpy() for tensor in model.head[1].parameters())
    np.testing.assert_allclose(others @ weight.T + bias, reference.predict(scaler.transform(others)), atol=1e-4)

    path = trainer.checkpoint_callback.best_model_path
    again = personality.load(path)
    assert torch.equal(again.model.head[1].weight, model.head[1].weight)


@pytest.mark.parametrize("stages", [None, {"pool2": [4, 1], "conv4_2": 1}])
def test_maps_show_how_a_clip_differs_from_the_average_clip(corpus, loading, tmp_path, stages):
    data = spectrograms(corpus, loading, tmp_path)
    model = ridge(data, stages=stages)
    Trainer(max_epochs=1, enable_checkpointing=False, **QUIET).fit(model, data)
    data.setup()
    inputs = data.normalise(data.fetch("val", [0, 1])).inputs.flatten(0, 1)
    maps, bias, score = cam.best(model.eval(), inputs)
    torch.testing.assert_close(bias + maps.mean((2, 3)), score, atol=1e-5, rtol=1e-5)
    labels = torch.tensor(data.clips("train")[data.targets].mean().to_numpy(), dtype=torch.float32)
    torch.testing.assert_close(bias, labels.expand_as(bias), atol=1e-4, rtol=0)
    described = torch.from_numpy(descriptors(model, data, "train").mean(0))
    torch.testing.assert_close(model.head.pool(model.reference.unsqueeze(0))[0], described, atol=1e-4, rtol=1e-3)


def test_a_clip_without_a_label_is_left_out_of_the_solution(corpus, loading, tmp_path):
    def solved(data):
        model = ridge(data)
        Trainer(max_epochs=1, default_root_dir=tmp_path, enable_checkpointing=False, **QUIET).fit(model, data)
        return model.head[1].weight.detach()

    whole, holed = (spectrograms(corpus, loading, tmp_path) for _ in range(2))
    table = holed.clips("train").copy()
    table.iloc[0, table.columns.get_loc("openness")] = np.nan
    holed.tables["train"] = table
    with_all, without = solved(whole), solved(holed)
    assert without.isfinite().all()
    assert not torch.equal(with_all, without)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalties": []}, r"penalties \[\] and 2 folds"),
        ({"penalties": [0.0]}, r"penalties \[0.0\]"),
        ({"mirror": True}, "mirror for inputs of audio: expected images"),
        ({"stages": {"pool2": [2, 2, 2]}}, r"Got the cells \[2, 2, 2\] for maps of 2 dimensions"),
        ({"stages": {"pool2": 0}}, r"Got the cells \[0, 0\] for maps"),
        ({"stages": {"pool9": 1}}, r"Got the stages pool9: expected layers of the backbone"),
    ],
)
def test_settings_without_a_solution_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Ridge((4, 1, 96, 64), **{"folds": 2} | settings)


def test_few_groups_are_a_fold_each_and_one_group_is_refused(corpus, loading, tmp_path):
    def solved(**settings):
        data = spectrograms(corpus, loading, tmp_path)
        data.tables["train"] = data.clips("train").assign(group=["one", "two", "three"] * 2)
        model = Ridge(data.input_shape, width=0.05, **settings)
        Trainer(max_epochs=1, enable_checkpointing=False, **QUIET).fit(model, data)
        return model.head[1].weight.detach()

    torch.manual_seed(0)
    few = solved(folds=3)
    torch.manual_seed(0)
    assert torch.equal(few, solved(folds=50))
    data = spectrograms(corpus, loading, tmp_path)
    data.tables["train"] = data.clips("train").assign(group="one")
    with pytest.raises(ValueError, match=r"All training clips are of one group: expected two or more"):
        Trainer(max_epochs=1, enable_checkpointing=False, **QUIET).fit(ridge(data), data)


def test_rows_know_no_left_and_right_and_a_mirrored_pass_no_sides_at_all():
    shape, stages = (1, 3, 150, 150), {"stage4": [2, 1], "stage5": 1}
    model = Ridge(shape, modality="image", backbone="dlib_face", stages=stages, mirror=True).eval()
    maps, images = torch.rand(2, 512, 3, 3), torch.rand(2, 3, 150, 150) * 255
    torch.testing.assert_close(model.head.pool(maps), model.head.pool(maps.flip(3)))
    assert model.head.pool(maps).shape == (2, 256 * 2 + 256)
    torch.testing.assert_close(model(images), model(images.flip(3)))


def test_fine_tuning_starts_from_the_solution(corpus, loading, tmp_path):
    class Weights(Callback):
        def on_train_epoch_end(self, trainer, model):
            found.append({name: tensor.detach().clone() for name, tensor in model.named_parameters()})

    found = []
    data = spectrograms(corpus, loading, tmp_path)
    model = ridge(data, freeze_backbone=False, lr=1e-4, backbone_lr=1e-5)
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    Trainer(max_epochs=3, callbacks=[Weights()], enable_checkpointing=False, **QUIET).fit(model, data)
    solution, *later = found
    assert len(later) == 2
    assert all(torch.equal(solution[name], before[name]) for name in before if name.startswith("backbone"))
    torch.manual_seed(0)
    frozen = ridge(spectrograms(corpus, loading, tmp_path))
    Trainer(max_epochs=1, enable_checkpointing=False, **QUIET).fit(frozen, spectrograms(corpus, loading, tmp_path))
    torch.testing.assert_close(solution["head.linear.weight"], frozen.head[1].weight.detach(), atol=1e-4, rtol=1e-3)
    for name, tensor in later[-1].items():
        assert not torch.equal(tensor, solution[name])
        assert (tensor - solution[name]).abs().max() < 1e-3


class Seen(Callback):
    """What batches hold, and the scores of validation."""

    def __init__(self):
        self.encoded, self.scores = set(), []

    def on_train_batch_start(self, trainer, model, batch, index):
        self.encoded.add(bool(batch.encoded_by))

    def on_validation_batch_end(self, trainer, model, outputs, batch, *_):
        self.scores.append(outputs["clips"])


@pytest.mark.parametrize(
    ("build", "tolerance"),
    [
        (CamCNN, 1e-6),
        (lambda *shape, **words: DAN(*shape, dropout=0.3, **words), 2e-3),  # its maps are stored in half precision
        (lambda *shape, **words: RegularCNN(*shape, hidden=(80,), **words), 2e-3),
    ],
    ids=["descriptors", "maps for dropout", "maps for hidden layers"],
)
def test_a_frozen_backbone_computed_once_trains_the_same_head(corpus, loading, tmp_path, build, tolerance):
    found = {}
    for encoded in (True, False):
        data = spectrograms(corpus, loading, tmp_path)
        data.augments = not encoded
        torch.manual_seed(0)
        model = build(data.input_shape, modality=data.modality, width=0.05, freeze_backbone=True)
        size = model.head[1].in_features  # steps on descriptors as they are:
        data.encoded_statistics = lambda size=size: (torch.zeros(size), torch.ones(size))
        seen = Seen()
        trainer = Trainer(max_epochs=2, callbacks=[seen], enable_checkpointing=False, **QUIET)
        trainer.fit(model, data)
        assert seen.encoded == {encoded}
        trainer.validate(model, data, verbose=False)
        found[encoded] = torch.cat(seen.scores)
    torch.testing.assert_close(found[True], found[False], atol=tolerance, rtol=0)
    assert len(list(tmp_path.rglob("encoded-*.npy"))) == 3  # a file a split


def test_a_step_is_taken_on_standardised_descriptors_and_folded_into_the_linear_layer(corpus, loading, tmp_path):
    class Start(Callback):
        def on_train_start(self, trainer, model):
            start.extend(parameter.detach().clone() for parameter in model.head[1].parameters())

    start = []
    data = spectrograms(corpus, loading, tmp_path, batch_size=99)
    model = CamCNN(data.input_shape, width=0.05, freeze_backbone=True, optimiser="sgd", lr=0.1, schedule="constant",
                   weight_decay=0)  # fmt: skip
    Trainer(max_epochs=1, callbacks=[Start()], enable_checkpointing=False, **QUIET).fit(model, data)
    batch = data.normalise(data.fetch("train", range(len(data.clips("train")))))
    with torch.no_grad():
        found = model.eval().head.pool(model.backbone(batch.inputs.flatten(0, 1)))
    share = model.segment_weights(batch).flatten().unsqueeze(1)
    scaler = StandardScaler().fit(found[share[:, 0] > 0].double().numpy())
    mean, std = (torch.from_numpy(each).float() for each in (scaler.mean_, scaler.scale_))
    weight, bias = start
    weight, bias = (weight * std).requires_grad_(), (bias + weight @ mean).requires_grad_()
    errors = ((found - mean) / std) @ weight.T + bias - batch.labels.repeat_interleave(data.input_shape[0], 0)
    ((errors.square() * share).sum() / share.sum() / 5).backward()
    weight, bias = weight.detach() - 0.1 * weight.grad, bias.detach() - 0.1 * bias.grad
    expected = weight / std, bias - (weight / std) @ mean
    for parameter, wanted, before in zip(model.head[1].parameters(), expected, start, strict=True):
        torch.testing.assert_close(parameter.detach(), wanted, atol=1e-5, rtol=1e-3)
        assert (parameter - before).abs().max() > 1e-3


def test_another_network_is_never_given_what_one_encoded(corpus, loading, tmp_path):
    data = spectrograms(corpus, loading, tmp_path)
    one, other = ridge(data), ridge(data)
    with torch.no_grad():
        other.backbone.layers.conv1.weight.mul_(2)
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, **QUIET)
    trainer.fit(one, data)
    assert data.encoded_by
    other.head.load_state_dict(one.head.state_dict())
    alone = spectrograms(corpus, loading, tmp_path)
    (expected,) = trainer.test(other, alone, verbose=False)
    (got,) = trainer.test(other, data, verbose=False)
    assert got == expected
    (same,) = trainer.test(one, data, verbose=False)
    assert same != expected


def test_augmented_faces_are_not_encoded(corpus, loading):
    data = FaceFrames(corpus, frames=2, size=40, crop=32, detector="whole", **loading)
    model = CamCNN(data.input_shape, modality="image", width=0.05, freeze_backbone=True)
    seen = Seen()
    Trainer(max_epochs=1, callbacks=[seen], enable_checkpointing=False, **QUIET).fit(model, data)
    assert seen.encoded == {False}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*sync_dist")  # all processes log the same metrics
def test_two_processes_find_the_solution_of_one(corpus, loading, tmp_path):
    found = []
    for devices in (1, 2):
        data = spectrograms(corpus, loading, tmp_path, batch_size=2)
        keep = data.clips("train").iloc[:5]  # an odd number: one process gets a clip twice
        data.tables["train"] = keep
        data.corpus.prepare()
        model = ridge(data, maximum=True)
        trainer = Trainer(max_epochs=1, devices=devices, strategy="ddp_fork" if devices > 1 else "auto",
                          default_root_dir=tmp_path / str(devices), **QUIET)  # fmt: skip
        trainer.fit(model, data)
        found.append(personality.load(trainer.checkpoint_callback.best_model_path).model.head[1].weight)
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-4)
