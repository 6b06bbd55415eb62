"""The table of metrics of a run that was interrupted and resumed."""

import io

import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.demos.boring_classes import BoringModel

from personality.callbacks import KeepMetrics, MetricsFile

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")  # of a run that goes on


class Logged(BoringModel):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, _):
        loss = self.step(batch)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        self.log("val/loss", self.step(batch))


def train(folder, epochs, resume=False):
    """Train, then validate, as `train.py` does; say what the table is."""
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=MetricsFile(folder, name=None, version=""),
        callbacks=[last, KeepMetrics()],
        limit_train_batches=3,
        log_every_n_steps=1,
        limit_val_batches=2,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Logged(), ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
    trainer.validate(Logged(), ckpt_path=folder / "last.ckpt", weights_only=True, verbose=False)
    return (folder / "metrics.csv").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train(tmp_path_factory.mktemp("undisturbed"), 4)


def test_each_epoch_has_its_rows(undisturbed):
    table = pd.read_csv(io.StringIO(undisturbed))
    assert table.dropna(subset="train/loss").epoch.tolist() == [0, 1, 2, 3]
    assert table.dropna(subset="val/loss").epoch.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("epochs", [2, 4], ids=["broken off", "complete"])
@pytest.mark.parametrize(
    "left",
    [
        lambda lines: lines,
        lambda lines: lines[:-2],  # killed between the checkpoint and the epoch's last row
        lambda lines: [*lines, "2,8,,0.5"],  # killed in the next epoch, after its validation
        lambda lines: [*lines, "2,8"],  # killed in the middle of a row
        lambda lines: [],  # killed while the table was written anew
    ],
    ids=["whole", "a row less", "a row more", "half a row more", "empty"],
)
def test_a_resumed_run_has_the_table_of_an_undisturbed_one(undisturbed, tmp_path, left, epochs):
    train(tmp_path, epochs)
    table = tmp_path / "metrics.csv"
    table.write_text("\n".join(left(table.read_text().splitlines())))
    assert train(tmp_path, 4, resume=True) == undisturbed
