"""Normalisation against NumPy, clip by clip."""

import numpy as np
import pytest
import torch

from personality.data import ClipSpectrogram, FaceFrames
from personality.traits import Batch


def batch(inputs, segments):
    count = len(inputs)
    return Batch(torch.as_tensor(inputs), torch.zeros(count, 5), torch.tensor(segments), torch.arange(count))


def padded(segments=(5, 3, 1)):
    """Clips of 5, 3 and 1 real segments, the rest as it is on disk: 0."""
    inputs = np.random.default_rng(0).normal(-3, 2, (len(segments), 5, 1, 96, 64)).astype(np.float32)
    for clip, count in enumerate(segments):
        inputs[clip, count:] = 0
    return inputs, segments


def test_clip_brings_the_real_segments_of_each_clip_to_mean_0_and_deviation_1(shelf):
    inputs, segments = padded()
    result = ClipSpectrogram(shelf({}), segments=5).normalise(batch(inputs, segments)).inputs.numpy()
    for clip, count in enumerate(segments):
        real = inputs[clip, :count].astype(float)
        np.testing.assert_allclose(result[clip, :count], (real - real.mean()) / real.std(), atol=1e-5)
        assert not result[clip, count:].any()


def test_patches_does_so_at_every_position(shelf):
    inputs, segments = padded((5, 3, 2))
    data = ClipSpectrogram(shelf({}), segments=5, normalise="patches")
    result = data.normalise(batch(inputs, segments)).inputs.numpy()
    for clip, count in enumerate(segments):
        real = inputs[clip, :count].astype(float)
        np.testing.assert_allclose(result[clip, :count], (real - real.mean(0)) / real.std(0), rtol=1e-4, atol=1e-3)
        assert not result[clip, count:].any()


def test_none_leaves_inputs_as_they_are(shelf):
    inputs, segments = padded()
    assert np.array_equal(
        ClipSpectrogram(shelf({}), segments=5, normalise="none").normalise(batch(inputs, segments)).inputs, inputs
    )


@pytest.mark.parametrize("normalise", ["clip", "patches"])
@pytest.mark.parametrize("level", [np.log(0.01), 1e4, 0])
def test_silence_is_0_and_no_rounding_error_blown_up(shelf, normalise, level):
    inputs = np.full((2, 15, 1, 96, 64), level, np.float32)
    data = ClipSpectrogram(shelf({}), normalise=normalise)
    assert data.normalise(batch(inputs, (15, 4))).inputs.abs().max() < 0.01


def test_faces_are_pixels_as_they_are(shelf):
    inputs = np.random.default_rng(0).integers(0, 255, (1, 2, 3, 32, 32), dtype=np.uint8)
    data = FaceFrames(shelf({}), frames=2, size=32, crop=24)
    assert np.array_equal(data.normalise(batch(inputs, (2,))).inputs, inputs[..., 4:28, 4:28])


def test_what_cannot_be_normalised_so_is_refused(shelf):
    with pytest.raises(ValueError, match=r"Got normalise 'vgg_face': expected one of clip, patches, none\."):
        ClipSpectrogram(shelf({}), normalise="vgg_face")
    with pytest.raises(ValueError, match=r"Got normalise 'clip': expected one of none\."):
        FaceFrames(shelf({}), normalise="clip")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "Got batch_size 0: expected at least 1"),
        ({"train_segments": 0}, "Got train_segments 0: expected at least 1"),
        ({"segments": 0}, "Got segments 0: expected at least 1"),
    ],
)
def test_numbers_below_1_are_refused(shelf, settings, message):
    with pytest.raises(ValueError, match=message):
        ClipSpectrogram(shelf({}), **settings)


def test_a_crop_larger_than_its_frame_is_refused(shelf):
    with pytest.raises(ValueError, match=r"Got a crop of 64 pixels from frames of 48: expected no more"):
        FaceFrames(shelf({}), size=48, crop=64)
    with pytest.raises(ValueError, match=r"Got augment 0\.1 without a crop"):
        FaceFrames(shelf({}), size=48, augment=0.1)
