"""Tables of clips, whoever wrote them: labels, predictions, and who is seen. The only reader of foreign tables.

A csv file may have any of the separators, encodings and spellings below, and is read as text, cell by cell; a pickle of
labels is read as data (see `pickles`). What cannot be read is refused with the line or the column that is wrong.
"""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pandas as pd

from personality.pickles import unpickle
from personality.traits import TARGETS, TRAITS

ATTRIBUTES = ("gender", "ethnicity", "age")
"""What a table may say of the people who are seen."""
SEPARATORS = ",;\t|"
INITIALS = {trait[0]: trait for trait in TRAITS}
SPELLINGS = {
    **{target: target for target in TARGETS},
    "neurotisicm": "neuroticism",  # the challenge of 2016
    "nonneuroticism": "neuroticism",  # OCEAN-AI, of the same labels, which are of emotional stability
    "emotionalstability": "neuroticism",
    "extroversion": "extraversion",
}
SCORE = "y?pred(?:icted|ictions?)?|scores?|values?|outputs?|estimates?"
LABEL = "labels?|gt|groundtruth|y?true|truth|targets?|actual"
STD = "spread|std"
KINDS = {"_label": LABEL, "_std": STD}
TARGET_COLUMN = re.compile(
    rf"(?P<before>{SCORE}|{LABEL})?(?P<name>{'|'.join([*SPELLINGS, *INITIALS])})(?P<after>{SCORE}|{LABEL}|{STD})?"
)
ALIASES = {
    "clip": (
        "clip",
        "videoname",
        "sampleid",
        "filename",
        "clipname",
        "clipid",
        "video",
        "sample",
        "file",
        "path",
        "name",
    ),
    "source": ("source", "sourceid", "videoid"),
    "line": ("line",),
    **{name: (name, f"{name}group", f"apparent{name}") for name in ATTRIBUTES},
    "segments": ("segments",),
}
"""Other names of a column, the surest first: the first that a file has is renamed, the others are left alone."""
KNOWN = {*ALIASES, *(f"{target}{kind}" for target in TARGETS for kind in ("", *KINDS))}


class Openable(Protocol):
    """A file that is not on the disk by itself, such as a member of an archive."""

    def open(self) -> BinaryIO:
        """Open the file for reading bytes."""


def read_table(file: str | Path | Openable, *keys: str, numbered: bool = False) -> pd.DataFrame:
    """Read a table in a csv file or in a pickle of labels.

    Cells may be separated by commas, semicolons, tabs or bars. The text may be UTF-8, UTF-16 with its byte order mark,
    or Latin-1. Columns are renamed by `spell_columns`, clips by `clip_name`.

    Args:
        file: The file, on the disk or in an archive.
        keys: Names of columns, of which the first that the file has names its rows.
        numbered: Whether the rows of a file without such a column are numbered, instead of being refused.

    Returns:
        A row a row of the file, in its order, cells as text, NaN where a cell is blank (of a pickle, numbers). The
        index is the key, or `line` where rows are numbered. `attrs["columns"]` tells how the file spells each column.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no table, or has no column of `keys`, or has one of ours twice.
    """
    path = Path(file) if isinstance(file, str) else file
    if isinstance(path, Path) and not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {found}. Expected a csv file, or a pickle of labels; check the name.")
    content = path.read_bytes() if isinstance(path, Path) else path.open().read()
    is_pickle = content.startswith(b"\x80") or str(path).lower().endswith((".pkl", ".pickle"))
    table = _read_pickle(content, path) if is_pickle else _read_csv(content, path)
    spelled = spell_columns(table.columns)
    known = [name for name, column in zip(spelled, table.columns, strict=True) if name != column]
    twice = {name for name in [*TARGETS, *ATTRIBUTES, *known] if spelled.count(name) > 1}
    if twice:
        columns = [column for name, column in zip(spelled, table.columns, strict=True) if name in twice]
        raise ValueError(
            f"{path} has two columns of {listed(sorted(twice))}: {listed(columns, 10)}. Expected one of each, and "
            f"labels beside scores to be called {TRAITS[0]}_label; rename or remove one."
        )
    table.attrs["columns"] = dict(zip(spelled, table.columns, strict=True))
    table.columns = pd.Index(spelled)
    return _name_rows(table, path, keys, numbered)


