"""Tables in csv files, whoever wrote them: found by the names of their columns, doubted cell by cell."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from personality.traits import TRAITS

KEYS = {"videoname": "clip", "video": "clip", "filename": "clip", "videoid": "source", "sourceid": "source"}
ODD_SPELLINGS = {"neurotisicm": "neuroticism", "extroversion": "extraversion"}
"""Spellings that other files use; the first is the one of the challenge."""
OURS = re.compile(rf"clip|source|segments|gender|ethnicity|age|({'|'.join(TRAITS)}|interview)(label|spread)?")


def read_table(path: str | Path, *keys: str) -> pd.DataFrame:
    """Read a csv file, its cells as text.

    Commas, semicolons or tabs may part the cells. Columns are renamed to our spelling: `ValueNeurotisicm` becomes
    `neuroticism`, `VideoName` becomes `clip`. A clip loses its folder, and gets back an ending that it lost.

    Args:
        path: The file.
        keys: Names of columns, of which the first that the file has names its lines.

    Returns:
        The file's lines: index the key, with no name twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Expected a csv file; check the name and the folder.")
    if path.suffix in {".pkl", ".pickle"}:
        raise ValueError(
            f'{path} is a pickle. Expected a csv file; convert it once with: python -c "from '
            f"personality.corpus.annotations import read_labels; read_labels('{path}').to_csv('{path.stem}.csv')\""
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        table = pd.read_csv(
            path, sep=max(",;\t", key=header.count), dtype=str, encoding="utf-8-sig", skipinitialspace=True
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{path} is no csv file: {words}. Expected a header and a line a clip; save it as csv."
        ) from error
    table.columns = pd.Index([our_spelling(column) for column in table.columns])
    key = next((key for key in keys if key in table), None)
    if key is None and table.columns[0] == "Unnamed: 0":  # an index that pandas wrote without its name
        key = keys[0]
        table = table.rename(columns={"Unnamed: 0": key})
    if key is None or not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{path} has the columns {listed(table.columns, 12)}. Expected a first line that names every column, one "
            f"of them {' or '.join(keys)}; name it so."
        )
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise ValueError(f"{path} has two columns of {listed(doubled)}. Expected one of each; remove the other.")
    names = table.pop(key)
    if names.isna().any():
        raise ValueError(
            f"{path} does not name the {key} of line {names.isna().argmax() + 2}. Expected one; fill it in."
        )
    table.index = pd.Index([clip_name(name) for name in names] if key == "clip" else names, name=key)
    refuse_doubled(table.index, str(path))
    return table


def our_spelling(column: str) -> str:
    """Spell the name of a column as this project does, if it is one of ours.

    >>> [our_spelling(column) for column in ("ValueNeurotisicm", "Openness Label", "VideoName", "pixel_1")]
    ['neuroticism', 'openness_label', 'clip', 'pixel_1']
    """
    word = re.sub(r"[^a-z]", "", column.lower()).removeprefix("value")
    for odd, right in ODD_SPELLINGS.items():
        word = word.replace(odd, right)
    word = KEYS.get(word, word)
    return re.sub(r"(label|spread)$", r"_\1", word) if OURS.fullmatch(word) else column


def clip_name(name: str) -> str:
    """Name a clip as the label files do.

    >>> clip_name("test80_01/-Ab_x9-7kQw.003"), clip_name("holiday.mov")
    ('-Ab_x9-7kQw.003.mp4', 'holiday.mov')
    """
    return re.sub(r"(\.\d{3})$", r"\1.mp4", re.split(r"[/\\]", name.strip())[-1])


def numbers(table: pd.DataFrame, column: str, path: str | Path) -> pd.Series:
    """Take a column of `read_table` as float64, NaN where a cell is blank."""
    values = pd.to_numeric(table[column], errors="coerce").astype(np.float64)
    wrong = table.index[~np.isfinite(values) & table[column].notna()]
    if len(wrong):
        raise ValueError(
            f"{path} says {table.loc[wrong[0], column]!r} for {column} of {wrong[0]}. Expected a number with a decimal "
            "point, or a blank where there is none; correct it."
        )
    return values


def refuse_doubled(clips: pd.Index, where: str) -> None:
    """Raise where a name stands twice: which line is meant cannot be known."""
    if not clips.is_unique:
        doubled = clips[clips.duplicated()].unique()
        raise ValueError(
            f"{where} has more than one line for {counted(doubled)}. Expected one a clip; remove the others."
        )


def listed(names: Iterable[object], most: int = 3) -> str:
    """Put names into a sentence, the first few of many."""
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (" ..." if len(words) > most else "")


def counted(clips: pd.Index) -> str:
    """Say how many clips these are and which.

    >>> counted(pd.Index(["a.mp4"])), counted(pd.Index(["a.mp4", "b.mp4"]))
    ('1 clip (a.mp4)', '2 clips (a.mp4, b.mp4)')
    """
    return f"{len(clips):,} clip{'s' if len(clips) != 1 else ''} ({listed(clips)})"
