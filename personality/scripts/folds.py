"""Train and test on every fold, and give one result: each clip scored by the model that did not see its group."""

import json
import logging
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import distributed

from personality.atomic import atomic_write
from personality.data import TraitDataModule
from personality.evaluation.predictions import Scale, write_predictions
from personality.evaluation.result_files import write_results
from personality.explanation.gallery import draw_saved_sheet
from personality.explanation.report import write_report

log = logging.getLogger(__name__)

FINISHED = "fold.json"
"""Written at the end of a fold's run: it holds the skill in validation."""


def fold_config(config: DictConfig, fold: int) -> DictConfig:
    """Return the config of one fold, whose files go to `<run>/fold_<number>`."""
    one = config.copy()
    one.fold, one.run = fold, str(Path(config.run, f"fold_{fold}"))
    return one


def skill_of(run: str) -> float | None:
    """Return the skill in validation of a fold's run, None if it is not finished."""
    path = Path(run, FINISHED)
    return float(json.loads(path.read_text())["skill"]) if path.exists() else None


def is_first_process() -> bool:
    """Return whether this is the only or the first process of the run: the one that writes its files."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def finish(run: str, skill: float) -> None:
    """Mark a fold's run as finished."""
    with atomic_write(Path(run, FINISHED)) as part:
        part.write_text(json.dumps({"skill": skill}))


def gather(config: DictConfig) -> None:
    """Put the folds together: predictions, results, heatmaps and report of the split `all`, in the run's folder."""
    data = instantiate(config.data, corpus=instantiate(config.corpus, _convert_="all"), _convert_="all")
    run, runs = Path(config.run), [Path(fold_config(config, fold).run) for fold in range(config.folds)]
    folds = [(_read(folder / "predictions_test.csv"), _read(folder / "labels_train.csv")) for folder in runs]
    write_predictions(run / "predictions_all.csv", pd.concat([predictions for predictions, _ in folds]))
    write_results(run, "all", folds, _scale(data), data.people("all"))
    data.caches["all"] = data.open("all")
    _gather_heatmaps(run / "heatmaps" / "all", [folder / "heatmaps" / "test" for folder in runs], data)
    write_report(run, data, "all", instantiate(config.model, **data.model_arguments, _convert_="all"))


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, index_col="clip", dtype={"group": str})


def _scale(data: TraitDataModule) -> Scale:
    """Return the lowest and the highest label of all clips."""
    if data.corpus.scale:
        return data.corpus.scale
    labels = data.clips("all")[data.targets]
    return labels.min(), labels.max()


def _gather_heatmaps(target: Path, folders: list[Path], data: TraitDataModule) -> None:
    """Copy the heatmaps of the highest clips of all folds, as many for each trait as a fold has, and draw a sheet."""
    tables = {folder: pd.read_csv(folder / "index.csv") for folder in folders if (folder / "index.csv").exists()}
    if not tables:
        return
    index = pd.concat([table.assign(folder=str(folder)) for folder, table in tables.items()], ignore_index=True)
    most = max(table["trait"].value_counts().max() for table in tables.values())
    index = index.sort_values(["trait", "score"], ascending=[True, False], kind="stable").groupby("trait").head(most)
    index["rank"] = index.groupby("trait").cumcount() + 1
    with atomic_write(target) as part:
        part.mkdir(parents=True)
        for trait, rows in index.groupby("trait", sort=False):
            (part / str(trait)).mkdir()
            arrays: dict[str, list[np.ndarray]] = {}
            for row in rows.to_dict("records"):
                folder = Path(row["folder"])
                copy(folder / row["picture"], part / row["picture"])
                with np.load(folder / f"{trait}.npz") as stored:
                    number = stored["clips"].tolist().index(row["clip"])
                    for name in stored.files:
                        arrays.setdefault(name, []).append(stored[name][number])
            stacked: dict[str, Any] = {name: np.stack(each) for name, each in arrays.items()}
            np.savez_compressed(part / f"{trait}.npz", **stacked)
            draw_saved_sheet(part, data, "all", str(trait), rows)
        index.drop(columns="folder").to_csv(part / "index.csv", index=False)
