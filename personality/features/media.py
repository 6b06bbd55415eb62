"""Decoding of sound and pictures, by FFmpeg through PyAV."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, pairwise, takewhile
from pathlib import Path
from typing import Any, Literal, get_args

import av
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType

from personality.features.demux import (
    ANOTHER_RECORDING,
    Clock,
    Excerpt,
    Kind,
    MediaError,
    MediaInput,
    Openable,
    Stream,
    open_stream,
)

__all__ = [
    "DECODING",
    "Excerpt",
    "MediaError",
    "MediaInput",
    "Openable",
    "duration",
    "excerpts",
    "read_frames",
    "read_waveform",
]

DECODING = {
    "resampler": "swresample",  # shapes the top bands of a log-mel spectrogram
    "mix": "mean of two channels, FFmpeg's mix of more",
    "timing": "gaps in the sound are silent; what an edit list hides is left out",
    "pixels": "square",
}
"""How files are decoded; part of the parameters of a cache of features."""
GAP = 0.04  # seconds: a longer gap in the sound becomes silence; a shorter one is a rounded time stamp
LONGEST_GAP = 3600.0  # seconds
REORDERING = 0.5  # seconds that a frame may be stored before frames that are shown earlier


def _unknown_side_data(cls: Any, value: int) -> Any:
    """Let PyAV list the side data of a frame if some has an unknown type, such as EXIF."""
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


SideDataType._missing_ = classmethod(_unknown_side_data)  # type: ignore[assignment]


def read_waveform(source: MediaInput, rate: int, *, channels: Literal[1, 2] = 1) -> np.ndarray:
    """Decode the sound of a clip. It starts when a player starts to play the file, and gaps in it are silent.

    Damaged packets are left out, and a truncated file is read to its end. It is an error if no sound is left.

    Args:
        source: The file.
        rate: Sample rate of the result, in Hz.
        channels: 1 for mono: the mean of two channels, or FFmpeg's mix of more. 2 for stereo: a single channel is
            repeated, and more than two are mixed by FFmpeg.

    Returns:
        `(samples,)`, or `(samples, 2)`, float32 in [-1, 1], to the end of the sound.

    Raises:
        MediaError: The file cannot be decoded or has no sound, or the excerpt has none.
    """
    with open_stream(source, "audio") as stream:
        parts: list[np.ndarray] = []
        samples, end = 0, 0.0  # of the result so far; end in seconds
        for start, frames in _runs(stream):
            sound, sound_rate = _mix(frames, channels), frames[0].sample_rate
            if abs(start - end) < GAP and (parts or not isinstance(source, Excerpt)):
                start = end
            overlap = max(0.0, end - start)
            left = stream.seconds - start
            sound = sound[
                :, round(overlap * sound_rate) : None if left == math.inf else max(0, round(left * sound_rate))
            ]
            start += overlap
            silence = round(min(start, stream.seconds) * rate) - samples
            if silence > LONGEST_GAP * rate:
                raise ValueError(f"its sound has a gap of {silence / rate:.0f} s, so its time stamps are wrong")
            parts += [np.zeros((channels, max(0, silence)), np.float32), _resample(sound, sound_rate, rate)]
            samples += sum(part.shape[1] for part in parts[-2:])
            end = start + sound.shape[1] / sound_rate
        if not samples:
            raise ValueError(f"it has no sound from {stream.start:.2f} s to {stream.start + stream.seconds:.2f} s")
        waveform = np.concatenate(parts, axis=1).clip(-1, 1)
    return waveform[0] if channels == 1 else waveform.T


def read_frames(
    source: MediaInput, count: int, *, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Decode frames that are evenly spaced in a clip.

    The duration is divided into `count` equal parts. For each, the frame on screen at its centre is returned, by time
    stamps, since many cameras vary their frame rate; a clip with fewer frames repeats them. Frames are as a player
    shows them: rotated or mirrored as the file requires, with square pixels. Damage is treated as in `read_waveform`.

    Args:
        source: The file; or a folder of images, whose times are their numbers: 0, 1, 2, ... in natural order.
        count: Number of frames.
        size: `(height, width)` in pixels to which frames are scaled; by default the size of the first one.

    Returns:
        The frames, `(count, height, width, 3)` uint8 RGB, and their times, `(count,)` float64, in seconds after the
        file starts to play, as in `read_waveform`, or after the start of the excerpt.

    Raises:
        MediaError: The file cannot be decoded or has no picture, or the excerpt has none.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        return _read_images(Path(source), count, size)
    with open_stream(source, "video") as stream:
        stop = stream.start + stream.seconds
        # All packets, still compressed, since the end of the clip need not be in the header.
        packets = list(takewhile(lambda packet: _decoding_time(packet) < stop + REORDERING, stream.packets))
        start, end = _span(packets, stream.first)
        if isinstance(source, Excerpt):
            start, end = Fraction(source.start), min(end, Fraction(stop))
        if start > end:
            raise ValueError(f"it has no picture from {stream.start:.2f} s to {stop:.2f} s")
        centres = [start + (end - start) * Fraction(2 * number + 1, 2 * count) for number in range(count)]

        decoded = ((_time(frame), frame) for frame in _decode(packets, stream.clock))
        timed: Iterator[tuple[Any, Any]] = ((time, frame) for time, frame in decoded if time is not None)
        images: list[np.ndarray] = []
        times: list[float] = []
        for (time, shown), (following, _) in pairwise(chain(timed, [(math.inf, None)])):
            repeats = bisect_left(centres, following) - len(images)
            if repeats > 0:
                image = _upright(shown, size, stream.pixel_aspect)
                size = image.shape[:2]  # of all frames, even if the size of the stream changes
                images += [image] * repeats
                times += [float(time - Fraction(stream.start))] * repeats
            if len(images) == count:
                break
        return np.stack(images), np.array(times)


def excerpts(path: str | Path, kind: Kind, seconds: float) -> list[Excerpt]:
    """Divide the sound or the picture of a file into consecutive excerpts.

    Reads all packets of the file, and decodes them for a format without time stamps.

    Args:
        path: The file.
        kind: The stream to divide.
        seconds: Duration of an excerpt. A rest of less than half of it is left out; a short file is one excerpt.

    Raises:
        MediaError: The file cannot be opened, or has no such stream.
    """
    with open_stream(path, kind) as stream:
        start, end, rates = _extent(stream, kind)
        seekable = stream.clock.joined == 1 and rates <= 1
    count = max(1, round((end - start) / seconds))
    return [Excerpt(str(path), start + number * seconds, seconds, seekable) for number in range(count)]


def duration(path: str | Path) -> float:
    """Return how many seconds the sound or the picture of a file lasts, whichever is longer.

    Reads all packets of the file, and decodes them for a format without time stamps.

    Raises:
        MediaError: The file cannot be opened, or has neither sound nor picture.
    """
    found, failure = 0.0, None
    for kind in get_args(Kind):
        try:
            with open_stream(path, kind) as stream:
                start, end, _ = _extent(stream, kind)
                found = max(found, end - start)
        except MediaError as error:
            failure = error
    if not found and failure:
        raise failure
    return found


def _extent(stream: Stream, kind: Kind) -> tuple[float, float, int]:
    """Return when a stream starts and ends, and how many sample rates it has, if its format has no time stamps."""
    if kind == "audio" and stream.counts_samples:
        sound = [(start, frame.samples, frame.sample_rate) for start, frame in _timed(stream)]
        (first, _, _), (last, samples, rate) = sound[0], sound[-1]
        return stream.start + first, stream.start + last + samples / rate, len({each for _, _, each in sound})
    start, end = _span(stream.packets, stream.first)
    return float(start), float(end), 0


def _read_images(folder: Path, count: int, size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Read the images in a folder as `read_frames` reads a video; damaged ones are skipped."""
    natural = sorted(folder.iterdir(), key=lambda path: ([int(n) for n in re.findall(r"\d+", path.stem)], path.name))
    decoded: dict[Path, np.ndarray] = {}
    failure: Exception = ValueError("it holds no image")
    while natural:
        chosen = ((np.arange(count) + 0.5) * len(natural) / count).astype(int)
        picked = [natural[number] for number in chosen]
        for path in dict.fromkeys(picked):
            try:
                if path not in decoded:
                    with open_stream(path, "video") as stream:
                        decoded[path] = _upright(next(_decode(stream.packets, stream.clock)), size)
                    size = decoded[path].shape[:2]
            except MediaError as error:
                failure = error
                natural.remove(path)
        if all(path in decoded for path in picked):
            return np.stack([decoded[path] for path in picked]), chosen.astype(float)
    raise MediaError(f"{folder} has no image that can be decoded: {failure}; is it the folder of a clip?") from failure


