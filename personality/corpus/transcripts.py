"""Transcripts: the words of clips, with their times where a file knows them.

```
pickle, csv     the text of each clip: the organisers' transcription_training.pkl, or columns `clip` and `transcript`
srt, vtt        subtitles beside a video, with times: talk.srt or talk.en.srt for talk.mp4
txt, json       the text of one clip; of a json file what is under `transcript`, `transcription` or `text`
folder          such a file for each clip, of the clip's name
```
"""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from personality.corpus.annotations import read_transcripts
from personality.features.media import Excerpt, MediaError, open_stream
from personality.features.subtitles import SUFFIXES, Subtitle, decode_text, read_subtitles
from personality.tables import clip_name, join_names, read_table, require_unique

log = logging.getLogger(__name__)

FILES = (*SUFFIXES, ".txt", ".json")
"""Suffixes of files with the words of one clip or recording; the first that is there counts."""
KEYS = ("transcript", "transcription", "text")
"""What the text of a clip is called in csv and json files."""
UNSPOKEN = re.compile(r"\[[^\]]*\]|♪")
"""Remarks in a transcript, such as [laughter] or [inaudible 00:00:12]."""
LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}(-\w+)?$")
"""What stands before the suffix of subtitles in one of several languages."""
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A run of characters without a space; in Chinese and Japanese a single character."""


class Word(NamedTuple):
    """A word of a clip, with its punctuation."""

    text: str
    start: float = math.nan
    end: float = math.nan
    """In seconds after the clip starts; NaN where unknown."""


Transcripts = Mapping[str, list[Word]]
"""The words of each clip that has a transcript, maybe none, by the clip's name."""


def split_words(text: str) -> list[Word]:
    """Split a text into words, without remarks in brackets and without signs that stand alone.

    >>> [word.text for word in split_words("Well - [laughter] it's fine, 你好!")]
    ['Well', "it's", 'fine,', '你', '好']
    """
    spoken = UNSPOKEN.sub(" ", text)
    return [Word(found) for found in WORD.findall(spoken) if any(letter.isalnum() for letter in found)]


def time_words(subtitles: Iterable[Subtitle]) -> list[Word]:
    """Split subtitles into words; the time of each is divided among its words by their lengths.

    >>> time_words([Subtitle(1.0, 2.0, "so good")])
    [Word(text='so', start=1.0, end=1.429), Word(text='good', start=1.429, end=2.0)]
    """
    words = []
    for start, end, text in subtitles:
        found = split_words(text)
        sizes = [len(word.text) + 1 for word in found]
        edges = [start + (end - start) * sum(sizes[:count]) / max(1, sum(sizes) - 1) for count in range(len(sizes) + 1)]
        edges = [*edges[:-1], end]
        words += [
            Word(word.text, round(begin, 3), round(stop, 3))
            for word, begin, stop in zip(found, edges, edges[1:], strict=False)
        ]
    return words


def read_words(path: Path) -> list[Word]:
    """Read the words of one file of `FILES`.

    Raises:
        ValueError: The file holds no text.
    """
    if path.suffix.lower() in SUFFIXES:
        return time_words(read_subtitles(path))
    if path.suffix.lower() != ".json":
        return split_words(decode_text(path))
    try:
        content = json.loads(decode_text(path))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file: {error}. Expected one; save it again.") from error
    found = next((content[key] for key in KEYS if key in content), None) if isinstance(content, dict) else None
    if not isinstance(found, str):
        raise ValueError(f"{path} has no text under {join_names(KEYS)}. Expected the words of a clip; add them.")
    return split_words(found)


def read_transcript_files(paths: Iterable[Path]) -> Transcripts:
    """Read pickles, csv files, folders, and files of single clips; an earlier one counts more than a later one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file cannot be read, or names a clip twice.
    """
    found: dict[str, list[Word]] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f"There is no {path}. Expected transcripts of the clips: a pickle, a csv file, or a folder of srt, "
                "vtt, txt or json files; correct the name."
            )
        found = {**_read_many(path), **found}
    return found


