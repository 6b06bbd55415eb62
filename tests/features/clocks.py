"""Media files in which every moment is known: each tenth of a second has a pitch, each frame shows its number."""

from fractions import Fraction

import av
import numpy as np

FPS, BITS = 25, 10
RATE = 16_000


def melody(seconds, seed=0):
    """A pitch a tenth of a second, at random: no two seconds sound alike. `(samples,)` float32 at `RATE`."""
    pitches = np.random.default_rng(seed).uniform(200, 3000, round(10 * seconds))
    phase = 2 * np.pi * np.cumsum(np.repeat(pitches, RATE // 10)) / RATE
    return (0.3 * np.sin(phase)).astype(np.float32)


def lag(sound, reference):
    """Return by how many seconds a sound is later than the reference."""
    size = len(sound) + len(reference)
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(reference, size).conj()
    shift = int(np.fft.irfft(spectrum, size).argmax())
    return (shift if shift < len(sound) else shift - size) / RATE


def picture(number):
    """Frame that shows its number as ten black or white bars."""
    bars = 230 * np.array([number >> bit & 1 for bit in range(BITS)], np.uint8)
    return np.broadcast_to(np.repeat(bars, 16)[None, :, None], (32, 16 * BITS, 3)).copy()


def number_of(image):
    """Read the number that a frame shows."""
    bars = np.array_split(image.mean((0, 2)), BITS)
    return sum((bar.mean() > 115) << bit for bit, bar in enumerate(bars))


def write_media(path, *, sound=0.0, sound_at=0.0, gap=None, picture_seconds=0.0, picture_at=0.0, first=0, **how):
    """Write a file of known sound and known pictures.

    Args:
        path: The file.
        sound: Seconds of sound.
        sound_at: When it starts, in seconds.
        gap: `(start, end)` in seconds after the start of the sound: what lies between is left out.
        picture_seconds: Seconds of pictures.
        picture_at: When they start.
        first: The number of the first frame.
        **how: `sound_codec`, `rate` (Hz), `seed` of the melody, `picture_codec`, `every` (frames from one key frame to
            the next), `aspect` (of a pixel), `options` and `format` of the container, `shift` (seconds, of all times).
    """
    rate, shift = how.get("rate", 48_000), how.get("shift", 0.0)
    options = {"avoid_negative_ts": "disabled"} | how.get("options", {})
    with av.open(str(path), "w", format=how.get("format"), options=options) as container:
        pictures = voice = None
        packets = []
        if picture_seconds:
            codec = how.get("picture_codec", "libx264")
            pictures = container.add_stream(codec, FPS, width=16 * BITS, height=32, pix_fmt="yuv420p")
            pictures.codec_context.gop_size = how.get("every", 12)
            if codec == "libx264":
                pictures.codec_context.options = {"preset": "ultrafast", "bf": "2", "sc_threshold": "0"}
            else:
                pictures.codec_context.bit_rate = 400_000
            if "aspect" in how:
                pictures.codec_context.sample_aspect_ratio = how["aspect"]
        if sound:
            voice = container.add_stream(how.get("sound_codec", "aac"), rate, layout="mono")
            frame = av.AudioFrame.from_ndarray(melody(sound, how.get("seed", 0))[None], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            resampler = av.AudioResampler(voice.format.name, "mono", rate)
            frames = [part for each in (frame, None) for part in resampler.resample(each)]
            encoded = [packet for each in [*frames, None] for packet in voice.encode(each)]
            packets += [_move(p, sound_at + shift) for p in encoded if not (gap and gap[0] <= _seconds(p) < gap[1])]
        if pictures is not None:
            encoded = []
            for number in range(round(picture_seconds * FPS)):
                image = av.VideoFrame.from_ndarray(picture(first + number))
                image.pts, image.time_base = number, Fraction(1, FPS)
                encoded += pictures.encode(image)
            packets += [_move(packet, picture_at + shift) for packet in [*encoded, *pictures.encode()]]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _seconds(packet):
    return float(packet.pts * packet.time_base)


def _move(packet, seconds):
    units = round(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + units, packet.dts + units
    return packet
