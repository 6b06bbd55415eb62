"""Unlabelled videos, to be scored: cut into clips of the length of First Impressions."""

import codecs
import hashlib
import logging
import mimetypes
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes

import numpy as np
import pandas as pd

from personality.corpus.base import Corpus
from personality.corpus.files import list_files
from personality.features.media import Excerpt, MediaError, excerpts
from personality.traits import CLIP_SECONDS, TRAITS, Modality, source_id

log = logging.getLogger(__name__)

SUFFIXES = {
    *[".3g2", ".3gp", ".aac", ".aif", ".aiff", ".asf", ".avi", ".divx", ".f4v", ".flac", ".flv", ".m2ts"],
    *[".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".oga"],
    *[".ogg", ".ogv", ".opus", ".ts", ".vob", ".wav", ".webm", ".wma", ".wmv"],
}
"""Suffixes of media files. Such a file in a folder is always listed: if it is damaged, it fails with its reason."""
ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff/\\\\]")
"""Characters that a clip's name must not have: control characters such as line breaks, those that change the direction
of writing, bytes that are not UTF-8, and separators of folders."""


class VideoFiles(Corpus):
    """Videos without labels; all are in the split `test`.

    A long video becomes clips of 15.3 s: `talk.mp4` the clips `talk.000.mp4`, `talk.001.mp4` and so on. A rest of less
    than half a clip at the end is left out.

    Files of the same name get as much of their folder or suffix as makes them different: `P01_talk.000.mp4` and
    `P02_talk.000.mp4`. Line breaks, bytes that are not UTF-8 and the like are written as in web addresses: `caf%E9`.

    Args:
        paths: Files of any format that FFmpeg reads, and folders, including the folders in them. A file that is named
            here is always listed. A file in a folder is listed if it has the suffix of a media file, or if FFmpeg finds
            sound or pictures in it; others are skipped with a warning.
        modality: The `modality` of the data module: files are cut into clips by their sound for `audio` and `text`, by
            their picture for `image` and `joint`, as far as they have it.
        targets: Names of the labels, which no clip has.
    """

    name = "video_files"
    pool_above = 8

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        modality: Modality = "audio",
        targets: Sequence[str] = TRAITS,
    ) -> None:
        super().__init__("official")
        if modality == "vector":
            raise ValueError(
                f"Got videos for a model whose input ({modality}) is not computed from videos. Expected clips of a "
                "corpus, whose numbers are in files; compute those of the new clips with the program that computed the "
                "others, and name corpus and data.files."
            )
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self.targets = [*targets]
        self.kinds: tuple[Literal["audio", "video"], ...] = ("audio",) if modality == "audio" else ("video",)
        if modality in ("text", "joint"):
            self.kinds = ("audio", "video") if modality == "text" else ("video", "audio")

    def prepare(self) -> None:
        """Check that all files and folders exist."""
        if not self.paths:
            raise FileNotFoundError("Got no videos. Expected files or folders; name at least one.")
        for path in self.paths:
            if not (path.is_file() or path.is_dir()):
                name = _printable(str(path), keep="/")
                raise FileNotFoundError(f"There is no {name}. Expected a video, or a folder of videos; check the name.")

    def clips(self, split: str) -> pd.DataFrame:
        """Return the clips: `Corpus.clips`. A file that cannot be read is one clip, which fails with its reason."""
        if split != "test":
            raise FileNotFoundError(f"There is no split {split!r} of unlabelled videos. Expected test, which has all.")
        self.prepare()
        return super().clips(split)

    def read(self) -> pd.DataFrame:
        """List the clips: `Corpus.read`. Finding the duration of a video takes time."""
        found = self._find()
        cut = {file: _cut(path, self.kinds, named) for file, (path, named) in found.items()}
        skipped = [_printable(file.name) for file, parts in cut.items() if not parts]
        if skipped:
            log.warning(
                "Skipped %d of %d files, in which FFmpeg finds neither sound nor pictures: %s",
                *(len(skipped), len(cut), ", ".join(skipped[:10]) + ", ..." * (len(skipped) > 10)),
            )
        files = [file for file, parts in cut.items() if parts]
        if not files:
            raise FileNotFoundError(
                f"There is no video in {', '.join(_printable(str(path), keep='/') for path in self.paths)}, among "
                f"{len(found)} files. Expected at least one; name it, or the folder that holds it."
            )
        sources: dict[str, Excerpt | str] = {}
        for file, name in zip(files, unique_names(files), strict=True):
            digits = 3 if len(cut[file]) <= 1000 else 5  # see `source_id`
            sources |= {f"{name}.{number:0{digits}d}.mp4": part for number, part in enumerate(cut[file])}
        table = pd.DataFrame({"path": pd.Series(sources, dtype=object), "split": "test"})
        table["group"] = [source_id(clip) for clip in sources]
        return table.assign(**dict.fromkeys(self.targets, np.nan)).rename_axis("clip")

    def _find(self) -> dict[Path, tuple[Path, bool]]:
        """Find all files, each once. Return for each full path the path to open, and whether it is in `paths`."""
        files = [(path, True) for path in self.paths if path.is_file()]
        for folder in self.paths:
            files += [(path, False) for path in list_files(folder) if path.is_file() or not path.exists()]
        found: dict[Path, tuple[Path, bool]] = {}
        for path, named in files:
            found.setdefault(path.parent.resolve() / path.name, (path, named))
        return found


