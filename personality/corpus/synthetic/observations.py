"""Annotation files of the sample corpus in the layout of MM-OCEAN, as if an observer had marked each planted cue."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

REGIONS = {"eyes": "eyes", "brows": "eyebrows", "smile": "mouth", "blush": "cheeks", "mole": "chin"}
"""The region of each visible cue of a trait. Visible distractors, hair and clothes, count as background."""
HEARD = {"audio": "Audio", "text": "Words"}
"""The dimension of each modality that has times alone."""


def write_observations(folder: Path, cues: pd.DataFrame) -> None:
    """Write `<clip>.json` for each clip: an observation for each appearance of a cue, and a box in it where it is seen.

    Args:
        folder: An existing folder.
        cues: `Corpus.cues`. Distractors that are heard are left out: an observer notices nothing.
    """
    seen = (cues["right"] > cues["left"]) & (cues["bottom"] > cues["top"])
    heard = cues["modality"].isin(HEARD) & (cues["trait"] != "none")
    for clip, rows in cues[seen | heard].groupby("clip"):
        content = {"video_id": clip, "observations": [_observation(cue) for cue in rows.to_dict("records")]}
        text = json.dumps(content, separators=(",", ":"))
        (folder / f"{clip}.json").write_text(text, encoding="utf-8")


def _observation(cue: dict[Any, Any]) -> dict[str, Any]:
    box = {
        "frame_time": (cue["start"] + cue["end"]) / 2,
        "x": cue["left"],
        "y": cue["top"],
        "w": cue["right"] - cue["left"],
        "h": cue["bottom"] - cue["top"],
    }
    rounded = {name: round(value, 4) for name, value in box.items()} | {"region": REGIONS.get(cue["cue"], "unknown")}
    return {
        "dimension": HEARD.get(cue["modality"], "Expression" if cue["cue"] in REGIONS else "Background"),
        "start_time": round(cue["start"], 4),
        "end_time": round(cue["end"], 4),
        "description": f"{cue['cue']}, of strength {cue['strength']:.2f}",
        "bboxes": [] if cue["modality"] in HEARD else [rounded],
    }
