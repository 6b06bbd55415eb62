"""What is timed runs on two threads and keeps its memory, as `train.py` does.

The numbers in brackets of each table are ratios to the fastest of its group.
"""

import pytest
import torch
from rows import synthetic

from personality.data import ClipSpectrogram, FaceFrames
from personality.memory import keep_freed_memory


@pytest.fixture(scope="session", autouse=True)
def as_in_training():
    torch.set_num_threads(2)
    keep_freed_memory()


@pytest.fixture(scope="session")
def spectrograms(tmp_path_factory):
    return synthetic(ClipSpectrogram, tmp_path_factory.mktemp("spectrograms"), train=256, train_segments=6)


@pytest.fixture(scope="session")
def portraits(tmp_path_factory):
    return synthetic(
        FaceFrames, tmp_path_factory.mktemp("portraits"), train=256, frames=4, size=96, crop=88, train_segments=2
    )
