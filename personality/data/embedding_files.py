"""Files of embeddings: numbers that another program computed for each clip, by the clip's name.

```
csv, tsv        a line a clip: a column `clip`, and a column for each number
npz             an array a clip, under the clip's name; or an array `clips` of names, and an array a feature
folder          an npy file a clip, of the clip's name
h5, hdf5        a dataset a clip; or `clips` and a dataset a feature; a group for each feature, where there are several
```

A clip has a vector `(numbers,)` or a sequence `(time, numbers)`. In a file without columns, text `names` names the
numbers. Names of clips are compared as everywhere: without a folder, with or without .mp4.
"""

import functools
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from personality.tables import as_numbers, clip_name, format_clips, join_names, read_table, require_unique
from personality.traits import TARGETS

CLIPS = ("clips", "clip")
"""What an array of the clips' names is called."""


class Array(NamedTuple):
    """An array in a file, which is read when it is asked for."""

    shape: tuple[int, ...]
    read: Callable[[Any], np.ndarray]
    """From an index of the array to its values."""


class Feature(NamedTuple):
    """The numbers of one kind: for each clip a vector, or a sequence of vectors."""

    name: str
    file: Path
    numbers: list[str]
    """The names of the numbers."""
    columns: np.ndarray
    """`(numbers,)`: where they stand in a vector of the file."""
    shape: tuple[int, int]
    """How many dimensions the array of most clips has, and how many numbers at its end."""
    arrays: Mapping[str, Array]
    """By the name of the clip."""

    @property
    def is_sequence(self) -> bool:
        """Whether a clip has a sequence of vectors."""
        return self.shape[0] == 2

    @property
    def usual_length(self) -> int:
        """The median number of vectors of a clip."""
        return int(np.median([array.shape[0] for array in self.arrays.values() if len(array.shape) == 2]))

    def read(self, clip: str) -> np.ndarray:
        """Read the numbers of a clip, `(time, numbers)` float32; a vector is a sequence of one.

        Raises:
            ValueError: There are none, or not as many as the other clips have, or not all are finite.
        """
        where = f"{self.file}, {self.name}," if self.name != self.file.stem else str(self.file)
        if clip not in self.arrays:
            raise ValueError(f"{where} has no clip {clip}. Expected numbers for it; add them.")
        array = self.arrays[clip]
        dimensions, count = self.shape
        if (len(array.shape), *array.shape[-1:]) != self.shape or 0 in array.shape:
            expected = f"(time, {count})" if dimensions == 2 else f"({count},)"
            raise ValueError(
                f"{where} has an array {array.shape} for {clip}. Expected {expected}, as other clips have; compute it "
                "again."
            )
        values = np.asarray(array.read(...), np.float32).reshape(-1, count)[:, self.columns]
        if not np.isfinite(values).all():
            wrong = self.numbers[int(np.argwhere(~np.isfinite(values))[0, 1])]
            raise ValueError(f"{where} has no number for {wrong} of {clip}. Expected one; compute it again.")
        return values


def open_features(files: Sequence[str], select: Sequence[str] | None = None) -> list[Feature]:
    """Open files of embeddings.

    Args:
        files: Files, or folders of npy files.
        select: Names of features or of numbers to take; by default all.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file cannot be read, has two entries of a clip, or nothing has a name of `select`.
    """
    found = [feature for file in files for feature in _open(Path(file), select)]
    if select is not None:
        known = {feature.name for feature in found} | {number for feature in found for number in feature.numbers}
        if missing := [name for name in select if name not in known]:
            names = [feature.name for feature in found] + [name for feature in found for name in feature.numbers]
            raise ValueError(
                f"{join_names(files)} has no {join_names(missing)}, but {join_names(names, 12)}. Expected the columns "
                "or features that data.select names; correct the name."
            )
        found = [kept for feature in found if (kept := _choose(feature, {*select})).numbers]
    return _with_unique_names(found)


