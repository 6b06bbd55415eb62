"""A result as HTML: for each trait a bar with the score, the interval of the error, and its place in training."""

from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from personality.app.scoring import Result
from personality.evaluation.reference import Reference
from personality.traits import CLIP_SECONDS

WIDTH = 200.0
"""Of a bar, which spans all labels there can be."""
TEMPLATES = Environment(loader=PackageLoader("personality.app", "."), autoescape=True, trim_blocks=True)


def result_html(result: Result) -> str:
    """Show a result: scores, what they are made of, and its report in a frame."""
    rows = [_row(str(trait), row, result.reference) for trait, row in result.scores.iterrows()]
    return TEMPLATES.get_template("scores.html.j2").render(
        result=result,
        rows=rows,
        traits=[*result.scores.index],
        clip_seconds=CLIP_SECONDS,
        remark=result.reference.remark,
        any_interval=any(row["interval"] for row in rows),
        any_median=any(row["median"] is not None for row in rows),
    )


def _row(trait: str, row: "pd.Series[float]", reference: Reference) -> dict[str, Any]:
    """Return the numbers of a trait, along the bar and in words."""
    lowest, highest = reference.scale[trait]
    median = float(reference.labels[trait].loc[0.5])

    def along(value: float) -> float | None:
        return round(float(np.clip((value - lowest) / (highest - lowest), 0, 1)) * WIDTH, 1) if value == value else None

    known = row["low"] == row["low"]
    interval = f"{row['low']:.2f} to {row['high']:.2f}" if known else ""
    percentile = ""
    if row["percentile"] == row["percentile"]:
        percentile = f"above {row['percentile']:.0f} % of the training clips"
    course = f"± {row['std']:.3f} over its clips" if row["std"] == row["std"] else ""
    parts = row.drop(["score", "std", "percentile", "low", "high"]).dropna()
    bill = ""
    if len(parts):
        added = "".join(f" {share:+.3f} {name}" for name, share in parts.iloc[1:].items())
        bill = f"{parts.iloc[0]:.3f} bias{added} = {parts.sum():.3f}"
    return {
        "trait": trait,
        "value": f"{row['score']:.3f}",
        "interval": interval,
        "percentile": percentile,
        "course": course,
        "bill": bill,
        "score": along(float(row["score"])),
        "low": along(float(row["low"])),
        "high": along(float(row["high"])),
        "median": along(median),
        "text": ", ".join(filter(None, [f"{trait} {row['score']:.3f}", interval, percentile])),
    }
