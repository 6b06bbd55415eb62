"""Training through Lightning beside a bare loop over tensors in memory, and beside the original's one clip a step."""

import time

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from rows import QUIET, beside, report, synthetic

from personality import data as inputs
from personality.models import DAN, CamCNN, RegularCNN

BATCH, CLIPS, EPOCHS = 8, 256, 4
KINDS = {"clip spectrograms": ("spectrograms", CamCNN), "faces": ("portraits", DAN)}


def step_of(model, **words):
    """A step that does nothing but learn from a batch that lies in memory."""
    optimiser = torch.optim.AdamW(model.parameters(), **words)

    def step(batch):
        scores = model(batch.inputs.flatten(0, 1)).unflatten(0, batch.inputs.shape[:2])
        loss = (scores - batch.labels[:, None]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def loop_over(model, batches, **words):
    """One epoch of a loop of such steps."""
    step = step_of(model, **words)
    return lambda: [step(batch) for batch in batches]


class BareSteps(Callback):
    """After each step of a trainer the like step without it: whatever else goes on in the machine meets both."""

    def __init__(self, step, batches):
        self.step, self.batches, self.seconds = step, batches, 0.0

    def on_train_batch_end(self, trainer, model, outputs, batch, index):
        start = time.perf_counter()
        self.step(self.batches[index])
        self.seconds += time.perf_counter() - start


def batches_of(data, size, clips):
    data.trainer = None
    return [data.normalise(data.fetch("train", range(n, n + size), data.train_segments)) for n in range(0, clips, size)]


@pytest.mark.parametrize("kind", KINDS)
def test_four_epochs_of_256_clips_beside_a_bare_loop(benchmark, request, kind):
    fixture, build = KINDS[kind]
    data = request.getfixturevalue(fixture)
    data.batch_size = BATCH

    def new():
        torch.manual_seed(0)
        return build(data.input_shape, modality=data.modality, width=0.25, batch_norm=True).train()

    batches, ratios = batches_of(data, BATCH, CLIPS), []

    def run():
        start, bare = time.perf_counter(), BareSteps(step_of(new(), fused=True), batches)
        trainer = Trainer(accelerator="cpu", max_epochs=EPOCHS, limit_val_batches=0, callbacks=[bare], **QUIET)
        trainer.fit(new(), data)
        ratios.append(bare.seconds / (time.perf_counter() - start - bare.seconds))

    benchmark.pedantic(run, rounds=3)
    report(benchmark, ratios)


@pytest.mark.parametrize(
    ("kind", "build", "words"),
    [
        ("ClipSpectrogram", CamCNN, {"train_segments": 3}),
        ("ClipSpectrogram", RegularCNN, {"train_segments": 3}),
        ("SummarySpectrogram", CamCNN, {}),
        ("SummarySpectrogram", RegularCNN, {}),
        ("RawWavFFT", CamCNN, {}),
        ("RawWavFFT", RegularCNN, {}),
    ],
)
def test_batches_of_8_beside_one_clip_a_step_in_the_default_layout(benchmark, tmp_path, kind, build, words):
    data = synthetic(getattr(inputs, kind), tmp_path, train=8, val=1, test=1, **words)
    ways = []
    for size, layout in [(8, torch.channels_last), (1, torch.contiguous_format)]:
        model = build(data.input_shape, modality=data.modality).train().to(memory_format=layout)
        ways.append(loop_over(model, batches_of(data, size, clips=8), fused=size > 1, lr=1e-6))
    beside(benchmark, *ways, rounds=5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_network_beside_the_network_as_it_is(benchmark, request, kind):
    fixture, build = KINDS[kind]
    data = request.getfixturevalue(fixture)
    batches = batches_of(data, BATCH, clips=64)
    model = build(data.input_shape, modality=data.modality, width=0.25, batch_norm=True).train()
    compiled = build(data.input_shape, modality=data.modality, width=0.25, batch_norm=True).train()
    compiled.compile()
    beside(benchmark, loop_over(compiled, batches, fused=True), loop_over(model, batches, fused=True), rounds=5)
