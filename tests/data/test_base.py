"""What every input shares: features are prepared once, bad clips left out, and batches follow from seed and epoch."""

import logging
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from personality.data import ClipSpectrogram, FaceFrames, LogFilterbank, RawWavFFT, SummarySpectrogram
from personality.traits import TRAITS


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_short_clip_has_fewer_segments_and_a_mute_one_is_0(shelf, record, tone, loading):
    clips = [record("long.wav", tone(440, 0, 9)), record("short.wav", tone(440, 0, 9, seconds=2))]
    clips += [record("mute.wav", np.zeros(160_000)), record("whisper.wav", tone(440, 0, 9) * 1e-3)]
    data = ready(ClipSpectrogram(shelf({"val": clips}), segments=8, **loading))
    batch = data.fetch("val", range(4))
    assert batch.segments.tolist() == [8, 8, 2, 8]  # long, mute, short, whisper
    assert not batch.inputs[2, 2:].any()
    inputs = data.normalise(batch).inputs
    assert inputs[1].abs().max() < 0.01
    assert not inputs[2, 2:].any()
    assert inputs[[0, 2]].abs().amax((1, 2, 3, 4)).min() > 1


@pytest.mark.parametrize("kind", [SummarySpectrogram, RawWavFFT, LogFilterbank])
def test_short_and_mute_clips_are_whole_bags_of_one(shelf, record, tone, loading, kind):
    clips = [record("mute.wav", np.zeros(160_000)), record("short.wav", tone(440, 0, 9, seconds=2))]
    data = ready(kind(shelf({"val": clips}), **loading))
    batch = data.normalise(data.fetch("val", [0, 1]))
    assert batch.segments.tolist() == [1, 1]
    assert batch.inputs[0].abs().max() < 0.01
    assert batch.inputs.isfinite().all()


def test_bad_clips_are_left_out_and_the_run_goes_on(shelf, record, tone, loading, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "personality")
    clips = [record(f"{name}.wav", tone(440, 0, 9, seconds=2)) for name in "abc"]
    clips += [tmp_path / "empty.mp4", tmp_path / "nonsense.mp4", record("click.wav", np.ones(100))]
    clips[3].touch()
    clips[4].write_text("no video")
    data = ready(ClipSpectrogram(shelf({"train": clips, "val": clips[:2]}), **loading))
    assert "3 of 6 train clips are left out; the first: click.wav: ValueError: Expected mono sound" in caplog.text
    assert "val clips" not in caplog.text
    served = torch.cat([batch.clip for batch in data.train_dataloader()])
    assert sorted(data.clips("train").index[served.numpy()]) == ["a.wav", "b.wav", "c.wav"]
    reasons = pd.read_csv(data.caches["train"].folder / "failures.csv").set_index("clip").reason
    assert "empty.mp4 cannot be decoded as audio: it is empty" in reasons["empty.mp4"]
    assert reasons.index.tolist() == ["click.wav", "empty.mp4", "nonsense.mp4"]


def test_a_split_without_a_good_clip_is_an_error_that_says_where_to_look(shelf, tmp_path, loading):
    (tmp_path / "a.mp4").touch()
    data = ready(ClipSpectrogram(shelf({"train": [tmp_path / "a.mp4"]}), **loading))
    with pytest.raises(ValueError, match=r"None of the 1 train clips could be used: .*failures\.csv says why"):
        data.train_dataloader()


def test_a_split_that_is_not_there_is_missed_only_when_asked_for(shelf, record, tone, loading):
    clip = record("a.wav", tone(440, 0, 9, seconds=2))
    data = ready(ClipSpectrogram(shelf({"train": [clip], "val": [clip]}), **loading))
    assert data.splits() == ["train", "val"]
    assert len(data.train_dataloader()) == len(data.val_dataloader()) == 1
    with pytest.raises(FileNotFoundError, match=r"There are no test clips"):
        data.test_dataloader()


def test_features_are_computed_once(corpus, tmp_path):
    data = ready(ClipSpectrogram(corpus, cache=tmp_path, processes=0))
    before = stamps(tmp_path)
    assert len(before) == 3 * 4
    ready(ClipSpectrogram(corpus, cache=tmp_path, processes=0, batch_size=1, normalise="none", train_segments=2))
    assert stamps(tmp_path) == before
    assert data.caches["val"].complete


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (ClipSpectrogram, {}, {"segments": 4}),
        (RawWavFFT, {}, {"scale": "log"}),
        (LogFilterbank, {}, {"as_published": True}),
        (FaceFrames, {}, {"frames": 9}),
        (FaceFrames, {}, {"size": 64}),
        (FaceFrames, {}, {"detector": "whole"}),
    ],
)
def test_other_features_lie_elsewhere(corpus, kind, one, other):
    assert kind(corpus, **one).open("val").folder != kind(corpus, **other).open("val").folder
    assert kind(corpus, **one).open("val").folder == kind(corpus, batch_size=3, train_segments=1).open("val").folder