def _time(stamped: Packet | av.VideoFrame) -> Fraction | None:
    """Return when a packet or frame is shown, in seconds, or when it is decoded: an AVI has only that."""
    pts = stamped.pts if stamped.pts is not None else stamped.dts
    return None if pts is None or stamped.time_base is None else pts * stamped.time_base


def _decoding_time(packet: Packet) -> float:
    return -math.inf if packet.dts is None or packet.time_base is None else float(packet.dts * packet.time_base)


def _span(packets: Iterable[Packet], first: float | None) -> tuple[Fraction, Fraction]:
    """Return when the picture or sound begins and ends, in seconds, without what an edit list hides."""
    spans = [
        (time, time + (packet.duration or 0) * packet.time_base)
        for packet in packets
        if not packet.is_discard and (time := _time(packet)) is not None
    ]
    if not spans:
        raise ValueError("no packet has a time stamp")
    start, end = min(spans)[0], max(end for _, end in spans)
    shown = start if first is None else max(start, Fraction(first))  # earlier packets only initialise the decoder
    return shown, end


def _decode(packets: Iterable[Packet], clock: Clock) -> Iterator[Any]:
    """Decode all packets but damaged ones. Raise the decoder's error if nothing of the last recording is decoded."""
    failure: Exception = ValueError("it ends before anything can be decoded")
    joined = 0  # number of the recording of the last frame
    for packet in packets:
        try:
            for frame in packet.decode():
                joined = clock.joined
                yield frame
        except av.FFmpegError as error:
            failure = error
    if not joined:
        raise failure
    if joined < clock.joined:
        raise ValueError(ANOTHER_RECORDING) from failure


