"""Label files: how people judged each clip, read without trusting the file and written in the official format."""

import logging
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from personality.corpus.archives import Member
from personality.corpus.files import File, open_file
from personality.pickles import unpickle
from personality.tables import as_numbers, clip_name, read_table, refuse_predictions, require_traits
from personality.traits import TARGETS

logger = logging.getLogger(__name__)

OFFICIAL_ORDER = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")


def read_labels(path: str | File) -> pd.DataFrame:
    """Read how the clips of a label file were judged.

    Understands the official pickles (a dict of traits, each a dict of clips), however they were pickled again, the csv
    of the first challenge (`VideoName`, `ValueExtraversion`, ...) and a csv with a column `clip` and one for each
    trait, in any order (see `personality.tables.read_table`). A pickle is only ever read as data: one that asks for
    more is refused, and nothing of it runs.

    Args:
        path: A csv file or a pickle; it may lie in an archive.

    Returns:
        Labels in [0, 1], sorted by clip: index `clip`, all ending in .mp4, columns `TRAITS` and, where the file has
        it, `interview`. A clip with a label missing or out of range is left out, and a warning lists it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no label file, or lacks a trait, or has no clip that can be used.
    """
    table = read_table(path, "clip")
    require_traits(table, path)
    refuse_predictions(table, path)
    labels = table[[target for target in TARGETS if target in table]].apply(as_numbers)
    labels = labels.rename_axis(index="clip", columns=None).sort_index()
    if not labels.index.is_unique:
        twice = labels.index[labels.index.duplicated()].unique()
        raise ValueError(f"{path} judges {enumerate_clips(twice)} more than once. Expected one row a clip; remove one.")
    usable = ((labels >= 0) & (labels <= 1)).all(axis="columns")
    if not usable.all():
        unusable = enumerate_clips(labels.index[~usable])
        logger.warning("%s: labels missing or out of [0, 1], left out: %s", path, unusable)
    if not usable.any():
        raise ValueError(f"{path} has no clip with all its labels. Expected numbers in [0, 1]; check the file.")
    return labels[usable]


def write_labels(path: str | Path, labels: pd.DataFrame) -> None:
    """Write labels as the official files hold them, so that programs made for those can read ours, Python 2 too.

    Args:
        path: The file to write.
        labels: A table as `read_labels` returns it.
    """
    judged = labels[[target for target in OFFICIAL_ORDER if target in labels]].to_dict()
    Path(path).write_bytes(pickle.dumps(judged, protocol=2))


def read_transcripts(file: File) -> pd.Series:
    """Read what is said in each clip: an official pickle such as `transcription_training.pkl`, with the same caution.

    Returns:
        Text, which may be empty: index `clip`.
    """
    with open_file(file) as stream:
        content = unpickle(stream.read(), file, "transcriptions such as transcription_training.pkl")
    if not (isinstance(content, dict) and all(isinstance(text, str) for text in content.values())):
        raise ValueError(
            f"{file} holds a {type(content).__name__}. Expected a dict from clip to text; check that it is a "
            "transcription file, not the annotations."
        )
    texts = pd.Series(content, name="transcript", dtype=object).map(_text_of_python_2)
    return texts.rename(index=lambda clip: clip_name(str(clip))).rename_axis("clip").sort_index()


def join_clips(labels: pd.DataFrame, files: Mapping[str, File]) -> pd.DataFrame:
    """Bring labels and video files together by the clip's name, with or without .mp4, and say what has no partner.

    Args:
        labels: A row a clip; the clip's name is the last level of the index.
        files: Where each clip's video lies: a path, or a member of an archive.

    Returns:
        The labels of the clips that have a video, with the column `path` in front.

    Raises:
        ValueError: Not one clip has both.
    """
    labels = labels.rename(index=clip_name, level="clip")
    files = {clip_name(clip): file for clip, file in files.items()}
    names = labels.index.get_level_values("clip")
    if unfilmed := sorted(set(names) - set(files)):
        logger.warning("Labels without a video, left out: %s", enumerate_clips(unfilmed))
    if unlabelled := sorted(set(files) - set(names)):
        logger.warning("Videos without a label, left out: %s", enumerate_clips(unlabelled))
    joined = labels[names.isin(list(files))]
    if joined.empty:
        raise ValueError(
            f"None of {len(files)} videos has one of {len(labels)} labels. Expected names such as "
            f"{next(iter(names), 'J4GQm9j0JZ0.003.mp4')} among the videos; check that both come from one data set."
        )
    sources = [files[clip] for clip in joined.index.get_level_values("clip")]
    paths = [source if isinstance(source, Member) else str(source) for source in sources]
    return pd.concat([pd.Series(paths, joined.index, name="path", dtype=object), joined], axis="columns")


def enumerate_clips(clips: Collection[str], shown: int = 20) -> str:
    """Count clips and name the first of them.

    >>> enumerate_clips(["a.mp4", "b.mp4", "c.mp4"], shown=2)
    '3 clips (a.mp4, b.mp4, ...)'
    """
    names = [*list(clips)[:shown], *(["..."] if len(clips) > shown else [])]
    return f"{len(clips)} clip{'s' * (len(clips) != 1)} ({', '.join(names)})"


def _text_of_python_2(text: str) -> str:
    """Read as UTF-8 what was read as Latin-1 for want of knowing."""
    try:
        return text.encode("latin1").decode()
    except UnicodeError:
        return text
