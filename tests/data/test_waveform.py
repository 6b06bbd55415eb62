"""Sound as it is: against the decoded sound of the sample corpus, and sounds made here."""

import numpy as np
import pytest
import torch

from personality.data import Waveform
from personality.data.waveform import RATE, extract
from personality.features.encoding import write_video
from personality.features.media import read_waveform


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def test_segments_are_the_sound_of_the_file_at_their_times(corpus, loading):
    data = ready(Waveform(corpus, seconds=0.5, segments=3, **loading))
    batch = data.normalise(data.fetch("val", [0, 1]))
    for clip, inputs in enumerate(batch.inputs):
        sound = read_waveform(data.clips("val").path.iloc[clip], RATE)
        for segment in range(int(batch.segments[clip])):
            start, end, (axis,), _ = data.coordinates("val", clip, segment)
            assert (axis.name, end - start) == ("time", 0.5)
            np.testing.assert_allclose(axis.values[[0, -1]], [start + 0.5 / RATE, end - 0.5 / RATE])
            heard = sound[round(start * RATE) : round(end * RATE)]
            np.testing.assert_allclose(inputs[segment, 0], heard.clip(-1, 1), atol=1 / 32_767)


@pytest.mark.parametrize(("seconds", "found"), [(0.3, 1), (1.9, 1), (2.1, 2), (9.0, 3)])
def test_a_rest_is_left_out_unless_it_is_all_there_is(tmp_path, seconds, found):
    tone = (0.5 * np.sin(np.arange(round(seconds * RATE)) / 5)).astype(np.float32)
    frames = [np.zeros((48, 64, 3), np.uint8)] * max(1, round(25 * seconds))
    write_video(tmp_path / "tone.mp4", frames, 25, tone, RATE)
    inputs = extract(str(tmp_path / "tone.mp4"), segments=3, samples=RATE)["inputs"]
    assert inputs.shape == (found, 1, RATE)
    assert inputs.dtype == np.int16
    silent = inputs[-1, 0, min(RATE, round((seconds + 0.2) * RATE)) :]
    assert not silent.any()
    assert np.abs(inputs[0, 0, : int(0.25 * RATE)]).max() > 10_000


def test_deletion_leaves_silence(corpus, loading):
    data = Waveform(corpus, seconds=0.5, **loading)
    assert not data.baseline(torch.ones(2, 1, 8000)).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"seconds": 0}, "seconds 0"), ({"segments": 0}, "segments 0"), ({"normalise": "clip"}, "expected one of none")],
)
def test_settings_that_cannot_be_are_refused(corpus, loading, settings, message):
    with pytest.raises(ValueError, match=message):
        Waveform(corpus, **loading | settings)
