"""Label files: how people judged each clip, read without trusting the file and written in the official format."""

import logging
import pickle
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personality.corpus.archives import Member
from personality.corpus.files import File, base_name, open_file
from personality.traits import TARGETS, TRAITS

logger = logging.getLogger(__name__)

OFFICIAL_ORDER = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")
CHALLENGE_SPELLING = {"videoname": "clip", "neurotisicm": "neuroticism"}


def read_labels(path: str | File) -> pd.DataFrame:
    """Read how the clips of a label file were judged.

    Understands the official pickles (a dict of traits, each a dict of clips), the csv of the first challenge
    (`VideoName`, `ValueExtraversion`, ...) and a plain csv with a column `clip` and one for each trait, in any order.
    A pickle is only ever read as data: one that asks for more is refused, and nothing of it runs.

    Args:
        path: A `.csv` file, or a pickle under any other name; it may lie in an archive.

    Returns:
        Labels in [0, 1], sorted by clip: index `clip`, columns `TRAITS` and, where the file has it, `interview`.
        A clip with a label missing or out of range is left out, and a warning lists it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no label file, or lacks a trait, or has no clip that can be used.
    """
    path = Path(path) if isinstance(path, str) else path
    if isinstance(path, Path) and not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Expected a label file; check the name and the folder.")
    table = _read_csv(path) if base_name(path).lower().endswith(".csv") else _read_pickle(path)
    missing = [trait for trait in TRAITS if trait not in table]
    if missing:
        raise ValueError(
            f"{path} has the columns {', '.join(map(str, table.columns)) or 'none'}, but no labels of "
            f"{', '.join(missing)}. Expected all of {', '.join(TRAITS)}; name the columns so, separated by commas."
        )
    labels = table[[target for target in TARGETS if target in table]].apply(pd.to_numeric, errors="coerce")
    labels = labels.astype(np.float64).rename_axis(index="clip", columns=None).sort_index()
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
    """Write labels as the official files are written, so that programs made for those can read ours.

    That is the second protocol of Python 2's pickle: `clip` names are byte strings, labels are floats, except those
    of the interview, which are NumPy scalars.

    Args:
        path: The file to write.
        labels: A table as `read_labels` returns it.
    """
    Path(path).write_bytes(b"".join(_pickle_opcodes(labels)))


def read_transcripts(file: File) -> pd.Series:
    """Read what is said in each clip: an official pickle such as `transcription_training.pkl`, with the same caution.

    Returns:
        Text, which may be empty: index `clip`.
    """
    content = _load(file, "transcriptions such as transcription_training.pkl")
    if not (isinstance(content, dict) and all(isinstance(text, str) for text in content.values())):
        raise ValueError(
            f"{file} holds a {type(content).__name__}. Expected a dict from clip to text; check that it is a "
            "transcription file, not the annotations."
        )
    texts = pd.Series(content, name="transcript", dtype=object).map(_text_of_python_2)
    return texts.rename(index=str).rename_axis("clip").sort_index()


def join_clips(labels: pd.DataFrame, files: Mapping[str, File]) -> pd.DataFrame:
    """Bring labels and video files together by the clip's name, and say what has no partner.

    Args:
        labels: A row a clip; the clip's name is the last level of the index.
        files: Where each clip's video lies: a path, or a member of an archive.

    Returns:
        The labels of the clips that have a video, with the column `path` in front.

    Raises:
        ValueError: Not one clip has both.
    """
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


class _LabelUnpickler(pickle.Unpickler):
    """Builds dicts, strings and numbers; a pickle that names any other code is refused before that code is found."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("numpy.core.multiarray", "scalar"):
            return np.float64(0).__reduce__()[0]  # the same function, wherever this NumPy keeps it
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and labels need nothing but numpy.dtype and scalar")


def _load(path: File, what: str) -> Any:
    """Build what a pickle of Python 2 describes."""
    try:
        with open_file(path) as file:
            return _LabelUnpickler(file, encoding="latin1").load()
    except Exception as error:  # what is no pickle, or half of one, can raise anything
        raise ValueError(
            f"{path} cannot be read as {what.partition(' ')[0]}: {error}. Expected {what}; fetch the file again from "
            "where it was published."
        ) from error


def _text_of_python_2(text: str) -> str:
    """Read as UTF-8 what was read as Latin-1 for want of knowing."""
    try:
        return text.encode("latin1").decode()
    except UnicodeError:
        return text


def _read_pickle(path: File) -> pd.DataFrame:
    content = _load(path, "labels in an official pickle such as annotation_training.pkl, or in a .csv")
    if not (isinstance(content, dict) and all(isinstance(labels, dict) for labels in content.values())):
        raise ValueError(
            f"{path} holds a {type(content).__name__}. Expected a dict of traits, each a dict from clip to label; "
            "check that it is an annotation file, not the transcriptions."
        )
    return pd.DataFrame(content).rename(index=str)


def _read_csv(path: File) -> pd.DataFrame:
    try:
        with open_file(path) as file:
            table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a table: {error}. Expected values separated by commas.") from error
    names = [column.strip().lower().removeprefix("value") for column in table.columns]
    table.columns = pd.Index([CHALLENGE_SPELLING.get(name, name) for name in names])
    if "clip" not in table:
        raise ValueError(
            f"{path} has the columns {', '.join(names)}, but none with the clips' names. Expected one called clip "
            "(or VideoName, as in the challenge); add or rename it."
        )
    return table.set_index("clip")


def _pickle_opcodes(labels: pd.DataFrame) -> Iterator[bytes]:
    yield pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK
    for target in OFFICIAL_ORDER:
        if target in labels:
            encode = _numpy_scalar if target == "interview" else _float
            yield _byte_string(target.encode()) + pickle.EMPTY_DICT + pickle.MARK
            yield from (_byte_string(str(clip).encode()) + encode(label) for clip, label in labels[target].items())
            yield pickle.SETITEMS
    yield pickle.SETITEMS + pickle.STOP


def _byte_string(text: bytes) -> bytes:
    return pickle.SHORT_BINSTRING + bytes([len(text)]) + text


def _float(label: float) -> bytes:
    return pickle.BINFLOAT + struct.pack(">d", label)


def _numpy_scalar(label: float) -> bytes:
    dtype = pickle.GLOBAL + b"numpy\ndtype\n" + _byte_string(b"<f8") + pickle.TUPLE1 + pickle.REDUCE
    value = _byte_string(struct.pack("<d", label))
    return pickle.GLOBAL + b"numpy.core.multiarray\nscalar\n" + dtype + value + pickle.TUPLE2 + pickle.REDUCE
