"""The state of every clip of a corpus: computed, failed and why, mute, short, or without a face."""

import numpy as np
import pandas as pd

from personality.data.base import TraitDataModule


def repair(data: TraitDataModule, retry: bool = False) -> list[str]:
    """Invalidate damaged features, so that `prepare_data` computes them again.

    Args:
        data: A data module.
        retry: Also invalidate the clips that failed.

    Returns:
        The damaged clips.
    """
    damaged = []
    for split in data.stored_splits():
        cache = data.stored(split)
        if cache.folder.exists():
            found = cache.verify()
            damaged += found
            cache.invalidate([*found, *(cache.failures()["clip"] if retry else [])])
    return damaged


def inventory(data: TraitDataModule) -> pd.DataFrame:
    """List every clip of every split.

    Returns:
        A row for each clip with columns `split`, `clip`, `state` (done, failed or missing), `segments`, whether it is
        `mute`, `short` (fewer segments than others) or `faceless` (no face found in any frame: the centre is used), and
        the `reason` if it failed.
    """
    tables = []
    for split in data.splits():
        cache = data.open(split)
        table = pd.DataFrame({"split": split, "clip": cache.clips})
        exists = cache.folder.exists()
        segments = cache.segments if exists else np.full(len(table), -1)
        table["state"] = np.select([segments > 0, segments == 0], ["done", "failed"], "missing")
        table["segments"] = segments.clip(min=0)
        done, audio = segments > 0, data.modality == "audio"
        table["mute"] = [audio and done[row] and np.ptp(cache.inputs[row, : segments[row]]) == 0 for row in table.index]
        table["short"] = done & (segments < data.stored_shape[0])
        faces = exists and "found" in data.extra_arrays
        table["faceless"] = done & ~cache.extra("found").any(axis=1) if faces else False
        reasons = cache.failures().set_index("clip")["reason"] if exists else pd.Series(dtype=str)
        table["reason"] = table["clip"].map(reasons).astype(object).fillna("")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def inventory_text(table: pd.DataFrame, shown: int = 10) -> str:
    """Summarise an inventory: counts by split, then each reason of failure with its first clips."""
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
