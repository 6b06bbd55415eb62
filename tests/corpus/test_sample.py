import re

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.signal import correlate

from personality.corpus import SPLITS, SampleCorpus
from personality.corpus.synthetic import clips as synthetic_clips
from personality.corpus.synthetic.face import REGIONS, random_face
from personality.corpus.synthetic.labels import (
    CORRELATIONS,
    CUE_CORRELATION,
    CUE_TRAITS,
    DEVIATIONS,
    MEANS,
    PERSON_VARIANCE,
    clip_table,
)
from personality.corpus.synthetic.sound import RATE, TONE_LEVELS, TONES, synthesise_tone
from personality.corpus.synthetic.video import HEIGHT, WIDTH, cue_boxes, random_scene, render_frames
from personality.corpus.synthetic.words import TRAIT_WORDS
from personality.features.media import read_frames, read_waveform
from personality.traits import TARGETS, TRAITS, source_id


@pytest.fixture(scope="module")
def clips(corpus):
    return pd.concat([corpus.clips(split) for split in SPLITS])


@pytest.fixture(scope="module")
def crowd():
    """The clips of a corpus as large as the real one."""
    return clip_table((6000, 2000, 2000), seed=1)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def tiny(root, **changes):
    return SampleCorpus(root, **{"sizes": (2, 1, 1), "seconds": 1, "processes": 1, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every file of a tiny corpus."""
    root = tmp_path_factory.mktemp("tiny")
    tiny(root).prepare()
    return contents(root)


def test_names_are_those_of_the_real_data_set(corpus, clips, caplog):
    assert [len(corpus.clips(split)) for split in SPLITS] == [6, 3, 3]
    assert all(re.fullmatch(r"[\w-]{11}\.\d{3}\.mp4", clip, re.ASCII) for clip in clips.index)
    assert any(clip.startswith("-") for clip in clips.index)
    assert any("_" in clip for clip in clips.index)
    assert not caplog.records


def test_files_are_what_people_upload(clips):
    with av.open(clips["path"].iloc[0]) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", WIDTH, HEIGHT)
        assert (sound.codec_context.name, sound.rate, sound.layout.name) == ("aac", RATE, "stereo")
        assert container.duration / av.time_base == pytest.approx(4, abs=0.1)


def test_labels_and_strengths_are_those_of_the_table(corpus, clips):
    expected = clip_table((6, 3, 3), seed=0)
    pd.testing.assert_frame_equal(clips[list(TRAITS)].sort_index(), expected[list(TRAITS)].sort_index())
    cues = corpus.cues()
    for (clip, cue), rows in cues[cues["modality"] != "text"].groupby(["clip", "cue"]):
        assert rows["strength"].to_numpy() == pytest.approx(expected.loc[clip, cue], abs=1e-4)


def test_the_same_bytes_whatever_the_number_of_processes(made, tmp_path):
    tiny(tmp_path, processes=2).prepare()
    assert contents(tmp_path) == made


def test_another_seed_makes_other_clips(made, tmp_path):
    tiny(tmp_path, seed=1).prepare()
    assert not contents(tmp_path).keys() >= made.keys()


def test_a_run_that_was_stopped_goes_on(made, tmp_path, monkeypatch):
    made_before_the_stop = []

    def make_two(path, *arguments, **settings):
        if len(made_before_the_stop) == 2:
            raise KeyboardInterrupt
        make_clip(path, *arguments, **settings)
        made_before_the_stop.append(path)

    make_clip = synthetic_clips.make_clip
    monkeypatch.setattr(synthetic_clips, "make_clip", make_two)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path).prepare()
    with pytest.raises(
        FileNotFoundError, match=r"holds 2 mp4 files and 0 label files.*call prepare\(\), which makes them"
    ):
        tiny(tmp_path).clips("train")
    times = [path.stat().st_mtime_ns for path in made_before_the_stop]

    monkeypatch.undo()
    tiny(tmp_path).prepare()
    assert [path.stat().st_mtime_ns for path in made_before_the_stop] == times
    assert contents(tmp_path) == made


def test_what_is_complete_is_left_alone(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.root.rglob("*")}
    corpus.prepare()
    assert {path: path.stat().st_mtime_ns for path in corpus.root.rglob("*")} == before


def test_other_settings_need_another_folder(corpus):
    with pytest.raises(FileExistsError, match=r"holds version .*seed 0\. Expected .*seed 7: pass another root"):
        SampleCorpus(corpus.root, sizes=(6, 3, 3), seconds=4, seed=7).prepare()


def test_a_folder_with_other_things_is_not_touched(tmp_path):
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(FileExistsError, match="holds no sample corpus"):
        tiny(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.mp4"]


@pytest.mark.parametrize("wrong", [{"sizes": (6, 3)}, {"sizes": (6, 3, 0)}, {"seconds": 0.5}])
def test_what_cannot_be_made_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"Got sizes \[.*Expected at least one clip for each of train, val, test"):
        tiny(tmp_path, **wrong)


def test_labels_are_distributed_as_the_real_ones(crowd):
    labels = crowd[list(TARGETS)]
    assert labels.min().min() >= 0
    assert labels.max().max() <= 1
    np.testing.assert_allclose(labels.mean(), MEANS, atol=0.02)
    np.testing.assert_allclose(labels.std(), DEVIATIONS, atol=0.01)
    np.testing.assert_allclose(labels.corr(), CORRELATIONS, atol=0.03)


def test_clips_of_one_person_are_alike(crowd):
    people = crowd.index.map(source_id)
    labels = crowd[list(TARGETS)]
    groups = labels.groupby(people)
    within = (labels - groups.transform("mean")).pow(2).sum() / (len(labels) - groups.ngroups)
    np.testing.assert_allclose(1 - within / labels.var(), PERSON_VARIANCE, atol=0.03)


def test_most_who_are_tested_are_known_from_training(crowd):
    people = pd.Series(crowd.index.map(source_id), crowd.index)
    known = people.isin(people[crowd["split"] == "train"])
    assert known[crowd["split"] == "val"].mean() == pytest.approx(0.837, abs=0.001)
    assert 1 < len(crowd) / people.nunique() < 6
    assert people.value_counts().max() <= 6
    strangers = clip_table((6, 3, 3), seed=0)
    people = pd.Series(strangers.index.map(source_id), strangers.index)
    for split in ("val", "test"):
        assert (~people[strangers["split"] == split].isin(people[strangers["split"] == "train"])).any()


@pytest.mark.parametrize("cue", CUE_TRAITS)
def test_strength_follows_the_label_of_its_trait_and_no_other(crowd, cue):
    if CUE_TRAITS[cue] == "none":
        assert crowd[[*TRAITS]].corrwith(crowd[cue]).abs().max() < 0.05
    else:
        assert crowd[cue].corr(crowd[CUE_TRAITS[cue]]) == pytest.approx(CUE_CORRELATION, abs=0.01)
        assert crowd[[*TRAITS]].corrwith(crowd[cue]).idxmax() == CUE_TRAITS[cue]


@pytest.mark.parametrize("cues", [TONES, REGIONS])
def test_each_trait_has_a_cue_of_its_own_among_meaningless_ones(cues):
    assert sorted(CUE_TRAITS[cue] for cue in cues) == sorted([*TRAITS, "none", "none"])


def test_cues_are_complete_and_possible(corpus, clips):
    cues = corpus.cues()
    assert list(cues) == (
        [
            "clip",
            "trait",
            "modality",
            "cue",
            "start",
            "end",
            "low",
            "high",
            "left",
            "top",
            "right",
            "bottom",
            "strength",
        ]
    )
    assert set(cues["clip"]) == set(clips.index)
    traits = CUE_TRAITS | {word: trait for trait, words in TRAIT_WORDS.items() for word in words}
    assert (cues["trait"] == cues["cue"].map(traits)).all()
    assert cues["strength"].between(0, 1).all()
    assert ((cues["start"] >= 0) & (cues["start"] < cues["end"]) & (cues["end"] <= 4)).all()
    sound, picture = (cues[cues["modality"] == modality] for modality in ("audio", "image"))
    assert set(sound["cue"]) == set(TONES)
    assert set(picture["cue"]) == set(REGIONS)
    assert (sound["low"] < sound["high"]).all()
    assert sound[["left", "top", "right", "bottom"]].isna().all(axis=None)
    assert picture[["low", "high"]].isna().all(axis=None)
    assert ((picture["left"] < picture["right"]) & (picture["top"] < picture["bottom"])).all()
    assert picture[["left", "top", "right", "bottom"]].apply(lambda edge: edge.between(0, 1)).all(axis=None)


def test_a_tone_sounds_in_most_patches():
    patches = np.arange(15) * 0.96
    heard = []
    for clip in range(20):
        for moments in synthetic_clips.plan_clip(f"{clip}.mp4", 15.3, seed=0).tone_times.values():
            heard += [((moments > patch - 0.1) & (moments < patch + 0.86)).any() for patch in patches]
    assert np.mean(heard) > 0.8


@pytest.mark.parametrize("tone", TONES)
def test_a_tone_keeps_to_its_band_and_its_level(tone):
    low, high = TONES[tone]
    levels = []
    for strength in (0, 0.5, 1):
        sound = synthesise_tone(tone, strength)
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
        assert power[(frequency > low - 50) & (frequency < high + 50)].sum() > 0.95 * power.sum()
        levels.append(10 * np.log10(np.mean(sound**2)))
    assert np.diff(levels) == pytest.approx(np.ptp(TONE_LEVELS) / 2)


def test_tones_are_heard_when_and_as_loud_as_the_table_says(corpus, clips):
    """A tone's waveform is known: matched with the file at a moment, it tells the tone's level, however one speaks."""
    cues = corpus.cues().query("modality == 'audio'")
    late = round(0.03 * RATE)  # an AAC decoder may begin with what its encoder had to look ahead: 1,024 samples
    for clip, path in clips["path"].items():
        sound = np.pad(read_waveform(path, RATE), late)
        strengths, levels = [], []
        for tone, rows in cues[cues["clip"] == clip].groupby("cue"):
            waveform = synthesise_tone(str(tone), 1)
            matches = np.abs(correlate(sound, waveform, "valid")) / np.sum(waveform**2)
            found = [matches[round(start * RATE) :][: 2 * late].max() for start in rows["start"]]
            strengths.append(rows["strength"].iloc[0])
            levels.append(20 * np.log10(np.median(found)))
        recording = np.array(levels) - np.ptp(TONE_LEVELS) * np.array(strengths)
        assert np.ptp(recording) < 3  # dB, of a range of 24


@pytest.mark.parametrize("cue", REGIONS)
def test_a_feature_changes_where_the_table_says(cue):
    random = np.random.default_rng(5)
    face, scene = random_face(random), random_scene(2, random)
    middling = dict.fromkeys(REGIONS, 0.5)
    opening = np.full(30, 0.3)
    faint, strong = (np.stack([*render_frames(face, scene, {**middling, cue: share}, opening)]) for share in (0.0, 1.0))
    change = np.abs(strong.astype(float) - faint).sum(-1)
    for frame in (0, 29):
        inside = np.zeros((HEIGHT, WIDTH), bool)
        for left, top, right, bottom in cue_boxes(cue, scene, frame / 15) * (WIDTH, HEIGHT, WIDTH, HEIGHT):
            inside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
        assert change[frame][inside].mean() > 8
        assert change[frame][inside].sum() > 0.9 * change[frame].sum()


def test_a_face_moves_speaks_and_blinks():
    random = np.random.default_rng(5)
    face, scene = random_face(random), random_scene(4, random)
    strength = dict.fromkeys(REGIONS, 0.5)
    frames = np.stack([*render_frames(face, scene, strength, np.tile([0.0, 1.0], 30))]).astype(float)
    assert 1e-3 < np.abs(cue_boxes("eyes", scene, 0) - cue_boxes("eyes", scene, 2)).max() < 0.2

    def brightness(cue):
        boxes = [cue_boxes(cue, scene, frame / 15)[0] * (WIDTH, HEIGHT, WIDTH, HEIGHT) for frame in range(60)]
        boxes = np.rint(boxes).astype(int)
        return np.array([image[b:d, a:c].mean() for image, (a, b, c, d) in zip(frames, boxes, strict=True)])

    assert (brightness("smile")[::2] > brightness("smile")[1::2]).mean() > 0.95  # an open mouth is dark
    closed = round(scene.blinks[0] * 15)
    assert np.abs(brightness("eyes")[closed] - np.median(brightness("eyes"))) > 1


def test_a_face_detector_finds_the_face_where_it_is(corpus, clips):
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = []
    for clip, path in clips["path"].items():
        scene = synthetic_clips.plan_clip(clip, 4, seed=0).scene
        for image, time in zip(*read_frames(path, 4, size=(180, 320)), strict=True):
            boxes = detector.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 1.1, 4) / (320, 180, 320, 180)
            parts = np.concatenate([cue_boxes(cue, scene, time) for cue in ("eyes", "smile")])
            left, top, right, bottom = *parts[:, :2].min(0), *parts[:, 2:].max(0)
            found.append(
                len(boxes) == 1
                and boxes[0, 0] < left + 0.02
                and boxes[0, 1] < top
                and boxes[0, 0] + boxes[0, 2] > right - 0.02
                and boxes[0, 1] + boxes[0, 3] > bottom - 0.02
                and boxes[0, 2] < 2.5 * (right - left)
            )
    assert np.mean(found) > 0.95
