"""The sound of a synthetic clip: babble, speech of no language, and warbling tones that carry the cues."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.signal import ShortTimeFFT, butter, sosfilt
from scipy.signal.windows import hann, tukey

RATE = 44_100  # Hz, as in First Impressions
SPEECH_LEVEL = 0.05  # root mean square, of a full scale of 1
NOISE_LEVEL = 0.001  # root mean square

VOWELS = np.array(
    [
        *[(270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440)],
        *[(570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690)],
    ]
)
"""First three formants of ten vowels, in Hz: Peterson and Barney (1952), means of men."""
HIGHER_FORMANTS = np.array([3500, 4500])  # Hz: nearly the same in every vowel
FORMANT_WIDTHS = (70, 90, 130, 200, 250)  # Hz


class Voice(NamedTuple):
    """The voice of a person, the same in all their clips."""

    pitch: float
    """In Hz."""
    scale: float
    """Factor of all formants: above 1 for a vocal tract shorter than a man's."""
    tempo: float
    """In syllables a second."""
    breath: float
    """Share of noise in the voice."""


class Speech(NamedTuple):
    """How a voice changes over a clip: curves, given by their values at `times`."""

    times: np.ndarray
    """`(points,)` seconds, ascending."""
    loudness: np.ndarray
    """`(points,)` in [0, 1]."""
    hiss: np.ndarray
    """`(points,)` in [0, 1]: loudness of consonants."""
    pitch: np.ndarray
    """`(points,)` Hz."""
    formants: np.ndarray
    """`(3, points)` Hz."""


TONES = {
    "hum": (475, 702),
    "hoot": (858, 1159),
    "coo": (1367, 1767),
    "whistle": (2043, 2572),
    "chirp": (2938, 3641),
    "tweet": (4127, 5059),
    "cricket": (5703, 6941),
}
"""Lowest and highest frequency of each tone, in Hz: six of VGGish's 64 mel bands, then two bands of silence."""
TONE_SECONDS = 0.2
TONE_LEVELS = (-16, 12)  # dB relative to the speech, at strength 0 and 1
WARBLE = 40  # Hz: one window of 25 ms contains the whole band


def random_voice(rng: np.random.Generator) -> Voice:
    """Choose a voice at random: low with a long vocal tract, high with a short one."""
    shortness = rng.uniform()
    return Voice(
        pitch=95 * 2 ** (1.2 * shortness) * rng.uniform(0.93, 1.07),
        scale=1 + 0.18 * shortness + rng.uniform(-0.03, 0.03),
        tempo=rng.uniform(3.5, 5.5),
        breath=rng.uniform(0.01, 0.06),
    )


def random_speech(voice: Voice, seconds: float, rng: np.random.Generator) -> Speech:
    """Generate phrases of four to ten syllables that fall in pitch, and pauses between them."""
    points: list[tuple[float, ...]] = []
    time = rng.uniform(0, 0.3)
    while time < seconds:
        for height in np.linspace(1, 0, rng.integers(4, 11)):
            length = rng.lognormal(0, 0.2) / voice.tempo
            pitch = voice.pitch * (0.9 + 0.25 * height + rng.uniform(-0.06, 0.06))
            vowel = voice.scale * rng.choice(VOWELS)
            stress = rng.uniform(0.5, 1)
            hiss = rng.uniform() * (rng.uniform() < 0.4)
            points.append((time, 0.05, hiss, pitch, *vowel))
            points.append((time + 0.35 * length, stress, 0, 1.05 * pitch, *vowel))
            points.append((time + 0.7 * length, 0.8 * stress, 0, pitch, *vowel))
            time += length
        points.append((time, 0, 0, pitch, *vowel))
        time += rng.uniform(0.2, 0.6)
        points.append((time - 0.02, 0, 0, pitch, *vowel))
    times, loudness, hiss, pitches, *formants = np.array(points).T
    return Speech(times, loudness, hiss, pitches, np.array(formants))


