"""Encoding of sound and pictures, by FFmpeg through PyAV."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from personality.atomic import atomic_write


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float, waveform: np.ndarray, rate: int) -> None:
    """Write frames and sound as an MP4 file (H.264 and AAC), atomically. The same input gives the same bytes.

    Args:
        path: The file, in an existing folder.
        frames: `(height, width, 3)` uint8 RGB each, of even height and width.
        fps: Frames a second.
        waveform: `(samples,)` or `(samples, 2)` float32 in [-1, 1].
        rate: Samples a second of the waveform, in Hz: one that AAC supports, such as 16,000 or 44,100.

    Raises:
        ValueError: The encoder raised an error, which the message contains.
    """
    path = Path(path)
    frames = iter(frames)
    first = next(frames, None)
    if first is None or first.shape[0] % 2 or first.shape[1] % 2:
        got = "no frame" if first is None else f"frames of {first.shape[0]} x {first.shape[1]} pixels"
        raise ValueError(
            f"{path} cannot be encoded: got {got}, expected frames of even height and width; pad or crop them"
        )
    sound = np.ascontiguousarray(np.atleast_2d(waveform.T), np.float32)
    options = {"fflags": "+bitexact", "max_interleave_delta": "0"}  # the second: interleave by time
    try:
        with (
            atomic_write(path) as part,
            part.open("wb") as file,
            av.open(file, "w", format="mp4", options=options) as container,
        ):
            _encode(container, first, frames, fps, sound, rate)
    except av.FFmpegError as error:
        raise ValueError(f"{path} cannot be encoded: {error.strerror}") from error


def encode_sound(waveform: np.ndarray, rate: int) -> bytes:
    """Encode sound as a small MP3, of 2 bits a sample, which every browser plays.

    Args:
        waveform: `(samples,)` float32 in [-1, 1].
        rate: Samples a second of the waveform, in Hz: one that MP3 supports, such as 16,000 or 44,100.

    Returns:
        The bytes of the file; the same input gives the same bytes.
    """
    file = BytesIO()
    with av.open(file, "w", format="mp3", options={"fflags": "+bitexact"}) as container:
        fast = {"compression_level": "7"}  # a third of the default's time, at the same size
        voice = container.add_stream("libmp3lame", rate, fast, layout="mono")
        voice.codec_context.flags |= Flags.bitexact
        voice.bit_rate = 2 * rate
        clip = av.AudioFrame.from_ndarray(waveform[None], "fltp", "mono")
        clip.sample_rate, clip.pts, clip.time_base = rate, 0, Fraction(1, rate)
        container.mux(voice.encode(clip))
        container.mux(voice.encode())
    return file.getvalue()


def _encode(
    container: Any, first: np.ndarray, rest: Iterator[np.ndarray], fps: float, sound: np.ndarray, rate: int
) -> None:
    """Encode frames, and sound `(channels, samples)`."""
    pictures = container.add_stream("libx264", Fraction(fps).limit_denominator(1001), {"preset": "veryfast"})
    pictures.height, pictures.width = first.shape[:2]
    pictures.thread_count = 1  # the same bytes on any number of cores
    layout = "mono" if len(sound) == 1 else "stereo"
    voice = container.add_stream("aac", rate, {"aac_coder": "fast"}, layout=layout)
    for stream in (pictures, voice):
        stream.codec_context.flags |= Flags.bitexact

    clip = av.AudioFrame.from_ndarray(sound, "fltp", voice.layout)
    clip.sample_rate, clip.pts, clip.time_base = (
        rate,
        0,
        Fraction(1, rate),
    )  # or AAC's priming delays the sound
    container.mux(voice.encode(clip))
    for image in chain([first], rest):
        frame = av.VideoFrame.from_ndarray(image).reformat(format="yuv420p", threads=1)  # several threads now and then
        container.mux(pictures.encode(frame))  # give other bytes
    for stream in (pictures, voice):
        container.mux(stream.encode())
