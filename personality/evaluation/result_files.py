"""The files of results: table, text and picture, and the results by attributes of the people."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from personality.evaluation.fairness import as_groups, fairness_of_folds
from personality.evaluation.leaderboard import leaderboard, leaderboard_page, leaderboard_text
from personality.evaluation.parts import part_names, part_table, parts_text
from personality.evaluation.plots import draw_leaderboard, draw_results
from personality.evaluation.predictions import UNIT, Scale, groups_of
from personality.evaluation.results import evaluate_folds
from personality.evaluation.text import fairness_text, remarks, results_text

log = logging.getLogger(__name__)


def write_leaderboard(
    folder: Path, models: Mapping[str, pd.DataFrame], train: pd.DataFrame | None = None, scale: Scale = UNIT
) -> str:
    """Write `leaderboard.csv`, `.txt`, `.html` and `.png`, and return the text: see `leaderboard`."""
    if train is not None:
        train = train.assign(group=groups_of(train))  # read from the names of clips once, not for each model
    table = leaderboard(models, train, scale=scale)
    notes = [f"{name}: {note}" for name, predictions in models.items() for note in remarks(predictions, train, scale)]
    text = "\n".join([leaderboard_text(table), "", *notes])
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "leaderboard.csv", index=False, float_format="%.7g")
    (folder / "leaderboard.txt").write_text(text + "\n", encoding="utf-8")
    (folder / "leaderboard.html").write_text(leaderboard_page(table, notes), encoding="utf-8")
    draw_leaderboard(folder / "leaderboard.png", table)
    return text


def write_results(
    folder: Path,
    split: str,
    folds: Sequence[tuple[pd.DataFrame, pd.DataFrame | None]],
    scale: Scale = UNIT,
    people: pd.DataFrame | None = None,
) -> None:
    """Write the results of a split, as table, text and picture, and by the attributes of the people.

    Args:
        folder: Where to write `results_<split>.csv`, `.txt` and `.png`, `fairness_<split>.csv` and `.txt`, and of
            a joint model `parts_<split>.csv` and `.txt`.
        split: Name of the split.
        folds: Predictions with labels, and labels of the training clips: one pair, or one for each fold.
        scale: The lowest and the highest label there can be.
        people: `Corpus.people`.
    """
    predictions = pd.concat([scored for scored, _ in folds]).sort_index()
    train = folds[0][1] if len(folds) == 1 else None
    results = evaluate_folds(folds, scale=scale)
    results.to_csv(folder / f"results_{split}.csv", index=False, float_format="%.7g")
    notes = ["Every clip is scored by the model of the fold that has no clip of its group in training."]
    if len(folds) == 1:
        notes = remarks(predictions, train, scale)
    text = "\n".join([results_text(results), "", *notes])
    (folder / f"results_{split}.txt").write_text(text + "\n", encoding="utf-8")
    name = f"{split} split"
    draw_results(folder / f"results_{split}.png", {name: predictions}, train, scale, {name: results})
    log.info("The %s split, in %s:\n\n%s\n", split, folder, text)
    if part_names(predictions):
        table = part_table(folds, scale)
        table.to_csv(folder / f"parts_{split}.csv", index=False, float_format="%.7g")
        text = parts_text(table)
        (folder / f"parts_{split}.txt").write_text(text + "\n", encoding="utf-8")
        log.info("What each part adds:\n\n%s\n", text)
    if people is not None and people.notna().any(axis=None):
        grouped = [(scored.assign(group=groups_of(scored)), labels) for scored, labels in folds]
        by_group = fairness_of_folds(grouped, as_groups(people), scale=scale)
        by_group.to_csv(folder / f"fairness_{split}.csv", index=False, float_format="%.7g")
        text = fairness_text(by_group)
        (folder / f"fairness_{split}.txt").write_text(text + "\n", encoding="utf-8")
        log.info("By attributes of the people:\n\n%s\n", text)
