"""The tables of the report page, read from the files of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from personality.evaluation.metrics import METRICS
from personality.evaluation.parts import part_cells
from personality.explanation.annotated import ALL, GAMES, MAPS
from personality.explanation.faithfulness import OTHER_TRAIT
from personality.explanation.grounded_skill import EXPLAINED, PARTS
from personality.explanation.summary import summary_cells

GROUP_METRICS = (*METRICS, "bias")
SHOWN_SUBSETS = "all clips", "new sources"
"""The subsets of the human annotations that the page shows; the csv has those of known sources as well."""

SHOWN_MAPS = [name for name in MAPS if name != OTHER_TRAIT]
"""Of all traits together, the maps of the next trait are the same maps."""


class Row(NamedTuple):
    """A row of a table: lines of text for its name and for each cell, the first line large."""

    name: list[str]
    cells: list[list[str]]


class Table(NamedTuple):
    """A table as the page shows it: on a phone each row is a card of its own."""

    title: str
    """Empty if the text above says it."""
    corner: str
    """The head of the column of names."""
    head: list[str]
    rows: list[Row]


def result_tables(path: Path) -> list[Table]:
    """Read the means over all traits: for each subset its predictors, for each metric a value and its interval."""
    if not path.exists():
        return []
    table = pd.read_csv(path)
    table = table[(table["target"] == "mean") & table["metric"].isin(METRICS)]
    tables = []
    for (subset, clips, labelled, sources), part in table.groupby(
        ["subset", "clips", "labelled", "sources"], sort=False
    ):
        rows = []
        for predictor, cells in part.groupby("predictor", sort=False):
            values = cells.set_index("metric").reindex(METRICS)[["value", "low", "high"]].to_numpy(float)
            values = values.round(6) + 0.0  # no -0
            rows.append(Row([str(predictor)], [_value(row) for row in values.tolist()]))
        count = f"{clips}" if clips == labelled else f"{clips} of {labelled}"
        tables.append(Table(f"{subset}: {count} clips from {sources} sources", "", [*METRICS], rows))
    return tables


def group_tables(path: Path) -> list[Table]:
    """Read the means over all traits by group of people, and the largest gap between groups, for each attribute."""
    if not path.exists():
        return []
    numbers = {column: [""] for column in ("value", "low", "high")}
    table = pd.read_csv(path, keep_default_na=False, na_values=numbers, dtype={"subset": str})  # a group may be "NA"
    table = table[table["target"] == "mean"]
    attributes = []
    for attribute, part in table.groupby("attribute", sort=False):
        rows = []
        for subset, cells in part.groupby("subset", sort=False):
            count = f"{cells['clips'].iloc[0]:,} clips, {cells['sources'].iloc[0]:,} sources"
            cells = cells.set_index("metric").reindex(GROUP_METRICS)
            values = (cells[["value", "low", "high"]].to_numpy(float).round(6) + 0.0).tolist()  # no -0
            pairs = [[pair] if pair else [] for pair in cells["pair"].fillna("")]
            row = [[*_value(ends), *pair] for ends, pair in zip(values, pairs, strict=True)]
            rows.append(Row([str(subset), count], row))
        attributes.append(Table(f"By {attribute}", "", [*GROUP_METRICS], rows))
    return attributes


def part_tables(path: Path) -> list[Table]:
    """Read what each part of a joint model is worth: means over the traits with their intervals."""
    return [_of_cells("", part_cells(pd.read_csv(path)))] if path.exists() else []


def summary_table(path: Path) -> list[Table]:
    """Read a table of `summary`: each mean with its interval."""
    return [_of_cells("", summary_cells(pd.read_csv(path, index_col=0)))] if path.exists() else []


def annotation_tables(path: Path) -> list[Table]:
    """Read the pointing games on human annotations, of all traits together: a table for each game and subset."""
    if not path.exists():
        return []
    table = pd.read_csv(path)
    table = table[(table["target"] == ALL) & table["map"].isin(SHOWN_MAPS)]
    tables = []
    for metric, name in GAMES.items():
        for subset in SHOWN_SUBSETS:
            part = table[(table["metric"] == metric) & (table["subset"] == subset)]
            rows = []
            for cue, cells in part.groupby("cue", sort=False):
                clips, sources, maps, chance = cells[["clips", "sources", "maps", "chance"]].iloc[0]
                values = cells.set_index("map").reindex(SHOWN_MAPS)[["value", "low", "high"]].to_numpy(float)
                counts = (
                    f"{clips:,.0f} clips, {sources:,.0f} sources, {maps:,.0f} maps",
                    f"{100 * chance:.0f} % annotated",
                )
                rows.append(Row([str(cue), *counts], [_value(row, decimals=2) for row in values.tolist()]))
            if rows:
                tables.append(Table(f"{name}, {subset}", "", SHOWN_MAPS, rows))
    return tables


def grounded_skill_tables(path: Path) -> list[Table]:
    """Read what the explained variance of each trait rests on."""
    if not path.exists():
        return []
    table = pd.read_csv(path)
    targets = [name for name in table["target"].unique() if name != "mean"]
    rows = []
    for part in (EXPLAINED, *PARTS):
        values = table[table["part"] == part].set_index("target").reindex(["mean", *targets])
        cells = [_value(row) for row in values[["value", "low", "high"]].to_numpy(float).tolist()]
        rows.append(Row([part], cells))
    counts = f"{table['clips'].iloc[0]:,} annotated clips from {table['sources'].iloc[0]:,} sources"
    return [Table(counts, "", ["mean", *targets], rows)]


def _of_cells(title: str, cells: pd.DataFrame) -> Table:
    lines = [[_lines(cell) for cell in row] for row in cells.astype(str).to_numpy().tolist()]
    rows = [Row([str(name)], row) for name, row in zip(cells.index, lines, strict=True)]
    return Table(title, str(cells.index.name or ""), [*map(str, cells.columns)], rows)


def _lines(cell: str) -> list[str]:
    """Put the interval of a value on a line of its own.

    >>> _lines("0.512 [0.480, 0.550]"), _lines("-")
    (['0.512', '0.480 to 0.550'], ['-'])
    """
    value, _, interval = cell.partition(" [")
    return [value, interval.rstrip("]").replace(", ", " to ")] if interval else [value]


def _value(ends: Sequence[float], decimals: int = 4) -> list[str]:
    """Format a value, and on a second line its interval, if there is one: value, low and high."""
    value, low, high = ends
    if value != value:
        return ["undefined"]
    interval = [f"{low:.{min(decimals, 3)}f} to {high:.{min(decimals, 3)}f}"] if low == low else []
    return [f"{value:.{decimals}f}", *interval]
