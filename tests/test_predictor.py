"""A checkpoint as people use it from a notebook: scores and maps of a video, whatever the input."""

import json
import os
import shutil
from html.parser import HTMLParser
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer

import personality
from personality.callbacks import SaveHeatmaps, SaveReport, SaveResults
from personality.corpus import FirstImpressions, VideoFiles
from personality.data import ClipSpectrogram, FaceFrames, RawWavFFT
from personality.features import workers
from personality.features.encoding import write_video
from personality.features.media import read_frames
from personality.models import DAN, CamCNN
from personality.traits import TRAITS, source_id

CASES = {
    "faces": (FaceFrames, {"frames": 2, "size": 40, "crop": 32}, DAN, (32, 32)),
    "spectra": (RawWavFFT, {}, CamCNN, (30605,)),
}


def checkpoint(folder, corpus, kind, settings, build, targets=TRAITS):
    """Save what a run of these would."""
    data = kind(corpus, targets=targets, **settings)
    model = build(data.input_shape, modality=data.modality, targets=targets, width=0.05)
    config = {"corpus": corpus.config, "data": data.config, "model": model.config}
    torch.save({"state_dict": model.state_dict(), "config": config}, folder / "best.ckpt")
    return folder / "best.ckpt"


@pytest.mark.parametrize("case", CASES)
def test_maps_inputs_and_axes_are_of_what_the_model_sees(corpus, tmp_path, case):
    kind, settings, build, space = CASES[case]
    predictor = personality.load(checkpoint(tmp_path, corpus, kind, settings, build))
    video = corpus.clips("test").path.iloc[0]
    scores = predictor.predict(video)
    maps, inputs, coordinates = predictor.explain(video, segment=0)
    assert scores.shape == (1, 10)
    assert scores.notna().all(axis=None)
    assert set(maps) == set(TRAITS)
    assert {each.shape for each in maps.values()} == {space}
    assert inputs.shape[1:] == space == tuple(len(axis.values) for axis in coordinates.axes)
    assert all(np.abs(each).max() > 0 for each in maps.values())


@pytest.mark.parametrize("case", CASES)
def test_a_bill_adds_up_to_the_score_through_a_sigmoid_too(corpus, tmp_path, case):
    kind, settings, build, _ = CASES[case]
    model, data = predictor = personality.load(checkpoint(tmp_path, corpus, kind, settings, build))
    with torch.no_grad():
        model.head[1].weight *= 30  # far from where a sigmoid is a line
    model.target_scale[:] = torch.tensor([[1.0], [7.0]])
    video = corpus.clips("test").path.iloc[0]
    bill, scores = predictor.explain(video), predictor.predict(video)[data.targets]
    np.testing.assert_allclose(bill.score, scores.iloc[0], rtol=1e-5)
    (part,) = bill.parts.values()
    assert (np.abs(part.total) > 0.01).all()
    maps = predictor.explain(video, segment=0).maps
    for trait, shares in zip(data.targets, part.segments[0].shares, strict=True):
        assert np.corrcoef(shares.ravel(), maps[trait].ravel())[0, 1] > 0.9999


def test_a_model_of_the_interview_too_scores_ones_own_videos(corpus, tmp_path):
    labelled = FirstImpressions(corpus.root, interview=True)
    predictor = personality.load(checkpoint(tmp_path, corpus, RawWavFFT, {}, CamCNN, labelled.targets))
    scores = predictor.predict(corpus.clips("test").path.iloc[0])
    assert [*scores][:6] == [*TRAITS, "interview"]
    assert scores.notna().all(axis=None)


def test_what_is_not_there_is_not_explained(corpus, tmp_path):
    predictor = personality.load(checkpoint(tmp_path, corpus, RawWavFFT, {}, CamCNN))
    with pytest.raises(ValueError, match="clip 0, has 1 segments: expected one of these instead of 1"):
        predictor.explain(corpus.clips("test").path.iloc[0], segment=1)
    (tmp_path / "none.mp4").touch()
    with pytest.raises(ValueError, match=r"has 0 segments: .*it is empty"):
        predictor.explain(tmp_path / "none.mp4")


def test_a_checkpoint_without_a_config_is_refused(tmp_path):
    torch.save({"state_dict": {}, "config": None}, tmp_path / "bare.ckpt")
    with pytest.raises(ValueError, match="is not a checkpoint of `personality`"):
        personality.load(tmp_path / "bare.ckpt")


