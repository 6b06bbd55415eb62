"""A checkpoint as people use it from a notebook: scores and evidence for a video, whatever the input."""

import numpy as np
import pytest
import torch

import personality
from personality.corpus import SampleCorpus
from personality.data import FaceFrames, RawWavFFT
from personality.models import DAN, CamCNN
from personality.traits import TRAITS

CASES = {
    "faces": (FaceFrames, {"frames": 2, "size": 40, "crop": 32}, DAN, (32, 32)),
    "spectra": (RawWavFFT, {}, CamCNN, (30605,)),
}


@pytest.mark.parametrize("case", CASES)
def test_maps_inputs_and_axes_are_of_what_the_model_sees(corpus, tmp_path, case):
    kind, words, build, space = CASES[case]
    model = build(kind(corpus, **words).input_shape, width=0.05)
    names = [(SampleCorpus, {"root": str(corpus.root)}), (kind, words), (build, {"width": 0.05})]
    recipe = {
        part: {"_target_": f"{each.__module__}.{each.__name__}", **keywords}
        for part, (each, keywords) in zip(("corpus", "data", "model"), names, strict=True)
    }
    torch.save({"state_dict": model.state_dict(), "recipe": recipe}, tmp_path / "best.ckpt")
    predictor = personality.load(tmp_path / "best.ckpt")
    video = corpus.clips("test").path.iloc[0]
    scores = predictor.predict(video)
    maps, inputs, place = predictor.explain(video)
    assert scores.shape == (1, 10)
    assert scores.notna().all(axis=None)
    assert set(maps) == set(TRAITS)
    assert {each.shape for each in maps.values()} == {space}
    assert inputs.shape[1:] == space == tuple(len(axis.values) for axis in place.axes)
    assert all(np.abs(each).max() > 0 for each in maps.values())