def _read_many(path: Path) -> dict[str, list[Word]]:
    if path.is_dir():
        files = {clip_name(file.stem): file for suffix in reversed(FILES) for file in sorted(path.rglob(f"*{suffix}"))}
        if not files:
            raise ValueError(f"{path} has no file {', '.join(FILES)}. Expected one a clip; name another folder.")
        return {clip: read_words(file) for clip, file in sorted(files.items())}
    if path.suffix.lower() in FILES:
        return {clip_name(path.stem): read_words(path)}
    if path.suffix.lower() == ".pkl":
        texts = read_transcripts(path)
    else:
        table = read_table(path, "clip")
        column = next((name for name in table if str(name).lower() in KEYS), None)
        if column is None:
            raise ValueError(
                f"{path} has the columns {join_names(table.attrs['columns'].values(), 12)}. Expected one of "
                f"{join_names(KEYS)} beside the clips; rename it."
            )
        texts = table[column].fillna("")
    require_unique(texts.index, str(path))
    return {str(clip): split_words(str(text)) for clip, text in texts.items()}


def words_beside(clips: pd.Series) -> Transcripts:
    """Read the words of clips from files beside their videos, cut where a clip is a part of a recording.

    A text without times belongs to a video that is one clip. A video may itself be a file of `FILES`.

    Args:
        clips: For each clip its path or excerpt.
    """
    files = clips.map(lambda source: Path(source.path if isinstance(source, Excerpt) else str(source)))
    folders = {folder: _by_stem(folder) for folder in {file.parent for file in files}}
    found: dict[str, list[Word]] = {}
    for file, parts in clips.groupby(files.map(str), sort=False):
        path, names = Path(str(file)), folders[Path(str(file)).parent]
        beside = path if path.suffix.lower() in FILES else names.get(path.name) or names.get(path.stem)
        if beside is not None:
            found |= _of_recording(beside, path, parts)
    return found


def belongs(file: Path, video: Path) -> bool:
    """Say whether a file with words is named like a video.

    >>> [belongs(Path(name), Path("talk.mp4")) for name in ("talk.srt", "talk.en.srt", "talk.mp4.txt", "talks.srt")]
    [True, True, True, False]
    """
    return any(LANGUAGE.sub("", file.stem) == name or file.stem == name for name in (video.stem, video.name))


def _by_stem(folder: Path) -> dict[str, Path]:
    """Map names of videos to the files with their words in a folder."""
    found: dict[str, Path] = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for suffix in reversed(FILES[:-1]):
        some = [file for file in files if file.suffix.lower() == suffix]
        found |= {LANGUAGE.sub("", file.stem): file for file in reversed(some)} | {file.stem: file for file in some}
    return found


def _of_recording(file: Path, recording: Path, parts: pd.Series) -> Transcripts:
    """Divide the words of a file among the clips of its recording."""
    words = read_words(file)
    excerpts = {str(clip): part for clip, part in parts.items() if isinstance(part, Excerpt)}
    if len(parts) > 1 and not all(math.isfinite(word.start) for word in words):
        log.warning(
            "%s has no times, and its recording is %d clips: it is left out. Subtitles with times (.srt, .vtt) can be "
            "cut.",
            *(file, len(parts)),
        )
        return {}
    if not excerpts or (words and math.isnan(words[0].start)):
        return {str(clip): words for clip in parts.index}
    start = _start(recording)
    cut = {clip: _cut(words, part.start - start, part.seconds) for clip, part in excerpts.items()}
    end = max(part.start - start + part.seconds for part in excerpts.values())
    late = sum(word.start > end for word in words)
    if late:
        log.warning(
            "%s goes on to %.1f s, and its clips end at %.1f s: the last %d of its %d words are left out.",
            *(file, words[-1].end, end, late, len(words)),
        )
    return cut


def _start(recording: Path) -> float:
    """Return when a file starts to play, in seconds on its own clock."""
    kinds: tuple[Literal["audio", "video"], ...] = ("audio", "video")
    for kind in kinds:
        with suppress(MediaError, OSError), open_stream(recording, kind) as stream:
            return float(stream.start)
    return 0.0


def _cut(words: Iterable[Word], start: float, seconds: float) -> list[Word]:
    """Return the words whose middle lies in an excerpt, with times after its start."""
    return [
        Word(word.text, max(0.0, round(word.start - start, 3)), min(seconds, round(word.end - start, 3)))
        for word in words
        if 0 <= (word.start + word.end) / 2 - start < seconds
    ]
