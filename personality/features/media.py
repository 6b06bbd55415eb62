"""Sound and pictures out of a video file, by FFmpeg through PyAV."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, groupby, pairwise, takewhile
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol, runtime_checkable

import av
import numpy as np
from av.packet import Packet
from av.stream import Disposition

RESAMPLER = "swresample"  # shapes the top bands of a log-mel spectrogram: part of how a feature was made
KINDS: tuple[Literal["audio", "video"], ...] = ("audio", "video")
REORDERING = 0.5  # seconds: frames that are shown late may be stored early
INTEGER_SCALES = {"uint8": (128, 128), "int16": (0, 2**15), "int32": (0, 2**31)}  # silence and full scale


class Excerpt(NamedTuple):
    """A part of a file that is too long to be one clip; it is a source as the file is."""

    path: str
    start: float
    """In seconds on the clock of the file, which need not begin at 0: that of a recorded broadcast seldom does."""
    seconds: float


@runtime_checkable
class Openable(Protocol):
    """What opens itself, such as a clip in an archive, and as a string tells its name."""

    def open(self) -> BinaryIO:
        """Open it as a file that can seek."""


Source = str | Path | BinaryIO | Openable | Excerpt
"""A file of any kind that FFmpeg reads, part of one, a binary file that can seek, or what opens itself as one."""


class MediaError(ValueError):
    """A file without sound or picture that can be decoded: the message names it and keeps the decoder's words."""


def read_waveform(source: Source, rate: int, *, channels: Literal[1, 2] = 1) -> np.ndarray:
    """Decode the sound of a clip.

    A damaged packet is left out, and a file that breaks off gives what comes before: it is an error only if that is
    nothing.

    Args:
        source: The file.
        rate: Samples a second of the result, in Hz.
        channels: 1 for the mean of all channels; 2 for the first two, left and right (a single one stands twice).

    Returns:
        `(samples,)`, or `(samples, 2)`, float32 in [-1, 1]: as long as the sound, to the nearest sample.

    Raises:
        MediaError: The file cannot be decoded or has no sound.
    """
    with _packets(source, "audio") as packets:
        frames = list(_decoded(packets))
        blocks = [
            sound.mean(0, keepdims=True) if channels == 1 else sound[[0, min(1, len(sound) - 1)]]
            for sound in _planes(frames)
        ]
        whole, frame_rate = np.concatenate(blocks, axis=1), frames[-1].sample_rate
        if isinstance(source, Excerpt):
            first = max(0, round((source.start - (frames[0].time or 0.0)) * frame_rate))
            whole = whole[:, first : first + round(source.seconds * frame_rate)]
        waveform = _resampled(whole, frame_rate, rate).clip(-1, 1)
    return waveform[0] if channels == 1 else waveform.T


