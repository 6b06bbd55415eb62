"""Reader of tables of clips, from this project or another: labels, predictions, and attributes of people.

A csv file may have any of the separators, encodings and spellings below. A pickle of labels is read safely (see
`pickles`). An error names the line or the column that is wrong.
"""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pandas as pd

from personality.pickles import unpickle
from personality.traits import TARGETS, TRAITS

ATTRIBUTES = ("gender", "ethnicity", "age")
"""Columns that describe the person in a clip."""
SEPARATORS = ",;\t|"
INITIALS = {trait[0]: trait for trait in TRAITS}
SPELLINGS = {
    **{target: target for target in TARGETS},
    "neurotisicm": "neuroticism",  # in the challenge of 2016
    "nonneuroticism": "neuroticism",  # in OCEAN-AI: the labels are of emotional stability
    "emotionalstability": "neuroticism",
    "extroversion": "extraversion",
}
SCORE = "y?pred(?:icted|ictions?)?|scores?|values?|outputs?|estimates?"
LABEL = "labels?|gt|groundtruth|y?true|truth|targets?|actual"
STD = "spread|std"
SUFFIXES = {"_label": LABEL, "_std": STD}
"""Suffixes of our columns, and patterns of the words that others use."""
TARGET_COLUMN = re.compile(
    rf"(?P<before>{SCORE}|{LABEL})?(?P<name>{'|'.join([*SPELLINGS, *INITIALS])})(?P<after>{SCORE}|{LABEL}|{STD})?"
)
ALIASES = {
    "clip": [
        *["clip", "videoname", "sampleid", "filename", "clipname", "clipid"],
        *["video", "sample", "file", "path", "name"],
    ],
    "source": ["source", "sourceid", "videoid"],
    "group": ["group"],
    "line": ["line"],
    **{name: [name, f"{name}group", f"apparent{name}"] for name in ATTRIBUTES},
    "segments": ["segments"],
}
"""Other names of our columns, the most specific first. Only the first that a file has is renamed."""
OUR_COLUMNS = {*ALIASES, *(f"{target}{suffix}" for target in TARGETS for suffix in ("", *SUFFIXES))}


class Openable(Protocol):
    """A file that is not on disk, such as a member of an archive."""

    def open(self) -> BinaryIO:
        """Open the file for reading bytes."""


def read_table(file: str | Path | Openable, *keys: str, numbered: bool = False) -> pd.DataFrame:
    """Read a table from a csv file or a pickle of labels.

    The separator is a comma, semicolon, tab or bar. The encoding is UTF-8, UTF-16 with a byte order mark, or Latin-1.
    Columns are renamed by `rename_columns`, clips by `clip_name`.

    Args:
        file: The file, on disk or in an archive.
        keys: Names of columns; the first that the file has becomes the index.
        numbered: Whether to number the rows of a file without such a column, instead of raising an error.

    Returns:
        The rows in the order of the file: text, NaN for an empty cell; numbers from a pickle. The index is the key, or
        `line` for numbered rows. `attrs["columns"]` maps each column to its name in the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a table, has no column of `keys`, or has two columns with the same meaning.
    """
    path = Path(file) if isinstance(file, str) else file
    if isinstance(path, Path) and not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {found}. Expected a csv file, or a pickle of labels; check the name.")
    content = path.read_bytes() if isinstance(path, Path) else path.open().read()
    is_pickle = content.startswith(b"\x80") or str(path).lower().endswith((".pkl", ".pickle"))
    table = _read_pickle(content, path) if is_pickle else _read_csv(content, path)
    names = rename_columns(table.columns)
    renamed = [name for name, column in zip(names, table.columns, strict=True) if name != column]
    twice = {name for name in [*TARGETS, *ATTRIBUTES, *renamed] if names.count(name) > 1}
    if twice:
        columns = [column for name, column in zip(names, table.columns, strict=True) if name in twice]
        raise ValueError(
            f"{path} has two columns of {join_names(sorted(twice))}: {join_names(columns, 10)}. Expected one of each, "
            f"and labels beside scores to be called {TRAITS[0]}_label; rename or remove one."
        )
    table.attrs["columns"] = dict(zip(names, table.columns, strict=True))
    table.columns = pd.Index(names)
    return _set_index(table, path, keys, numbered)


def read_cells(file: str | Path) -> pd.DataFrame:
    """Read the cells of a table as they are: csv, tsv and the like as `read_table` does, or parquet.

    Returns:
        The rows and columns of the file under its own names: text, NaN for an empty cell.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a table.
    """
    path = Path(file)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {found}. Expected a csv, tsv or parquet file; check the name.")
    if path.suffix.lower() != ".parquet":
        return _read_csv(path.read_bytes(), path)
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise ValueError(
            f"{path} is a parquet file, and nothing that reads these is installed. Expected the extra parquet (uv sync "
            "--extra parquet), or a csv file."
        ) from error
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is no parquet file: {error}. Expected a table; save it again.") from error
    return table.apply(lambda column: column.where(column.isna(), column.astype(str)).astype(object))


