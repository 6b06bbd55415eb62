"""Training through Lightning beside a bare loop over tensors in memory, and beside the original's one clip a step."""

import pytest
import torch
from pytorch_lightning import Trainer
from rows import QUIET

from personality.models import DAN, CamCNN

BATCH, CLIPS, EPOCHS = 8, 256, 4
KINDS = {"clip spectrograms": ("spectrograms", CamCNN), "faces": ("portraits", DAN)}


def model_of(data, kind):
    torch.manual_seed(0)
    return kind(data.input_shape, width=0.25, batch_norm=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["through Lightning", "bare loop"])
def test_four_epochs_of_256_clips(benchmark, request, kind, way):
    benchmark.group = f"four epochs of 256 {kind}"
    fixture, build = KINDS[kind]
    data = request.getfixturevalue(fixture)
    data.batch_size = BATCH
    if way == "bare loop":
        data.trainer = None
        model = model_of(data, build).train()
        batches = [data.normalise(data.fetch("train", range(n, n + BATCH), data.draw)) for n in range(0, CLIPS, BATCH)]
        optimiser = torch.optim.AdamW(model.parameters(), fused=True)

        def epoch():
            for batch in batches:
                scores = model(batch.inputs.flatten(0, 1)).unflatten(0, batch.inputs.shape[:2])
                loss = (scores - batch.traits[:, None]).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

        benchmark.pedantic(lambda: [epoch() for _ in range(EPOCHS)], rounds=2, warmup_rounds=1)
    else:

        def run():
            trainer = Trainer(accelerator="cpu", max_epochs=EPOCHS, limit_val_batches=0, **QUIET)
            trainer.fit(model_of(data, build), data)

        benchmark.pedantic(run, rounds=2, warmup_rounds=1)


@pytest.mark.parametrize("way", ["batches of 8, channels last", "one clip a step, default layout"])
def test_training_steps_over_16_clips(benchmark, spectrograms, way):
    benchmark.group = "training over 16 clip spectrograms"
    spectrograms.trainer = None
    model = CamCNN(spectrograms.input_shape).train()
    size = 8 if way.startswith("batches") else 1
    model.to(memory_format=torch.channels_last if size == 8 else torch.contiguous_format)
    batches = [spectrograms.normalise(spectrograms.fetch("train", range(n, n + size), 3)) for n in range(0, 16, size)]
    optimiser = torch.optim.AdamW(model.parameters(), fused=size == 8)

    def steps():
        for batch in batches:
            loss = (model(batch.inputs.flatten(0, 1)) - batch.traits.repeat_interleave(3, 0)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    benchmark.pedantic(steps, rounds=6, warmup_rounds=1)