def read_frames(source: Source, count: int, *, size: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode frames spread evenly over a clip.

    The duration is cut into `count` equal parts, and the frame that is on screen at the centre of a part stands for it.
    Time stamps decide, not frame numbers, since many cameras vary their frame rate; a clip of too few frames repeats
    them. Frames stand upright, as a player shows them. Damage is treated as in `read_waveform`.

    Args:
        source: The file; or a folder of images, whose moments are their numbers: 0, 1, 2, ... in natural order.
        count: How many frames.
        size: `(height, width)` in pixels to which frames are scaled; None leaves them as the first one is.

    Returns:
        The frames, `(count, height, width, 3)` uint8 RGB, and when each appeared, `(count,)` float64 seconds after the
        beginning: the first frame of the file, or the start of the excerpt.

    Raises:
        MediaError: The file cannot be decoded or has no picture.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        return _read_images(Path(source), count, size)
    with _packets(source, "video") as stream:
        packets = list(stream)  # still compressed; together they tell when the clip ends, which a header may not know
        stamps = [(packet.pts, packet.duration or 0) for packet in packets if packet.pts is not None]
        if not stamps:
            raise ValueError("no packet has a time stamp")
        start, end = min(stamps)[0], sum(max(stamps))
        if isinstance(source, Excerpt):
            unit = packets[0].time_base
            start, end = round(source.start / unit), min(end, round((source.start + source.seconds) / unit))
        centres = start + (np.arange(count) + 0.5) * (end - start) / count

        timed = (frame for frame in _decoded(packets) if frame.pts is not None)
        images: list[np.ndarray] = []
        times: list[float] = []
        for shown, following in pairwise(chain(timed, [None])):
            due = (count if following is None else int(np.searchsorted(centres, following.pts))) - len(images)
            if due > 0:
                image = _upright(shown, size)
                size = image.shape[:2]  # of all frames, should the stream change its mind
                images += [image] * due
                times += [float((shown.pts - start) * shown.time_base)] * due
            if len(images) == count:
                break
        return np.stack(images), np.array(times)


def _read_images(folder: Path, count: int, size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Read images of a folder as `read_frames` reads a video; one that is damaged is passed over."""
    natural = sorted(folder.iterdir(), key=lambda path: ([int(n) for n in re.findall(r"\d+", path.stem)], path.name))
    decoded: dict[Path, np.ndarray] = {}
    failure: Exception = ValueError("it holds no image")
    while natural:
        chosen = ((np.arange(count) + 0.5) * len(natural) / count).astype(int)
        picked = [natural[number] for number in chosen]
        for path in dict.fromkeys(picked):
            try:
                if path not in decoded:
                    with _packets(path, "video") as packets:
                        decoded[path] = _upright(next(_decoded(packets)), size)
                    size = decoded[path].shape[:2]
            except MediaError as error:
                failure = error
                natural.remove(path)
        if all(path in decoded for path in picked):
            return np.stack([decoded[path] for path in picked]), chosen.astype(float)
    raise MediaError(f"{folder} has no image that can be decoded: {failure}; is it the folder of a clip?") from failure


def time_span(path: str | Path) -> tuple[float, float]:
    """Tell when a file begins and when it ends, in seconds on its own clock.

    Raises:
        MediaError: The file cannot be opened, or does not say.
    """
    for kind in KINDS:
        with suppress(MediaError), _packets(path, kind) as packets:
            spans = [
                (float(packet.pts * packet.time_base), float((packet.pts + (packet.duration or 0)) * packet.time_base))
                for packet in packets
                if packet.pts is not None and packet.time_base
            ]
            if spans:
                start, end = min(spans)[0], max(end for _, end in spans)
                return max(0.0, start), end  # what lies before 0 is for the decoder to warm up
    raise MediaError(f"{path} has neither sound nor picture that can be decoded; is it a complete video?")


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    """Open a path in Python, for FFmpeg would take one with a colon for a network address; start a file over."""
    if isinstance(source, str | Path | Excerpt):
        path = source.path if isinstance(source, Excerpt) else source
        if Path(path).is_dir():
            raise MediaError(f"{path} is a folder: it has no sound, and pictures only if it holds images")
        with Path(path).open("rb") as file:
            yield file
    elif isinstance(source, Openable):
        with source.open() as file:
            yield file
    else:
        source.seek(0)
        yield source


@contextmanager
def _packets(source: Source, kind: Literal["audio", "video"]) -> Iterator[Iterator[Packet]]:
    """Open a file and hand out the compressed packets of its best stream of a kind."""
    with _opened(source) as file:
        try:
            if not file.read(1):
                raise ValueError("it is empty")
            file.seek(0)
            with av.open(file, "r", metadata_errors="replace") as container:
                stream = container.streams.best(kind)
                # The cover of a song is no video, and a stream of an unknown codec is nothing.
                if stream is None or not stream.codec_context or stream.disposition & Disposition.attached_pic:
                    streams = [stream.type for stream in container.streams]
                    raise ValueError(f"it has no {kind} that can be decoded among its streams {streams}")
                # Many processes decode clips side by side, and FFmpeg's own threads can hang next to torch's.
                stream.codec_context.thread_count = 1
                packets = _unbroken(container.demux(stream))
                if isinstance(source, Excerpt):
                    packets = _from_keyframe(container, stream, source.start)
                    end = source.start + source.seconds + REORDERING
                    packets = takewhile(lambda packet: (packet.dts or 0) * packet.time_base < end, packets)
                yield packets
        except (av.FFmpegError, OSError, ValueError) as error:  # the last two: a damaged index that points nowhere
            name = source if isinstance(source, Openable) else getattr(file, "name", "the file object")
            words = getattr(error, "strerror", None) or error
            raise MediaError(f"{name} cannot be decoded as {kind}: {words}; is it a complete video?") from error


def _from_keyframe(container: Any, stream: Any, start: float) -> Iterator[Packet]:
    """Packets from a key frame before a moment on: where a file has no index, a seek alone may end between two."""
    for back in (0, 2, 8, 32, 128, None):
        container.seek(0 if back is None else max(0, int((start - back) * av.time_base)))
        packets = _unbroken(container.demux(stream))
        first = next((packet for packet in packets if packet.is_keyframe), None)
        if first is not None and (back is None or (first.pts is not None and first.pts * first.time_base <= start)):
            return chain([first], packets)
    return packets  # none


def _unbroken(packets: Iterator[Packet]) -> Iterator[Packet]:
    """Packets up to where the file breaks off."""
    with suppress(av.FFmpegError, IndexError):  # the second: a stream that PyAV did not expect
        yield from packets


def _decoded(packets: Iterable[Packet]) -> Iterator[Any]:
    """Decode what can be decoded; if that is nothing, raise what the decoder said first."""
    failure: Exception = ValueError("it ends before anything can be decoded")
    empty = True
    for packet in packets:
        try:
            for frame in packet.decode():
                empty = False
                yield frame
        except av.FFmpegError as error:
            failure = error
    if empty:
        raise failure


def _sample_format(frame: av.AudioFrame) -> tuple[int, bool, str]:
    return frame.layout.nb_channels, frame.format.is_planar, frame.format.name


def _planes(frames: list[av.AudioFrame]) -> Iterator[np.ndarray]:
    """Decoded frames -> `(channels, samples)` float32 in [-1, 1] of all that follow each other in one sample format."""
    for (channels, planar, _), alike in groupby(frames, key=_sample_format):
        sound = np.concatenate([frame.to_ndarray() for frame in alike], axis=1)
        if not planar:
            sound = sound.reshape(-1, channels).T
        zero, full = INTEGER_SCALES.get(sound.dtype.name, (0, 1))
        yield (sound.astype(np.float32) - zero) / full


def _resampled(sound: np.ndarray, source_rate: int, rate: int) -> np.ndarray:
    """`(channels, samples)` at one rate -> at another, of exactly the same duration."""
    whole = av.AudioFrame.from_ndarray(sound, "fltp", "mono" if len(sound) == 1 else "stereo")
    whole.sample_rate = source_rate
    resampler = av.AudioResampler("fltp", whole.layout, rate)
    parts = [part.to_ndarray() for part in [*resampler.resample(whole), *resampler.resample(None)]]
    samples = round(sound.shape[1] * rate / source_rate)
    rest = np.zeros((len(sound), samples), np.float32)  # FFmpeg's length is off by a few
    return np.concatenate([*parts, rest], axis=1)[:, :samples]


def _upright(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> np.ndarray:
    """One decoded frame, whatever its pixel format -> `(height, width, 3)` uint8 RGB, turned as a player turns it."""
    quarters = round(frame.rotation / 90) % 4
    height, width = size or (None, None)
    if quarters % 2:
        height, width = width, height
    return np.rot90(
        frame.to_ndarray(width=width, height=height, format="rgb24", interpolation="BICUBIC", threads=1), quarters
    )
