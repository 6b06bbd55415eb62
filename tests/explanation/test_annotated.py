"""The pointing games on human annotations: by hand on clips whose maps and boxes are known, and by the code."""

import json
import wave
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from personality.corpus import Corpus
from personality.corpus.synthetic.observations import REGIONS
from personality.data import ClipSpectrogram, FaceFrames, RawWavFFT
from personality.data.cues import mask_annotations
from personality.data.face_frames import extract
from personality.explanation import annotated, cam
from personality.explanation.explainer import Explainer
from personality.features.encoding import write_video
from personality.models import CamCNN
from personality.traits import TRAITS, Axis, Coordinates, source_id

SIZE, CROP, FRAMES = 48, 40, 3
BOX = {"x": 0.25, "y": 0.25, "w": 0.25, "h": 0.125}


def annotate(folder, clip, *observations):
    """Write a file in the layout of MM-OCEAN, of (dimension, start, end, boxes)."""
    folder.mkdir(exist_ok=True)
    names = "dimension", "start_time", "end_time", "bboxes", "description"
    rows = [dict(zip(names, (*each, "Seen or heard."), strict=True)) for each in observations]
    (folder / f"{clip}.json").write_text(json.dumps({"video_id": clip, "observations": rows}))


class Files(Corpus):
    """All files of a folder with a suffix: clips of the split test, the first also in training."""

    name = "files"

    def __init__(self, folder, suffix):
        super().__init__("official")
        self.paths = sorted(folder.glob(f"*{suffix}"))

    def read(self):
        names = [path.with_suffix(".mp4").name for path in self.paths]
        table = pd.DataFrame(0.5, pd.Index(names, name="clip"), TRAITS)
        table = table.assign(path=[*map(str, self.paths)], group=[*map(source_id, names)], split="test")
        return pd.concat([table, table[:1].rename(lambda name: f"{source_id(name)}.009.mp4").assign(split="train")])


def prepared(kind, folder, suffix, loading, **settings):
    """A data module of all files of a folder with a suffix."""
    data = kind(Files(folder, suffix), **settings, **loading | {"cache": str(folder)})
    data.prepare_data()
    data.setup()
    return data


def explainer(data, maps):
    """One whose maps are known: `maps(segment)` gives `(targets, *space)` of the segments in their order."""

    def method(model, inputs):
        found = torch.from_numpy(np.stack([maps(segment) for segment in range(len(inputs))])).float()
        return cam.Attribution(found, torch.zeros(len(inputs), 5), torch.zeros(len(inputs), 5))

    model = CamCNN(data.input_shape, modality=data.modality, width=0.05).eval()
    return Explainer(model, data, "test", method)


def multiples(data, maps, folder, **choice):
    """Both games of the maps of all traits, by map, and the rows of the table."""
    each = explainer(data, maps)
    table = annotated.annotation_table(
        each, annotated.measure_annotations(each, data.annotations(str(folder), "test")).games
    )
    for column, value in ({"subset": "all clips", "target": annotated.ALL} | choice).items():
        table = table[table[column] == value]
    return table.pivot_table("value", "map", "metric"), table


def turned(source, frames, size, detector):
    """Faces that lie on their side: a position (column, row) is at width 1 - row and height column of the frame."""
    found = extract(source, frames, size, detector)
    step = 1 / size
    turn = np.array([[0, -step, 1 - step / 2], [step, 0, step / 2]])
    return found | {"transforms": np.tile(turn, (frames, 1, 1))}