def rename_columns(columns: Iterable[object]) -> list[str]:
    """Return this project's names of columns, and the file's own names of all others.

    Single letters are traits only in a file that has all five.

    >>> rename_columns(["sample_id", "pred_O", "pred_C", "pred_E", "pred_A", "pred_N"])
    ['clip', 'openness', 'conscientiousness', 'extraversion', 'agreeableness', 'neuroticism']
    >>> rename_columns(["VideoName", "ValueNeurotisicm", "Openness Label", "e", "pixel_1"])
    ['clip', 'neuroticism', 'openness_label', 'e', 'pixel_1']
    """
    names = [str(column) for column in columns]
    letters = [only_letters(name) for name in names]
    initials = dict[int, str]()
    for index, text in enumerate(letters):
        if found := TARGET_COLUMN.fullmatch(text):
            around = (found["before"] or "", found["after"] or "")
            suffixes = [suffix for suffix, words in SUFFIXES.items() for part in around if re.fullmatch(words, part)]
            suffix = "".join(suffixes[:1])
            if found["name"] in INITIALS:
                initials[index] = INITIALS[found["name"]] + suffix
            else:
                names[index] = SPELLINGS[found["name"]] + suffix
    for suffix in ("", *SUFFIXES):
        five = {trait + suffix for trait in TRAITS}
        if five <= set(initials.values()):
            for index in [index for index, name in initials.items() if name in five]:
                names[index] = initials[index]
    letters = [text.removeprefix("value") for text in letters]
    for name, aliases in ALIASES.items():
        if alias := next((alias for alias in aliases if alias in letters), None):
            names[letters.index(alias)] = name
    return names


def only_letters(name: object) -> str:
    """Return the letters of a name in lower case, to compare different spellings."""
    return re.sub(r"[^a-z]", "", str(name).lower())


def is_like_a_trait(name: str) -> bool:
    """Return whether a column's name is probably a misspelt trait.

    >>> is_like_a_trait("opennes"), is_like_a_trait("warmth")
    (True, False)
    """
    return bool(difflib.get_close_matches(only_letters(name), SPELLINGS, n=1, cutoff=0.8))


def clip_name(name: str) -> str:
    """Return a clip's name as in the label files: without a folder, with .mp4 if it has no suffix.

    >>> clip_name("test80_01/-Ab_x9-7kQw.003"), clip_name(" talk.MP4"), clip_name("holiday.mov")
    ('-Ab_x9-7kQw.003.mp4', 'talk.mp4', 'holiday.mov')
    """
    base = re.sub(r"\.mp4$", "", re.split(r"[/\\]", name.strip())[-1], flags=re.IGNORECASE)
    return base if re.search(r"\.[A-Za-z]\w{1,4}$", base) else f"{base}.mp4"


def as_numbers(cells: pd.Series) -> pd.Series:
    """Convert cells to float64: a decimal point or comma, NaN where a cell is not a number.

    >>> as_numbers(pd.Series(["0.5", "0,25", "high", None])).tolist()
    [0.5, 0.25, nan, nan]
    """
    values = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    unread = values.isna() & cells.notna()
    if unread.any():
        points = cells[unread].replace(r"^\s*([-+]?\d*),(\d+(?:[eE][-+]?\d+)?)\s*$", r"\1.\2", regex=True)
        values[unread] = pd.to_numeric(points, errors="coerce").astype(np.float64)
    return values


def number_column(table: pd.DataFrame, column: str, path: object) -> pd.Series:
    """Convert a column of `read_table` to float64, NaN for an empty cell; raise where a cell is not a number."""
    values = as_numbers(table[column])
    wrong = table.index[~np.isfinite(values) & table[column].notna()]
    if len(wrong):
        raise ValueError(
            f"{path} has {table.loc[wrong[0], column]!r} for {column} of {wrong[0]}. Expected a number or an empty "
            "cell; correct it."
        )
    return values


def require_traits(table: pd.DataFrame, path: object, kind: str = "") -> None:
    """Raise if a table of `read_table` has no column for a trait; the error names a column with a similar name."""
    missing = [trait + kind for trait in TRAITS if trait + kind not in table]
    if missing:
        columns = [str(column) for column in table.attrs["columns"].values()]
        unknown = [column for name, column in table.attrs["columns"].items() if name == column]
        alike = difflib.get_close_matches(missing[0], unknown, n=1)
        remedy = f"rename {alike[0]}, if that is what it is" if alike else "add it, or rename the right column"
        remedy = _remedy_for_one_trait(table) or remedy
        raise ValueError(
            f"{path} has no column {join_names(missing, 5)}, but {join_names(columns, 12)}. Expected a column for each "
            f"trait; {remedy}."
        )


def _remedy_for_one_trait(table: pd.DataFrame) -> str:
    single = any(re.fullmatch(SCORE, only_letters(column)) for column in table) and not set(TRAITS) & set(table)
    return "give the folder, if there is such a file for each trait" if single else ""