def test_files_of_the_same_names_with_other_bytes_have_other_features(shelf, record, tone):
    folders = set()
    for seconds in (2, 3):
        clip = record("a.wav", tone(440, 0, 9, seconds=seconds))
        folders.add(ClipSpectrogram(shelf({"val": [clip]})).open("val").folder)
    assert len(folders) == 2


def test_inputs_and_splits_lie_apart(corpus):
    kinds = [ClipSpectrogram, SummarySpectrogram, RawWavFFT, LogFilterbank, FaceFrames]
    folders = {kind(corpus).open(split).folder for kind in kinds for split in ("train", "val", "test")}
    assert len(folders) == 15


def test_the_mean_is_that_of_the_training_labels(corpus):
    data = ClipSpectrogram(corpus, targets=["extraversion", "openness"])
    labels = corpus.clips("train")[["extraversion", "openness"]].to_numpy()
    np.testing.assert_allclose(data.target_mean, labels.mean(0), rtol=1e-6)


@pytest.mark.parametrize("train_segments", [1, 2, 4, 5])
def test_only_real_segments_are_read_each_at_most_once(shelf, record, tone, loading, train_segments):
    clips = [record(f"{n}.wav", tone(440, 0, 9, seconds=n) + 1e-3 * n) for n in (1, 2, 4)]
    data = ready(ClipSpectrogram(shelf({"train": clips}), segments=4, **loading))
    whole, drawn = data.fetch("train", [0, 1, 2]), data.fetch("train", [0, 1, 2], train_segments)
    count = min(train_segments, 4)
    assert drawn.inputs.shape == (3, count, 1, 96, 64)
    assert drawn.segments.tolist() == [min(real, count) for real in (1, 2, 4)]
    for clip in range(3):
        found = [
            [number for number in range(4) if torch.equal(segment, whole.inputs[clip, number])]
            for segment in drawn.inputs[clip, : drawn.segments[clip]]
        ]
        assert all(min(indices) < whole.segments[clip] for indices in found)
        assert len({min(indices) for indices in found}) == len(found)


