"""The callback's choice against brute force, in one and two processes, and that it leaves no trace in a run."""

import gc
import multiprocessing
import random
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy
from torch.utils.data import DataLoader

from personality.callbacks import SaveHeatmaps
from personality.data import ClipSpectrogram
from personality.explanation import cam
from personality.explanation.panels import Panels
from personality.models import DAN
from personality.traits import Batch

TARGETS, SEGMENTS = 3, 4
QUIET = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)


class Planted(LightningDataModule):
    """Clips whose inputs are their segments' scores, of which those after the first few pad them."""

    targets, test_split = ["openness", "extraversion", "neuroticism"], "test"

    def __init__(self, clips: int, batch_size: int, ties: bool = False, repeat: int = 0) -> None:
        super().__init__()
        chance = np.random.default_rng(clips)
        scores = chance.normal(size=(clips, SEGMENTS, TARGETS))
        scores = np.round(scores) if ties else scores
        self.segments = chance.choice([1, 2, 4] if ties else [1, 2, 3, 4], clips)  # a third is not exact
        self.scores, self.batch_size = scores.astype(np.float32), batch_size
        self.order = [*range(clips), *range(repeat)]

    def val_dataloader(self):
        samples = [
            Batch(torch.from_numpy(self.scores[clip]), torch.zeros(TARGETS), int(self.segments[clip]), clip)
            for clip in self.order
        ]
        return DataLoader(samples, self.batch_size)

    train_dataloader = test_dataloader = val_dataloader

    def best(self, top: int, all_segments: bool) -> np.ndarray:
        """The choice, by looking at everything."""
        chosen = []
        for target in range(TARGETS):
            rows = []
            for clip, count in enumerate(self.segments):
                each = self.scores[clip, :count, target].astype(float)
                one = int(each.argmax())
                for segment in range(count) if all_segments else [one]:
                    by = each[segment] if all_segments else each.mean()
                    rows.append((-round(by, 9), clip, segment, each[segment]))
            chosen.append([(-by, clip, segment, score) for by, clip, segment, score in sorted(rows)[:top]])
        return np.array(chosen)


class Same(LightningModule):
    """Scores a segment by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def training_step(self, sample, _):
        return self.scale * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def validation_step(self, sample, _):
        padding = torch.arange(SEGMENTS) >= sample.segments.unsqueeze(1)
        segments = (self.scale * sample.inputs).masked_fill(padding.unsqueeze(2), torch.nan)
        return {"clips": segments.double().nanmean(1), "segments": segments}

    test_step = validation_step


class Chosen(SaveHeatmaps):
    """Saves its choice instead of drawing it, and how much it kept in memory on the way."""

    kept = 0

    def on_fit_start(self, *_):
        """There is nothing to explain."""

    def on_validation_batch_end(self, trainer, *others):
        super().on_validation_batch_end(trainer, *others)
        if self.selections:
            self.kept = max(self.kept, *(selection.rows.size for selection in self.selections.values()))

    def _save(self, trainer, model, shown, high, low):
        for name, table in {
            f"{trainer.state.fn.value}_{trainer.current_epoch}": shown,
            "high": high,
            "low": low,
        }.items():
            if trainer.state.fn.value == "validate" or table is shown:
                table.to_csv(f"{trainer.default_root_dir}/{name}.csv", index=False)


def found(folder, run="validate_0"):
    """The choice of each target: score, clip, segment, the segment's score."""
    table = pd.read_csv(folder / f"{run}.csv")
    columns = ["score", "clip", "segment", "segment_score"]
    return np.stack([rows[columns].to_numpy() for _, rows in table.groupby("trait", sort=False)])


def run(folder, callback, **words):
    return Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[callback], **QUIET, **words)


@pytest.mark.parametrize("all_segments", [False, True])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("clips", "batch_size", "repeat"), [(100, 7, 0), (100, 100, 33), (9, 2, 9), (21, 1, 0)])
def test_the_choice_is_that_of_brute_force(tmp_path, clips, batch_size, repeat, ties, all_segments):
    data = Planted(clips, batch_size, ties, repeat)
    callback = Chosen(all_segments=all_segments)
    run(tmp_path, callback).validate(Same(), data, verbose=False)
    expected = data.best(20, all_segments)
    np.testing.assert_allclose(found(tmp_path), expected, atol=1e-6)
    assert np.array_equal(found(tmp_path)[..., 1:3], expected[..., 1:3])
    assert callback.kept <= TARGETS * 20 * 4
    assert np.array_equal(found(tmp_path, "high")[..., 1], data.best(20, False)[..., 1])  # clip by clip in any case
    data.scores = -data.scores
    low = found(tmp_path, "low")
    assert np.array_equal(low[..., 1], data.best(20, False)[..., 1])
    assert np.all(np.diff(low[..., 0]) >= 0)