@pytest.mark.parametrize("aligned", [False, True])
def test_pointing_by_hand_is_pointing_by_the_code_through_crop_alignment_and_time(tmp_path, loading, aligned):
    # The whole frame is 48 positions a side, of which the model sees 40: from the 5th on. Their centres along the
    # frame are (4.5 + position) / 48. The box from .25 to .5 holds the 12 of positions 8 to 19, or counted from the
    # other end 20 to 31; that from .25 to .375 holds 8 to 13.
    frame = np.full((36, 64, 3), 120, np.uint8)
    write_video(tmp_path / "a.mp4", [frame] * 20, 5, np.zeros(64_000, np.float32), 16_000)

    class Faces(FaceFrames):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            if aligned:
                self.extract = partial(turned, **self.extract.keywords)

    data = prepared(Faces, tmp_path, ".mp4", loading, frames=FRAMES, size=SIZE, crop=CROP, detector="whole")
    rows, columns = (slice(20, 32), slice(8, 14)) if aligned else (slice(8, 14), slice(8, 20))
    moments = [data.coordinates("test", 0, segment).start for segment in range(FRAMES)]
    assert np.diff(moments).min() > 1
    annotate(
        tmp_path / "seen", "a.mp4", ("Expression", 0, 4, [BOX | {"frame_time": moments[1] + 0.4, "region": "eyes"}])
    )

    def maps(segment):
        found = np.full((5, CROP, CROP), -5.0)
        found[:, rows.stop - 1, columns.start] = 3 if segment == 1 else 100  # the last row and the first column
        found[:, rows.stop, columns.start] = 1  # just outside
        found[4, rows.stop, columns.start] = 9
        return found

    found, table = multiples(data, maps, tmp_path / "seen", cue="eyes")
    chance = 6 * 12 / CROP**2
    own, other = found.loc[annotated.OWN], found.loc[annotated.OTHER_TRAIT]
    assert own["energy_pointing_game"] == pytest.approx((4 * 3 / 4 + 3 / 12) / 5 / chance)
    assert own["pointing_game"] == pytest.approx(4 / 5 / chance)
    assert other.tolist() == pytest.approx(own.tolist())  # the annotations count for every trait
    counts = table.iloc[0]
    assert (counts["clips"], counts["maps"], counts["chance"]) == (1, 1, pytest.approx(chance))
    each, _ = multiples(data, maps, tmp_path / "seen", cue="expression", target="neuroticism")
    assert each.loc[annotated.OWN].tolist() == pytest.approx([3 / 12 / chance, 0])
    assert each.loc[annotated.OTHER_TRAIT].tolist() == pytest.approx([3 / 4 / chance, 1 / chance])


def test_segments_of_sound_are_one_map_over_the_times_of_the_clip(tmp_path, loading):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16_000 * 5))
    data = prepared(ClipSpectrogram, tmp_path, ".wav", loading, segments=5)
    annotate(tmp_path / "heard", "a.mp4", ("Audio", 1.0, 2.5, []), ("Expression", 0, 5, []))

    def maps(segment):
        found = np.zeros((5, 96, 64))
        found[:, 10, 20] = segment + 1  # at 0.11, 1.07, 2.03, 2.99 and 3.95 s
        return found

    found, table = multiples(data, maps, tmp_path / "heard", cue="voice")
    chance = 150 / 480  # frames of 10 ms, of five patches
    assert found.loc[annotated.OWN].tolist() == pytest.approx([(2 + 3) / 15 / chance, 0])
    assert (table["maps"].iloc[0], table["chance"].iloc[0]) == (1, pytest.approx(chance))
    spectrum = prepared(RawWavFFT, tmp_path, ".wav", loading)  # which shows no time
    flat = explainer(spectrum, lambda segment: np.ones((5, *spectrum.input_shape[2:])))
    assert annotated.measure_annotations(flat, spectrum.annotations(str(tmp_path / "heard"), "test")).games == {}


def test_words_are_held_against_the_times_of_the_voice_where_their_times_are_known():
    columns = ["kind", "cue", "modality", "start", "end", "low", "high"]
    voice = pd.DataFrame([("voice", "voice", "audio", 1.0, 2.0, 0.0, np.inf)], columns=columns)
    words = Coordinates(0.0, 4.0, (Axis("time", np.array([0.5, 1.2, 1.9, 3.0]), ("so", "I", "think", "yes")),))
    assert mask_annotations(voice, "text", words)["voice"].tolist() == [False, True, True, False]
    said = pd.DataFrame([("words", "words", "text", 0.4, 0.6, 0.0, np.inf)], columns=columns)
    both = mask_annotations(pd.concat([voice, said]), "text", words)
    assert {kind: mask.tolist() for kind, mask in both.items()} == {
        "voice": [False, True, True, False],
        "words": [True, False, False, False],
    }
    assert [*mask_annotations(pd.concat([voice, said]), "audio", words)] == ["voice"]
    counted = Coordinates(0.0, np.nan, (Axis("number", np.arange(4.0)),))
    assert mask_annotations(voice, "text", counted) == {}


def test_where_a_clip_has_no_more_words_nothing_is_by_chance():
    maps, mask = np.zeros((1, 1, 8)), np.zeros((1, 8), bool)
    maps[0, 0, :2], mask[0, :2], occupied = 1, True, np.arange(8)[None] < 4
    assert annotated.play(maps, mask, False, occupied)[:, 0].tolist() == [1, 0.5, 1, 0.5, 1]
    assert annotated.play(maps, mask, False)[:, 0].tolist() == [1, 0.25, 1, 0.25, 1]


