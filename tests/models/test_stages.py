"""Maps of several layers on one grid."""

import pytest
import torch
from torch.nn import functional

from personality.explanation import cam
from personality.models import DAN, CamCNN, Ridge
from personality.models.backbones import build_backbone
from personality.models.backbones.stages import Stages, resample

SHAPE = (2, 3, 106, 106)


@pytest.mark.parametrize("space", [(17, 17), (4, 4), (8, 24), (3, 5)])
def test_another_grid_keeps_the_mean(space):
    maps = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(resample(maps, space).mean((2, 3)), maps.mean((2, 3)))


def test_whole_factors_repeat_or_average():
    maps = torch.rand(2, 3, 4, 4)
    assert torch.equal(resample(maps, (8, 12)), maps.repeat_interleave(2, 2).repeat_interleave(3, 3))
    torch.testing.assert_close(resample(maps, (2, 2)), functional.avg_pool2d(maps, 2))


def test_stages_are_the_outputs_of_the_layers_in_their_order():
    layers = build_backbone(SHAPE, "image", "dlib_face").eval()
    stages = Stages(layers, ["stage4", "stage2"])
    inputs = torch.rand(1, *SHAPE[1:]) * 255
    second = layers[:6](inputs)
    fourth = layers[:8](inputs)
    maps = stages(inputs)
    assert maps.shape == (1, 64 + 256, *second.shape[2:])
    assert torch.equal(maps[:, :64], second)
    torch.testing.assert_close(maps[:, 64:].mean((2, 3)), fourth.mean((2, 3)))
    assert stages.channels(SHAPE[1:]) == [64, 256]


def test_an_unknown_stage_is_refused_with_all_names():
    with pytest.raises(ValueError, match=r"Got the stages stage9: expected layers .*normalise, conv32_down.*stage5"):
        CamCNN(SHAPE, modality="image", backbone="dlib_face", stages=["stage9"])


def test_every_stage_of_a_dan_has_its_own_descriptors():
    model = DAN(SHAPE, modality="image", backbone="dlib_face", stages=["stage2", "stage4"], scale=3).eval()
    inputs = torch.rand(2, *SHAPE[1:]) * 255
    groups = model.backbone(inputs).split([64, 256], dim=1)
    expected = [
        3 * functional.normalize(found.flatten(1), dim=1)
        for group in groups
        for found in (group.amax((2, 3)), group.mean((2, 3)))
    ]
    torch.testing.assert_close(model.head.pool(model.backbone(inputs)), torch.cat(expected, dim=1))
    with pytest.raises(ValueError, match=r"Got plus and the stages stage2: expected one of the two"):
        DAN(SHAPE, modality="image", backbone="dlib_face", stages=["stage2"], plus=True)


@pytest.mark.parametrize(
    "model",
    [
        lambda: CamCNN(SHAPE, modality="image", backbone="dlib_face", stages=["stage2", "stage3", "stage5"]),
        lambda: CamCNN((4, 1, 96, 64), stages=["pool2", "conv4_2"], width=0.1),
        lambda: DAN(SHAPE, modality="image", backbone="dlib_face", stages=["stage2", "stage5"]),
        lambda: DAN((4, 1, 96, 64), stages=["pool2", "conv4_2"], width=0.1),
        lambda: Ridge(
            SHAPE,
            modality="image",
            backbone="dlib_face",
            stages={"stage2": 4, "stage4": 1},
            maximum=True,
            mirror=True,
        ),
        lambda: Ridge((1, 1, 4000), stages={"pool2": 2}, backbone="spectrum_relu", width=0.1),
        lambda: Ridge((4, 1, 96, 64), width=0.1),
    ],
)
def test_bias_and_positions_add_up_to_the_score(model):
    model = model().eval()
    torch.nn.init.normal_(model.head[1].weight, std=0.01)
    inputs = torch.rand(2, *model.input_shape[1:]) * 255
    for method in (cam.best, cam.hirescam):
        maps, bias, score = method(model, inputs)
        torch.testing.assert_close(model(inputs), model.head[2](score))
        torch.testing.assert_close(bias + maps.flatten(2).mean(2), score, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(bias, model.head[1].bias.expand_as(bias), atol=1e-5 * score.abs().max(), rtol=0)
        maps = cam.resize(maps, tuple(inputs.shape[2:]))
        torch.testing.assert_close(bias + maps.flatten(2).mean(2), score, atol=1e-5, rtol=1e-5)