@pytest.mark.slow
def test_the_choice_is_the_same_in_two_processes(tmp_path):
    data = Planted(33, 5)  # the sampler repeats a clip to make them even
    multiprocessing.set_forkserver_preload(["personality.data", "personality.models", "personality.callbacks"])
    processes = DDPStrategy(start_method="forkserver", process_group_backend="gloo")
    run(tmp_path, Chosen(top=7), strategy=processes, devices=2).validate(Same(), data, verbose=False)
    assert np.array_equal(found(tmp_path)[..., 1:3], data.best(7, False)[..., 1:3])


def test_a_clip_that_is_scored_twice_counts_once_even_if_rounding_changes_its_best_segment(tmp_path):
    data = Planted(3, 1, repeat=1)
    data.segments[0] = 2
    data.scores[0] = 1
    samples = list(data.val_dataloader().dataset)
    for number, higher in ((0, 0), (-1, 1)):
        inputs = samples[number].inputs.clone()
        inputs[higher] += 1e-6
        samples[number] = samples[number]._replace(inputs=inputs)
    data.val_dataloader = lambda: DataLoader(samples, 1)
    run(tmp_path, Chosen()).validate(Same(), data, verbose=False)
    assert all(sorted(clips) == [0, 1, 2] for clips in found(tmp_path)[..., 1])


@pytest.mark.parametrize(("every", "epochs"), [(0, []), (1, [0, 1, 2, 3]), (2, [1, 3]), (3, [2])])
def test_while_fitting_it_draws_every_n_epochs_and_never_in_the_sanity_check(tmp_path, every, epochs):
    run(tmp_path, Chosen(every_n_epochs=every), max_epochs=4, num_sanity_val_steps=2).fit(Same(), Planted(9, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"fit_{epoch}.csv" for epoch in epochs]


def test_test_is_as_validate(tmp_path):
    data = Planted(30, 4)
    run(tmp_path, Chosen()).test(Same(), data, verbose=False)
    np.testing.assert_allclose(found(tmp_path, "test_0"), data.best(20, False), atol=1e-6)


def test_scores_that_are_no_numbers_are_passed_over(tmp_path):
    data = Planted(9, 4)
    data.scores[[2, 5]] = np.nan
    run(tmp_path, Chosen()).validate(Same(), data, verbose=False)
    assert [sorted(clips) for clips in found(tmp_path)[..., 1]] == [[0, 1, 3, 4, 6, 7, 8]] * TARGETS


def test_a_model_that_diverged_has_no_heatmaps_and_the_run_goes_on(tmp_path, caplog):
    data = Planted(9, 4)
    data.scores[:] = np.nan
    run(tmp_path, SaveHeatmaps()).validate(Same(), data, verbose=False)
    assert "No heatmaps of the val split" in caplog.text
    assert not list(tmp_path.rglob("*.png"))


def test_it_asks_for_a_datamodule(tmp_path):
    with pytest.raises(ValueError, match=r"SaveHeatmaps got dataloaders.*pass the trainer a datamodule"):
        run(tmp_path, SaveHeatmaps()).validate(Same(), Planted(9, 4).val_dataloader(), verbose=False)


def test_it_wants_at_least_one_clip():
    with pytest.raises(ValueError, match=r"Got top 0: expected at least 1 clip a trait\."):
        SaveHeatmaps(top=0)


def test_a_method_that_does_not_suit_the_model_is_refused_before_the_training(corpus, loading, tmp_path):
    data = ClipSpectrogram(corpus, segments=1, **loading)
    trainer = run(tmp_path, SaveHeatmaps(method=cam.class_activation), max_epochs=1)
    with pytest.raises(ValueError, match="use hirescam"):
        trainer.fit(DAN(data.input_shape, width=0.05), data)
    assert trainer.global_step == 0


def test_averages_are_over_clips_even_if_segments_compete_and_over_those_that_were_scored(corpus, loading, tmp_path):
    data = ClipSpectrogram(corpus, segments=4, targets=["openness"], **loading)
    callback = SaveHeatmaps(top=2, all_segments=True, average=True)
    model = DAN(data.input_shape, targets=["openness"], width=0.05)
    run(tmp_path, callback, limit_val_batches=1).validate(model, data, verbose=False)
    assert len(list(tmp_path.rglob("openness/0[12]_*.png"))) == 2
    assert (tmp_path / "heatmaps/val/average_openness.png").exists()


def test_a_single_clip_without_a_label_has_a_heatmap_and_no_average(corpus, loading, tmp_path, monkeypatch):
    data = ClipSpectrogram(corpus, segments=4, targets=["openness"], **loading | {"batch_size": 1})
    data.tables["val"] = data.clips("val").assign(openness=np.nan)
    titles, draw = [], Panels.draw

    def noted(self, paths, heatmaps, limit):
        titles.extend(each.title for each in heatmaps)
        return draw(self, paths, heatmaps, limit)

    monkeypatch.setattr(Panels, "draw", noted)
    model = DAN(data.input_shape, targets=["openness"], width=0.05)
    run(tmp_path, SaveHeatmaps(average=True), limit_val_batches=1).validate(model, data, verbose=False)
    assert len(list(tmp_path.rglob("openness/*.png"))) == 1
    assert not list(tmp_path.rglob("average*"))
    assert len(titles) == 1
    assert "score" in titles[0]
    assert "label" not in titles[0]


class State(Callback):
    """What a run is like at the end of validation."""

    def on_validation_epoch_end(self, trainer, pl_module):
        self.flags = [module.training for module in pl_module.modules()]
        self.frozen = [parameter.requires_grad for parameter in pl_module.parameters()]
        self.gradients = [parameter.grad.clone() for parameter in pl_module.parameters()]
        self.weights = [value.clone() for value in pl_module.state_dict().values() if value.is_floating_point()]
        self.random = torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64)), random.getstate()  # noqa: NPY002
        self.autograd = torch.is_grad_enabled(), torch.is_inference_mode_enabled()


