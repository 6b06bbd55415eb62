"""What a frozen backbone makes of the inputs, computed once: an epoch without it, and the head in closed form."""

import time

import torch
from pytorch_lightning import Callback, Trainer
from rows import QUIET, report, synthetic

from personality.data import FaceFrames
from personality.models import CamCNN
from personality.models.moments import Block, Moments

CLIPS = 96
STAGES = ["stage2", "stage3", "stage4", "stage5"]


class Epochs(Callback):
    """The seconds of each epoch of training."""

    def __init__(self):
        self.seconds = []

    def on_train_epoch_start(self, trainer, model):
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, model):
        self.seconds.append(time.perf_counter() - self.start)


def test_an_epoch_of_encoded_faces_beside_one_with_the_frozen_backbone(benchmark, tmp_path):
    data = synthetic(FaceFrames, tmp_path, train=CLIPS, frames=4, size=150, batch_size=32)
    ratios = []

    def epoch(encoded):
        data.augments, data.encoded_by = not encoded, ""
        torch.manual_seed(0)
        model = CamCNN(data.input_shape, modality="image", backbone="dlib_face", stages=STAGES, freeze_backbone=True)
        epochs = Epochs()
        Trainer(accelerator="cpu", max_epochs=3, limit_val_batches=0, callbacks=[epochs], **QUIET).fit(model, data)
        return min(epochs.seconds)

    def run():
        ratios.append(epoch(False) / epoch(True))

    benchmark.pedantic(run, rounds=3)
    report(benchmark, ratios)


def test_the_solution_for_6000_clips(benchmark):
    torch.manual_seed(0)
    inputs, labels = torch.randn(6000, 2048), torch.rand(6000, 5)

    def solve():
        moments = Moments(folds=5, blocks=[Block(2048)], targets=5)
        for rows in torch.arange(6000).split(32):
            moments.add(inputs[rows], labels[rows], rows % 5)
        return moments.solve([0.1, 0.3, 1.0, 2.0, 5.0])

    benchmark.pedantic(solve, rounds=3)
