"""Nothing in a step waits for the device: the meta device has no numbers, so that whoever asks for one fails.

Nor does what is sent there: a copy that is not `non_blocking` waits until all that was asked for before is done.
"""

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from personality.data import ClipSpectrogram, FaceFrames, RawWavFFT
from personality.evaluation.trait_metrics import TraitMetrics
from personality.models import DAN, CamCNN, RegularCNN
from personality.traits import Batch

META = torch.device("meta")


class NoBlocking(TorchDispatchMode):
    """Refuse copies between devices that wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and not kwargs.get("non_blocking"):
            assert kwargs.get("device", args[0].device) == args[0].device, "a copy that waits"
        return func(*args, **kwargs)


@pytest.fixture
def corpus():
    return SimpleNamespace(targets=["openness", "neuroticism"])


INPUTS = {
    "patches": (ClipSpectrogram, {"segments": 3}),
    "patches by position": (ClipSpectrogram, {"segments": 3, "normalise": "patches"}),
    "faces, cropped": (FaceFrames, {"frames": 3, "size": 40, "crop": 32}),
    "faces, augmented": (FaceFrames, {"frames": 3, "size": 40, "crop": 32, "augment": 0.1}),
    "faces, whole": (FaceFrames, {"frames": 3, "size": 32}),
    "spectra": (RawWavFFT, {}),
}


@pytest.mark.parametrize("kind", [CamCNN, RegularCNN, DAN])
@pytest.mark.parametrize("name", INPUTS)
def test_a_step_does_not_wait_for_the_device(corpus, name, kind):
    module, settings = INPUTS[name]
    data = module(corpus, **settings)
    data.trainer = SimpleNamespace(training=True, current_epoch=0)
    model = kind(data.input_shape, modality=data.modality, width=0.02, targets=corpus.targets).to(META)
    model.log = lambda *_, **__: None
    model.metrics = TraitMetrics(model.targets, model.target_mean, clips=4).to(META)
    inputs = torch.zeros(4, *data.stored_shape, dtype=getattr(torch, data.dtype))
    batch = Batch(inputs, torch.rand(4, 2), torch.full((4,), len(inputs[0])), torch.arange(4))
    with NoBlocking():
        there = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, META, 0), 0)
        model.training_step(there, 0).backward()
        model.validation_step(there, 0)
    assert there.inputs.is_meta
    assert there.inputs.shape == (4, *data.input_shape)


@pytest.mark.parametrize(
    "wait",
    [
        lambda: torch.ones(3).to(META),
        lambda: torch.ones(3, device=META).cpu(),
        lambda: torch.ones(3, device=META).tolist(),
    ],
)
def test_such_a_wait_is_seen(wait):
    with NoBlocking(), pytest.raises(AssertionError, match="waits"):
        wait()
