"""Training on a GPU: clips a second, the share of time in which it is busy, and the share of its peak that is used.

The features lie in a cache and go through Lightning, as in `train.py`. Without a GPU these tests are skipped.
"""

import threading
import time
import warnings

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from rows import QUIET, synthetic
from torch.utils.flop_counter import FlopCounterMode

from personality import data as inputs
from personality.models import DAN, CamCNN, RegularCNN

WARM_UP, MEASURED = 1, 3  # epochs: compilation falls into the first
EVERY = 0.02  # seconds between two looks at the GPU
WAYS = {
    "fp32": ("32-true", "highest", False),
    "tf32": ("32-true", "high", False),
    "bf16": ("bf16-mixed", "high", False),
    "bf16 compiled": ("bf16-mixed", "high", True),
}
SYSTEMS = {
    "CAM CNN, clip spectrograms": ("ClipSpectrogram", CamCNN, 2048, {"batch_size": 64}),
    "regular CNN, raw-wav FFT": ("RawWavFFT", RegularCNN, 2048, {"batch_size": 64}),
    "DAN, 10 faces of 224 pixels": ("FaceFrames", DAN, 256, {"batch_size": 16, "detector": "whole"}),
}


class Watch(Callback):
    """Measure the epochs after the first: seconds, and how often the GPU was found at work."""

    def __init__(self):
        self.busy, self.start, self.end = [], None, threading.Event()

    def look(self):
        while not self.end.wait(EVERY):
            self.busy.append(torch.cuda.utilization())

    def on_train_epoch_start(self, trainer, model):
        if trainer.current_epoch == WARM_UP:
            torch.cuda.synchronize()
            self.start = time.perf_counter()
            threading.Thread(target=self.look).start()

    def on_train_end(self, trainer, model):
        torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.start
        self.end.set()


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request, tmp_path_factory):
    kind, build, clips, words = SYSTEMS[request.param]
    cache = tmp_path_factory.mktemp("cache")
    return request.param, build, clips, synthetic(getattr(inputs, kind), cache, train=clips, val=1, test=1, **words)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("held", [False, True], ids=["from disk", "on device"])
@pytest.mark.parametrize("way", WAYS)
def test_training_on_a_gpu(benchmark, system, way, held):
    name, build, clips, data = system
    precision, matmul, compiled = WAYS[way]
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = matmul == "high"
    data.on_device = held
    data.held.clear()
    torch.manual_seed(0)
    model = build(data.input_shape, modality=data.modality)
    if compiled:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch, about itself
            model.compile()
    torch.cuda.reset_peak_memory_stats()
    watch = Watch()
    trainer = Trainer(
        accelerator="gpu", devices=1, max_epochs=WARM_UP + MEASURED, limit_val_batches=0, precision=precision,
        deterministic=True, callbacks=[watch], **QUIET,
    )  # fmt: skip
    benchmark.pedantic(trainer.fit, (model, data), rounds=1)
    speed = clips * MEASURED / watch.seconds
    flops = 3 * flops_of(model, data) * speed  # backward costs twice the forward
    busy = sum(watch.busy) / max(1, len(watch.busy))
    benchmark.extra_info.update(
        {"clips a second": round(speed), "busy": round(busy), "TFLOP/s": round(flops / 1e12, 1)}
    )
    print(
        f"\n{name} | {way} | {'on device' if held else 'from disk'} | {speed:.0f} clips/s | busy {busy:.0f} % | "
        f"{flops / 1e12:.1f} TFLOP/s | {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
    )


def flops_of(model, data):
    """Count the floating-point operations of scoring one clip."""
    segments, *shape = data.input_shape
    network = type(model)(data.input_shape, modality=data.modality).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(segments, *shape, device="meta"))
    return counter.get_total_flops()