def require_labels(table: pd.DataFrame, path: object) -> None:
    """Raise if the columns of the traits are called predictions in the file."""
    columns = [table.attrs["columns"][trait] for trait in TRAITS if trait in table]
    predicted = [column for column in columns if "pred" in str(column).lower()]
    if predicted:
        raise ValueError(
            f"{path} has predictions ({join_names(predicted, 5)}), but no labels. Expected labels; name a file that "
            "has them."
        )


def require_unique(clips: pd.Index, path: str) -> None:
    """Raise if a clip has more than one row."""
    if not clips.is_unique:
        twice = format_clips(clips[clips.duplicated()].unique())
        raise ValueError(f"{path} has more than one line for {twice}. Expected one a clip; remove the others.")


def join_names(names: Iterable[object], most: int = 3) -> str:
    """Join names by commas, at most the first few."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:most]) + (" ..." if len(texts) > most else "")


def format_clips(clips: Collection[str], most: int = 3) -> str:
    """Format the number of clips and the names of the first.

    >>> format_clips(["a.mp4"]), format_clips(["a.mp4", "b.mp4", "c.mp4"], most=2)
    ('1 clip (a.mp4)', '3 clips (a.mp4, b.mp4 ...)')
    """
    return f"{len(clips):,} clip{'s' * (len(clips) != 1)} ({join_names(clips, most)})"


def _read_pickle(content: bytes, path: object) -> pd.DataFrame:
    """Read labels in the official layout: a dict of traits, each a dict of clips."""
    by_target = unpickle(content, path, "labels in an official pickle such as annotation_training.pkl, or in a .csv")
    if not (isinstance(by_target, dict) and all(isinstance(labels, dict) for labels in by_target.values())):
        raise ValueError(
            f"{path} holds a {type(by_target).__name__}. Expected a dict of traits, each a dict from clip to label; "
            "check that it is an annotation file, not the transcriptions."
        )
    columns = {}
    for target, labels in by_target.items():
        wrong = [label for label in labels.values() if not isinstance(label, int | float | None)]
        if wrong:
            raise ValueError(f"{path} has {wrong[0]!r} for {target}. Expected a number for each clip; correct it.")
        columns[_text(target)] = pd.Series({_text(clip): label for clip, label in labels.items()}, dtype=np.float64)
    return pd.DataFrame(columns).rename_axis("clip").reset_index()


def _text(name: object) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _read_csv(content: bytes, path: object) -> pd.DataFrame:
    text = re.sub(r"\Asep=.\r?\n", "", _decode(content, path))  # the first line of some files of Excel
    header = next((line for line in text.splitlines() if line.strip()), "")
    try:
        cells = {each: next(csv.reader([header], delimiter=each, skipinitialspace=True), []) for each in SEPARATORS}
        ours = {each: sum(name in OUR_COLUMNS for name in rename_columns(names)) for each, names in cells.items()}
        separator = max(SEPARATORS, key=lambda each: (ours[each], len(cells[each])))
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, skipinitialspace=True)
    except (ValueError, csv.Error) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{path} is no csv file: {reason}. Expected a header and a line a clip; save it as csv."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{path} has lines with {table.index.nlevels + len(table.columns)} cells, and a header of "
            f"{len(table.columns)} ({join_names(table.columns, 12)}). Expected a first line that names every column; "
            "name those that are missing. Numbers with decimal commas need semicolons between them."
        )
    return table.apply(lambda column: column.str.strip().replace("", np.nan))


def _decode(content: bytes, path: object) -> str:
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if utf_16 else ["utf-8-sig", "cp1252"]:  # the last is the Latin-1 of Windows
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(
        f"{path} is no csv file: it begins with the bytes {content[:8]!r}, which are not text. Expected a csv file in "
        "UTF-8; save it as such."
    )


def _set_index(table: pd.DataFrame, path: object, keys: Sequence[str], numbered: bool) -> pd.DataFrame:
    """Set the first key that the table has as its index."""
    key = next((key for key in keys if key in table), None)
    if key is None and table.columns[0] == "Unnamed: 0":  # an index without a name, written by pandas
        if table.iloc[:, 0].tolist() == [str(row) for row in range(len(table))]:
            table = table.drop(columns="Unnamed: 0")
        else:
            key = keys[0]
            table = table.rename(columns={"Unnamed: 0": key})
    if key is None and numbered:
        return table.set_axis(pd.Index([f"line {row:06d}" for row in range(1, len(table) + 1)], name="line"))
    if key is None:
        columns = join_names(table.attrs["columns"].values(), 12)
        raise ValueError(
            f"{path} has the columns {columns}. Expected a first line that names every column, one of them "
            f"{' or '.join(key for key in keys if key != 'line')}; {_remedy_for_one_trait(table) or 'name it so'}."
        )
    names = table.pop(key)
    if names.empty:
        raise ValueError(f"{path} has a header, but no line below it. Expected a line a clip; check the file.")
    if names.isna().any():
        raise ValueError(f"{path} has no {key} in line {names.isna().argmax() + 2}. Expected one; fill it in.")
    return table.set_axis(pd.Index([clip_name(name) for name in names] if key == "clip" else names, name=key))
