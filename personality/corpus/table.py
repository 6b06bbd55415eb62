"""A table of one's own: a row a clip, with any labels on any scale, and a column that says whose clips it is."""

import difflib
import logging
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personality.corpus.base import Corpus
from personality.corpus.groups import BY_NAME, group_by_name, suggest_group
from personality.corpus.ratings import average_raters
from personality.corpus.recordings import cut, name_clips
from personality.corpus.splits import fold_by_group
from personality.tables import as_numbers, format_clips, join_names, number_column, read_cells, rename_columns
from personality.traits import TRAITS

log = logging.getLogger(__name__)

COLUMNS = {
    "path": ["path", "file", "filename", "video"],
    "start": ["start"],
    "end": ["end"],
    "clip": ["clip"],
    "rater": ["rater", "annotator"],
    "group": ["group"],
    "split": ["split"],
    "transcript": ["transcript", "transcription", "text"],
}
"""Names of the columns that are no labels, in any case; the first is ours."""
SPLIT_NAMES = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["val", "valid", "validation", "dev", "development"], "val"),
    **dict.fromkeys(["test", "testing"], "test"),
}


class TableCorpus(Corpus):
    """Clips that a table lists: csv, tsv, or parquet.

    The only column that is needed beside labels is `path`: a video, a sound file, or a folder of images, relative to
    the table. `start` and `end`, in seconds as a player shows them, cut a clip out of a long recording. `clip` names
    the clip; otherwise its file does. `split` says train, val or test; without val a quarter of the training groups
    becomes it. `transcript` holds what is said. With a column `rater` a clip may have several rows: labels are
    averaged, and the log says how far the raters agree.

    Args:
        file: The table.
        labels: Names of the columns with labels. By default the Big Five, in any spelling, if they are there; else
            every column of numbers that is nothing else.
        scale: The lowest and the highest label there can be; by default those of the training clips.
        group: The column, or columns, that say whose clips belong together, by default `group`; or by the names of
            files: `file`, `prefix`, `folder`, or `clip` for clips that have nothing in common (see `groups`).
        attributes: Columns that describe the person, such as gender: the results are also given by these.
        shared_groups: Accept a column `split` that puts clips of one group into several splits.
        **splitting: See `Corpus`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The table is not as described. The message names the column, the clip and the value.

    Example:
        TableCorpus("clips.csv", labels=["warmth", "competence"], scale=[1, 7], group="subject", folds=5)
    """

    remedy = "add their files, or correct the column path"

    def __init__(
        self,
        file: str | Path,
        labels: Sequence[str] | None = None,
        scale: Sequence[float] | None = None,
        group: str | Sequence[str] | None = None,
        attributes: Sequence[str] = (),
        shared_groups: bool = False,
        **splitting: Any,
    ) -> None:
        super().__init__(**splitting)
        self.file, self.group, self.shared_groups = Path(file), group, shared_groups
        self.name = self.file.stem
        if scale is not None and not (len(scale) == 2 and scale[0] < scale[1]):
            raise ValueError(f"Got scale {[*scale]}: expected the lowest and the highest label, such as [1, 7].")
        self.scale = None if scale is None else (float(scale[0]), float(scale[1]))
        self.labels, self.attributes = labels, [*attributes]
        self._require([*(labels or ()), *self.attributes, *self._group_columns])

    @cached_property
    def targets(self) -> list[str]:  # type: ignore[override]
        """Names of the labels."""
        if self.labels is not None:
            return [*self.labels]
        free = [str(name) for name in self._cells if name not in self._used]
        if {*TRAITS} <= {*free}:
            return [*TRAITS]
        known = self._cells[free].notna().sum()
        numeric = self._cells[free].apply(as_numbers).notna().sum()
        found = [name for name in free if numeric[name] > known[name] / 2]  # a text among numbers is an error, later
        if not found:
            raise ValueError(
                f"{self.file} has the columns {join_names(self._cells, 12)}, none of them with numbers. Expected at "
                "least one label; add it, or name it with corpus.labels."
            )
        return found

    def read(self) -> pd.DataFrame:
        """Read the table: `Corpus.read`."""
        if not len(self._cells):
            raise ValueError(f"{self.file} has a header, but no line below it. Expected a row a clip; check the file.")
        rows = self._rows()
        labels = pd.DataFrame({target: number_column(rows, target, self.file) for target in self.targets})
        self._check_scale(labels)
        rows[self.targets] = labels
        rows = average_raters(rows, self.targets, self.file)
        rows["group"] = pd.Series(self._groups(rows), index=rows.index, dtype=object)
        rows["split"] = self._splits(rows)
        if not any(path.exists() for path in rows["path"]):
            raise FileNotFoundError(
                f"None of the {len(rows)} paths in {self.file} exists; the first is {rows['path'].iloc[0]}. Expected "
                "paths relative to the table; correct them."
            )
        rows["path"] = pd.Series(cut(rows), index=rows.index, dtype=object)
        text = ["transcript"] if "transcript" in rows else []
        return rows[["path", "group", "split", *text, *self.targets, *self.attributes]]

    def clips(self, split: str) -> pd.DataFrame:
        """Return the clips of a split: `Corpus.clips`."""
        clips = super().clips(split)
        if split != "all":
            unlabelled = [target for target in self.targets if clips[target].isna().all()]
            if unlabelled:
                raise ValueError(
                    f"None of the {len(clips)} {split} clips of {self.file} has a label of "
                    f"{join_names(unlabelled, 10)}. Expected some in each split; leave the label out of corpus.labels, "
                    "or split otherwise."
                )
        return clips

    @cached_property
    def _cells(self) -> pd.DataFrame:
        """The cells as text, under the names of `COLUMNS` and of the Big Five where these are not chosen as labels."""
        cells = read_cells(self.file)
        lower = {str(name).lower(): str(name) for name in reversed(cells.columns)}
        found = {ours: next((lower[name] for name in names if name in lower), None) for ours, names in COLUMNS.items()}
        chosen = {*(self.labels or ()), *self.attributes, *self._group_columns}
        cells = cells.rename(columns={name: ours for ours, name in found.items() if name and name not in chosen})
        if self.labels is None:
            renamed = rename_columns(cells.columns)
            if {*TRAITS} <= {*renamed}:
                names = zip(cells.columns, renamed, strict=True)
                cells.columns = pd.Index([new if new in TRAITS else old for old, new in names])
        if "path" not in cells:
            raise ValueError(
                f"{self.file} has the columns {join_names(cells, 12)}. Expected a column path, with the file of each "
                "clip relative to the table; add or rename it."
            )
        if cells.columns.has_duplicates:
            twice = cells.columns[cells.columns.duplicated()]
            raise ValueError(
                f"{self.file} has the column {twice[0]} twice. Expected one of each; rename or remove one."
            )
        return cells.set_axis(pd.Index([f"line {row + 2}" for row in range(len(cells))]))

    @property
    def _group_columns(self) -> list[str]:
        """The columns of `group`, if it does not name one of `BY_NAME`."""
        if self.group is None:
            return []
        columns = [self.group] if isinstance(self.group, str) else [*self.group]
        return [] if len(columns) == 1 and columns[0] in BY_NAME else columns

    @property
    def _used(self) -> set[str]:
        return {*COLUMNS, *self.attributes, *self._group_columns}

    def _require(self, columns: Collection[str]) -> None:
        """Raise if a column is not in the table; the error names the most similar one."""
        for name in columns:
            if name not in self._cells:
                alike = difflib.get_close_matches(name, [*self._cells], n=1)
                hint = f"did you mean {alike[0]}?" if alike else "check the setting, or add the column."
                raise ValueError(
                    f"{self.file} has no column {name}, but {join_names(self._cells, 12)}. Expected one that "
                    f"corpus.labels, corpus.group and corpus.attributes name; {hint}"
                )

    def _rows(self) -> pd.DataFrame:
        """Return the cells with full paths, times as numbers, and the clip's name as the index."""
        rows = self._cells.copy()
        if rows["path"].isna().any():
            raise ValueError(
                f"{self.file} has no path in {rows.index[rows['path'].isna()][0]}. Expected one; fill it in."
            )
        rows["path"] = rows["path"].map(lambda cell: self.file.parent / Path(cell).expanduser())
        for name, default in [("start", 0.0), ("end", np.inf)]:
            rows[name] = number_column(rows, name, self.file).fillna(default) if name in rows else default
        wrong = rows.index[(rows["start"] < 0) | (rows["end"] <= rows["start"])]
        if len(wrong):
            start, end = rows.loc[wrong[0], ["start", "end"]]
            raise ValueError(
                f"{self.file} has the times {start:g} to {end:g} in {wrong[0]}. Expected seconds from 0 on, and an end "
                "after the start; correct them."
            )
        place = rows[["path", "start", "end"]].drop_duplicates().sort_values(["path", "start", "end"])
        place["name"] = name_clips(place["path"])
        rows = rows.assign(line=rows.index).merge(place, on=["path", "start", "end"], how="left", sort=False)
        names = rows["clip"].fillna(rows["name"]) if "clip" in rows else rows["name"]
        self._warn_of_overlaps(place)
        return rows.drop(columns=["name"]).set_index(names.rename("clip")).drop(columns="clip", errors="ignore")

    def _warn_of_overlaps(self, place: pd.DataFrame) -> None:
        before = place.groupby("path")["end"].cummax().groupby(place["path"]).shift()
        overlapping = place.loc[place["start"] < before, "name"]
        if len(overlapping):
            log.warning(
                "%s: these overlap with an earlier clip of their file: %s", self.file, format_clips(overlapping)
            )

    def _check_scale(self, labels: pd.DataFrame) -> None:
        if self.scale is None:
            return
        low, high = self.scale
        for row, column in np.argwhere(((labels < low) | (labels > high)).to_numpy())[:1]:
            raise ValueError(
                f"{self.file} has {labels.iloc[row, column]:g} for {labels.columns[column]} of {labels.index[row]}. "
                f"Expected labels on the scale from {low:g} to {high:g}; correct them, or corpus.scale."
            )

    def _groups(self, rows: pd.DataFrame) -> list[str]:
        """Name the group of each clip; raise if none is set though the names of files suggest some."""
        columns = self._group_columns or (["group"] if self.group is None and "group" in rows else [])
        if columns:
            for column in columns:
                empty = rows.index[rows[column].isna()]
                if len(empty):
                    raise ValueError(
                        f"{self.file} has no {column} for {format_clips(empty)}. Expected whose clip it is; fill it in."
                    )
            groups = [*map(" ".join, rows[columns].to_numpy())]
        else:
            suggested = suggest_group(rows["path"].tolist())
            if self.group is None and suggested:
                by, found = suggested
                raise ValueError(
                    f"{self.file} does not say whose clips belong together, but {found}. Clips of one person on both "
                    "sides of a split would make results look better than they are. Expected corpus.group: a column of "
                    f"the table; or corpus.group={by}, if these belong together; or corpus.group=clip, if no two clips "
                    "show the same person."
                )
            by = (self.group if isinstance(self.group, str) else None) or "clip"
            groups = group_by_name(by, rows["path"].tolist(), rows.index.tolist())
        if len({*groups}) < 2:
            raise ValueError(
                f"All {len(rows)} clips of {self.file} are in one group, {groups[0]!r}. Expected several, so that "
                "people who were not trained on can be tested; choose another corpus.group."
            )
        return groups

    def _splits(self, rows: pd.DataFrame) -> list[str] | None:
        """Return the split of each clip by the column `split`; None without it."""
        if "split" not in rows or self.folds or self.split == "by_group":
            return None
        splits = rows["split"].str.lower().map(SPLIT_NAMES)
        if splits.isna().any():
            row = int(splits.isna().argmax())
            raise ValueError(
                f"{self.file} has {rows['split'].iloc[row]!r} as split of {rows.index[row]}. Expected train, val or "
                "test; correct it, or set corpus.split=by_group."
            )
        train = splits == "train"
        if train.any() and "val" not in splits.to_numpy():
            groups, labels = rows.loc[train, "group"].tolist(), rows.loc[train, self.targets]
            splits.loc[train] = np.where(fold_by_group(groups, labels, 4) == 0, "val", "train")
            log.info("%s has no val clips: a quarter of the training groups is used to validate", self.file)
        count = splits.groupby(rows["group"].to_numpy()).nunique()
        shared = count.index[count > 1]
        if len(shared) and not self.shared_groups:
            raise ValueError(
                f"The column split of {self.file} puts clips of {len(shared)} groups into several splits: "
                f"{join_names(shared)}. Expected each group in one split; correct the column, set "
                "corpus.split=by_group, or accept it with corpus.shared_groups=true."
            )
        return splits.tolist()
