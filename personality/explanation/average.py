"""What the network listens to and looks at: the average evidence in clips that score high and in clips that do not."""

from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import LightningModule

from personality.explanation import cam
from personality.explanation.pictures import Average, draw_average
from personality.explanation.segments import BATCH, explain
from personality.traits import Place

SEGMENTS = 3
"""How many segments of a clip are explained, evenly spaced."""


def save_average_evidence(
    folder: Path, model: LightningModule, data: Any, split: str, sides: np.ndarray, method: cam.Method = cam.best
) -> None:
    """Average the evidence for each trait over its high-scoring and its low-scoring clips, and draw them side by side.

    Sound is averaged over time and drawn over Hz; faces are averaged at each position of the crop. A clip counts as the
    mean of its explained segments, and a band of 95 % is over clips. `folder` then holds `average_<trait>.png` for each
    trait, and `average.npz`: `maps`, `errors` `(2, targets, *kept)`, high before low, `inputs` with channels before
    `*kept`, `planted` as `maps`, and `hertz`.

    Args:
        folder: Such as `heatmaps/test`; made if it is not there.
        model: What scored the clips.
        data: Where they can be read again, a `TraitDataModule`.
        split: The split.
        sides: `(2, targets, clips)`: rows of the clips that score highest, and of those that score lowest.
        method: A function of `personality.explanation.cam`.
    """
    count = sides.shape[2]
    clips, there = np.unique(sides), data.caches[split].segments

    sums: dict[str, np.ndarray] = {}
    place: Place | None = None
    for start in range(0, len(clips), BATCH):
        spread = {clip: _evenly(int(there[clip])) for clip in clips[start : start + BATCH]}
        pairs = np.array([(clip, segment) for clip, chosen in spread.items() for segment in chosen])
        explained = explain(method, model, data, split, pairs)
        for clip, chosen in spread.items():
            place = data.place(split, int(clip), int(chosen[0]))
            found = [explained[int(clip), int(segment)] for segment in chosen]
            masks = [data.evidence(split, int(clip), int(segment)) for segment in chosen]
            blank = np.zeros(found[0].inputs.shape[1:])
            maps = _kept(np.mean([each.maps for each in found], axis=0), place)
            member = (sides == clip).any(axis=2).astype(float)  # (2, targets)
            parts = {
                "maps": maps,
                "squares": maps**2,
                "inputs": _kept(np.mean([each.inputs for each in found], axis=0, dtype=float), place)[None],
                "planted": np.stack(
                    [
                        _kept(np.mean([mask.get(trait, blank) for mask in masks], axis=0), place)
                        for trait in data.targets
                    ]
                ),
            }
            for name, part in parts.items():
                weighted = member.reshape(2, -1, *[1] * (part.ndim - 1)) * part
                sums[name] = sums.get(name, 0) + weighted

    assert place is not None
    means = {name: total / count for name, total in sums.items()}
    variance = np.clip(means["squares"] - means["maps"] ** 2, 0, None)
    errors = np.sqrt(variance / (count - 1)) if count > 1 else np.full_like(variance, np.nan)
    folder.mkdir(parents=True, exist_ok=True)
    for target, trait in enumerate(data.targets):
        groups = [
            Average(
                f"{count} {name}-scoring clips",
                *(part[side, target] for part in (means["inputs"], means["maps"], errors)),
            )
            for side, name in enumerate(["high", "low"])
        ]
        title = f"{trait}: average evidence in the {split} split"
        draw_average(folder / f"average_{trait}.png", title, groups, place, means["planted"][:, target].mean(0))
    np.savez_compressed(
        folder / "average.npz",
        maps=means["maps"],
        errors=errors,
        inputs=means["inputs"],
        planted=means["planted"],
        hertz=np.concatenate([axis.values for axis in place.axes if axis.name == "frequency"] or [np.empty(0)]),
    )


def _evenly(there: int) -> np.ndarray:
    return np.unique(((np.arange(SEGMENTS) + 0.5) * there / SEGMENTS).astype(int))


def _kept(values: np.ndarray, place: Place) -> np.ndarray:
    """`(n, *space)` -> `(n, *kept)`: frequency alone where there is one, else all of it."""
    names = [axis.name for axis in place.axes]
    if "frequency" not in names:
        return values
    first = values.ndim - len(names)
    return values.mean(tuple(first + number for number, name in enumerate(names) if name != "frequency"))
