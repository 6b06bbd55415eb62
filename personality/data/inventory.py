"""What has become of every clip of a corpus: computed, left out and why, mute, short, or without a face."""

import numpy as np
import pandas as pd

from personality.data.base import TraitDataModule


def mend(data: TraitDataModule, retry: bool = False) -> list[str]:
    """Forget features whose bytes are no longer those that were written; preparing then computes them anew.

    Args:
        data: A data module.
        retry: Also forget the clips that failed, to give them another try.

    Returns:
        The damaged clips.
    """
    damaged = []
    for split in data.splits():
        cache = data.open(split)
        if cache.folder.exists():
            found = cache.verify()
            damaged += found
            cache.forget([*found, *(cache.failures()["clip"] if retry else [])])
    return damaged


def inventory(data: TraitDataModule) -> pd.DataFrame:
    """List every clip of every split.

    Returns:
        A row a clip with columns `split`, `clip`, `state` (done, failed or missing), `segments`, whether it is `mute`,
        `short` (fewer segments than others) or `faceless` (no frame in which a face was found: its centre is used), and
        `reason` if it failed.
    """
    tables = []
    for split in data.splits():
        cache = data.open(split)
        table = pd.DataFrame({"split": split, "clip": cache.clips})
        there = cache.folder.exists()
        segments = cache.segments if there else np.full(len(table), -1)
        table["state"] = np.select([segments > 0, segments == 0], ["done", "failed"], "missing")
        table["segments"] = segments.clip(min=0)
        done, sounds = segments > 0, "found" not in data.extra_arrays
        table["mute"] = [
            sounds and done[row] and np.ptp(cache.inputs[row, : segments[row]]) == 0 for row in table.index
        ]
        table["short"] = done & (segments < data.stored_shape[0])
        table["faceless"] = done & ~cache.extra("found").any(axis=1) if there and not sounds else False
        reasons = cache.failures().set_index("clip")["reason"] if there else pd.Series(dtype=str)
        table["reason"] = table["clip"].map(reasons).astype(object).fillna("")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def inventory_text(table: pd.DataFrame, shown: int = 10) -> str:
    """Sum an inventory up on one page: counts by split, then each kind of failure with its first clips."""
    counts = table.groupby("split", sort=False).agg(
        clips=("clip", "size"),
        done=("state", lambda states: (states == "done").sum()),
        failed=("state", lambda states: (states == "failed").sum()),
        missing=("state", lambda states: (states == "missing").sum()),
        mute=("mute", "sum"),
        short=("short", "sum"),
        faceless=("faceless", "sum"),
    )
    lines = [counts.to_string()]
    for reason, clips in table[table["state"] == "failed"].groupby("reason")["clip"]:
        names = ", ".join(clips.head(shown)) + (", ..." if len(clips) > shown else "")
        lines.append(f"\n{len(clips)} failed: {reason}\n    {names}")
    return "\n".join(lines)
