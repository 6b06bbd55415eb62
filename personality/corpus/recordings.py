"""Clips that are parts of recordings: their names, and where they lie on the clock of their file."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from personality.corpus.video_files import unique_names
from personality.features.media import Excerpt, excerpts, open_stream


def name_clips(paths: pd.Series) -> list[str]:
    """Name clips by their files; several of one file get numbers, in their order.

    Args:
        paths: The file of each clip, the clips of a file in the order of their times.

    >>> name_clips(pd.Series([Path("a/talk.mov"), Path("a/day.wav"), Path("a/day.wav"), Path("a/Ab.001")]))
    ['talk.mp4', 'day.000.mp4', 'day.001.mp4', 'Ab.001.mp4']
    """
    files = [*paths.unique()]
    with_suffix = [path if re.search(r"\.[A-Za-z]\w{1,4}$", path.name) else Path(f"{path}.mp4") for path in files]
    stems = dict(zip(files, unique_names(with_suffix), strict=True))
    several = paths.map(paths.value_counts()) > 1
    numbers = paths.groupby(paths).cumcount()
    return [
        f"{stems[path]}.{number:03d}.mp4" if one_of_many else f"{stems[path]}.mp4"
        for path, number, one_of_many in zip(paths, numbers, several, strict=True)
    ]


def cut(rows: pd.DataFrame) -> list[str | Excerpt | None]:
    """Return what to decode for each clip: a file, a part of one, or None for a missing file.

    Args:
        rows: Columns `path`, and `start` and `end` in seconds as a player shows them; an infinite end is the file's.
    """
    clocks: dict[Path, tuple[float, bool]] = {}
    sources: list[str | Excerpt | None] = []
    for path, start, end in rows[["path", "start", "end"]].itertuples(index=False):
        if not path.exists():
            sources.append(None)
        elif start == 0 and end == np.inf:
            sources.append(str(path))
        else:
            if path not in clocks:
                clocks[path] = _clock(path)
            begin, seekable = clocks[path]
            sources.append(Excerpt(str(path), begin + start, end - start, seekable))
    return sources


def _clock(path: Path) -> tuple[float, bool]:
    """Return when a file starts to play, in seconds on its own clock, and whether it can be read from the middle."""
    for kind in ("audio", "video"):
        try:
            seekable = excerpts(path, kind, 1e9)[0].seekable
            with open_stream(path, kind) as stream:
                return float(stream.start), seekable
        except (ValueError, OSError):
            continue
    return 0.0, True  # the clip will fail with its reason