def _timed(stream: Stream) -> Iterator[tuple[float, av.AudioFrame]]:
    """Yield the decoded sound frame by frame: its start in seconds after the start of the clip, and the frame."""
    end, rate, counting = 0.0, 0, False
    for frame in _decode(stream.packets, stream.clock):
        # Times that FFmpeg has computed are wrong after a change of the sample rate.
        counting = counting or (stream.counts_samples and rate not in (0, frame.sample_rate))
        start = end if counting or frame.time is None else frame.time - stream.start
        rate = frame.sample_rate
        yield start, frame
        end = start + frame.samples / rate


def _runs(stream: Stream) -> Iterator[tuple[float, list[av.AudioFrame]]]:
    """Yield runs of consecutive frames of one sample format: the start in seconds, and the frames.

    The last run may begin after the end of the excerpt, so that a gap before it becomes silence.
    """
    run: list[av.AudioFrame] = []
    first = end = 0.0
    for start, frame in _timed(stream):
        if run and (_sample_format(frame) != _sample_format(run[0]) or abs(start - end) >= GAP):
            yield first, run
            run = []
        if not run:
            first = end = start
        run.append(frame)
        end += frame.samples / frame.sample_rate
        if start >= stream.seconds:
            break
    yield first, run


def _sample_format(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _mix(frames: list[av.AudioFrame], channels: Literal[1, 2]) -> np.ndarray:
    """Mix frames of one sample format to `(channels, samples)` float32; FFmpeg mixes more than two channels."""
    layout: Any = frames[0].layout
    if layout.nb_channels > 2:  # mixed before conversion: PyAV raises an error for more than eight planes
        layout = "mono" if channels == 1 else "stereo"
    resampler = av.AudioResampler("fltp", layout, frames[0].sample_rate)
    parts = [part.to_ndarray() for frame in [*frames, None] for part in resampler.resample(frame)]
    sound = np.concatenate(parts, axis=1)
    return sound.mean(0, keepdims=True) if channels == 1 else sound[[0, -1]]


def _resample(sound: np.ndarray, source_rate: int, rate: int) -> np.ndarray:
    """Resample `(channels, samples)`, to exactly the same duration."""
    samples = round(sound.shape[1] * rate / source_rate)
    parts: list[np.ndarray] = []
    if samples:
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", "mono" if len(sound) == 1 else "stereo")
        whole.sample_rate = source_rate
        resampler = av.AudioResampler("fltp", whole.layout, rate)
        parts = [part.to_ndarray() for frame in (whole, None) for part in resampler.resample(frame)]
    rest = np.zeros((len(sound), samples), np.float32)  # FFmpeg returns a few samples too many or too few
    return np.concatenate([*parts, rest], axis=1)[:, :samples]


def _upright(frame: av.VideoFrame, size: tuple[int, int] | None = None, pixel_aspect: float = 1.0) -> np.ndarray:
    """Convert a frame of any pixel format to `(height, width, 3)` uint8 RGB, rotated as a player shows it."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    right, down = np.eye(2) if matrix is None else np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]].reshape(2, 2)
    turned = abs(right[1]) > abs(right[0])  # right in the file is down or up on the screen
    if size is None:
        height, width = round(frame.height / min(1, pixel_aspect)), round(frame.width * max(1, pixel_aspect))
    else:
        height, width = size[::-1] if turned else size
    image = frame.to_ndarray(width=width, height=height, format="rgb24", interpolation="BICUBIC", threads=1)
    if turned:
        image, right, down = image.transpose(1, 0, 2), down, right
    return image[:: -1 if down[1] < 0 else 1, :: -1 if right[0] < 0 else 1]