def spell_columns(columns: Iterable[object]) -> list[str]:
    """Spell the columns that this project knows as it does, and leave the others alone.

    Single letters are traits only where a file has all five.

    >>> spell_columns(["sample_id", "pred_O", "pred_C", "pred_E", "pred_A", "pred_N"])
    ['clip', 'openness', 'conscientiousness', 'extraversion', 'agreeableness', 'neuroticism']
    >>> spell_columns(["VideoName", "ValueNeurotisicm", "Openness Label", "e", "pixel_1"])
    ['clip', 'neuroticism', 'openness_label', 'e', 'pixel_1']
    """
    names = [str(column) for column in columns]
    words = [letters(name) for name in names]
    spelled, initials = dict(enumerate(names)), dict[int, str]()
    for position, word in enumerate(words):
        if found := TARGET_COLUMN.fullmatch(word):
            around = (found["before"] or "", found["after"] or "")
            kinds = [kind for kind, known in KINDS.items() for part in around if re.fullmatch(known, part)]
            kind = "".join(kinds[:1])
            if found["name"] in INITIALS:
                initials[position] = INITIALS[found["name"]] + kind
            else:
                spelled[position] = SPELLINGS[found["name"]] + kind
    for kind in ("", *KINDS):
        five = [trait + kind for trait in TRAITS]
        if set(five) <= set(initials.values()):
            spelled |= {position: name for position, name in initials.items() if name in five}
    words = [word.removeprefix("value") for word in words]
    for name, aliases in ALIASES.items():
        if first := next((alias for alias in aliases if alias in words), None):
            spelled[words.index(first)] = name
    return list(spelled.values())


def letters(name: object) -> str:
    """Keep the letters of a name, in lower case: what is compared where people spell it in their own ways."""
    return re.sub(r"[^a-z]", "", str(name).lower())


def clip_name(name: str) -> str:
    """Name a clip as the label files do: without its folder, and with the ending .mp4 if it has none.

    >>> clip_name("test80_01/-Ab_x9-7kQw.003"), clip_name(" talk.MP4"), clip_name("holiday.mov")
    ('-Ab_x9-7kQw.003.mp4', 'talk.mp4', 'holiday.mov')
    """
    base = re.sub(r"\.mp4$", "", re.split(r"[/\\]", name.strip())[-1], flags=re.IGNORECASE)
    return base if re.search(r"\.[A-Za-z]\w{1,4}$", base) else f"{base}.mp4"


def as_numbers(cells: pd.Series) -> pd.Series:
    """Read cells as float64, with a decimal point or a decimal comma: NaN where a cell is no number.

    >>> as_numbers(pd.Series(["0.5", "0,25", "high", None])).tolist()
    [0.5, 0.25, nan, nan]
    """
    points = cells.replace(r"^\s*([-+]?\d*),(\d+(?:[eE][-+]?\d+)?)\s*$", r"\1.\2", regex=True)
    return pd.to_numeric(points, errors="coerce").astype(np.float64)


def numbers(table: pd.DataFrame, column: str, path: object) -> pd.Series:
    """Take a column of `read_table` as float64, NaN where a cell is blank."""
    values = as_numbers(table[column])
    wrong = table.index[~np.isfinite(values) & table[column].notna()]
    if len(wrong):
        raise ValueError(
            f"{path} says {table.loc[wrong[0], column]!r} for {column} of {wrong[0]}. Expected a number, or a blank "
            "where there is none; correct it."
        )
    return values


def require_traits(table: pd.DataFrame, path: object, kind: str = "") -> None:
    """Raise where a table of `read_table` lacks the column of a trait, and name the one that may be meant."""
    missing = [trait + kind for trait in TRAITS if trait + kind not in table]
    if missing:
        columns = [str(column) for column in table.attrs["columns"].values()]
        unknown = [column for name, column in table.attrs["columns"].items() if name == column]
        alike = difflib.get_close_matches(missing[0], unknown, n=1)
        remedy = f"rename {alike[0]}, if that is what it is" if alike else "add it, or rename what holds it"
        remedy = _remedy_for_one_trait(table) or remedy
        raise ValueError(
            f"{path} has no column {listed(missing, 5)}, but {listed(columns, 12)}. Expected a column for each trait; "
            f"{remedy}."
        )


def _remedy_for_one_trait(table: pd.DataFrame) -> str:
    single = any(re.fullmatch(SCORE, letters(column)) for column in table) and not set(TRAITS) & set(table)
    return "give the folder, if there is such a file for each trait" if single else ""


