"""Means of measures with their intervals."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.intervals import estimates


def summary(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Average measures over clips, each with a 95 % interval from a bootstrap over sources.

    Args:
        table: A row for each clip or segment, with its source in the column `group` and columns of measures, NaN where
            there is none.
        by: The column whose values are compared, such as `method`, `layers` or `trait`.

    Returns:
        A row for each value of `by`, in the order of the table: the mean of each measure, and its interval as
        `<measure>_low` and `<measure>_high`. There is no interval where all clips come from one source.
    """
    names = table.columns.drop([by, "trait", "clip", "group", "segment"], errors="ignore")
    means = pd.DataFrame(
        index=pd.Index(table[by].unique(), name=by),
        columns=[f"{name}{end}" for name in names for end in ("", "_low", "_high")],
        dtype=float,
    )
    for key, part in table.groupby(by, sort=False):
        for name in names:
            known = part[["group", name]].dropna()
            sums = torch.tensor([[1.0, value] for value in known[name]], dtype=torch.float64).view(-1, 1, 2, 1)
            if len(known):
                row = estimates(sums, list(known["group"]), [str(key)], [name], statistic=_mean).iloc[-1]
                means.loc[key, [name, f"{name}_low", f"{name}_high"]] = row[["value", "low", "high"]].to_numpy(float)
    return means


def summary_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Format a table of `summary` as text: each mean with its interval in brackets, `-` where there is no mean."""
    cells = {}
    for name in (column for column in table if f"{column}_low" in table):
        cells[name] = format_cells(table[[name, f"{name}_low", f"{name}_high"]].to_numpy(float))
    return pd.DataFrame(cells, index=table.index)


def format_cells(numbers: np.ndarray) -> list[str]:
    """Format rows of a value and the ends of its interval, `(rows, 3)`, as `summary_cells` does."""
    return [
        "-" if np.isnan(mean) else f"{mean:.3f}" + ("" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]")
        for mean, low, high in numbers
    ]


def summary_text(table: pd.DataFrame) -> str:
    """Format a table of `summary` for a terminal."""
    return summary_cells(table).to_string()


def _mean(sums: Tensor) -> dict[str, Tensor]:
    count, total = sums.unbind(-2)
    return {"mean": total / count}
