"""The callback in real runs of a small model: what it writes is what the model scored, clip by clip."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from personality.callbacks import SaveResults
from personality.evaluation import read_predictions, read_trait_labels
from personality.traits import TRAITS, Batch, source_id

SCORES = list(TRAITS)


class Split(LightningDataModule):
    """Clips whose inputs are their labels plus noise, three segments each, of which some are padding."""

    targets, test_split, parts = SCORES, "test", {}

    def __init__(self, train: pd.DataFrame, test: pd.DataFrame, batch_size: int) -> None:
        super().__init__()
        self.tables = {"train": train, "val": test.iloc[::2], "test": test}
        self.batch_size = batch_size

    def clips(self, split: str) -> pd.DataFrame:
        return self.tables[split].assign(group=[*map(source_id, self.tables[split].index)])

    def people(self, split: str) -> None:
        """Nothing is known of the people."""

    def samples(self, split: str) -> list[Batch]:
        labels = torch.tensor(self.clips(split)[SCORES].to_numpy(), dtype=torch.float32)
        noise = torch.randn(len(labels), 3, 5, generator=torch.Generator().manual_seed(0)) * 0.05
        inputs = labels.nan_to_num(0.5).unsqueeze(1) + noise
        return [
            Batch(inputs[row], labels[row], 1 + row % 3, row) for row in range(1, len(labels))
        ]  # row 0 cannot be read

    def val_dataloader(self):
        return DataLoader(self.samples("val"), self.batch_size)

    def test_dataloader(self):
        return DataLoader(self.samples("test"), self.batch_size)

    train_dataloader = val_dataloader


class Same(LightningModule):
    """Scores a segment by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.register_buffer("target_scale", torch.tensor([[0.0], [1.0]]).expand(2, len(SCORES)))

    def training_step(self, sample, _):
        return self.scale * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def validation_step(self, sample, _):
        padding = torch.arange(3) >= sample.segments.unsqueeze(1)
        segments = (self.scale * sample.inputs).masked_fill(padding.unsqueeze(2), torch.nan)
        return {"clips": segments.double().nanmean(1), "segments": segments}

    test_step = validation_step


def trainer(folder, **options):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[SaveResults()],
        **options,
    )


def labelled(sources: range, number: int) -> pd.DataFrame:
    """One clip of each source."""
    rng = np.random.default_rng(number)
    names = [f"source{source:03d}.{number:03d}.mp4" for source in sources]
    return pd.DataFrame(rng.normal(0.5, 0.15, (len(names), 5)), pd.Index(names, name="clip"), TRAITS).clip(0, 1)


@pytest.fixture
def train() -> pd.DataFrame:
    return labelled(range(60), 1)


@pytest.fixture
def labels() -> pd.DataFrame:
    """Labels of the clips that are scored; half of their sources are new."""
    return labelled(range(40, 80), 2)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_files_hold_what_the_model_scored(tmp_path, train, labels, batch_size, caplog):
    caplog.set_level(logging.INFO, "personality")
    data = Split(train, labels, batch_size)
    trainer(tmp_path).test(Same(), data, verbose=False)
    files = {"predictions_test.csv", "labels_train.csv", "results_test.csv", "results_test.txt", "results_test.png"}
    assert {path.name for path in tmp_path.iterdir()} == files

    predictions = read_predictions(tmp_path / "predictions_test.csv")
    assert len(predictions) == len(labels)
    assert predictions.loc[labels.index[0], [*SCORES, "segments"]].isna().all()
    for sample in data.samples("test"):
        clip, real = predictions.loc[labels.index[sample.clip]], sample.inputs[: sample.segments].numpy()
        assert clip["segments"] == sample.segments
        np.testing.assert_allclose(clip[SCORES].to_numpy(float), real.mean(0), atol=1e-6)
        np.testing.assert_allclose(clip[[f"{t}_std" for t in TRAITS]].to_numpy(float), real.std(0), atol=1e-6)
        np.testing.assert_allclose(clip[[f"{t}_label" for t in TRAITS]].to_numpy(float), sample.labels, atol=1e-6)
    pd.testing.assert_frame_equal(read_trait_labels(tmp_path / "labels_train.csv"), train.sort_index())

    results = pd.read_csv(tmp_path / "results_test.csv")
    assert {"mean predictor", "median predictor", "source lookup", "model"} == set(results.predictor)
    text = (tmp_path / "results_test.txt").read_text()
    assert f"{len(labels) - 1} of {len(labels)}" in text
    assert text.strip() in caplog.text


def test_validation_is_saved_but_not_while_fitting(tmp_path, train, labels):
    run, data = trainer(tmp_path, max_epochs=1), Split(train, labels, 16)
    model = Same()
    run.fit(model, data)
    assert not list(tmp_path.iterdir())
    run.validate(model, data, verbose=False)
    assert (tmp_path / "predictions_val.csv").exists()
    assert "All clips" in (tmp_path / "results_val.txt").read_text()


def test_runs_without_names(tmp_path, train, labels):
    data = Split(train, labels, 16)
    with pytest.raises(ValueError, match=r"SaveResults got dataloaders.*pass the trainer a datamodule"):
        trainer(tmp_path).test(Same(), data.test_dataloader(), verbose=False)
    assert not list(tmp_path.iterdir())


def test_clips_without_labels_are_scored_and_not_measured(tmp_path, train, labels):
    trainer(tmp_path).test(Same(), Split(train, labels * np.nan, 16), verbose=False)
    assert {path.name for path in tmp_path.iterdir()} == {"predictions_test.csv"}
    assert read_predictions(tmp_path / "predictions_test.csv")[SCORES].notna().any(axis=None)


def test_without_the_training_clips_there_are_results_but_no_baselines(tmp_path, train, labels):
    class Alone(Split):
        def clips(self, split):
            if split == "train":
                raise FileNotFoundError("no label file")
            return super().clips(split)

    trainer(tmp_path).test(Same(), Alone(train, labels, 16), verbose=False)
    assert set(pd.read_csv(tmp_path / "results_test.csv").predictor) == {"model"}
    assert (tmp_path / "results_test.png").exists()
    assert not (tmp_path / "labels_train.csv").exists()