def _open(path: Path, select: Sequence[str] | None) -> list[Feature]:
    """Open a file by its suffix."""
    readers: dict[str, Callable[[Path], list[Feature]]] = {
        **dict.fromkeys((".csv", ".tsv", ".txt"), functools.partial(_open_csv, select=select)),
        **dict.fromkeys((".h5", ".hdf5", ".hdf"), _open_hdf5),
        ".npz": _open_npz,
    }
    kinds = "a csv, npz or HDF5 file (.h5), or a folder of npy files"
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}. Expected {kinds} with numbers of each clip; check data.files.")
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() == ".npy":
        raise ValueError(
            f"{path} is one array, which has no names of clips. Expected {kinds}; save an npz with the array and "
            "the names as `clips`, or name the folder of such files, one a clip."
        )
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} has the suffix {path.suffix!r}. Expected {kinds}; save it as one of these.")
    return readers[path.suffix.lower()](path)


def _open_csv(path: Path, select: Sequence[str] | None) -> list[Feature]:
    """Open a table. Labels, and columns without a number, are refused unless `select` leaves them out."""
    table = read_table(path, "clip")
    require_unique(table.index, str(path))
    names = {column: str(table.attrs["columns"].get(column, column)) for column in table}
    if not names:
        raise ValueError(f"{path} has clips, but no column of numbers. Expected at least one; check the separator.")
    taken_whole = select is None or path.stem in select
    if taken_whole and (labels := [name for column, name in names.items() if column in TARGETS]):
        raise ValueError(
            f"{path} has the labels {join_names(labels, 6)} beside its numbers, and a model must not see them. "
            "Expected numbers alone; name those to take in data.select."
        )
    values = table.apply(as_numbers)
    for column in table.columns[values.isna().all() & table.notna().any()]:
        if taken_whole or names[column] in (select or ()):
            raise ValueError(
                f"{path} has {table[column].dropna().iloc[0]!r} and other text in the column {names[column]}. Expected "
                "numbers; remove it, or name the columns to take in data.select."
            )
    rows = values.to_numpy(np.float32)
    arrays = {clip: Array(row.shape, row.__getitem__) for clip, row in zip(table.index, rows, strict=True)}
    return [_feature(path.stem, path, arrays, [*names.values()])]


def _open_npz(path: Path) -> list[Feature]:
    try:
        archive = zipfile.ZipFile(path)
        load = functools.lru_cache(maxsize=16)(functools.partial(_member, archive))
        arrays = {}
        for file in archive.namelist():
            with archive.open(file) as member:
                version = np.lib.format.read_magic(member)
                header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, *_ = header(member)
            arrays[file.removesuffix(".npy")] = Array(shape, functools.partial(_part, load, file))
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no npz file: {error}. Expected one that np.savez wrote; save it again.") from error
    return _group(path.stem, path, arrays)


def _member(archive: zipfile.ZipFile, file: str) -> np.ndarray:
    with archive.open(file) as member:
        found: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
    return found


def _part(load: Callable[[str], np.ndarray], name: str, index: Any) -> np.ndarray:
    found: np.ndarray = load(name)[index]
    return found


def _open_folder(path: Path) -> list[Feature]:
    arrays = {}
    for file in sorted(path.glob("*.npy")):
        try:
            shape = np.load(file, mmap_mode="r").shape
        except (ValueError, OSError):
            shape = ()  # this clip fails, with its reason, when it is read
        arrays[file.name.removesuffix(".npy")] = Array(shape, functools.partial(_part, _load, str(file)))
    if not arrays:
        raise ValueError(
            f"{path} has no npy file. Expected one for each clip, such as <clip>.npy; name another folder."
        )
    return _group(path.name, path, arrays)


def _load(file: str) -> np.ndarray:
    found: np.ndarray = np.load(file)
    return found


