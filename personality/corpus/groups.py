"""Whose clips belong together: by columns of a table, or by the names of files."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from personality.corpus.splits import SPLITS

BY_NAME = ("file", "prefix", "folder", "clip")
"""Groups that need no column: all clips of a file; of files whose names begin alike (see `prefix`); of a folder; or
every clip by itself."""


def group_by_name(by: str, paths: Sequence[Path], clips: Sequence[str]) -> list[str]:
    """Name the group of each clip.

    Args:
        by: One of `BY_NAME`.
        paths: The file of each clip.
        clips: The name of each clip.
    """
    if by == "clip":
        return [*clips]
    name = {"file": lambda path: path.name, "prefix": prefix, "folder": lambda path: path.parent.name}[by]
    return [name(path) for path in paths]


def suggest_group(paths: Sequence[Path]) -> tuple[str, str] | None:
    """Find what the names of files say about groups.

    Args:
        paths: The file of each clip.

    Returns:
        One of `BY_NAME`, and what was found, in words. None if names suggest no groups.
    """
    files = [*dict.fromkeys(paths)]
    if len(files) < len(paths):
        return "file", f"{len(paths):,} clips are from {len(files):,} files"
    prefixes = Counter(map(prefix, files))
    if _are_groups(prefixes, len(files)):
        (first, count), *_ = prefixes.most_common(1)
        return "prefix", f"the names of {count} files begin with {first!r}, and {len(prefixes):,} prefixes are shared"
    folders = Counter(path.parent.name for path in files)
    if _are_groups(folders, len(files)) and not any(name.lower().startswith(SPLITS) for name in folders):
        (first, count), *_ = folders.most_common(1)
        return "folder", f"{len(files):,} files are in {len(folders):,} folders, {count} of them in {first!r}"
    return None


def prefix(path: Path) -> str:
    """Return the part of a file's name before its last separator, or without one, before its last number.

    >>> [prefix(Path(name)) for name in ("subject00_take1.mp4", "-Ab.x_9-7kQ.003.mp4", "P7b2.wav", "talk.mov")]
    ['subject00', '-Ab.x_9-7kQ', 'P7b', 'talk']
    """
    stem = re.sub(r"\.[A-Za-z]\w{1,4}$", "", path.name)
    separated = re.match(r"(.+)[ _.-]", stem)
    return separated[1] if separated else re.sub(r"\d+$", "", stem)


def _are_groups(sizes: Counter[str], files: int) -> bool:
    """Whether at least half of the files share their name with another, and there are at least two names."""
    shared = sum(size for size in sizes.values() if size > 1)
    return len(sizes) > 1 and shared >= files / 2
