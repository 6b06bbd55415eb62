"""Results as a terminal shows them: numbers in columns, each with its interval, and in words what is odd."""

import math

import pandas as pd

from personality.evaluation.metrics import ROUNDING
from personality.evaluation.predictions import labels_of, scores_of
from personality.tables import counted, listed
from personality.traits import source_id

LEGEND = "O C E A N: accuracy of each trait by its initial; N is labelled as emotional stability.  -: undefined"


def as_text(numbers: pd.DataFrame, row: str, column: str) -> str:
    """Lay out estimates: a line for each value of `row` with the ends of its 95 % intervals below, columns by `column`.

    Args:
        numbers: A line a number, with the columns value, low and high.
        row: The column that says which line a number belongs to.
        column: The column that says which column it belongs to.
    """
    heads = list(numbers[column].unique())
    width = 2 + max(len("95 % from"), *(len(str(name)) for name in numbers[row]))
    widths = [max(9, 2 + len(head)) for head in heads]
    lines = [" " * (width + 2) + "".join(head.rjust(wide) for head, wide in zip(heads, widths, strict=True))]
    for name, of_row in numbers.groupby(row, sort=False):
        cells = of_row.set_index(column).reindex(heads)
        for title, part in [(name, "value"), ("  95 % from", "low"), ("         to", "high")]:
            figures = "".join(figure(value).rjust(wide) for value, wide in zip(cells[part], widths, strict=True))
            lines.append(f"  {title}".ljust(width + 2) + figures)
    return "\n".join(lines)


def results_text(results: pd.DataFrame) -> str:
    """Lay out what `evaluate` or `compare` returned: a table over all clips, one over the new sources."""
    parts = []
    for over, part in results.groupby("over", sort=False):
        clips, labelled, sources = part[["clips", "labelled", "sources"]].iloc[0]
        of = f"{clips:,}" if clips == labelled else f"{clips:,} of {labelled:,}"
        table = as_text(in_columns(part), "row", "column")
        known = f"{sources:,} sources" if sources else "unknown sources"
        parts.append(f"{str(over).capitalize()}: over {of} clips, from {known}\n{table}")
    return "\n\n".join([*parts, LEGEND])


def calibration_text(numbers: pd.DataFrame) -> str:
    """Lay out what `calibration` returned: a line a trait."""
    title = "Calibration: label = slope * score + intercept; deviation and bias of the scores against the labels"
    return f"{title}\n{as_text(numbers[numbers.target != 'mean'], 'target', 'measure')}"


def fairness_text(numbers: pd.DataFrame) -> str:
    """Lay out what `fairness` returned: a table an attribute, and between whom the largest gap in accuracy is."""
    parts = []
    for over, part in numbers.groupby("over", sort=False):
        counts = part.clips.map("{:,} clips, ".format) + part.sources.map("{:,} sources".format)
        named = part.assign(row=part.row.where(part.row == "largest gap", part.row + " (" + counts + ")"))
        parts.append(f"By {over}\n{as_text(in_columns(named), 'row', 'column')}")
        gap = part[(part.row == "largest gap") & (part.measure == "accuracy") & (part.target == "mean")]
        for pair in gap.pair:
            parts[-1] += f"\n  The largest gap in mean accuracy is {pair}."
    return "\n\n".join(parts)


def in_columns(results: pd.DataFrame) -> pd.DataFrame:
    """Keep what a page has room for, named in `column` as published tables do.

    These are `accuracy` with the accuracies of the traits behind it, by their initials, and every other measure's mean.
    """
    kept = results[(results.measure == "accuracy") | (results.target == "mean")]
    return kept.assign(column=kept.measure.where(kept.target == "mean", kept.target.str[0].str.upper()))


def figure(value: float) -> str:
    """Write a number with four decimals as tables of the field do.

    >>> figure(0.91234), figure(-0.05), figure(1.25), figure(-1e-9), figure(float("nan"))
    ('.9123', '-.0500', '1.2500', '.0000', '-')
    """
    written = f"{round(value, 4) + 0.0:.4f}"  # no minus before a zero
    return "-" if math.isnan(value) else written.replace("0.", ".", 1) if abs(value) < 1 else written


def remarks(predictions: pd.DataFrame, train: pd.DataFrame | None = None) -> list[str]:
    """Say what a reader of the measures has to know about the clips: a sentence for each oddity."""
    scores, labels = scores_of(predictions), labels_of(predictions)
    scored, labelled = scores.notna().all(axis=1), labels.notna().any(axis=1)
    measured = scored & labelled
    outside = measured & ((scores < 0) | (scores > 1)).any(axis=1)
    said = {
        "Labelled but not scored": labelled & ~scored,
        "Scored but without a label, so not measured": scored & ~labelled,
        "Scores outside [0, 1], measured as they are": outside,
    }
    if train is not None:
        seen = predictions.index.isin(train.index)
        said["Clips of the training labels themselves, which the source lookup has seen"] = measured & seen
    sentences = [f"{name}: {counted(predictions.index[clips])}." for name, clips in said.items() if clips.any()]
    for name, values, lost in [("score", scores, "its pcc is"), ("label", labels, "r2, pcc and skill may be")]:
        constant = values.columns[values[measured].std() <= ROUNDING * values[measured].abs().mean()]
        if len(constant):
            sentences.append(f"Every clip has the same {name} of {listed(constant, 6)}: {lost} undefined (-).")
    named = predictions.index.name != "line"
    if not named:
        sentences.append(
            "These predictions name no clips, and their lines were matched by order: without sources there are no "
            "intervals, no source lookup and no new sources. If the predictions hold labels, --labels FILE with the "
            "official labels of the split tells which clips they are of."
        )
    if train is None:
        sentences.append("Without training labels (--train FILE) there are no baselines, no skill and no new sources.")
    elif named and set(map(source_id, predictions.index[measured])) <= set(map(source_id, train.index)):
        sentences.append("Every source is in training: nothing here tells how the model fares with new people.")
    return sentences