def _cut(file: Path, kinds: Sequence[Literal["audio", "video"]], named: bool) -> list[Excerpt | str]:
    """Cut a file into clips. Return the whole file if it has no such stream, nothing if it is not a media file."""
    if not (named or file.suffix.lower() in SUFFIXES or _is_media(file)):
        return []
    for kind in kinds:
        with suppress(MediaError, OSError):
            return [*excerpts(file, kind, CLIP_SECONDS)]
    return [str(file)]


def _is_media(file: Path) -> bool:
    """Return whether the content of a file is sound or moving pictures.

    FFmpeg also reads text, as subtitles, playlists or drawings, and an image, as a video of one frame.
    """
    if (mimetypes.guess_type(file.name)[0] or "").startswith("image/"):
        return False
    with suppress(OSError), file.open("rb") as content:
        head = content.read(4096)
        if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            kinds: tuple[Literal["audio", "video"], ...] = ("audio", "video")
            for kind in kinds:
                with suppress(MediaError):
                    if len(excerpts(file, kind, 0.5)) > 1:
                        return True
    return False


def unique_names(files: Sequence[Path]) -> list[str]:
    """Name each file by its stem, and files of the same name by as much more of their path as makes them different.

    >>> unique_names([Path("/a/P01/talk.mp4"), Path("/a/P02/talk.mp4"), Path("/a/intro.mov"), Path("/a/intro.mp4")])
    ['P01_talk', 'P02_talk', 'intro.mov', 'intro.mp4']
    >>> unique_names([Path("talk.mp4"), Path("P01/intro.mp4"), Path("P02/intro.mp4")])
    ['talk', 'P01_intro', 'P02_intro']
    """
    candidates = [_candidate_names(file) for file in files]
    names = [next(longer) for longer in candidates]
    while len(counts := Counter(names)) < len(names):
        names = [next(longer) if counts[name] > 1 else name for name, longer in zip(names, candidates, strict=True)]
    return names


def _candidate_names(file: Path) -> Iterator[str]:
    """Yield ever longer names: without and with the suffix, with ever more folders, at last with the path's hash."""
    parts = file.absolute().parts
    for first in range(len(parts) - 1, 0, -1):
        folders = "".join(f"{folder}_" for folder in parts[first:-1])
        yield _printable(folders + file.stem)
        yield _printable(folders + file.name)
    while True:
        yield f"{_printable(file.stem)}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}"


def _printable(name: str, keep: str = "") -> str:
    r"""Escape the characters of `ESCAPED`, except those in `keep`.

    >>> _printable("two\nlines"), _printable(os.fsdecode(b"caf\xe9"))
    ('two%0Alines', 'caf%E9')
    """
    escaped = ESCAPED.sub(lambda found: quote_from_bytes(os.fsencode(found[0]), keep), name)
    return escaped.strip() or "_"
