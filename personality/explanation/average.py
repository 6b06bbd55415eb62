"""Average attribution in the clips that score highest and in those that score lowest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from personality.explanation.charts import LOWERS, RAISES, bar_names, draw_bars, largest, with_rest
from personality.explanation.explainer import BATCH, Explainer
from personality.explanation.pictures import UNITS, Heatmap, colour_bar, draw_map, frequency_ticks, save_picture
from personality.traits import Axis, Coordinates, Modality

SEGMENTS = 2
"""How many segments of a clip are explained, evenly spaced."""


class Average(NamedTuple):
    """The mean input and the mean map of a group of clips."""

    name: str
    inputs: np.ndarray
    """`(channels, *averaged)`: faces, or the level at each frequency."""
    map: np.ndarray
    """`(*averaged)`."""
    error: np.ndarray
    """`(*averaged)`, the standard error of the map over clips; NaN for a single clip."""


def save_average_attribution(folder: Path, explainer: Explainer, high: pd.DataFrame, low: pd.DataFrame) -> None:
    """Average the attribution for each trait over its high-scoring and its low-scoring clips, and draw both.

    Spectrograms are averaged over time. Faces are averaged at each position of the crop, waveforms and sequences at
    each position in time, vectors number by number. A clip counts as the mean of its explained segments. The bands are
    95 % intervals over clips. `folder` then holds `average_<trait>.png`, and
    `average.npz` with `maps` and `errors` `(2, targets, *averaged)`, high before low, `inputs` `(2, targets, channels,
    *averaged)`, `cues` as `maps`, and `hertz`.

    Args:
        folder: Such as `heatmaps/test`; made if it does not exist.
        explainer: Reads and explains the clips.
        high: A table of `Highest`: the clips with the highest scores, equally many for each trait.
        low: The same for the lowest scores.
    """
    data, split = explainer.data, explainer.split
    sides = np.stack([[side.loc[side["trait"] == trait, "clip"] for trait in data.targets] for side in (high, low)])
    count = sides.shape[2]
    clips = np.unique(sides)
    totals: dict[str, np.ndarray] = {}
    for start in range(0, len(clips), BATCH):
        for clip, arrays in _clip_means(explainer, clips[start : start + BATCH]):
            member = (sides == clip).any(axis=2).astype(float)  # (2, targets)
            for name, array in (arrays | {"squares": arrays["maps"] ** 2}).items():
                weighted = member.reshape(2, -1, *[1] * (array.ndim - 1)) * array
                totals[name] = totals.get(name, 0) + weighted
    means = {name: total / count for name, total in totals.items()}
    variance = np.clip(means.pop("squares") - means["maps"] ** 2, 0, None)
    means["errors"] = np.sqrt(variance / (count - 1)) if count > 1 else np.full_like(variance, np.nan)

    coordinates = data.coordinates(split, int(clips[0]), 0)
    folder.mkdir(parents=True, exist_ok=True)
    for target, trait in enumerate(data.targets):
        groups = [
            Average(f"{count} {name}-scoring clip{'s' * (count != 1)}",
                    *(means[part][side, target] for part in ("inputs", "maps", "errors")))
            for side, name in enumerate(["high", "low"])
        ]  # fmt: skip
        title = f"{trait}: average attribution in the {split} split"
        path = folder / f"average_{trait}.png"
        draw_average(path, title, groups, data.modality, coordinates, means["cues"][:, target].mean(0))
    hertz = [axis.values for axis in coordinates.axes if axis.name == "frequency"]
    np.savez_compressed(folder / "average.npz", **means, hertz=np.concatenate([*hertz, np.empty(0)]))


def _clip_means(explainer: Explainer, clips: np.ndarray) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Explain clips; return for each the mean over its segments of `maps`, `inputs` and `cues`."""
    data, split = explainer.data, explainer.split
    counts = data.segments(split)[clips]
    spaced = [np.unique(((np.arange(SEGMENTS) + 0.5) * count / SEGMENTS).astype(int)) for count in counts]
    segments = [np.stack([np.full(len(some), clip), some], axis=1) for clip, some in zip(clips, spaced, strict=True)]
    explained = explainer.explain(np.concatenate(segments))
    means = []
    for clip, rows in zip(clips, segments, strict=True):
        of_clip, explained = explained[: len(rows)], explained[len(rows) :]
        axes = data.coordinates(split, int(clip), 0).axes
        is_waveform = data.modality == "audio" and [axis.name for axis in axes] == ["time"]
        level = np.abs if is_waveform else np.asarray  # waves of several clips would cancel each other
        masks = explainer.cue_masks(rows)
        cues = [np.mean([mask[trait] for mask in masks], axis=0) for trait in data.targets]
        means.append(
            (
                int(clip),
                {
                    "maps": _average_time(np.mean([each.maps for each in of_clip], axis=0), axes, data.modality),
                    "inputs": _average_time(
                        np.mean([level(each.inputs) for each in of_clip], axis=0, dtype=float), axes, data.modality
                    )[None],
                    "cues": _average_time(np.stack(cues), axes, data.modality),
                },
            )
        )
    return means


