"""The references are written from the papers' formulas in NumPy, or are another library."""

import numpy as np
import pytest
import torch
from python_speech_features import logfbank

from personality.features import audio


def tone(frequency, rate, seconds=2.0, loudness=0.5):
    return loudness * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def speech_like(rate, seconds=2.0):
    """Harmonics of a gliding voice, shaped by three formants, in syllables, over faint noise."""
    time = np.arange(round(seconds * rate)) / rate
    voice = np.zeros_like(time)
    for harmonic in range(1, 40):
        frequency = harmonic * (120 + 20 * np.sin(2 * np.pi * 0.7 * time))
        formants = sum(np.exp(-(((frequency - centre) / 150) ** 2)) for centre in (500, 1500, 2500))
        voice += formants * np.sin(2 * np.pi * np.cumsum(frequency) / rate)
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)
    return 0.2 * syllables * voice + 1e-3 * np.random.default_rng(0).standard_normal(len(time))


def noise(rate, seconds=2.0):
    return np.random.default_rng(1).uniform(-1, 1, round(seconds * rate))


def log_mel_of_the_paper(waveform):
    """VGGish's front end by its formulas, one frame and one band after the other."""
    hann = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / 400) for n in range(400)])
    mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    spacing = (mel(7500) - mel(125)) / 65
    spectra = [
        np.abs(np.fft.rfft(waveform[start : start + 400] * hann, 512)) for start in range(0, len(waveform) - 399, 160)
    ]
    pitch = mel(np.arange(257) * 16_000 / 512)
    bands = [np.maximum(0, 1 - np.abs(pitch - (mel(125) + band * spacing)) / spacing) for band in range(1, 65)]
    return np.log(np.array(spectra) @ np.array(bands).T + 0.01)


SOUNDS = {
    "noise": noise(16_000),
    "tone": tone(440, 16_000),
    "loud tone": tone(3000, 16_000, loudness=1),
    "loud low tone": tone(60, 16_000, loudness=1),
    "speech": speech_like(16_000),
    "silence": np.zeros(32_000),
    "click": np.eye(1, 32_000, 16_000)[0],
    "one window": noise(16_000)[:400],
}


@pytest.mark.parametrize("name", SOUNDS)
def test_log_mel_is_the_paper_s(name):
    waveform = SOUNDS[name].astype(np.float32)
    frames = audio.log_mel(torch.from_numpy(waveform))
    assert frames.dtype == torch.float32
    np.testing.assert_allclose(frames, log_mel_of_the_paper(waveform.astype(np.float64)), rtol=0, atol=2e-6)


def test_log_mel_takes_any_number_of_leading_dimensions():
    waveforms = torch.rand(2, 3, 8_000) - 0.5
    frames = audio.log_mel(waveforms)
    assert frames.shape == (2, 3, 48, 64)
    torch.testing.assert_close(frames[1, 2], audio.log_mel(waveforms[1, 2]))


@pytest.mark.parametrize("band", [0, 7, 31, 50, 63])
def test_a_tone_lights_the_band_that_bears_its_frequency(band):
    assert audio.mel_frequencies().shape == (64,)
    frames = audio.log_mel(torch.from_numpy(tone(audio.mel_frequencies()[band], 16_000)))
    assert torch.all(frames.argmax(-1) == band)


def test_a_click_is_heard_when_it_happens():
    clicked = (audio.log_mel(torch.from_numpy(SOUNDS["click"])).mean(-1) > -4).nonzero().squeeze()
    centres = (clicked * audio.HOP + audio.WINDOW / 2) / audio.RATE
    np.testing.assert_allclose(centres, 1.0, atol=audio.WINDOW / 2 / audio.RATE)


@pytest.mark.parametrize(("samples", "patches"), [(15_600, 1), (15_600 + 15_359, 1), (30_960, 2), (244_800, 15)])
def test_patches_follow_one_another_without_overlap(samples, patches):
    waveform = torch.rand(samples) - 0.5
    spectrogram = audio.clip_spectrogram(waveform)
    assert spectrogram.shape == (patches, 1, 96, 64)
    torch.testing.assert_close(spectrogram.flatten(0, 2), audio.log_mel(waveform)[: patches * 96])


def test_fifteen_patches_need_as_many_samples_as_the_data_set_has():
    assert len(audio.clip_spectrogram(torch.zeros(230_640))) == 15
    assert len(audio.clip_spectrogram(torch.zeros(230_639))) == 14


def test_the_summary_is_a_mean_over_sixty_milliseconds():
    waveform = torch.rand(15 * 16_000) - 0.5
    summary = audio.summary_spectrogram(waveform)
    patches = audio.clip_spectrogram(waveform)[:13].reshape(1248, 64)  # the paper joins 13 patches and averages
    assert summary.shape == (1, 1, 208, 64)
    for row in (0, 100, 207):
        torch.testing.assert_close(summary[0, 0, row], patches[6 * row : 6 * row + 6].mean(0))


def test_silence_follows_a_summary_of_a_short_clip():
    waveform = torch.from_numpy(noise(16_000, 2.0))  # 198 frames: 33 rows
    summary = audio.summary_spectrogram(waveform)[0, 0]
    torch.testing.assert_close(summary[:33], audio.log_mel(waveform).reshape(33, 6, 64).mean(1))
    torch.testing.assert_close(summary[33:], audio.log_mel(torch.zeros(2_000))[:1].expand(175, 64))


