"""A step of training whose memory is kept for the next, beside one whose memory goes back to the system."""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from rows import beside, synthetic
from test_training import batches_of, loop_over

from personality import data as inputs
from personality.memory import keep_freed_memory
from personality.models import DAN, CamCNN

epoch = None


def begin(kind, build, width, keep):
    """Make ready, in a process of its own, what `one_epoch` runs."""
    global epoch
    torch.set_num_threads(2)
    torch.manual_seed(0)
    if keep:
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = synthetic(getattr(inputs, kind), folder, train=8, val=1, test=1)
        batches = batches_of(data, 8, clips=8)
    epoch = loop_over(
        build(data.input_shape, modality=data.modality, width=width).train(), batches, fused=True, lr=1e-6
    )


def one_epoch():
    epoch()


@pytest.mark.parametrize(
    ("kind", "build", "width"),
    [("RawWavFFT", CamCNN, 1), ("FaceFrames", DAN, 0.25), ("ClipSpectrogram", CamCNN, 1)],
)
def test_a_step_whose_memory_is_kept(benchmark, kind, build, width):
    pools = [ProcessPoolExecutor(1, get_context("spawn"), begin, (kind, build, width, keep)) for keep in (True, False)]
    kept, given_back = (lambda pool=pool: pool.submit(one_epoch).result() for pool in pools)
    beside(benchmark, kept, given_back, rounds=9)
    for pool in pools:
        pool.shutdown()
