"""Media files as compressed packets: one stream, from any moment on, on one clock."""

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

WARM_UP = 0.25  # seconds that a decoder is given before the first sample that counts
CLOCK_JUMP = 10.0  # seconds that a broadcast's clock may jump ahead before it counts as another clock, as in FFmpeg
ANOTHER_RECORDING = (
    "another recording begins within it that FFmpeg cannot decode together with the first; expected a single one, so "
    "cut the file into its parts"
)
CLOCK_BACK = 0.1  # seconds that decoding times may fall back before they count as another clock


class Excerpt(NamedTuple):
    """A part of a file that is too long to be one clip."""

    path: str
    start: float
    """In seconds on the clock of the file, which need not begin at 0: that of a recorded broadcast seldom does."""
    seconds: float
    seekable: bool = True
    """False where the time stamps of the file do not tell where to look: it is then read from its beginning."""


@runtime_checkable
class Openable(Protocol):
    """What opens itself, such as a clip in an archive, and as a string tells its name."""

    def open(self) -> BinaryIO:
        """Open it as a file that can seek."""


MediaInput = str | Path | BinaryIO | Openable | Excerpt
"""A file of any kind that FFmpeg reads, part of one, a binary file that can seek, or what opens itself as one."""


class MediaError(ValueError):
    """A file without sound or picture that can be decoded: the message names it and keeps the decoder's words."""


class Stream(NamedTuple):
    """The best stream of a kind in an open file."""

    packets: Iterator[Packet]
    """Its compressed packets, on the clock of the file without jumps."""
    clock: "Clock"
    """The clock, which the packets that have been read have set."""
    start: float
    """When playing starts, in seconds on that clock: with the sound or picture of the file, or with the excerpt."""
    first: float | None
    """When this stream starts, as far as its header tells."""
    seconds: float
    """How long the excerpt is; infinite for a whole file."""
    pixel_aspect: float
    """Width of a pixel, its height being 1."""
    counts_samples: bool
    """Whether the file's format has no time stamps, which FFmpeg then counts at the first sample rate of the sound."""


@contextmanager
def open_stream(source: MediaInput, kind: Kind) -> Iterator[Stream]:
    """Open a file and its best stream of a kind.

    Raises:
        MediaError: The file cannot be opened, has no such stream, or an error comes up while the stream is read.
    """
    with _open_file(source) as file, ExitStack() as stack:
        try:
            container = stack.enter_context(_open_container(file))
            stream = _best(container, kind)
            clock = Clock(container)
            if isinstance(source, Excerpt):
                packets = _seek(container, stream, source.start) if source.seekable else None
                if packets is None:  # from the beginning, where a seek may not lead
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
        except (av.FFmpegError, OSError, ValueError) as error:  # the last two: a damaged index that points nowhere
            name = source if isinstance(source, Openable) else getattr(file, "name", "the file object")
            words = getattr(error, "strerror", None) or error
            raise MediaError(f"{name} cannot be decoded as {kind}: {words}; is it a complete video?") from error


class Clock:
    """One clock for a file whose own may start anew, as that of joined transport streams or chained Ogg does.

    Sound and picture stay together: the first stream that meets the jump decides by how much times are moved.
    """

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        self.shifts = [0.0]
        """Seconds that are added to times: one number more each time that the clock starts anew."""
        self.streams = [best for kind in ("video", "audio") if (best := _find(container, kind)) is not None]
        starts = [_start(stream) for stream in self.streams]
        self.start = min((start for start in starts if start is not None), default=0.0)
        """When the file starts to play, in seconds."""
        self.jumps_ahead = _has_flag(container, Flags.ts_discont)

    @property
    def joined(self) -> int:
        """How many recordings have been read: more than one where the clock has started anew."""
        return len(self.shifts)

    def follow(self, stream: Any) -> Iterator[Packet]:
        """Yield the packets of a stream, with their times on one clock, up to where the file breaks off."""
        jumps = dict.fromkeys((each.index for each in self.streams), 0)  # how many each stream is past
        units = {each.index: float(each.time_base or 0) for each in self.streams}  # seconds: a Fraction takes its time
        previous: dict[int, float] = {}
        end = -math.inf  # of all that has been read
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
        except (av.FFmpegError, IndexError):  # the file breaks off; the second: a stream that PyAV did not expect
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
    """Return packets from a key frame before a moment on; None where only reading from the beginning leads there.

    FFmpeg seeks by the picture, and where a file has no index a seek may end anywhere: what comes first is looked at.
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
    flags: Any = container.format.flags  # an int, whatever PyAV's own types say
    return bool(flags & flag.value)


@contextmanager
def _open_file(source: MediaInput) -> Iterator[BinaryIO]:
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
        yield source


def _open_container(file: BinaryIO) -> InputContainer:
    file.seek(0)
    if not file.read(1):
        raise ValueError("it is empty")
    file.seek(0)
    return av.open(file, "r", metadata_errors="replace")


def _find(container: InputContainer, kind: Kind) -> Any:
    """Return the best stream of a kind that can be decoded, or None: the cover of a song is no video."""
    stream = container.streams.best(kind)
    usable = stream is not None and stream.codec_context and not stream.disposition & Disposition.attached_pic
    return stream if usable else None


def _best(container: InputContainer, kind: Kind) -> Any:
    stream = _find(container, kind)
    if stream is None:
        streams = [stream.type for stream in container.streams]
        raise ValueError(f"it has no {kind} that can be decoded among its streams {streams}")
    # Many processes decode clips side by side, and FFmpeg's own threads can hang next to torch's.
    stream.codec_context.thread_count = 1
    return stream
