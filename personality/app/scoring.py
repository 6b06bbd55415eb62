"""One video: checked, scored and explained, with its report."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pytorch_lightning import Callback, Trainer

from personality.app.models import title_of
from personality.callbacks import SaveHeatmaps, SaveReport, SaveResults
from personality.data import TraitDataModule
from personality.evaluation.reference import Reference
from personality.features.media import duration
from personality.predictor import Predictor

MEGABYTE = 2**20
"""Bytes, as the browser counts."""

Say = Callable[[float, str], None]
"""Takes the share of the work that is done, and what is done now."""


@dataclass(frozen=True)
class Limits:
    """What the page takes."""

    megabytes: float
    """The largest file."""
    seconds: float
    """The longest video."""
    videos: int
    """How many at once."""


class Result(NamedTuple):
    """A scored video."""

    key: str
    """Nobody can guess it: the address of its report."""
    video: str
    model: str
    report: Path
    """One file without links."""
    scores: pd.DataFrame
    """A row for each trait: the mean `score` over the clips, `std` over them, `percentile`, `low` and `high`; and what
    the score is made of: `bias` and what each part adds, means over the clips."""
    reference: Reference
    """What the model knows of the training labels and of its error."""
    clips: int
    remarks: list[str]
    made: float
    """When, in seconds since 1970."""
    seconds: float
    """How long it took."""


def check(video: Path, limits: Limits) -> None:
    """Refuse a video that is too large, too long, or damaged.

    Raises:
        ValueError: With what is wrong and what to do.
        FileNotFoundError: It is not there any more.
    """
    size = video.stat().st_size / MEGABYTE
    if size > limits.megabytes:
        raise ValueError(
            f"{video.name} has {size:,.0f} MB: expected at most {limits.megabytes:g} MB. Cut or compress it, or start "
            "the page with a larger limit: megabytes=..."
        )
    seconds = duration(video)
    if seconds > limits.seconds:
        raise ValueError(
            f"{video.name} lasts {seconds:,.0f} s: expected at most {limits.seconds:g} s. Cut it, or start the page "
            "with a larger limit: seconds=..."
        )


def score(predictor: Predictor, video: Path, model: str, key: str, folder: Path, accelerator: str, say: Say) -> Result:
    """Score and explain a video as `explain.py` does, and write its report.

    Args:
        predictor: The model.
        video: The file.
        model: The model's name.
        key: Of the result.
        folder: For all files that are made.
        accelerator: Of the Trainer.
        say: Told where the work stands.

    Raises:
        ValueError: The video has nothing that the model can score, with the reason.
    """
    start, name = time.perf_counter(), title_of(model)
    with TemporaryDirectory(dir=folder) as files:
        say(0.05, "computing features")
        data = predictor.data_of([video], Path(files, "features"))
        data.prepare_data()
        data.setup()
        remarks = _remarks(data, video)
        run = Path(files, re.sub(r"[^\w.@-]", "_", name), video.stem)  # the title of the report
        run.mkdir(parents=True)
        _trainer(run, accelerator, say).test(predictor.model, data, verbose=False)
        table = pd.read_csv(run / "predictions_test.csv", index_col="clip")
        if table.loc[:, predictor.data.targets].isna().all(axis=None):
            raise ValueError(f"The scores of {model} are not numbers. Did its training diverge? Choose another model.")
        scores = _summary(predictor, table, run)
        report = Path(shutil.move(run / "report.html", folder / "report.html"))
    took = time.perf_counter() - start
    return Result(key, video.name, name, report, scores, predictor.reference, len(table), remarks, time.time(), took)


def _trainer(run: Path, accelerator: str, say: Say) -> Trainer:
    """Build the trainer of explain.py, without its log."""
    return Trainer(
        accelerator=accelerator,
        devices=1,
        default_root_dir=run,
        callbacks=[Stages(say), SaveResults(), SaveHeatmaps(sheets=False), SaveReport()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class Stages(Callback):
    """Say what a test does now."""

    def __init__(self, say: Say) -> None:
        self.say = say

    def on_test_start(self, *_: Any) -> None:
        """Scoring begins."""
        self.say(0.2, "scoring")

    def on_test_epoch_end(self, *_: Any) -> None:
        """Heatmaps are next."""
        self.say(0.35, "drawing heatmaps")

    def on_test_end(self, *_: Any) -> None:
        """The report is next."""
        self.say(0.9, "writing the report")


def _remarks(data: TraitDataModule, video: Path) -> list[str]:
    """Say which clips cannot be scored, or lack a part; raise if none can be scored."""
    names, usable, reasons = data.clips("test").index, data.usable("test"), dict[str, str]()
    for part in data.parts.values() or [data]:
        reasons |= dict(part.caches["test"].failures().to_numpy().tolist())
    plain = {clip: _sentence(reason, video) for clip, reason in reasons.items()}
    if not len(usable):
        raise ValueError(next(iter(plain.values()), f"{video.name} has nothing that this model can score."))
    remarks = [f"{clip}: {reason}" for clip, reason in plain.items() if names.get_loc(clip) not in usable]
    for name, part in data.parts.items():
        if count := int((part.segments("test")[usable] == 0).sum()):
            remarks.append(f"Scored without {name}, missing in {count} of {len(names)} clips.")
    return remarks


def _sentence(reason: str, video: Path) -> str:
    """Take the type of the error and the folder of the upload out of a reason."""
    return re.sub(r"^\w+(Error|Expired): ", "", reason).replace(str(video), video.name)


def _summary(predictor: Predictor, table: pd.DataFrame, run: Path) -> pd.DataFrame:
    """Set the mean scores beside the training labels and the model's error."""
    targets = predictor.data.targets
    mean = table[targets].mean().to_frame().T
    scores = predictor.reference.table(mean).droplevel("clip")
    known = table[targets].dropna()
    scores["std"] = known.std(ddof=0) if len(known) > 1 else np.nan
    bills = pd.read_csv(run / "heatmaps" / "test" / "bills" / "index.csv").set_index("trait")
    parts = bills.loc[:, "bias":"missing"].drop(columns="missing")
    return scores.join(parts) if len(table) == 1 else scores
