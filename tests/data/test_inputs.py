"""What each input looks like, and that its axes tell the truth: cues are planted where we know."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from personality.data import ClipSpectrogram, FaceFrames, LogFilterbank, RawWavFFT, SummarySpectrogram

SOUNDS = {
    "clip": (ClipSpectrogram, {}, (15, 1, 96, 64), ["time", "frequency"]),
    "summary": (SummarySpectrogram, {}, (1, 1, 208, 64), ["time", "frequency"]),
    "fft": (RawWavFFT, {}, (1, 1, 30605), ["frequency"]),
    "fft_log": (RawWavFFT, {"scale": "log"}, (1, 1, 30605), ["frequency"]),
    "fft_real": (RawWavFFT, {"scale": "real"}, (1, 1, 61208), ["frequency"]),
    "filterbank": (LogFilterbank, {}, (1, 1, 1529, 26), ["time", "frequency"]),
    "filterbank_published": (LogFilterbank, {"as_published": True}, (1, 1, 3059, 26), ["time", "frequency"]),
}
FACES = {
    "faces": (FaceFrames, {"detector": "whole"}, (10, 3, 224, 224), ["height", "width"]),
    "faces_cut": (FaceFrames, {"frames": 3, "size": 48, "crop": 40}, (3, 3, 40, 40), ["height", "width"]),
}


@pytest.mark.parametrize(("kind", "settings", "shape", "axes"), (SOUNDS | FACES).values(), ids=SOUNDS | FACES)
def test_shape_dtype_and_axes(shelf, record, tone, loading, kind, settings, shape, axes):
    if kind is FaceFrames:
        clip = record("a.mp4", frames=[coloured((0.5, 0.5))] * 20)
    else:
        clip = record("a.wav", tone(440, 0, 16, rate=44_100), rate=44_100)
    data = kind(shelf({"train": [clip]}), **settings, **loading)
    assert data.input_shape == shape
    data.prepare_data()
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.inputs.shape == (1, *shape)
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.isfinite().all()
    assert (batch.segments.tolist(), batch.clip.tolist()) == ([shape[0]], [0])
    assert (batch.labels.shape, batch.labels.dtype) == ((1, 5), torch.float32)
    for segment in range(shape[0]):
        start, end, space, _ = data.coordinates("train", 0, segment)
        assert 0 <= start <= end <= 15.4
        assert [axis.name for axis in space] == axes
        assert tuple(len(axis.values) for axis in space) == shape[2:]
        assert all((np.diff(axis.values) > 0).all() for axis in space)


@pytest.mark.parametrize("kind", [ClipSpectrogram, SummarySpectrogram, LogFilterbank])
@pytest.mark.parametrize(("hertz", "start", "end"), [(523, 2.0, 2.5), (1000, 7.3, 7.8), (3135, 11.0, 11.5)])
def test_a_tone_is_where_its_time_and_its_frequency_are(shelf, record, tone, loading, kind, hertz, start, end):
    rate = 44_100 if kind is LogFilterbank else 16_000
    clip = record(f"{hertz}.wav", tone(hertz, start, end, rate=rate), rate=rate)
    data = kind(shelf({"train": [clip]}), normalise="none", **loading)
    data.prepare_data()
    data.setup()
    inputs = data.fetch("train", [0]).inputs[0, :, 0].numpy()
    segment, *_ = np.unravel_index(inputs.argmax(), inputs.shape)
    coordinates = data.coordinates("train", 0, int(segment))
    time, frequency = (axis.values for axis in coordinates.axes)
    assert coordinates.start < end
    assert coordinates.end > start

    band = inputs[segment].max(0).argmax()
    neighbours = frequency[[max(band - 1, 0), min(band + 1, len(frequency) - 1)]]
    assert neighbours[0] < hertz < neighbours[1]
    times, levels = [], []
    for number in range(len(inputs)):
        times += data.coordinates("train", 0, number).axes[0].values.tolist()
        levels += inputs[number, :, band].tolist()
    loud = np.array(times)[np.array(levels) > inputs.max() - 1]  # an octave is 0.7: within half the amplitude or so
    step = time[1] - time[0] + 0.0125  # a position and half a window
    assert loud.min() == pytest.approx(start, abs=step)
    assert loud.max() == pytest.approx(end, abs=step)


@pytest.mark.parametrize("scale", ["magnitude", "log", "real"])
@pytest.mark.parametrize("hertz", [100.0, 437.5, 1900.0])
def test_a_tone_is_at_its_frequency_in_the_spectrum(shelf, record, tone, loading, scale, hertz):
    clip = record(f"{hertz}.wav", tone(hertz, 0, 16))
    data = RawWavFFT(shelf({"train": [clip]}), scale=scale, normalise="none", **loading)
    data.prepare_data()
    data.setup()
    spectrum = data.fetch("train", [0]).inputs[0, 0, 0].numpy()
    (axis,) = data.coordinates("train", 0, 0).axes
    loudest = axis.values[np.abs(spectrum if scale != "log" else np.exp(spectrum)).argmax()]
    assert min(loudest, 4000 - loudest) == pytest.approx(hertz, abs=0.2)  # the real part is there on both sides


def test_the_outline_of_a_waveform_says_when_there_is_sound(shelf, record, tone, loading):
    clip = record("outline.wav", tone(300, 4, 9))
    data = RawWavFFT(shelf({"train": [clip]}), **loading)
    data.prepare_data()
    data.setup()
    lowest, highest = data.waveform("train", 0)
    seconds = (np.arange(len(lowest)) + 0.5) * 0.02
    assert np.abs(seconds[highest > 0.2][[0, -1]] - [4, 9]).max() < 0.05
    assert np.allclose(lowest, -highest, atol=0.05)
    assert highest.max() == pytest.approx(0.5, abs=0.05)


def coloured(coordinates, height=240, width=320):
    """A blue patch of 20 pixels around a centre, given as shares of height and width, on noise of red and green."""
    frame = np.random.default_rng(0).integers(90, 110, (height, width, 3), dtype=np.uint8)
    frame[..., 2] = 0
    row, column = round(coordinates[0] * height), round(coordinates[1] * width)
    frame[row - 10 : row + 10, column - 10 : column + 10] = 0, 0, 255
    return frame


@pytest.mark.parametrize("crop", [None, 64])
@pytest.mark.parametrize("coordinates", [(0.3, 0.7), (0.6, 0.4)])
@pytest.mark.parametrize("detector", ["whole", "haar"])
def test_a_patch_of_colour_is_where_the_axes_say(shelf, record, loading, detector, coordinates, crop):
    clip = record(f"{coordinates}.mp4", frames=[coloured(coordinates)] * 5)
    data = FaceFrames(shelf({"val": [clip]}), frames=2, size=96, crop=crop, detector=detector, **loading)
    data.prepare_data()
    data.setup()
    batch = data.fetch("val", [0])
    assert (batch.inputs.dtype, batch.inputs.shape) == (torch.uint8, (1, 2, 3, 96, 96))
    seen = data.crop(batch).inputs[0, 1].float()
    blue = (seen[2] - seen[0]).numpy() > 100
    rows, columns = (axis.values for axis in data.coordinates("val", 0, 1).axes)
    assert rows[blue.any(1)].mean() == pytest.approx(coordinates[0], abs=0.01)
    assert columns[blue.any(0)].mean() == pytest.approx(coordinates[1], abs=0.01)
    assert np.ptp(rows[blue.any(1)]) == pytest.approx(20 / 240, abs=0.02)


@pytest.mark.parametrize("crop", [None, 120])
def test_a_patch_of_colour_on_a_turned_face_is_where_its_positions_say(shelf, record, loading, crop):
    pytest.importorskip("dlib")
    turn = cv2.getRotationMatrix2D((226, 110), 20, 0.8)
    frame = cv2.warpAffine(skimage.data.astronaut(), turn, (512, 400))
    x, y = turn @ (226, 130, 1)  # on the nose
    frame[round(y) - 6 : round(y) + 6, round(x) - 6 : round(x) + 6] = 0, 0, 255
    data = FaceFrames(
        shelf({"val": [record("turned.mp4", frames=[frame] * 5)]}), frames=2, crop=crop, detector="dlib", **loading
    )
    data.prepare_data()
    data.setup()
    batch = data.fetch("val", [0])
    assert batch.inputs.shape == (1, 2, 3, 150, 150)
    seen = data.crop(batch).inputs[0, 1].float()
    blue = (seen[2] - seen[0]).numpy() > 100
    coordinates = data.coordinates("val", 0, 1)
    positions = coordinates.positions()
    assert positions["height"][blue].mean() == pytest.approx(y / 400, abs=0.005)
    assert positions["width"][blue].mean() == pytest.approx(x / 512, abs=0.005)
    assert abs(coordinates.transform[0, 1]) > 1e-4  # turned


def test_a_frame_is_shown_at_its_time(shelf, record, loading):
    frames = [np.full((48, 64, 3), 12 * number, np.uint8) for number in range(20)]
    clip = record("greys.mp4", frames=frames)
    data = FaceFrames(shelf({"val": [clip]}), frames=4, size=32, detector="whole", **loading)
    data.prepare_data()
    data.setup()
    inputs = data.fetch("val", [0]).inputs[0].float()
    for segment in range(4):
        start, end, *_ = data.coordinates("val", 0, segment)
        assert start == end == pytest.approx(inputs[segment].mean().item() / 12 / 5, abs=0.1)