class Recorder(LightningModule):
    """Writes down every batch that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches = {"train": [], "val": []}

    def training_step(self, batch, _):
        self.batches["train"].append((self.current_epoch, batch))
        return self.weight * 0

    def validation_step(self, batch, _):
        self.batches["val"].append((self.current_epoch, batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fitted(data, folder, epochs=3):
    """What a model is given: clips and inputs, epoch by epoch."""
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    model = Recorder()
    Trainer(accelerator="cpu", max_epochs=epochs, num_sanity_val_steps=0, default_root_dir=folder, **quiet).fit(
        model, data
    )
    return {
        split: [
            tuple(
                torch.cat([getattr(batch, part) for at, batch in batches if at == epoch]) for part in ("clip", "inputs")
            )
            for epoch in range(epochs)
        ]
        for split, batches in model.batches.items()
    }


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (ClipSpectrogram, {"segments": 4, "train_segments": 2}),
        (FaceFrames, {"frames": 4, "size": 32, "train_segments": 2}),
    ],
)
def test_batches_follow_from_seed_and_epoch(corpus, loading, tmp_path, kind, settings):
    first, again, other = (fitted(kind(corpus, **settings, **loading, seed=seed), tmp_path) for seed in (5, 5, 6))
    for split in first:
        assert all(same(*epochs) for epochs in zip(first[split], again[split], strict=True))
        assert all(sorted(clips.tolist()) == list(range(len(clips))) for clips, _ in first[split])
    orders = [tuple(clips.tolist()) for clips, _ in first["train"] + other["train"]]
    assert len(set(orders)) > 3  # of six
    for epochs in pairwise(first["train"]):
        one, two = (inputs[clips.argsort()] for clips, inputs in epochs)
        assert not torch.equal(one, two)
    assert same(*first["val"][:2])
    assert same(first["val"][0], other["val"][0])
    assert first["val"][0][0].tolist() == [0, 1, 2]
    assert first["val"][0][1].shape[1] == 4


@pytest.mark.parametrize("train_segments", [None, 2])
def test_features_kept_on_the_device_are_those_of_the_disk(corpus, loading, train_segments):
    found = []
    for on_device in (False, True):
        data = ClipSpectrogram(corpus, segments=4, on_device=on_device, seed=3, **loading)
        data.prepare_data()
        data.setup()
        found.append(data.fetch("train", [4, 0, 5], train_segments))
    assert torch.equal(found[0].inputs, found[1].inputs)
    assert torch.equal(found[0].segments, found[1].segments)


def test_crops_are_random_and_mirrored_in_training_and_central_else(corpus, loading, tmp_path):
    data = FaceFrames(corpus, frames=4, size=32, crop=30, normalise="none", **loading)
    batches = fitted(data, tmp_path)
    indices = []
    for clips, inputs in batches["train"]:
        whole = data.fetch("train", clips).inputs
        for crop, frame in zip(inputs.flatten(0, 1), whole.flatten(0, 1), strict=True):
            views = {
                (top, left, mirrored): view.flip(-1) if mirrored else view
                for top in range(3)
                for left in range(3)
                for mirrored in (False, True)
                for view in [frame[:, top : top + 30, left : left + 30]]
            }
            indices.append([index for index, view in views.items() if torch.equal(view, crop)])
    assert all(indices)
    assert len({found[0] for found in indices}) == 18
    for clips, inputs in batches["val"]:
        assert torch.equal(inputs, data.fetch("val", clips).inputs[..., 1:31, 1:31].float())


def test_augmentation_turns_mirrors_and_lights_frames_in_training_alone(corpus, loading, tmp_path):
    """Frames become ramps that grow to the right: how a ramp leans tells the turn, whether it falls, the mirror."""
    data = FaceFrames(corpus, frames=4, size=40, crop=24, augment=0.15, normalise="none", **loading)
    ramp = torch.arange(100, 140, dtype=torch.uint8)
    data.inputs = lambda split, key: ramp.expand(len(data.clips(split)), 4, 3, 40, 40)
    batches = fitted(data, tmp_path)
    crops = torch.cat([inputs.flatten(0, 1) for _, inputs in batches["train"]])
    assert crops.dtype == torch.float32
    right, down = crops.diff(dim=3)[..., 8:16, 8:16].mean((1, 2, 3)), crops.diff(dim=2)[..., 8:16, 8:16].mean((1, 2, 3))
    turns = torch.atan2(down, right.abs())
    assert turns.abs().max() < 0.16
    assert turns.std() > 0.04
    assert 0.3 < (right < 0).float().mean() < 0.7
    levels = crops.mean((1, 2, 3))
    assert levels.std() > 3
    for _, inputs in batches["val"]:
        assert torch.equal(inputs, ramp[8:32].float().expand_as(inputs))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (ClipSpectrogram, {"segments": 4}),
        (SummarySpectrogram, {}),
        (RawWavFFT, {}),
        (FaceFrames, {"frames": 4, "size": 40, "crop": 36}),
    ],
)
def test_cues_are_the_table_position_by_position(corpus, loading, kind, settings):
    data, table = ready(kind(corpus, **settings, **loading)), corpus.cues()
    table = table[table.modality == ("image" if kind is FaceFrames else "audio")]
    marked = dict.fromkeys(TRAITS, 0)
    for segment in range(data.input_shape[0]):
        start, end, axes, _ = data.coordinates("val", 1, segment)
        masks = data.cues("val", 1, segment)
        assert masks.keys() == set(TRAITS)
        for trait, mask in masks.items():
            expected = np.zeros(data.input_shape[2:], bool)
            for cue in table[(table["clip"] == data.clips("val").index[1]) & (table.trait == trait)].itertuples():
                if cue.start > end or cue.end <= start:
                    continue
                edges = {"time": (cue.start, cue.end), "frequency": (cue.low, cue.high)}
                edges |= {"height": (cue.top, cue.bottom), "width": (cue.left, cue.right)}
                ranges = []
                for axis in axes:
                    low, high = edges[axis.name]
                    inside = [index for index, value in enumerate(axis.values) if low <= value <= high]
                    ranges.append(slice(inside[0], inside[-1] + 1) if inside else slice(0, 0))
                expected[tuple(ranges)] = True
            assert np.array_equal(mask, expected)
            marked[trait] += mask.sum()
    audible = [trait for trait in TRAITS if kind is not RawWavFFT or table[table.trait == trait].low.min() < 2000]
    assert all(marked[trait] for trait in audible)


def test_without_planted_cues_there_are_none(shelf, record, tone, loading):
    data = ready(ClipSpectrogram(shelf({"val": [record("a.wav", tone(440, 0, 9))]}), **loading))
    assert data.cues("val", 0, 0) == {}


def test_inputs_that_are_not_normalised_are_numbers_that_a_network_takes(corpus, loading):
    data = ready(FaceFrames(corpus, frames=2, size=32, detector="whole", normalise="none", **loading))
    batch = data.fetch("train", [0, 1])
    assert torch.equal(data.normalise(batch).inputs, batch.inputs.float())


@pytest.mark.parametrize(
    ("kind", "settings", "answer"),
    [
        (ClipSpectrogram, {"normalise": "patches", "train_segments": 1}, "alone at each position"),
        (SummarySpectrogram, {"normalise": "patches"}, "alone at each position"),
        (RawWavFFT, {"scale": "mag"}, "a scale among magnitude, log, real, but got 'mag'"),
        (FaceFrames, {"detector": "harr"}, "but got 'harr'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_the_work(corpus, loading, kind, settings, answer):
    with pytest.raises(ValueError, match=answer):
        kind(corpus, **settings, **loading)


def test_targets_without_labels_are_refused_before_the_work(corpus, loading):
    with pytest.raises(ValueError, match="train clips of sample have no labels of interview"):
        ClipSpectrogram(corpus, targets=["openness", "interview"], **loading).prepare_data()


def test_a_detector_that_is_not_there_is_missed_before_the_work(corpus, loading):
    with pytest.raises(FileNotFoundError, match="no YuNet model at none"):
        FaceFrames(corpus, detector="none.onnx", **loading)
