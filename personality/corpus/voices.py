"""The sound of a made clip: a voice babbles in no language, and warbling tones over it carry the planted evidence."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.signal import ShortTimeFFT, butter, sosfilt
from scipy.signal.windows import hann, tukey

RATE = 44_100  # Hz, as in First Impressions
SPEECH_LEVEL = 0.05  # root mean square, of a full scale of 1
ROOM_LEVEL = 0.001

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
    """What stays the same whenever a person speaks."""

    pitch: float
    """Hz."""
    scale: float
    """Of all formants: above 1 for a vocal tract that is shorter than a man's."""
    tempo: float
    """Syllables a second."""
    breath: float
    """Share of noise in the voice."""


class Score(NamedTuple):
    """What a voice does from syllable to syllable: curves, each given by its values at `times`."""

    times: np.ndarray
    """`(points,)` seconds, ascending."""
    loudness: np.ndarray
    """`(points,)` in [0, 1]."""
    hiss: np.ndarray
    """`(points,)` in [0, 1]: how loud a consonant is."""
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
"""Between which frequencies each tone warbles, in Hz: six of VGGish's 64 mel bands, then two bands of silence."""
TONE_SECONDS = 0.2
TONE_LEVELS = (-16, 12)  # dB of the speech, at strength 0 and 1
WARBLE = 40  # Hz: a window of 25 ms hears the whole band


def meet_voice(random: np.random.Generator) -> Voice:
    """Draw a voice: low with a long vocal tract, high with a short one."""
    shortness = random.uniform()
    return Voice(
        pitch=95 * 2 ** (1.2 * shortness) * random.uniform(0.93, 1.07),
        scale=1 + 0.18 * shortness + random.uniform(-0.03, 0.03),
        tempo=random.uniform(3.5, 5.5),
        breath=random.uniform(0.01, 0.06),
    )


def compose(voice: Voice, seconds: float, random: np.random.Generator) -> Score:
    """Make up what a voice says: phrases of four to ten syllables that fall in pitch, and pauses between them."""
    points: list[tuple[float, ...]] = []
    time = random.uniform(0, 0.3)
    while time < seconds:
        for place in np.linspace(1, 0, random.integers(4, 11)):
            length = random.lognormal(0, 0.2) / voice.tempo
            pitch = voice.pitch * (0.9 + 0.25 * place + random.uniform(-0.06, 0.06))
            vowel = voice.scale * random.choice(VOWELS)
            stress = random.uniform(0.5, 1)
            hiss = random.uniform() * (random.uniform() < 0.4)
            points.append((time, 0.05, hiss, pitch, *vowel))
            points.append((time + 0.35 * length, stress, 0, 1.05 * pitch, *vowel))
            points.append((time + 0.7 * length, 0.8 * stress, 0, pitch, *vowel))
            time += length
        points.append((time, 0, 0, pitch, *vowel))
        time += random.uniform(0.2, 0.6)
        points.append((time - 0.02, 0, 0, pitch, *vowel))
    times, loudness, hiss, pitches, *formants = np.array(points).T
    return Score(times, loudness, hiss, pitches, np.array(formants))


def speak(voice: Voice, score: Score, seconds: float, random: np.random.Generator) -> np.ndarray:
    """Sound a score: glottal pulses and noise, shaped by formants that move.

    Returns:
        `(samples,)` at `RATE`, of root mean square `SPEECH_LEVEL`.
    """
    times = np.arange(round(seconds * RATE)) / RATE
    loudness, hiss, pitch = (np.interp(times, score.times, curve) for curve in score[1:4])
    phase = np.cumsum(pitch) / RATE % 1 / 0.6  # the glottis is open for six tenths of a period
    pulses = np.where(phase < 1, 2 * phase - 3 * phase**2, 0)  # the derivative of its flow: Klatt and Klatt (1990)
    noise = random.standard_normal(len(times))

    frames = ShortTimeFFT(hann(2048, sym=False), hop=1024, fs=RATE)
    formants = np.stack([np.interp(frames.t(len(times)), score.times, curve) for curve in score.formants])
    higher = np.broadcast_to(voice.scale * HIGHER_FORMANTS[:, None], (2, formants.shape[1]))
    power, damping = frames.f[:, None] ** 2, np.ones((frames.f_pts, formants.shape[1]))
    for centre, width in zip((*formants, *higher), FORMANT_WIDTHS, strict=True):
        damping *= ((centre**2 - power) ** 2 + width**2 * power) / centre**4  # of a resonance of second order
    throat = frames.stft(loudness * (pulses + voice.breath * noise)) / np.sqrt(damping)
    teeth = sosfilt(butter(3, 4000, "highpass", fs=RATE, output="sos"), 0.15 * hiss * noise)
    speech = frames.istft(throat, k1=len(times)) + teeth
    return speech * (SPEECH_LEVEL / np.sqrt(np.mean(speech**2)))


def mouth_opening(score: Score, times: np.ndarray) -> np.ndarray:
    """Say how far a mouth opens for a score, `(n,)` in [0, 1]: wide for what is loud and has a high first formant."""
    jaw = np.clip((score.formants[0] - 200) / 600, 0.15, 1)
    return np.interp(times, score.times, score.loudness * jaw)


def recur(seconds: float, random: np.random.Generator) -> np.ndarray:
    """Draw the moments, in seconds, at which a tone begins: about nine in ten spectrogram patches."""
    moments = np.cumsum([random.uniform(0, 1), *random.uniform(0.95, 1.3, round(2 * seconds))])
    return moments[moments + TONE_SECONDS < seconds]


def warble(tone: str, strength: float) -> np.ndarray:
    """Sound one of `TONES` once, `(samples,)` at `RATE`: its level in dB is linear in its strength."""
    times = np.arange(round(TONE_SECONDS * RATE)) / RATE
    low, high = TONES[tone]
    frequency = np.sqrt(low * high) * np.sqrt(high / low) ** np.sin(2 * np.pi * WARBLE * times)
    amplitude = np.sqrt(2) * SPEECH_LEVEL * 10 ** (np.interp(strength, (0, 1), TONE_LEVELS) / 20)
    return amplitude * tukey(len(times), 0.3) * np.sin(2 * np.pi * np.cumsum(frequency) / RATE)


def record(speech: np.ndarray, tones: Iterable[tuple[float, np.ndarray]], random: np.random.Generator) -> np.ndarray:
    """Bring speech and tones to the two microphones of a camera in a quiet room.

    Args:
        speech: `(samples,)` at `RATE`.
        tones: When each begins, in seconds, and its samples.
        random: Draws the loudness of the recording and the noise of the room.

    Returns:
        `(samples, 2)` float32 in [-1, 1].
    """
    sound = speech.copy()
    for moment, tone in tones:
        start = round(moment * RATE)
        sound[start : start + len(tone)] += tone
    gain = 10 ** (random.uniform(-6, 3) / 20)
    noise = ROOM_LEVEL * random.standard_normal((len(sound), 2), np.float32)
    return np.clip(gain * sound[:, None] + noise, -1, 1).astype(np.float32)
