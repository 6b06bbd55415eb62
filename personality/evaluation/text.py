"""Results as text for a terminal: tables of values with their intervals, and remarks about the clips."""

import math

import pandas as pd

from personality.evaluation.metrics import ROUNDING
from personality.evaluation.predictions import UNIT, Scale, groups_of, labels_of, scores_of
from personality.tables import format_clips, join_names
from personality.traits import TARGETS

LEGEND = (
    "O C E A N: accuracy of each trait by its initial; N is labelled as emotional stability.  "
    "std_ratio: std(score) / std(label).  -: undefined"
)


def format_table(numbers: pd.DataFrame, rows: str) -> str:
    """Lay out estimates: for each row a line of values, and two lines with the ends of their 95 % intervals.

    Args:
        numbers: One row for each value, with the columns value, low, high, and `column`, which becomes the columns.
        rows: The column of `numbers` that becomes the rows.
    """
    heads = list(numbers["column"].unique())
    width = 2 + max(len("95 % from"), *(len(str(name)) for name in numbers[rows]))
    widths = [max(9, 2 + len(head)) for head in heads]
    lines = [" " * (width + 2) + "".join(head.rjust(wide) for head, wide in zip(heads, widths, strict=True))]
    for name, of_row in numbers.groupby(rows, sort=False):
        cells = of_row.set_index("column").reindex(heads)
        for title, end in [(name, "value"), ("  95 % from", "low"), ("         to", "high")]:
            values = zip(cells[end], widths, strict=True)
            lines.append(f"  {title}".ljust(width + 2) + "".join(format_value(value).rjust(w) for value, w in values))
    return "\n".join(lines)


def results_text(results: pd.DataFrame) -> str:
    """Lay out the table of `evaluate` or `compare`: all clips, then new sources."""
    parts = []
    for subset, part in results.groupby("subset", sort=False):
        clips, labelled, sources = part[["clips", "labelled", "sources"]].iloc[0]
        of = f"{clips:,}" if clips == labelled else f"{clips:,} of {labelled:,}"
        known = f"{sources:,} sources" if sources else "unknown sources"
        table = format_table(_main_columns(part), "predictor")
        parts.append(f"{str(subset).capitalize()}: {of} clips from {known}\n{table}")
    others = {*results.target} - {"mean", *TARGETS}
    legend = "One letter: the accuracy of the target with this initial.  -: undefined" if others else LEGEND
    return "\n\n".join([*parts, legend])


def calibration_text(numbers: pd.DataFrame) -> str:
    """Lay out the table of `calibration`: a row for each target."""
    title = "Calibration: label = slope * score + intercept; bias = mean error"
    targets = numbers[numbers.target != "mean"]
    return f"{title}\n{format_table(targets.assign(column=targets.metric), 'target')}"


def fairness_text(numbers: pd.DataFrame) -> str:
    """Lay out the table of `fairness`: a table for each attribute, and the pair with the largest gap in accuracy."""
    parts = []
    for attribute, part in numbers.groupby("attribute", sort=False):
        counts = part.clips.map("{:,} clips, ".format) + part.sources.map("{:,} sources".format)
        subset = part.subset.where(part.subset == "largest gap", part.subset + " (" + counts + ")")
        parts.append(f"By {attribute}\n{format_table(_main_columns(part.assign(subset=subset)), 'subset')}")
        gap = part[(part.subset == "largest gap") & (part.metric == "accuracy") & (part.target == "mean")]
        for pair in gap.pair:
            parts[-1] += f"\n  The largest gap in mean accuracy is {pair}."
    return "\n\n".join(parts)


def _main_columns(results: pd.DataFrame) -> pd.DataFrame:
    """Select the accuracy of each trait and the mean of every metric; name them in `column` as published tables do."""
    main = results[(results.metric == "accuracy") | (results.target == "mean")]
    return main.assign(column=main.metric.where(main.target == "mean", main.target.str[0].str.upper()))


def format_value(value: float, decimals: int = 4) -> str:
    """Format a number with so many decimals and no leading zero, as tables of the field do.

    >>> format_value(0.91234), format_value(-0.05), format_value(1.25), format_value(-1e-9), format_value(math.nan)
    ('.9123', '-.0500', '1.2500', '.0000', '-')
    """
    text = f"{round(value, decimals) + 0.0:.{decimals}f}"  # adding 0.0 turns -0.0 into 0.0
    return "-" if math.isnan(value) else text.replace("0.", ".", 1) if abs(value) < 1 else text


def remarks(predictions: pd.DataFrame, train: pd.DataFrame | None = None, scale: Scale = UNIT) -> list[str]:
    """Return a sentence for everything unusual about the clips that matters when reading the metrics."""
    scores, labels, (low, high) = scores_of(predictions), labels_of(predictions), scale
    scored, labelled = scores.notna().all(axis=1), labels.notna().any(axis=1)
    evaluated = scored & labelled
    in_train = predictions.index.isin(() if train is None else train.index)
    masks = {
        "Labelled but not scored": labelled & ~scored,
        "Scored but without a label, so not evaluated": scored & ~labelled,
        "Scores outside the scale, evaluated unchanged": evaluated & ((scores < low) | (scores > high)).any(axis=1),
        "Also in the training labels, so the source lookup knows the answer": evaluated & in_train,
    }
    sentences = [f"{name}: {format_clips(predictions.index[mask])}." for name, mask in masks.items() if mask.any()]
    for name, values, lost in [("score", scores, "its pcc is"), ("label", labels, "r2, pcc and skill may be")]:
        constant = values.columns[values[evaluated].std() <= ROUNDING * values[evaluated].abs().mean()]
        if len(constant):
            sentences.append(f"Every clip has the same {name} of {join_names(constant, 6)}: {lost} undefined (-).")
    has_names = predictions.index.name != "line"
    if not has_names:
        sentences.append(
            "These predictions name no clips; labels were matched by line. Without sources there are no intervals, no "
            "source lookup and no new sources. If the predictions contain labels, --labels FILE with the official "
            "labels of the split identifies the clips."
        )
    if train is None:
        sentences.append("Without training labels (--train FILE) there are no baselines, no skill and no new sources.")
    elif has_names and groups_of(predictions)[evaluated].isin(groups_of(train)).all():
        sentences.append("Every source is in training: these results do not show how the model does on new people.")
    return sentences
