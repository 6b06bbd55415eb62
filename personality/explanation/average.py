"""What the network listens to and looks at: the average evidence in clips that score high and in clips that do not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule

from personality.explanation import cam
from personality.explanation.pictures import Heatmap, colour_bar, draw_map, is_photograph, save_picture
from personality.explanation.segments import BATCH, explain
from personality.traits import Axis, Coordinates

SEGMENTS = 2
"""How many segments of a clip are explained, evenly spaced."""


class Average(NamedTuple):
    """What a group of clips has in common: how they look or sound, and what speaks for a trait in them."""

    name: str
    inputs: np.ndarray
    """`(channels, *kept)`: faces, or the level at each frequency."""
    map: np.ndarray
    """`(*kept)`, the mean evidence."""
    error: np.ndarray
    """`(*kept)`, its standard error over clips; NaN for a single clip."""


def save_average_attribution(
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
    coordinates: Coordinates | None = None
    for start in range(0, len(clips), BATCH):
        spread = {clip: _evenly(int(there[clip])) for clip in clips[start : start + BATCH]}
        pairs = np.array([(clip, segment) for clip, chosen in spread.items() for segment in chosen])
        explained = explain(method, model, data, split, pairs)
        for clip, chosen in spread.items():
            coordinates = data.coordinates(split, int(clip), int(chosen[0]))
            found = [explained[int(clip), int(segment)] for segment in chosen]
            masks = [data.cues(split, int(clip), int(segment)) for segment in chosen]
            blank = np.zeros(found[0].inputs.shape[1:])
            maps = _kept(np.mean([each.maps for each in found], axis=0), coordinates)
            member = (sides == clip).any(axis=2).astype(float)  # (2, targets)
            parts = {
                "maps": maps,
                "squares": maps**2,
                "inputs": _kept(np.mean([each.inputs for each in found], axis=0, dtype=float), coordinates)[None],
                "planted": np.stack(
                    [
                        _kept(np.mean([mask.get(trait, blank) for mask in masks], axis=0), coordinates)
                        for trait in data.targets
                    ]
                ),
            }
            for name, part in parts.items():
                weighted = member.reshape(2, -1, *[1] * (part.ndim - 1)) * part
                sums[name] = sums.get(name, 0) + weighted

    assert coordinates is not None
    means = {name: total / count for name, total in sums.items()}
    variance = np.clip(means["squares"] - means["maps"] ** 2, 0, None)
    errors = np.sqrt(variance / (count - 1)) if count > 1 else np.full_like(variance, np.nan)
    folder.mkdir(parents=True, exist_ok=True)
    for target, trait in enumerate(data.targets):
        groups = [
            Average(
                f"{count} {name}-scoring clip{'s' * (count != 1)}",
                *(part[side, target] for part in (means["inputs"], means["maps"], errors)),
            )
            for side, name in enumerate(["high", "low"])
        ]
        title = f"{trait}: average evidence in the {split} split"
        draw_average(folder / f"average_{trait}.png", title, groups, coordinates, means["planted"][:, target].mean(0))
    np.savez_compressed(
        folder / "average.npz",
        maps=means["maps"],
        errors=errors,
        inputs=means["inputs"],
        planted=means["planted"],
        hertz=np.concatenate([axis.values for axis in coordinates.axes if axis.name == "frequency"] or [np.empty(0)]),
    )


def _evenly(there: int) -> np.ndarray:
    return np.unique(((np.arange(SEGMENTS) + 0.5) * there / SEGMENTS).astype(int))


def _kept(values: np.ndarray, coordinates: Coordinates) -> np.ndarray:
    """`(n, *space)` -> `(n, *kept)`: frequency alone where there is one, else all of it."""
    names = [axis.name for axis in coordinates.axes]
    if "frequency" not in names:
        return values
    first = values.ndim - len(names)
    return values.mean(tuple(first + number for number, name in enumerate(names) if name != "frequency"))


def draw_average(
    path: Path, title: str, groups: Sequence[Average], coordinates: Coordinates, planted: np.ndarray
) -> None:
    """Draw the average evidence of high-scoring beside low-scoring clips: over Hz, or over the face.

    Args:
        path: The picture.
        title: Its title.
        groups: High, then low.
        coordinates: Of one of their segments: it tells what the space is.
        planted: `(*kept)`, how often a planted cue lies there, 0 where nobody knows; its centre is outlined.
    """
    figure = Figure(figsize=(11, 3.6))
    figure.suptitle(title, fontsize=10, parse_math=False)
    mask = None if not planted.any() else planted > planted.max() / 2
    if is_photograph(coordinates):
        _draw_faces(figure, groups, coordinates, mask)
    else:
        _draw_frequencies(figure, groups, next(axis for axis in coordinates.axes if axis.name == "frequency"), mask)
    save_picture(figure, path, dpi=90)


def _draw_faces(figure: Figure, groups: Sequence[Average], coordinates: Coordinates, mask: np.ndarray | None) -> None:
    high, low = groups
    both = Average(f"{high.name} minus {low.name}", (high.inputs + low.inputs) / 2, high.map - low.map, high.error)
    limit = max(1e-12, *(float(np.abs(group.map).max()) for group in (high, low, both)))
    edges = {"left": 0.02, "right": 0.9, "bottom": 0.04, "top": 0.82}
    for axes, group in zip(
        figure.subplots(1, 3, gridspec_kw={"wspace": 0.05, **edges}), (high, low, both), strict=True
    ):
        faces = group.inputs.clip(0, 255).astype(np.uint8)
        draw_map(axes, Heatmap(group.name, faces, group.map, 0.0, coordinates, mask), limit)
        axes.set_title(group.name, fontsize=8)
    colour_bar(figure, limit, figure.add_axes((0.925, 0.15, 0.01, 0.56)))


def _draw_frequencies(figure: Figure, groups: Sequence[Average], frequency: Axis, mask: np.ndarray | None) -> None:
    """Draw evidence, and beside it the sound, over bands of equal width: on the mel scale where they are mel bands."""
    size = max(1, len(frequency.values) // 300)  # a long spectrum is averaged down to what a picture shows
    bands = np.arange(len(frequency.values) // size)
    edges = {"left": 0.07, "right": 0.985, "bottom": 0.15, "top": 0.83}
    evidence, level = figure.subplots(1, 2, gridspec_kw={"wspace": 0.16, **edges})
    for group, colour in zip(groups, ("#b2182b", "#2166ac"), strict=True):
        values, error, inputs = (_blocks(row, size) for row in (group.map, group.error, group.inputs[0]))
        evidence.plot(bands, values, color=colour, linewidth=1.4, label=group.name)
        if np.isfinite(error).all():
            evidence.fill_between(bands, values - 1.96 * error, values + 1.96 * error, color=colour, alpha=0.16, lw=0)
        level.plot(bands, inputs, color=colour, linewidth=1.2)
    evidence.axhline(0, color="0.6", linewidth=0.7)
    evidence.legend(fontsize=7.5, frameon=False)
    evidence.set_ylabel("evidence, in units of the score", fontsize=8)
    hertz = [h for h in (200, 500, 1000, 2000, 4000, 8000) if frequency.values[0] <= h <= frequency.values[-1]]
    ticks = np.interp(hertz, _blocks(frequency.values, size), bands)
    for axes, name in [(evidence, "what speaks for and against"), (level, "input")]:
        if mask is not None:
            axes.fill_between(
                bands, 0, 1, where=_blocks(mask, size) > 0, color="0.5", alpha=0.16, lw=0,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
        axes.set_title(name, fontsize=8)
        axes.set(xlim=(bands[0], bands[-1]), xticks=ticks)
        axes.set_xticklabels([f"{h / 1000:g}k" if h >= 1000 else str(h) for h in hertz])
        axes.set_xlabel("Hz", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)


def _blocks(values: np.ndarray, size: int) -> np.ndarray:
    """Average over blocks of neighbours."""
    return values[: len(values) // size * size].reshape(-1, size).mean(1)
