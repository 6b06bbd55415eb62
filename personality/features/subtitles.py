"""Subtitle files: what is said, and when."""

import codecs
import io
import logging
import re
from pathlib import Path
from typing import Any, NamedTuple

import av

log = logging.getLogger(__name__)

SUFFIXES = {".srt": "srt", ".vtt": "webvtt"}
"""Suffixes of subtitle files, and FFmpeg's names of their formats."""

FORMATTING = re.compile(r"\{\\[^}]*\}")
"""Of a subtitle, as FFmpeg writes it: `{\\i1}`."""


class Subtitle(NamedTuple):
    """A piece of text that is shown for some time."""

    start: float
    end: float
    """In seconds after the file starts to play."""
    text: str


def read_subtitles(path: Path) -> list[Subtitle]:
    """Read a subtitle file, `.srt` or `.vtt`, without its formatting, in the order of time.

    Raises:
        ValueError: The file has no subtitles.
    """
    text = decode_text(path)
    try:
        with av.open(io.BytesIO(text.encode()), "r", format=SUFFIXES[path.suffix.lower()]) as container:
            packets = [packet for packet in container.demux(container.streams.subtitles[0]) if packet.pts is not None]
            found = [subtitle for packet in packets for subtitle in _subtitles(packet)]
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} is no subtitle file: {error}. Expected SubRip or WebVTT; save it again.") from error
    if not found and text.strip().removeprefix("WEBVTT").strip():
        raise ValueError(
            f"{path} has text, but no subtitle. Expected times such as 00:00:01,000 --> 00:00:02,500 above each; "
            "correct it, or save text without times as .txt."
        )
    return sorted(found)


def _subtitles(packet: Any) -> list[Subtitle]:
    """Decode a packet of subtitles."""
    start, end = (float(time * packet.time_base) for time in (packet.pts, packet.pts + (packet.duration or 0)))
    return [Subtitle(start, end, FORMATTING.sub("", line.dialogue.decode())) for line in packet.decode()]


def decode_text(path: Path) -> str:
    """Read a text file in UTF-8, UTF-16 or, with a warning, the Latin-1 of Windows."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        log.warning("%s is not in UTF-8. It is read as Windows-1252; if letters look wrong, save it as UTF-8.", path)
        return content.decode("cp1252", errors="replace")
