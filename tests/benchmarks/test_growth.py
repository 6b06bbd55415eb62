"""How cost grows with the number of clips: an epoch of training, and a validation with and without heatmaps."""

import psutil
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from rows import QUIET, synthetic

from personality.callbacks import SaveHeatmaps
from personality.data import ClipSpectrogram
from personality.models import CamCNN

MEMORY = 300e6  # bytes that a validation with heatmaps may hold beyond the model, whatever the split's size


class Held(Callback):
    """The most private memory that the process held after a batch or after drawing, in bytes."""

    def __init__(self):
        self.before, self.most = self._private(), 0

    @staticmethod
    def _private():
        memory = psutil.Process().memory_info()
        return memory.rss - memory.shared

    def on_validation_batch_end(self, *_):
        self.most = max(self.most, self._private() - self.before)

    def on_validation_end(self, *_):
        self.on_validation_batch_end()


@pytest.mark.parametrize("clips", [100, 300, 1000])
def test_an_epoch_of(benchmark, tmp_path, clips):
    benchmark.group = "an epoch of so many clip spectrograms"
    data = synthetic(ClipSpectrogram, tmp_path, train=clips, train_segments=6)

    def run():
        trainer = Trainer(accelerator="cpu", max_epochs=1, limit_val_batches=0, **QUIET)
        trainer.fit(CamCNN(data.input_shape, width=0.25, batch_norm=True), data)

    benchmark.pedantic(run, rounds=1)


@pytest.mark.parametrize("heatmaps", [False, True], ids=["alone", "with heatmaps"])
@pytest.mark.parametrize(("clips", "width"), [(100, 0.25), (500, 0.25), (2000, 0.25), (100, 1.0)])
def test_validation_of(benchmark, tmp_path, clips, width, heatmaps):
    benchmark.group = "validation of so many clip spectrograms, by the model's width"
    data = synthetic(ClipSpectrogram, tmp_path, train=8, val=clips)
    model = CamCNN(data.input_shape, width=width, batch_norm=True)
    with torch.no_grad():  # what a batch needs is the model's own
        model(data.normalise(data.fetch("val", range(data.batch_size))).inputs.flatten(0, 1))
    held = Held()
    callbacks = [*([SaveHeatmaps(average=True)] if heatmaps else []), held]
    trainer = Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=callbacks, **QUIET)
    benchmark.pedantic(lambda: trainer.validate(model, data, verbose=False), rounds=1)
    benchmark.extra_info["most memory beyond the model, MB"] = round(held.most / 1e6)
    assert held.most < MEMORY