@pytest.mark.parametrize("samples", [1, 30_000, 61_207, 61_208, 70_000])
def test_the_spectrum_is_the_fourier_transform_of_exactly_61208_samples(samples):
    waveform = noise(4_000, 20.0)[:samples]
    whole = np.zeros(61_208)
    whole[: min(samples, 61_208)] = waveform[:61_208]
    transform = np.fft.fft(whole)
    expected = {
        "magnitude": np.abs(transform[:30_605]),
        "log": np.log(np.abs(transform[:30_605]) + 0.01),
        "real": transform.real,
    }
    for scale, values in expected.items():
        spectrum = audio.spectrum(torch.from_numpy(waveform), scale)
        assert spectrum.dtype == torch.float32
        assert spectrum.shape == (1, 1, len(values))
        assert audio.spectrum_frequencies(scale).shape == values.shape
        np.testing.assert_allclose(spectrum[0, 0], values, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("scale", ["magnitude", "log", "real"])
@pytest.mark.parametrize("frequency", [55, 440, 1999])
def test_a_tone_peaks_at_its_frequency(scale, frequency):
    waveform = tone(frequency, 4_000, 16) if scale != "real" else np.roll(tone(frequency, 4_000, 16), 1)
    peak = audio.spectrum(torch.from_numpy(waveform), scale)[0, 0].abs().argmax()
    found = audio.spectrum_frequencies(scale)[peak]
    assert min(found, 4_000 - found) == pytest.approx(frequency, abs=4_000 / 61_208)


def test_the_real_part_mirrors_above_half_the_rate():
    spectrum = audio.spectrum(torch.from_numpy(speech_like(4_000)), "real")[0, 0]
    torch.testing.assert_close(spectrum[1:], spectrum[1:].flip(0))


@pytest.mark.parametrize("sound", [noise, speech_like, lambda rate: tone(1000, rate, loudness=1)])
@pytest.mark.parametrize("samples", [1, 500, 1_103, 1_104, 44_100, 60_001])
def test_the_filterbank_is_python_speech_features(sound, samples):
    waveform = sound(44_100)[:samples]
    ours = audio.log_filterbank(torch.from_numpy(waveform))
    theirs = logfbank(waveform, 44_100, nfft=2_048)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours[0, 0], theirs, rtol=1e-6, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The 'warn' function is deprecated")  # the reference's word for a truncated window
def test_the_published_filterbank_is_interleaved_and_truncated():
    stereo = np.stack([speech_like(44_100), noise(44_100)], axis=1)
    ours = audio.log_filterbank(torch.from_numpy(stereo), as_published=True)
    np.testing.assert_allclose(ours[0, 0], logfbank(stereo.ravel(), 44_100, nfft=512), rtol=1e-6, atol=1e-5)


def test_a_clip_of_the_data_set_has_the_published_number_of_energies():
    samples = round(15.3 * 44_100)
    assert audio.log_filterbank(torch.zeros(samples)).numel() == 39_754
    assert audio.log_filterbank(torch.zeros(samples, 2), as_published=True).numel() == 79_534


def test_silence_has_a_finite_energy():
    np.testing.assert_allclose(audio.log_filterbank(torch.zeros(4_410)), np.log(np.finfo(np.float64).eps), rtol=1e-6)


@pytest.mark.parametrize("band", [0, 3, 12, 25])
def test_a_tone_lights_the_filter_that_bears_its_frequency(band):
    assert audio.filterbank_frequencies().shape == (26,)
    energies = audio.log_filterbank(torch.from_numpy(tone(audio.filterbank_frequencies()[band], 44_100, 1)))[0, 0]
    assert torch.all(energies[1:-1].argmax(-1) == band)


def test_a_short_sound_says_how_much_is_needed():
    with pytest.raises(ValueError, match=r"at least one window of 400 samples, but got 399"):
        audio.log_mel(torch.zeros(2, 399))
    for front_end in (audio.clip_spectrogram, audio.summary_spectrogram):
        with pytest.raises(
            ValueError, match=r"at least 0\.975 s \(15600 samples at 16000 Hz\).*got \(8000,\).*0\.500 s"
        ):
            front_end(torch.zeros(8_000))
    for front_end in (audio.spectrum, audio.log_filterbank):
        with pytest.raises(ValueError, match=r"at least 0\.000 s \(1 samples.*got \(0,\)"):
            front_end(torch.zeros(0))


def test_what_is_not_the_expected_shape_or_scale_is_refused():
    with pytest.raises(ValueError, match=r"mono sound \(samples,\).*got \(2, 16000\)"):
        audio.clip_spectrogram(torch.zeros(2, 16_000))
    with pytest.raises(ValueError, match=r"stereo sound \(samples, 2\), but got \(44100,\); read it with channels=2"):
        audio.log_filterbank(torch.zeros(44_100), as_published=True)
    with pytest.raises(ValueError, match=r"a scale among magnitude, log, real, but got 'power'"):
        audio.spectrum(torch.zeros(4_000), "power")