def refuse_predictions(table: pd.DataFrame, path: object) -> None:
    """Raise where the columns that are to be read as labels are called predictions."""
    columns = [table.attrs["columns"][trait] for trait in TRAITS if trait in table]
    predicted = [column for column in columns if "pred" in str(column).lower()]
    if predicted:
        raise ValueError(
            f"{path} has predictions ({listed(predicted, 5)}), but no labels. Expected labels; name the file that has "
            "them."
        )


def refuse_doubled(clips: pd.Index, where: str) -> None:
    """Raise where a name stands twice: which row is meant cannot be known."""
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


def _read_pickle(content: bytes, path: object) -> pd.DataFrame:
    """Read labels in the official layout: a dict of traits, each a dict of clips."""
    judged = unpickle(content, path, "labels in an official pickle such as annotation_training.pkl, or in a .csv")
    if not (isinstance(judged, dict) and all(isinstance(labels, dict) for labels in judged.values())):
        raise ValueError(
            f"{path} holds a {type(judged).__name__}. Expected a dict of traits, each a dict from clip to label; "
            "check that it is an annotation file, not the transcriptions."
        )
    columns = {}
    for target, labels in judged.items():
        wrong = [label for label in labels.values() if not isinstance(label, int | float | None)]
        if wrong:
            raise ValueError(f"{path} says {wrong[0]!r} for {target}. Expected a number for each clip; correct it.")
        columns[_text(target)] = pd.Series({_text(clip): label for clip, label in labels.items()}, dtype=np.float64)
    return pd.DataFrame(columns).rename_axis("clip").reset_index()


def _text(name: object) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _read_csv(content: bytes, path: object) -> pd.DataFrame:
    text = re.sub(r"\Asep=.\r?\n", "", _decode(content, path))  # a first line that Excel writes and reads
    header = next((line for line in text.splitlines() if line.strip()), "")
    try:
        cells = {mark: next(csv.reader([header], delimiter=mark, skipinitialspace=True), []) for mark in SEPARATORS}
        ours = {mark: sum(name in KNOWN for name in spell_columns(names)) for mark, names in cells.items()}
        separator = max(SEPARATORS, key=lambda mark: (ours[mark], len(cells[mark])))
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, skipinitialspace=True)
    except (ValueError, csv.Error) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{path} is no csv file: {reason}. Expected a header and a line a clip; save it as csv."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{path} has lines with {table.index.nlevels + len(table.columns)} cells, and a header of "
            f"{len(table.columns)} ({listed(table.columns, 12)}). Expected a first line that names every column; name "
            "those that are missing. Numbers with decimal commas need semicolons between them."
        )
    return table.apply(lambda column: column.str.strip().replace("", np.nan))


def _decode(content: bytes, path: object) -> str:
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:  # the last is Latin-1 as Windows has it
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(
        f"{path} is no csv file: it begins with the bytes {content[:8]!r}, which are no text. Expected a csv file in "
        "UTF-8; save it as that."
    )


def _name_rows(table: pd.DataFrame, path: object, keys: Sequence[str], numbered: bool) -> pd.DataFrame:
    """Make the first of the keys that the table has its index."""
    key = next((key for key in keys if key in table), None)
    if key is None and table.columns[0] == "Unnamed: 0":  # an index that pandas wrote without its name
        if table.iloc[:, 0].tolist() == [str(row) for row in range(len(table))]:
            table = table.drop(columns="Unnamed: 0")
        else:
            key = keys[0]
            table = table.rename(columns={"Unnamed: 0": key})
    if key is None and numbered:
        return table.set_axis(pd.Index([f"line {row:06d}" for row in range(1, len(table) + 1)], name="line"))
    if key is None:
        columns = listed(table.attrs["columns"].values(), 12)
        raise ValueError(
            f"{path} has the columns {columns}. Expected a first line that names every column, one of them "
            f"{' or '.join(key for key in keys if key != 'line')}; {_remedy_for_one_trait(table) or 'name it so'}."
        )
    names = table.pop(key)
    if names.empty:
        raise ValueError(f"{path} has a header, but no line below it. Expected a line a clip; check the file.")
    if names.isna().any():
        raise ValueError(
            f"{path} does not name the {key} of line {names.isna().argmax() + 2}. Expected one; fill it in."
        )
    return table.set_axis(pd.Index([clip_name(name) for name in names] if key == "clip" else names, name=key))
