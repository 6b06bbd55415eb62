"""Videos of one's own, cut into clips as First Impressions was cut from longer ones."""

import codecs
import hashlib
import logging
import mimetypes
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes

import numpy as np
import pandas as pd

from personality.corpus.base import Corpus
from personality.corpus.files import list_files
from personality.features.media import Excerpt, MediaError, excerpts
from personality.traits import TARGETS

log = logging.getLogger(__name__)

SECONDS = 15.3  # as in First Impressions
SUFFIXES = {
    *[".3g2", ".3gp", ".aac", ".aif", ".aiff", ".asf", ".avi", ".divx", ".f4v", ".flac", ".flv", ".m2ts"],
    *[".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".oga"],
    *[".ogg", ".ogv", ".opus", ".ts", ".vob", ".wav", ".webm", ".wma", ".wmv"],
}
"""A file in a folder that is called so is always listed, to fail with its reason if it is damaged."""
MOMENT = 0.5  # seconds: FFmpeg also reads an image, as a video of one frame
ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff/\\\\]")
"""Characters that a name in a table, a page or a log cannot hold: line breaks and other control characters, those that
turn the direction of writing, bytes that are not UTF-8, and what separates folders."""


class VideoFiles(Corpus):
    """Videos without labels, to be scored: all are in the split `test`.

    A long one becomes clips of 15.3 s, `talk.mp4` the clips `talk.000.mp4`, `talk.001.mp4` and so on: their scores show
    how the impression changes. A rest of less than half a clip at the end is left out.

    Files of the same name keep as much of their folder or suffix as makes them different: `P01_talk.000.mp4` and
    `P02_talk.000.mp4`. Line breaks, bytes that are not UTF-8 and the like are written as in web addresses: `caf%E9`.

    Args:
        paths: Files of any container and codec that FFmpeg reads, and folders, which are read with the folders in them.
            A file that is named here is always listed. One that is found in a folder is listed if it has the suffix of
            a media file, or if FFmpeg finds sound or pictures in it; others are passed over, with a line in the log.
        modality: The stream that is cut into clips: `audio`, or `image` for pictures. It is the `modality` of the data
            module that reads the clips.
    """

    name = "video_files"
    pool_above = 8

    def __init__(self, paths: str | Path | Sequence[str | Path], modality: Literal["audio", "image"] = "audio") -> None:
        if modality not in ("audio", "image"):
            raise ValueError(f"Got modality {modality!r}: expected audio or image.")
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self.kind: Literal["audio", "video"] = "audio" if modality == "audio" else "video"

    def prepare(self) -> None:
        """Check that all files and folders exist."""
        if not self.paths:
            raise FileNotFoundError("Got no videos. Expected files or folders; name at least one.")
        for path in self.paths:
            if not (path.is_file() or path.is_dir()):
                name = _printable(str(path), keep="/")
                raise FileNotFoundError(f"There is no {name}. Expected a video, or a folder of videos; check the name.")

    def clips(self, split: str) -> pd.DataFrame:
        """List the clips: `Corpus.clips`. A file that cannot be read is listed once, to fail with its reason."""
        if split != "test":
            raise FileNotFoundError(f"There is no split {split!r} of one's own videos. Expected test, which holds all.")
        self.prepare()
        return self._table

    @cached_property
    def _table(self) -> pd.DataFrame:
        """The clips, listed once: to learn how long a video is takes reading it."""
        found = self._find()
        cut = {file: _cut(path, self.kind, named) for file, (path, named) in found.items()}
        passed_over = [_printable(file.name) for file, parts in cut.items() if not parts]
        if passed_over:
            log.warning(
                "Passed over %d of %d files, which hold neither sound nor pictures that FFmpeg reads: %s",
                *(len(passed_over), len(cut), ", ".join(passed_over[:10]) + ", ..." * (len(passed_over) > 10)),
            )
        files = [file for file, parts in cut.items() if parts]
        if not files:
            raise FileNotFoundError(
                f"There is no video in {', '.join(_printable(str(path), keep='/') for path in self.paths)}, among "
                f"{len(found)} files. Expected at least one; name it, or the folder that holds it."
            )
        sources: dict[str, Excerpt | str] = {}
        for file, name in zip(files, _names(files), strict=True):
            digits = 3 if len(cut[file]) <= 1000 else 5  # see `source_id`
            sources |= {f"{name}.{number:0{digits}d}.mp4": part for number, part in enumerate(cut[file])}
        table = pd.DataFrame({"path": pd.Series(sources, dtype=object), **dict.fromkeys(TARGETS, np.nan)})
        return table.rename_axis("clip").sort_index()

    def _find(self) -> dict[Path, tuple[Path, bool]]:
        """Find all files, each once however often it is named: its full path, the path to open, whether it is named."""
        files = [(path, True) for path in self.paths if path.is_file()]
        for folder in self.paths:
            files += [(path, False) for path in list_files(folder) if path.is_file() or not path.exists()]
        found: dict[Path, tuple[Path, bool]] = {}
        for path, named in files:
            found.setdefault(path.parent.resolve() / path.name, (path, named))
        return found


def _cut(file: Path, kind: Literal["audio", "video"], named: bool) -> list[Excerpt | str]:
    """Cut the stream of a kind into clips: the whole file if it has none, nothing if the file is no media file."""
    if not (named or file.suffix.lower() in SUFFIXES or _is_media(file)):
        return []
    try:
        return [*excerpts(file, kind, SECONDS)]
    except (MediaError, OSError):
        return [str(file)]


def _is_media(file: Path) -> bool:
    """Tell by its content whether a file has sound or pictures over time.

    FFmpeg reads more: it takes text for subtitles, a playlist of other files or drawings of characters, and an image
    for a video.
    """
    if (mimetypes.guess_type(file.name)[0] or "").startswith("image/"):
        return False
    with suppress(OSError), file.open("rb") as content:
        head = content.read(4096)
        if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            kinds: tuple[Literal["audio", "video"], ...] = ("audio", "video")
            for kind in kinds:
                with suppress(MediaError):
                    if len(excerpts(file, kind, MOMENT)) > 1:
                        return True
    return False


def _names(files: Sequence[Path]) -> list[str]:
    """Name each file by its stem, and those of the same name by as much more of their path as makes them different.

    >>> _names([Path("/a/P01/talk.mp4"), Path("/a/P02/talk.mp4"), Path("/a/intro.mov"), Path("/a/intro.mp4")])
    ['P01_talk', 'P02_talk', 'intro.mov', 'intro.mp4']
    """
    longer = [_longer_names(file) for file in files]
    names = [next(forms) for forms in longer]
    while len(counts := Counter(names)) < len(names):
        names = [next(forms) if counts[name] > 1 else name for name, forms in zip(names, longer, strict=True)]
    return names


def _longer_names(file: Path) -> Iterator[str]:
    """Name a file without its suffix and with it, then with ever more of its folders, at last by its path's hash."""
    for first in range(len(file.parts) - 1, 0, -1):
        folders = "".join(f"{folder}_" for folder in file.parts[first:-1])
        yield _printable(folders + file.stem)
        yield _printable(folders + file.name)
    while True:
        yield f"{_printable(file.stem)}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}"


def _printable(name: str, keep: str = "") -> str:
    r"""Write a name so that tables, pages and logs can hold it, and read it back as it is.

    >>> _printable("two\nlines"), _printable(os.fsdecode(b"caf\xe9"))
    ('two%0Alines', 'caf%E9')
    """
    escaped = ESCAPED.sub(lambda found: quote_from_bytes(os.fsencode(found[0]), keep), name)
    return escaped.strip() or "_"
