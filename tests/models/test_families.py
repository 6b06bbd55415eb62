"""Names of backbones of other libraries, without these libraries."""

import sys

import pytest

from personality.models.backbones import build_backbone


def test_without_timm_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"timm:NAME needs the package timm .*run `uv sync --extra timm`"):
        build_backbone((1, 3, 64, 64), "image", "timm:resnet18")


@pytest.mark.parametrize("settings", [{"width": 0.5}, {"batch_norm": True}])
def test_a_family_s_networks_have_no_other_width(settings):
    with pytest.raises(ValueError, match=r"timm:resnet18 with width .*expected a width of 1 and no batch_norm"):
        build_backbone((1, 3, 64, 64), "image", "timm:resnet18", **settings)


@pytest.mark.parametrize("name", ["onnx:resnet18", "timm", "resnet18"])
def test_an_unknown_backbone_is_refused_with_all_names(name):
    with pytest.raises(
        ValueError,
        match=rf"Got backbone '{name}': expected one of .*dlib_face.*, or timm:NAME or torchaudio:NAME or tr",
    ):
        build_backbone((1, 3, 64, 64), "image", name)


def test_a_family_has_its_own_number_of_dimensions():
    with pytest.raises(ValueError, match=r"'timm:resnet18' does not fit an input of 1 dimensions"):
        build_backbone((1, 1, 64), "audio", "timm:resnet18")
