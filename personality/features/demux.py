"""Compressed packets of one stream of a media file, from any time on, on one clock."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol, runtime_checkable

import av
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition

Kind = Literal["audio", "video"]

WARM_UP = 0.25  # seconds that are decoded before the start of an excerpt
CLOCK_JUMP = 10.0  # seconds: a larger jump ahead in a broadcast is the start of another clock, as in FFmpeg
ANOTHER_RECORDING = (
    "it contains a second recording that FFmpeg cannot decode together with the first; expected a single one, so "
    "cut the file into its parts"
)
CLOCK_BACK = 0.1  # seconds: a larger step back of decoding times is the start of another clock


class Excerpt(NamedTuple):
    """A part of a file, used as a clip."""

    path: str
    start: float
    """In seconds on the clock of the file, which need not begin at 0."""
    seconds: float
    seekable: bool = True
    """False if the file must be read from its beginning, since its time stamps are not in order."""


@runtime_checkable
class Openable(Protocol):
    """An object that can be opened, such as a clip in an archive; `str` returns its name."""

    def open(self) -> BinaryIO:
        """Open it as a seekable file."""


MediaInput = str | Path | BinaryIO | Openable | Excerpt
"""A file of any format that FFmpeg reads, a part of one, a seekable binary file, or an object that can be opened."""


class MediaError(ValueError):
    """A file has no sound or picture that can be decoded. The message names the file and quotes the decoder."""


class Stream(NamedTuple):
    """The best stream of a kind in an open file."""

    packets: Iterator[Packet]
    """Its compressed packets, with times on one clock without jumps."""
    clock: "Clock"
    """The clock, as of the packets that have been read."""
    start: float
    """When the file, or the excerpt, starts to play, in seconds on that clock."""
    first: float | None
    """When this stream starts, if its header contains it."""
    seconds: float
    """Duration of the excerpt; infinite for a whole file."""
    pixel_aspect: float
    """Width of a pixel divided by its height."""
    counts_samples: bool
    """Whether the format has no time stamps: FFmpeg then computes them from the first sample rate."""


@contextmanager
def open_stream(source: MediaInput, kind: Kind) -> Iterator[Stream]:
    """Open a file and its best stream of a kind.

    Raises:
        MediaError: The file cannot be opened, has no such stream, or cannot be read.
    """
    with _open_file(source) as file, ExitStack() as stack:
        try:
            container = stack.enter_context(_open_container(file))
            stream = _best(container, kind)
            clock = Clock(container)
            if isinstance(source, Excerpt):
                packets = _seek(container, stream, source.start) if source.seekable else None
                if packets is None:  # read from the beginning: after a seek, the container cannot go back there
                    container = stack.enter_context(_open_container(file))
                    stream, clock = _best(container, kind), Clock(container)
                    packets = clock.follow(stream)
                start, seconds = source.start, source.seconds
            else:
                packets, start, seconds = clock.follow(stream), clock.start, math.inf
            yield Stream(
                packets,
                clock,
                start,
                _start(stream),
                seconds,
                float(getattr(stream, "sample_aspect_ratio", None) or 1),
                _has_flag(container, Flags.generic_index),
            )
        except (av.FFmpegError, OSError, ValueError) as error:  # the last two: a damaged index
            name = source if isinstance(source, Openable) else getattr(file, "name", "the file object")
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{name} cannot be decoded as {kind}: {reason}; is it a complete video?") from error


class Clock:
    """One clock for a file whose clock may restart, such as joined transport streams or chained Ogg.

    The first stream that reaches a restart determines the shift of both, so that sound and picture stay together.
    """

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        self.shifts = [0.0]
        """Seconds that are added to times; one more number after each restart of the clock."""
        self.streams = [best for kind in ("video", "audio") if (best := _find(container, kind)) is not None]
        starts = [_start(stream) for stream in self.streams]
        self.start = min((start for start in starts if start is not None), default=0.0)
        """When the file starts to play, in seconds."""
        self.jumps_ahead = _has_flag(container, Flags.ts_discont)

    @property
    def joined(self) -> int:
        """The number of recordings that have been read: more than one after a restart of the clock."""
        return len(self.shifts)

    def follow(self, stream: Any) -> Iterator[Packet]:
        """Yield the packets of a stream with their times on one clock, to the end of the file or to its damage."""
        jumps = dict.fromkeys((each.index for each in self.streams), 0)  # how many each stream has passed
        units = {
            each.index: float(each.time_base or 0) for each in self.streams
        }  # in seconds, as float: a Fraction is slow
        previous: dict[int, float] = {}
        end = -math.inf  # of all packets so far
        try:
            for packet in self.container.demux(*self.streams):
                index = packet.stream_index
                if packet.dts is not None:
                    time = packet.dts * units[index]
                    moved = time + self.shifts[jumps[index]]
                    if index in previous and self._jumps(previous[index], moved, end):
                        jumps[index] += 1
                        if jumps[index] == len(self.shifts):
                            self.shifts.append(end - time)
                        moved = time + self.shifts[jumps[index]]
                    previous[index] = moved
                    end = max(end, moved + (packet.duration or 0) * units[index])
                if index == stream.index:
                    yield _move(packet, self.shifts[jumps[index]])
        except av.error.PatchWelcomeError as error:
            raise ValueError(ANOTHER_RECORDING) from error
        except (av.FFmpegError, IndexError):  # the file is truncated; PyAV raises the second
            return

    def _jumps(self, previous: float, time: float, end: float) -> bool:
        return time < previous - CLOCK_BACK or (self.jumps_ahead and time > end + CLOCK_JUMP)


def _move(packet: Packet, shift: float) -> Packet:
    if shift:
        units = round(shift / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + units
        packet.dts = None if packet.dts is None else packet.dts + units
    return packet


def _seek(container: InputContainer, stream: Any, start: float) -> Iterator[Packet] | None:
    """Return the packets from a key frame before a time; None if the file must be read from its beginning.

    FFmpeg seeks in the video stream, and without an index to any position: the first packet is checked.
    """
    wanted = start - WARM_UP
    for back in (0, 2, 8, 32, 128):
        with suppress(av.FFmpegError):
            container.seek(int((wanted - back) * av.time_base))
            packets = Clock(container).follow(stream)
            first = next((packet for packet in packets if packet.is_keyframe), None)
            if first is not None and first.pts is not None and first.pts * first.time_base <= wanted:
                return chain([first], packets)
    return None


def _start(stream: Any) -> float | None:
    return None if stream.start_time is None else float(stream.start_time * stream.time_base)


def _has_flag(container: InputContainer, flag: Flags) -> bool:
    flags: Any = container.format.flags  # an int, unlike in PyAV's type hints
    return bool(flags & flag.value)


@contextmanager
def _open_file(source: MediaInput) -> Iterator[BinaryIO]:
    """Open a file in Python, since FFmpeg reads a path with a colon as a network address."""
    if isinstance(source, str | Path | Excerpt):
        path = source.path if isinstance(source, Excerpt) else source
        if Path(path).is_dir():
            raise MediaError(f"{path} is a folder: it has no sound, and pictures only if it contains images")
        with Path(path).open("rb") as file:
            yield file
    elif isinstance(source, Openable):
        with source.open() as file:
            yield file
    else:
        yield source


def _open_container(file: BinaryIO) -> InputContainer:
    file.seek(0)
    if not file.read(1):
        raise ValueError("it is empty")
    file.seek(0)
    return av.open(file, "r", metadata_errors="replace")


def _find(container: InputContainer, kind: Kind) -> Any:
    """Return the best stream of a kind that can be decoded, or None. The cover of a song is not a video."""
    stream = container.streams.best(kind)
    usable = stream is not None and stream.codec_context and not stream.disposition & Disposition.attached_pic
    return stream if usable else None


def _best(container: InputContainer, kind: Kind) -> Any:
    stream = _find(container, kind)
    if stream is None:
        streams = [stream.type for stream in container.streams]
        raise ValueError(f"it has no {kind} that can be decoded among its streams {streams}")
    # Several processes decode clips at a time, and FFmpeg's threads can deadlock with those of torch.
    stream.codec_context.thread_count = 1
    return stream