def _open_hdf5(path: Path) -> list[Feature]:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            f"{path} is an HDF5 file, and nothing that reads these is installed. Expected the extra hdf5 (uv sync "
            "--extra hdf5), or a csv or npz file."
        ) from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is no HDF5 file: {error}. Expected one that h5py wrote; save it again.") from error
    found: dict[str, dict[str, Array]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            group, _, own = name.rpartition("/")
            found.setdefault(group, {})[own] = Array(item.shape, item.__getitem__)

    file.visititems(visit)
    if not found:
        file.close()
        raise ValueError(f"{path} has no array. Expected one for each clip, or one of all clips; save it again.")
    inner = {name for arrays in found.values() for name in arrays}
    if len(inner) < len(found):  # a group a clip, and in it a dataset a feature
        found = {name: {clip: arrays[name] for clip, arrays in found.items() if name in arrays} for name in inner}
    return [feature for name, arrays in found.items() for feature in _group(name or path.stem, path, arrays)]


def _group(name: str, path: Path, arrays: dict[str, Array]) -> list[Feature]:
    """Make features of the arrays that stand together: one of an array a clip, or one of each array of all clips."""
    numbers = _texts(path, "names", arrays.pop("names")) if "names" in arrays else None
    key = next((key for key in CLIPS if key in arrays), None)
    if key is None:
        return [_feature(name, path, arrays, numbers)]
    clips = _texts(path, key, arrays.pop(key))
    features = []
    for own, array in arrays.items():
        if array.shape[:1] != (len(clips),):
            raise ValueError(
                f"{path} has an array {own} {array.shape} and {len(clips)} names in {key}. Expected as many rows as "
                "names; save both again."
            )
        _require_once(path, clips)
        rows = {clip: Array(array.shape[1:], functools.partial(_row, array, row)) for row, clip in enumerate(clips)}
        features.append(_feature(own if len(arrays) > 1 else name, path, rows, numbers))
    return features


def _row(array: Array, row: int, index: Any) -> np.ndarray:
    found: np.ndarray = array.read(row)[index]
    return found


def _texts(path: Path, name: str, array: Array) -> list[str]:
    """Read an array of texts."""
    try:
        values = np.asarray(array.read(...)).reshape(-1).tolist()
    except ValueError as error:
        raise ValueError(
            f"{path} holds {name} as objects of Python. Expected text; save it as np.array({name}, dtype=str)."
        ) from error
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _feature(name: str, path: Path, arrays: Mapping[str, Array], numbers: Sequence[str] | None) -> Feature:
    """Make a feature of an array a clip. Most clips say what shape the array of each must have."""
    _require_once(path, [*arrays])
    counts = Counter((len(array.shape), *array.shape[-1:]) for array in arrays.values())
    usual, _ = counts.most_common(1)[0] if counts else ((0,), 0)
    if usual[0] not in (1, 2) or 0 in usual:
        clip, shape = next(((clip, array.shape) for clip, array in arrays.items()), ("no clip", ()))
        raise ValueError(
            f"{path} has an array {shape} in {name} for {clip}. Expected a vector (numbers,) or a sequence (time, "
            "numbers) for each clip; reshape it."
        )
    size = usual[1]
    if numbers is not None and len(numbers) != size:
        raise ValueError(
            f"{path} has {len(numbers)} names for the {size} numbers of {name}. Expected one each; correct `names`."
        )
    named = [*numbers] if numbers is not None else [f"{name} {index}" for index in range(size)]
    by_clip = {clip_name(clip): array for clip, array in arrays.items()}
    return Feature(name, path, named, np.arange(size), (usual[0], size), by_clip)


def _require_once(path: Path, clips: Sequence[str]) -> None:
    names = pd.Index([clip_name(clip) for clip in clips])
    if not names.is_unique:
        twice = format_clips([*names[names.duplicated()].unique()])
        raise ValueError(f"{path} has more than one array for {twice}. Expected one a clip; remove the others.")


def _choose(feature: Feature, select: set[str]) -> Feature:
    """Keep the numbers that are named, or all of a feature that is named."""
    if feature.name in select:
        return feature
    kept = [index for index, name in enumerate(feature.numbers) if name in select]
    return feature._replace(numbers=[feature.numbers[index] for index in kept], columns=feature.columns[kept])


def _with_unique_names(features: list[Feature]) -> list[Feature]:
    """Put the name of the feature, or of its file, in front of names that two features have."""
    for prefix in ("name", "file"):
        counts = Counter(number for feature in features for number in feature.numbers)
        if max(counts.values(), default=0) > 1:
            features = [
                feature._replace(
                    numbers=[
                        f"{getattr(feature, prefix)} {each}" if counts[each] > 1 else each for each in feature.numbers
                    ]
                )
                for feature in features
            ]
    counts = Counter(number for feature in features for number in feature.numbers)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(
            f"Got two numbers {twice[0]}. Expected each once; leave the file or column out that is double."
        )
    return features