@pytest.mark.parametrize("case", CASES)
def test_videos_take_the_place_of_the_corpus(corpus, tmp_path, case):
    kind, settings, build, _ = CASES[case]
    path, video = checkpoint(tmp_path, corpus, kind, settings, build), corpus.clips("test").path.iloc[0]
    model, data = personality.load(path, data={"cache": str(tmp_path)}, videos=[video], device="cpu")
    assert isinstance(data.corpus, VideoFiles)
    assert data.corpus.kinds == ({"faces": "video", "spectra": "audio"}[case],)
    data.prepare_data()
    data.setup()
    scores = model.score(data.normalise(data.fetch("test", [0])))
    expected = personality.load(path).predict(video)[list(TRAITS)].to_numpy()
    np.testing.assert_allclose(scores.segments.detach().mean(1).numpy(), expected, atol=1e-6)


def test_clips_of_a_prediction_follow_the_stream_that_the_input_reads(corpus, tmp_path):
    frames, _ = read_frames(corpus.clips("test").path.iloc[0], 40, size=(64, 64))
    write_video(tmp_path / "talk.mp4", np.repeat(frames, 10, axis=0), 10, np.zeros(16_000, np.float32), 16_000)
    for case, clips in [("faces", 3), ("spectra", 1)]:
        (tmp_path / case).mkdir()
        predictor = personality.load(checkpoint(tmp_path / case, corpus, *CASES[case][:3]))
        assert len(predictor.predict(tmp_path / "talk.mp4")) == clips


@pytest.mark.parametrize(
    ("settings", "error", "remedy"),
    [
        ({"videos": []}, FileNotFoundError, "Got no videos.*name at least one"),
        ({"videos": ["none.mp4"]}, FileNotFoundError, r"no none\.mp4.*check the name"),
        (
            {"videos": ["talk.mp4"], "corpus": {"root": "x"}},
            ValueError,
            "both videos and a corpus.*leave the other out",
        ),
    ],
)
def test_videos_that_make_no_sense_are_refused_before_anything_is_read(corpus, tmp_path, settings, error, remedy):
    with pytest.raises(error, match=remedy):
        personality.load(checkpoint(tmp_path, corpus, RawWavFFT, {}, CamCNN), **settings)


def test_settings_of_the_data_hold_for_predictions_too(corpus, tmp_path):
    predictor = personality.load(checkpoint(tmp_path, corpus, *CASES["faces"][:3]), data={"size": 60, "crop": 48})
    _, inputs, _ = predictor.explain(corpus.clips("test").path.iloc[0], segment=0)
    assert inputs.shape == (3, 48, 48)


class Recording(RawWavFFT):
    """It says where its batches go."""

    devices: ClassVar[list[torch.device]] = []

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        self.devices.append(device)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)


def test_scores_and_explanations_move_their_inputs_to_the_model(corpus, tmp_path):
    predictor = personality.load(checkpoint(tmp_path, corpus, Recording, {}, CamCNN), device="cpu")
    video = corpus.clips("test").path.iloc[0]
    for use in (predictor.predict, predictor.explain):
        Recording.devices.clear()
        use(video)
        assert Recording.devices == [predictor.model.device]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("case", CASES)
def test_on_an_accelerator_results_are_those_of_the_cpu_and_lie_there(corpus, tmp_path, case):
    path, video = checkpoint(tmp_path, corpus, *CASES[case][:3]), corpus.clips("test").path.iloc[0]
    there, here = (personality.load(path, device=device) for device in ("cuda", None))
    assert there.model.device.type == "cuda"
    pd.testing.assert_frame_equal(there.predict(video), here.predict(video), atol=1e-3)
    maps, expected = (predictor.explain(video, segment=0).maps for predictor in (there, here))
    for trait in TRAITS:
        np.testing.assert_allclose(maps[trait], expected[trait], atol=1e-2 * np.abs(expected[trait]).max())


def test_a_few_videos_of_ones_own_need_no_pool_and_a_corpus_keeps_its_own(corpus, tmp_path, monkeypatch):
    asked = []

    def in_this_process(compute, tasks, processes, time_limit):
        asked.append(processes)
        return workers.run_tasks(compute, tasks, 0, time_limit)

    monkeypatch.setattr("personality.features.cache.run_tasks", in_this_process)
    for number in range(9):
        shutil.copy(corpus.clips("test").path.iloc[0], tmp_path / f"{number}.mp4")
    few, many = (VideoFiles(sorted(tmp_path.glob("?.mp4"))[:count]) for count in (8, 9))
    cases = [(few, None, [0]), (many, None, [None]), (few, 1, [1]), (many, 0, [0]), (corpus, None, [None] * 3)]
    for number, (clips, processes, expected) in enumerate(cases):
        cache = str(tmp_path / f"cache {number}")
        ClipSpectrogram(clips, segments=1, cache=cache, processes=processes).prepare_data()
        assert asked == expected
        asked.clear()


