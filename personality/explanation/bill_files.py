"""A folder of bills: for each trait those of its highest clips, as pictures and tables."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from personality.atomic import atomic_write
from personality.explanation import cam
from personality.explanation.bill import bill_of
from personality.explanation.bill_pictures import draw_bill, span
from personality.explanation.gallery import shorten
from personality.explanation.protocols import Data, Model
from personality.progress import progress

log = logging.getLogger(__name__)


def save_bills(
    folder: Path, model: Model, data: Data, split: str, selection: pd.DataFrame, method: cam.Method = cam.best
) -> None:
    """Save the bills of clips; write the whole folder or nothing.

    `index.csv` then has a row for each bill: trait, clip, label, score, bias, what each part adds, `missing` parts, and
    the picture. `<clip>.csv` opens the bill of a clip into moments, places and words, for all traits.

    Args:
        folder: Replaced if it exists.
        model: Of one input, or joint.
        data: The data module that it was trained on.
        split: The split of the clips.
        selection: Columns `trait` and `clip`, a row of the split.
        method: A function of `cam.METHODS`.
    """
    clips, entries = data.clips(split), []
    with atomic_write(folder) as part:
        part.mkdir(parents=True)
        for clip, rows in progress(
            selection.groupby("clip", sort=False), f"bills of {split}", selection["clip"].nunique(), unit="clip"
        ):
            row = int(str(clip))
            bill = bill_of(model, data, split, row, method)
            name = Path(shorten(bill.clip, 120)).stem
            bill.table().to_csv(part / f"{name}.csv", index=False, float_format="%.7g")
            start, end = span(bill)
            for trait in rows["trait"]:
                index, label = bill.targets.index(trait), float(clips[trait].iloc[row])
                entry: dict[str, Any] = {"trait": trait, "clip": bill.clip, "label": label}
                entry |= {"score": bill.score[index], "bias": bill.bias[index]}
                entry |= {key: each.total[index] for key, each in bill.parts.items()}
                picture = f"{trait}_{name}.png"
                labelled = f", label {label:.3f}" if label == label else ""
                title = f"{trait} of {shorten(bill.clip, 60)}: score {bill.score[index]:.3f}{labelled}"
                boxes = draw_bill(part / picture, bill, trait, title)
                entry |= {"missing": " ".join(bill.missing), "picture": picture, "start": start, "end": end}
                entries.append(entry | {"time_panels": json.dumps(boxes)})
        pd.DataFrame(entries).to_csv(part / "index.csv", index=False)
    log.info("Bills of the highest clips of the %s split: %s", split, folder)