class Gradients(Callback):
    """Gives every parameter a gradient, which a validation must not lose."""

    def on_validation_epoch_end(self, trainer, pl_module):
        with torch.inference_mode(False):
            for parameter in pl_module.parameters():
                parameter.grad = torch.ones_like(parameter)


@pytest.mark.parametrize("verb", ["fit", "validate"])
def test_it_leaves_no_trace_in_a_run(corpus, loading, tmp_path, verb):
    data = ClipSpectrogram(corpus, segments=4, targets=["openness"], **loading)
    before, after = State(), State()
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        max_epochs=1,
        callbacks=[Gradients(), before, SaveHeatmaps(top=1, every_n_epochs=1), after],
        **QUIET,
    )
    model = DAN(data.input_shape, targets=["openness"], width=0.05, batch_norm=True, dropout=0.5)
    getattr(trainer, verb)(model, datamodule=data)
    assert len(list(tmp_path.rglob("openness/01_*.png"))) == 1
    for name in ("flags", "frozen", "autograd"):
        assert getattr(before, name) == getattr(after, name)
    assert before.random[2] == after.random[2]
    for name in ("gradients", "weights", "random"):
        for one, other in zip(getattr(before, name), getattr(after, name), strict=True):
            assert one is other or not isinstance(one, torch.Tensor) or torch.equal(one, other)


class Memory(Callback):
    """The bytes that Python's allocators hold after every tenth epoch, and how many tensors are alive.

    The size of the process says less: libraries and the allocator below them keep what they once asked for.
    """

    def __init__(self) -> None:
        self.allocated: list[int] = []
        self.tensors: list[int] = []

    def on_validation_end(self, trainer, pl_module):
        if trainer.current_epoch % 10 != 9:
            return
        gc.collect()
        self.allocated.append(tracemalloc.get_traced_memory()[0])
        self.tensors.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))


@pytest.mark.slow
def test_memory_does_not_grow_over_100_epochs(corpus, loading, tmp_path, request):
    data = ClipSpectrogram(corpus, segments=1, targets=["openness"], **loading)
    memory = Memory()
    callbacks = [SaveHeatmaps(top=1, every_n_epochs=4, average=False), memory]
    trainer = Trainer(
        accelerator="cpu", default_root_dir=tmp_path, max_epochs=100, limit_train_batches=1, num_sanity_val_steps=0,
        callbacks=callbacks, **QUIET,
    )  # fmt: skip
    tracemalloc.start()
    request.addfinalizer(tracemalloc.stop)
    trainer.fit(DAN(data.input_shape, targets=["openness"], width=0.05), data)
    assert len(list(tmp_path.rglob("openness.png"))) == 25
    assert memory.allocated[-1] - memory.allocated[4] < 5e5  # 12 galleries lie between
    assert memory.tensors[-1] <= memory.tensors[4]
