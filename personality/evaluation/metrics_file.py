"""`metrics.csv` of a run that may have broken off."""

import csv
import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment


class MetricsFile(CSVLogger):
    """Lightning's table of measures, which a resumed run goes on with; Lightning itself would begin it anew."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the table."""
        if self._experiment is None:
            path = Path(self.log_dir, "metrics.csv")
            aside = path.with_name(".metrics.csv")
            if path.exists():
                path.replace(aside)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Experiment logs directory")  # nothing that is there gets lost
                writer = super().experiment
            if aside.exists():  # also where a process was killed between these lines
                aside.replace(path)
                with path.open(newline="") as file:
                    writer.metrics_keys = next(csv.reader(file), [])
        return super().experiment