class Page(HTMLParser):
    """What a page says, and which elements it has."""

    def __init__(self, text):
        super().__init__()
        self.path, self.said, self.clips, self.scripts = [], {}, [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.path.append(tag)
        self.scripts += tag == "script"
        self.clips += [value for name, value in attributes if name == "data-clip"]
        assert not any(name.startswith("on") for name, _ in attributes)

    def handle_endtag(self, tag):
        while self.path and self.path.pop() != tag:
            pass

    def handle_data(self, data):
        self.said.setdefault(self.path[-1] if self.path else "", []).append(data)


ODD_NAMES = [
    b"caf\xe9.mp4",  # not UTF-8
    b"x" * 248 + b"1.mp4",  # 253 bytes
    b"x" * 248 + b"2.mp4",
    "长".encode() * 83 + b".mp4",
    b"<script>hacked=1 $x_{1}^2$ \\frac{ \"'&\n\t\r.mp4",
    "שיחה\u202e 😀 👨\u200d👩\u200d👧.mp4".encode(),
]


def test_videos_of_any_name_are_scored_drawn_and_reported(corpus, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name, source in zip(ODD_NAMES, corpus.clips("train").path, strict=True):
        shutil.copy(source, os.fsencode(videos) + b"/" + name)
    with open(os.fsencode(videos) + b"/br\xf6ken\n" + b"x" * 200 + b".webm", "w") as file:  # noqa: PTH123
        file.write("not a video")
    settings = {"cache": str(tmp_path / "cache"), "segments": 4}
    path = checkpoint(tmp_path, corpus, ClipSpectrogram, settings, CamCNN)
    model, data = personality.load(path, videos=[videos])
    callbacks = [SaveResults(), SaveHeatmaps(average=True), SaveReport()]
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", default_root_dir=tmp_path / "run", callbacks=callbacks, **quiet)
    trainer.test(model, data, verbose=False)

    names = list(data.clips("test").index)
    predictions = pd.read_csv(tmp_path / "run/predictions_test.csv", index_col="clip")
    assert list(predictions.index) == names
    assert len(names) == len(ODD_NAMES) + 1
    (broken,) = predictions.index[predictions.openness.isna()]
    assert broken.startswith("br%F6ken%0A")
    failures = pd.read_csv(next((tmp_path / "cache").rglob("failures.csv")))
    assert failures["clip"].tolist() == [broken]
    assert "cannot be decoded as audio" in failures.reason[0]

    heatmaps = tmp_path / "run/heatmaps/test"
    index = pd.read_csv(heatmaps / "index.csv")
    assert {*index["clip"]} == {*names} - {broken}
    assert all((heatmaps / picture).stat().st_size for picture in index.picture)
    assert index.picture.map(lambda picture: len(os.fsencode(picture.partition("/")[2]))).max() < 143  # eCryptfs
    without_rank = index.picture.str.replace(r"^\w+/\d\d_", "", regex=True)
    assert pd.Series(index["clip"].to_numpy(), without_rank).groupby(level=0).nunique().max() == 1  # without rank

    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    page = Page(text)
    bills = pd.read_csv(heatmaps / "bills/index.csv")["clip"]
    assert page.clips == [*bills, *index["clip"]]
    assert page.scripts == 2
    assert page.said["bdi"] == [*bills, *index["clip"]]
    assert {*page.said["h3"]} >= {source_id(name) for name in names}
    sounds = json.loads(text.split('id="sounds">')[1].split("</script>")[0])
    assert sounds.keys() == {*index["clip"]}


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_made_in_python_is_complete(corpus, tmp_path, case):
    kind, settings, build, _ = CASES[case]
    data = kind(corpus, batch_size=3, **settings, cache=str(tmp_path), processes=0)
    model = build(data.input_shape, modality=data.modality, width=0.05, lr=1e-4)
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    trainer = Trainer(accelerator="cpu", max_steps=1, default_root_dir=tmp_path, **quiet)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = personality.load(tmp_path / "last.ckpt")
    assert type(again.model) is build
    assert type(again.data.corpus) is type(corpus)
    assert [part.settings for part in (again.data.corpus, again.data, again.model)] == [
        part.settings for part in (corpus, data, model)
    ]
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in model.state_dict().items())
