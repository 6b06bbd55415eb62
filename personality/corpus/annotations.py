"""Label files, transcripts and tables of people: read safely."""

import logging
import pickle
from pathlib import Path

import pandas as pd

from personality.corpus.files import File
from personality.pickles import unpickle
from personality.tables import (
    ATTRIBUTES,
    as_numbers,
    clip_name,
    format_clips,
    read_table,
    require_labels,
    require_traits,
    require_unique,
)
from personality.traits import TARGETS

log = logging.getLogger(__name__)

OFFICIAL_ORDER = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")


def read_labels(path: str | File) -> pd.DataFrame:
    """Read a label file.

    Reads the official pickles (a dict of traits, each a dict of clips), the csv of the first challenge (`VideoName`,
    `ValueExtraversion`, ...) and any csv with a column `clip` and one for each trait (see
    `personality.tables.read_table`). A pickle is read as data: no code in it can run.

    Args:
        path: A csv file or a pickle, also in an archive.

    Returns:
        Labels in [0, 1], sorted by clip: index `clip`, ending in .mp4, columns `TRAITS` and, where the file has it,
        `interview`. A clip with a label that is missing or out of range is left out with a warning.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a label file, lacks a trait, or has no clip with all labels.
    """
    table = read_table(path, "clip")
    require_traits(table, path)
    require_labels(table, path)
    require_unique(table.index, str(path))
    labels = table[[target for target in TARGETS if target in table]].apply(as_numbers)
    labels = labels.rename_axis(index="clip", columns=None).sort_index()
    usable = ((labels >= 0) & (labels <= 1)).all(axis="columns")
    if not usable.all():
        unusable = format_clips(labels.index[~usable], 20)
        log.warning("%s: labels missing or out of [0, 1], left out: %s", path, unusable)
    if not usable.any():
        raise ValueError(f"{path} has no clip with all its labels. Expected numbers in [0, 1]; check the file.")
    return labels[usable]


def write_labels(path: str | Path, labels: pd.DataFrame) -> None:
    """Write labels in the official format, which other programs read, in Python 2 too.

    Args:
        path: The file to write.
        labels: A table as `read_labels` returns.
    """
    by_target = labels[[target for target in OFFICIAL_ORDER if target in labels]].to_dict()
    Path(path).write_bytes(pickle.dumps(by_target, protocol=2))


def read_transcripts(file: File) -> pd.Series:
    """Read the transcript of each clip, safely, from an official pickle such as `transcription_training.pkl`.

    Returns:
        Text, maybe empty: index `clip`.
    """
    pickled = file.read_bytes() if isinstance(file, Path) else file.open().read()
    content = unpickle(pickled, file, "transcriptions such as transcription_training.pkl")
    if not (isinstance(content, dict) and all(isinstance(text, str) for text in content.values())):
        raise ValueError(
            f"{file} holds a {type(content).__name__}. Expected a dict from clip to text; check that it is a "
            "transcription file, not the annotations."
        )
    texts = pd.Series(content, name="transcript", dtype=object).map(_decode_utf8)
    return texts.rename(index=lambda clip: clip_name(str(clip))).rename_axis("clip").sort_index()


def write_transcripts(path: str | Path, texts: pd.Series) -> None:
    """Write the text of each clip in the official format: see `read_transcripts`."""
    Path(path).write_bytes(pickle.dumps({str(clip): str(text) for clip, text in texts.items()}, protocol=2))


def read_people(file: File) -> pd.DataFrame | None:
    """Read the gender, ethnicity and age of the people in clips; None for a csv without any of them.

    Returns:
        Text: index `clip`, the columns of `ATTRIBUTES` that the file has. The first row of a clip counts.
    """
    try:
        table = read_table(file, "clip")
    except ValueError as error:
        log.info("Not read as a table of people: %s", error)
        return None
    known = [name for name in ATTRIBUTES if name in table]
    return table.loc[~table.index.duplicated(), known] if known else None


def _decode_utf8(text: str) -> str:
    """Decode UTF-8 text of Python 2, which was read as Latin-1."""
    try:
        return text.encode("latin1").decode()
    except UnicodeError:
        return text
