"""What training does to face frames, each of it by itself."""

import numpy as np
import pytest
import torch

from personality.data.face_frames import _augment


class Chance:
    """Chance that does nothing but what it is told: -1 or 1 for a way to change frames, which are not mirrored."""

    WAYS = ("turn", "scale", "down", "right", "mirror", "light", "contrast", "colour")

    def __init__(self, **told):
        self.told = {"mirror": 1, **told}

    def uniform(self, low, high, shape):
        return np.repeat([[self.told.get(way, 0.0)] for way in self.WAYS], shape[1], axis=1)


def test_each_kind_of_augmentation_does_what_it_is_called():
    frames = torch.randint(60, 180, (2, 3, 40, 40), generator=torch.manual_seed(0)).float()
    middle = frames[..., 8:32, 8:32]
    grey, mean = middle.mean(1, keepdim=True), middle.mean((1, 2, 3), keepdim=True)
    expected = {
        (): middle,
        ("right", 1): frames[..., 8:32, 16:40],
        ("right", -1): frames[..., 8:32, 0:24],
        ("down", 1): frames[..., 16:40, 8:32],
        ("down", -1): frames[..., 0:24, 8:32],
        ("mirror", -1): middle.flip(-1),
        ("light", 1): middle + 128 * 0.15,
        ("light", -1): middle - 128 * 0.15,
        ("contrast", 1): mean + 1.3 * (middle - mean),
        ("contrast", -1): mean + 0.7 * (middle - mean),
        ("colour", 1): grey + 1.3 * (middle - grey),
        ("colour", -1): grey + 0.7 * (middle - grey),
    }
    for told, views in expected.items():
        found = _augment(frames, 24, 0.15, Chance(**dict([told] if told else [])))
        torch.testing.assert_close(found, views, atol=1e-2, rtol=0, msg=str(told))


def test_augmentation_turns_and_scales_about_the_middle_and_stays_within_0_and_255():
    ramp = torch.arange(100.0, 140.0).expand(1, 3, 40, 40)
    for told, right, down in [
        ({"turn": 1}, np.cos(0.15), -np.sin(0.15)),
        ({"turn": -1}, np.cos(0.15), np.sin(0.15)),
        ({"scale": 1}, 1.15, 0),
        ({"scale": -1}, 0.85, 0),
    ]:
        crop = _augment(ramp, 24, 0.15, Chance(**told))[0, 0]
        assert crop[8:16, 8:16].mean().item() == pytest.approx(119.5, abs=1e-2)
        assert crop.diff(dim=1)[8:16, 8:16].mean().item() == pytest.approx(right, abs=1e-3)
        assert crop.diff(dim=0)[8:16, 8:16].mean().item() == pytest.approx(down, abs=1e-3)
    for frame, light in [(torch.full_like(ramp, 250), 1), (torch.full_like(ramp, 5), -1)]:
        assert (_augment(frame, 24, 0.15, Chance(light=light)) == 255 * (light > 0)).all()
