"""Human annotations of clips in the layout of MM-OCEAN: what observers noticed, when, and where in the frame.

MM-OCEAN (arXiv 2605.22109) annotates test clips of First Impressions: a file `<clip>.mp4.json` for each, with a list
`observations` of four dimensions. Each has times, a description, and boxes that annotators drew in single frames.
"""

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from personality.tables import clip_name

log = logging.getLogger(__name__)

KINDS = {
    "Expression": "expression",
    "Action": "action",
    "Audio": "voice",
    "Words": "words",
    "Background": "background",
}
"""Our words for the dimensions of observations. MM-OCEAN has no words; the sample corpus marks them."""
HEARD = {"voice": "audio", "words": "text"}
"""The modality of kinds that have times alone."""
BOX_SECONDS = 0.5
"""For how long before and after its frame a box is valid, within its observation. In MM-OCEAN the overlap of two boxes
of one region in a clip falls within this time to what it is for boxes of any two moments: hands move on."""
COLUMNS = ["clip", "kind", "cue", "modality", "start", "end", "low", "high", "left", "top", "right", "bottom"]
NOWHERE = (math.nan,) * 4
ROUNDING = 1e-3
"""By how much of the frame a box may reach beyond it without being called odd."""
LISTED = 20
"""How many oddities are logged."""


class Annotations(NamedTuple):
    """What a folder of files says."""

    table: pd.DataFrame
    """In the format of `Corpus.cues`, a row for each box and for each observation without boxes: columns `clip`, `kind`
    of `KINDS`, `cue` (the region, or the kind where there is none), `modality` ("audio", "text" or "image"), `start`
    and `end` in seconds, `low` and `high` in Hz (0 and infinite for voices and words), `left`, `top`, `right`, `bottom`
    as shares of the frame (NaN without a box). Annotations belong to no trait."""
    oddities: pd.DataFrame
    """What was left out or changed: columns `file`, `observation` (its number in the file, from 1; 0 for the file) and
    `oddity`."""


def read_annotations(folder: str | Path) -> Annotations:
    """Read all annotation files of a folder and of the folders in it.

    Files and observations that cannot be used are listed as oddities and logged, never fatal.

    Raises:
        FileNotFoundError: There are no .json files.
        ValueError: None of the files holds annotations.
    """
    paths = sorted(Path(folder).rglob("*.json"))
    if not paths:
        raise FileNotFoundError(
            f"There are no .json files in {folder}. Expected a file <clip>.mp4.json for each clip, as MM-OCEAN has "
            "them; check the folder."
        )
    rows: list[tuple[Any, ...]] = []
    oddities: list[tuple[str, int, str]] = []
    files: dict[str, Path] = {}
    for path in paths:
        clip, name = clip_name(path.stem), str(path.relative_to(folder))
        try:
            observations = _observations(path)
            if clip in files:
                raise ValueError(f"the clip has another file, {files[clip].relative_to(folder)}; left out")
        except (ValueError, RecursionError, OSError) as error:
            oddities.append((name, 0, str(error)))
            continue
        files[clip] = path
        for number, observation in enumerate(observations, start=1):
            found: list[str] = []
            rows += [(clip, *row) for row in _rows(observation, found)]
            oddities += [(name, number, oddity) for oddity in found]
    table = pd.DataFrame(oddities, columns=["file", "observation", "oddity"])
    if not files:
        raise ValueError(
            f"None of the {len(paths)} .json files in {folder} holds annotations; {table['file'][0]}: "
            f"{table['oddity'][0]}. Expected an object with a list `observations`, as in MM-OCEAN; check the folder."
        )
    if len(table):
        lines = (f"{file}, observation {number}: {oddity}" for file, number, oddity in oddities[:LISTED])
        log.warning("Odd annotations in %s, the first of %d:\n%s", folder, len(table), "\n".join(lines))
    return Annotations(pd.DataFrame(rows, columns=COLUMNS), table)


def _observations(path: Path) -> list[Any]:
    """Return the observations of a file."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error
    found = content.get("observations") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise ValueError("no list `observations`")
    return found


def _rows(observation: Any, oddities: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the columns of `Annotations.table` after the clip, and list what is odd."""
    content = observation if isinstance(observation, dict) else {}
    dimension, text = content.get("dimension"), content.get("description")
    kind = KINDS.get(dimension) if isinstance(dimension, str) else None
    start, end = (_number(content.get(name)) for name in ("start_time", "end_time"))
    if not (isinstance(text, str) and text.strip()):
        oddities.append("an empty description")
    if kind is None:
        oddities.append(f"the dimension {dimension!r}, not one of {', '.join(KINDS)}; left out")
    elif not start < end:  # also where one is no number
        oddities.append(f"from {content.get('start_time')} to {content.get('end_time')} s; left out")
    elif kind in HEARD:
        yield kind, kind, HEARD[kind], start, end, 0.0, math.inf, *NOWHERE
    elif isinstance(boxes := content.get("bboxes"), list) and boxes:
        for region, first, last, corners in _boxes(boxes, start, end, oddities):
            yield kind, region or kind, "image", first, last, math.nan, math.nan, *corners
    else:
        if kind != "background":
            oddities.append("no box")
        yield kind, kind, "image", start, end, math.nan, math.nan, *NOWHERE


def _boxes(
    boxes: list[Any], start: float, end: float, oddities: list[str]
) -> Iterator[tuple[str, float, float, tuple[float, ...]]]:
    """Yield region, first and last second, and corners of each box of an observation, and list what is odd."""
    for content in boxes:
        box = content if isinstance(content, dict) else {}
        left, top, width, height = (_number(box.get(name)) for name in "xywh")
        moment, region = _number(box.get("frame_time")), box.get("region")
        described = f"a box of x, y, w, h {left:g}, {top:g}, {width:g}, {height:g}"
        corners = left, top, left + width, top + height
        inside = tuple(min(max(corner, 0.0), 1.0) for corner in corners)
        if not (width > 0 and height > 0 and inside[0] < inside[2] and inside[1] < inside[3]):
            oddities.append(f"{described}; left out")
            continue
        if any(abs(cut - corner) > ROUNDING for cut, corner in zip(inside, corners, strict=True)):
            oddities.append(f"{described}, beyond the frame; cut")
        first, last = start, end
        if math.isnan(moment):
            oddities.append("a box without frame_time; it counts throughout the observation")
        else:
            first, last = max(start, moment - BOX_SECONDS), min(end, moment + BOX_SECONDS)
        if moment < start or moment > end:
            used = "it counts where both overlap" if first < last else "left out"
            oddities.append(f"a box at {moment:g} s, outside {start:g} to {end:g} s; {used}")
        if first < last:
            yield (region if isinstance(region, str) and region != "unknown" else ""), first, last, inside


def _number(value: object) -> float:
    """Return a number, NaN for anything that is none or is beyond all measure."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e9 else math.nan