def _average_time(values: np.ndarray, axes: Sequence[Axis], modality: Modality) -> np.ndarray:
    """Average sound `(n, *space)` over all axes but frequency: `(n, frequencies)`. Return all else as it is."""
    if modality != "audio" or all(axis.name != "frequency" for axis in axes):
        return values
    first = values.ndim - len(axes)
    average: np.ndarray = values.mean(
        tuple(first + index for index, axis in enumerate(axes) if axis.name != "frequency")
    )
    return average


def draw_average(
    path: Path, title: str, groups: Sequence[Average], modality: Modality, coordinates: Coordinates, cues: np.ndarray
) -> None:
    """Draw the average attribution of high-scoring beside low-scoring clips: over Hz, or over the face.

    Args:
        path: The picture.
        title: Its title.
        groups: High, then low.
        modality: Of the input.
        coordinates: Of one of the segments.
        cues: `(*averaged)`: how often a planted cue lies at each position, 0 without cues; its centre is marked.
    """
    figure = Figure(figsize=(11, 3.6))
    figure.suptitle(title, fontsize=10, parse_math=False)
    mask = cues > cues.max() / 2 if cues.any() else None
    if modality == "image":
        _draw_faces(figure, groups, coordinates, mask)
    elif names := coordinates.axes[0].names:
        _draw_numbers(figure, groups, names)
    else:
        _draw_frequencies(figure, groups, coordinates.axes[-1], mask)
    save_picture(figure, path, dpi=90)


def _draw_faces(figure: Figure, groups: Sequence[Average], coordinates: Coordinates, mask: np.ndarray | None) -> None:
    high, low = groups
    both = Average(f"{high.name} minus {low.name}", (high.inputs + low.inputs) / 2, high.map - low.map, high.error)
    limit = max(1e-12, *(float(np.abs(group.map).max()) for group in (high, low, both)))
    edges = {"left": 0.02, "right": 0.9, "bottom": 0.04, "top": 0.82, "wspace": 0.05}
    for axes, group in zip(figure.subplots(1, 3, gridspec_kw=edges), (high, low, both), strict=True):
        faces = group.inputs.clip(0, 255).astype(np.uint8)
        draw_map(axes, Heatmap(group.name, "image", faces, group.map, 0.0, coordinates, mask), limit)
        axes.set_title(group.name, fontsize=8)
    colour_bar(figure, limit, figure.add_axes((0.925, 0.15, 0.01, 0.56)))


