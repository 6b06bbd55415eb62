"""Anybody's own videos, cut into clips as First Impressions was cut from longer ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from personality.corpus.base import Corpus
from personality.features.media import Excerpt, MediaError, time_span
from personality.traits import TARGETS

SECONDS = 15.3  # as in First Impressions


class VideoFiles(Corpus):
    """Videos without labels, to be scored: all are in the split `test`.

    A long one becomes clips of 15.3 s, `talk.mp4` the clips `talk.000.mp4`, `talk.001.mp4` and so on: their scores tell
    how the impression changes. A rest of less than half a clip at the end is left out.

    Args:
        paths: Files of any container and codec that FFmpeg reads, and folders of such files.
    """

    name = "video_files"

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]

    def prepare(self) -> None:
        """Check that all is there."""
        for path in self.paths:
            if not path.exists():
                raise FileNotFoundError(f"There is no {path}. Expected a video, or a folder of videos; check the name.")

    def clips(self, split: str) -> pd.DataFrame:
        """List the clips: `Corpus.clips`. A file that cannot be read is listed once, to fail with its reason."""
        if split != "test":
            raise FileNotFoundError(f"There is no split {split!r} of one's own videos. Expected test, which holds all.")
        self.prepare()
        files = [file for path in self.paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
        sources: dict[str, Excerpt | str] = {}
        for file in files:
            if not file.is_file() or file.name.startswith("."):
                continue
            for number, source in enumerate(_cut(file)):
                name = f"{file.stem}.{number:03d}.mp4"
                if name in sources:
                    raise ValueError(
                        f"Two videos are called {file.stem}, one of them {file}. Expected different names."
                    )
                sources[name] = source
        if not sources:
            raise FileNotFoundError(f"There is no video in {', '.join(map(str, self.paths))}. Expected at least one.")
        table = pd.DataFrame({"path": pd.Series(sources, dtype=object), **dict.fromkeys(TARGETS, np.nan)})
        return table.rename_axis("clip").sort_index()


def _cut(file: Path) -> list[Excerpt | str]:
    try:
        start, end = time_span(file)
    except MediaError:
        return [str(file)]
    clips = max(1, round((end - start) / SECONDS))
    return [Excerpt(str(file), start + number * SECONDS, SECONDS) for number in range(clips)]