def synthesise_speech(voice: Voice, speech: Speech, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Synthesise speech: glottal pulses and noise, filtered by moving formants.

    Returns:
        `(samples,)` at `RATE`; its root mean square is `SPEECH_LEVEL`.
    """
    times = np.arange(round(seconds * RATE)) / RATE
    loudness, hiss, pitch = (np.interp(times, speech.times, curve) for curve in speech[1:4])
    phase = np.cumsum(pitch) / RATE % 1 / 0.6  # the glottis is open for 60 % of a period
    pulses = np.where(phase < 1, 2 * phase - 3 * phase**2, 0)  # derivative of its flow: Klatt and Klatt (1990)
    noise = rng.standard_normal(len(times))

    frames = ShortTimeFFT(hann(2048, sym=False), hop=1024, fs=RATE)
    formants = np.stack([np.interp(frames.t(len(times)), speech.times, curve) for curve in speech.formants])
    higher = np.broadcast_to(voice.scale * HIGHER_FORMANTS[:, None], (2, formants.shape[1]))
    power, damping = frames.f[:, None] ** 2, np.ones((frames.f_pts, formants.shape[1]))
    for centre, width in zip((*formants, *higher), FORMANT_WIDTHS, strict=True):
        damping *= ((centre**2 - power) ** 2 + width**2 * power) / centre**4  # of a resonance of second order
    throat = frames.stft(loudness * (pulses + voice.breath * noise)) / np.sqrt(damping)
    teeth = sosfilt(butter(3, 4000, "highpass", fs=RATE, output="sos"), 0.15 * hiss * noise)
    sound = frames.istft(throat, k1=len(times)) + teeth
    return sound * (SPEECH_LEVEL / np.sqrt(np.mean(sound**2)))


def mouth_opening(speech: Speech, times: np.ndarray) -> np.ndarray:
    """Return how far the mouth is open, `(n,)` in [0, 1]: wide where speech is loud and its first formant is high."""
    jaw = np.clip((speech.formants[0] - 200) / 600, 0.15, 1)
    return np.interp(times, speech.times, speech.loudness * jaw)


def random_tone_times(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Choose when a tone begins, in seconds: it is then in about nine of ten spectrogram patches."""
    times = np.cumsum([rng.uniform(0, 1), *rng.uniform(0.95, 1.3, round(2 * seconds))])
    return times[times + TONE_SECONDS < seconds]


def synthesise_tone(tone: str, strength: float) -> np.ndarray:
    """Synthesise one of `TONES`, `(samples,)` at `RATE`; its level in dB is linear in its strength, in [0, 1]."""
    times = np.arange(round(TONE_SECONDS * RATE)) / RATE
    low, high = TONES[tone]
    frequency = np.sqrt(low * high) * np.sqrt(high / low) ** np.sin(2 * np.pi * WARBLE * times)
    amplitude = np.sqrt(2) * SPEECH_LEVEL * 10 ** (np.interp(strength, (0, 1), TONE_LEVELS) / 20)
    return amplitude * tukey(len(times), 0.3) * np.sin(2 * np.pi * np.cumsum(frequency) / RATE)


def record(speech: np.ndarray, tones: Iterable[tuple[float, np.ndarray]], rng: np.random.Generator) -> np.ndarray:
    """Mix speech and tones, and record them with two microphones in a quiet room.

    Args:
        speech: `(samples,)` at `RATE`.
        tones: The start of each tone, in seconds, and its samples.
        rng: Chooses the gain of the recording and the noise of the room.

    Returns:
        `(samples, 2)` float32 in [-1, 1].
    """
    sound = speech.copy()
    for seconds, tone in tones:
        start = round(seconds * RATE)
        sound[start : start + len(tone)] += tone
    gain = 10 ** (rng.uniform(-6, 3) / 20)
    noise = NOISE_LEVEL * rng.standard_normal((len(sound), 2), np.float32)
    return np.clip(gain * sound[:, None] + noise, -1, 1).astype(np.float32)