def _draw_numbers(figure: Figure, groups: Sequence[Average], names: Sequence[str]) -> None:
    """Draw the average shares of named numbers in the scores, those in which the groups differ most."""
    high, low = (group.map / len(names) for group in groups)
    shown = largest(np.abs(high - low))
    values = [with_rest(shares, shown) for shares in (high, low)]
    rest = [np.nan] if len(values[0]) > len(shown) else []  # its error is unknown
    errors = [np.nan_to_num([*(1.96 * group.error / len(names))[shown], *rest]) for group in groups]
    figure.set_size_inches(11, 1.2 + 0.25 * len(values[0]))
    axes = figure.add_axes((0.27, 0.12, 0.7, 0.76))
    limit = max(1e-12, *(float(np.abs(row).max() + error.max()) for row, error in zip(values, errors, strict=True)))
    draw_bars(axes, bar_names([names[index] for index in shown], len(names)), values, limit, errors)
    keys = [Patch(color=colour, label=group.name) for group, colour in zip(groups, (RAISES, LOWERS), strict=True)]
    axes.legend(handles=keys, fontsize=7.5, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    axes.set_xlabel("share of the score", fontsize=8)
    axes.tick_params(labelsize=8)


def _draw_frequencies(figure: Figure, groups: Sequence[Average], frequency: Axis, mask: np.ndarray | None) -> None:
    """Draw attribution, and beside it the sound, over bands of equal width: on the mel scale for mel bands."""
    size = max(1, len(frequency.values) // 300)  # a long spectrum is averaged down to what a picture shows
    bands = np.arange(len(frequency.values) // size)
    edges = {"left": 0.07, "right": 0.985, "bottom": 0.15, "top": 0.83, "wspace": 0.16}
    attribution, level = figure.subplots(1, 2, gridspec_kw=edges)
    for group, colour in zip(groups, ("#b2182b", "#2166ac"), strict=True):
        values, error, inputs = (_blocks(row, size) for row in (group.map, group.error, group.inputs.mean(0)))
        attribution.plot(bands, values, color=colour, linewidth=1.4, label=group.name)
        if np.isfinite(error).all():
            attribution.fill_between(
                bands, values - 1.96 * error, values + 1.96 * error, color=colour, alpha=0.16, lw=0
            )
        level.plot(bands, inputs, color=colour, linewidth=1.2)
    attribution.axhline(0, color="0.6", linewidth=0.7)
    attribution.legend(fontsize=7.5, frameon=False)
    attribution.set_ylabel("attribution, in units of the score", fontsize=8)
    for axes, name in [(attribution, "for and against the trait"), (level, "input")]:
        axes.set_title(name, fontsize=8)
        _mark_frequencies(axes, frequency, size, None if mask is None else _blocks(mask, size) > 0)


def _mark_frequencies(axes: Axes, frequency: Axis, size: int, mask: np.ndarray | None) -> None:
    """Label an axis of bands, each of `size` frequencies, in Hz, and shade a planted cue."""
    bands = np.arange(len(frequency.values) // size)
    if mask is not None:
        shade: dict[str, Any] = {"color": "0.5", "alpha": 0.16, "lw": 0}
        axes.fill_between(bands, 0, 1, where=mask, transform=axes.get_xaxis_transform(), **shade)
    axes.set_xlim(bands[0], bands[-1])
    if frequency.name == "frequency":
        ticks, labels = frequency_ticks(frequency)
        axes.set_xticks(np.clip((ticks + 0.5) / size - 0.5, bands[0], bands[-1]), labels)
    else:
        values = _blocks(frequency.values, size)
        round_ones = [tick for tick in MaxNLocator(6).tick_values(0, values[-1]) if values[0] <= tick <= values[-1]]
        axes.set_xticks(np.interp(round_ones, values, bands), [f"{tick:g}" for tick in round_ones])
    axes.set_xlabel(UNITS[frequency.name], fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _blocks(values: np.ndarray, size: int) -> np.ndarray:
    """Average over blocks of neighbours."""
    blocks: np.ndarray = values[: len(values) // size * size].reshape(-1, size).mean(1)
    return blocks