@pytest.fixture
def two_sources(tmp_path, loading):
    """Three clips of two sources; each source is annotated at a position of its own."""
    frame = np.full((48, 48, 3), 120, np.uint8)
    for number, clip in enumerate(("a.000.mp4", "a.001.mp4", "b.000.mp4")):
        write_video(tmp_path / clip, [frame] * 10, 5, np.zeros(32_000, np.float32), 16_000)
        corner = {"x": 0.0, "y": 0.0} if number < 2 else {"x": 0.5, "y": 0.5}
        boxes = [BOX | corner | {"w": 0.25, "h": 0.25, "frame_time": 1.0, "region": "hands"}]
        annotate(tmp_path / "seen", clip, ("Action", 0, 2, boxes))
    return prepared(FaceFrames, tmp_path, ".mp4", loading, frames=1, size=64, detector="whole"), tmp_path / "seen"


def test_controls_are_the_annotations_of_another_source_noise_and_randomised_weights(two_sources, tmp_path):
    data, folder = two_sources

    def maps(segment):
        found = np.zeros((5, 64, 64))
        found[:, 3, 3] = 1
        return found

    table = multiples(data, maps, folder, cue="hands")[1].set_index(["map", "metric"])
    chance, energy = 16**2 / 64**2, "energy_pointing_game"
    value, low, high = (table[column] for column in ("value", "low", "high"))
    assert value[annotated.OWN, energy] == pytest.approx(2 / 3 / chance)
    assert [low[annotated.OWN, energy], high[annotated.OWN, energy]] == pytest.approx([0, 1 / chance])
    assert value[annotated.OTHER_CLIP, energy] == pytest.approx(1 / 3 / chance)
    assert value[annotated.RANDOMISED, energy] == value[annotated.OWN, energy]  # this map does not know the weights
    assert value[annotated.RANDOM, energy] != value[annotated.OWN, energy]
    difference = value[f"{annotated.OWN} - {annotated.OTHER_CLIP}", energy]
    assert difference == pytest.approx(1 / 3 / chance)
    assert (table["sources"] == 2).all()
    text = annotated.annotation_text(table.reset_index())
    assert f"{2 / 3 / chance:.3f} [0.000, {1 / chance:.3f}]" in text


def test_the_files_are_written_and_names_that_do_not_fit_are_an_error(two_sources, tmp_path):
    data, folder = two_sources
    model = CamCNN(data.input_shape, modality="image", width=0.05).eval()
    with torch.inference_mode():  # as within a validation
        annotated.save_annotations(tmp_path, Explainer(model, data, "test"), str(folder))
    table = pd.read_csv(tmp_path / "annotations.csv")
    assert set(table["cue"]) == {"action", "hands"}
    assert set(table["target"]) == {annotated.ALL, *TRAITS}
    assert table.loc[table["map"] == annotated.RANDOM, "value"].notna().all()
    assert annotated.OTHER_CLIP in (tmp_path / "annotations.txt").read_text()
    annotate(tmp_path / "others", "z.000.mp4", ("Audio", 0, 2, []))
    with pytest.raises(ValueError, match=r"1 clip \(z\.000\.mp4\).*such as a\.000\.mp4"):
        data.annotations(str(tmp_path / "others"), "test")


@pytest.mark.parametrize(("kind", "name"), [(ClipSpectrogram, "voice"), (FaceFrames, "expression")])
def test_the_files_of_the_sample_corpus_say_where_its_cues_are(corpus, loading, kind, name, caplog):
    data = kind(corpus, **loading)
    data.prepare_data()
    data.setup()
    annotations = data.annotations(str(corpus.root / "annotations"), "test")
    assert [*annotations] == data.usable("test").tolist()
    for clip, rows in annotations.items():
        found = data.annotated("test", clip, rows)
        planted = np.stack([np.any([*data.cues("test", clip, segment).values()], axis=0) for segment in range(3)])
        if kind is ClipSpectrogram:  # files of this layout have no frequencies
            planted = np.broadcast_to(planted.any(2, keepdims=True), planted.shape)
        assert planted.any()
        assert (found[name][:3] == planted).mean() > 0.999
        assert found.keys() == ({"voice"} if name == "voice" else {"expression", "background", *REGIONS.values()})
    assert "Odd" not in caplog.text
