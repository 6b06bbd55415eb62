"""A checkpoint as people use it from a notebook: scores and evidence for a video, whatever the input."""

import numpy as np
import pytest
import torch

import personality
from personality.corpus import FirstImpressions
from personality.data import FaceFrames, RawWavFFT
from personality.models import DAN, CamCNN
from personality.traits import TRAITS

CASES = {
    "faces": (FaceFrames, {"frames": 2, "size": 40, "crop": 32}, DAN, (32, 32)),
    "spectra": (RawWavFFT, {}, CamCNN, (30605,)),
}


def checkpoint(folder, corpus, kind, words, build, targets=TRAITS):
    """Save what a run of these would."""
    model = build(kind(corpus, **words).input_shape, targets=targets, width=0.05)
    names = [(type(corpus), {"root": str(corpus.root)}), (kind, words), (build, {"width": 0.05})]
    recipe = {
        part: {"_target_": f"{each.__module__}.{each.__name__}", **keywords}
        for part, (each, keywords) in zip(("corpus", "data", "model"), names, strict=True)
    }
    recipe["data"]["targets"] = list(targets)
    torch.save({"state_dict": model.state_dict(), "recipe": recipe}, folder / "best.ckpt")
    return folder / "best.ckpt"


@pytest.mark.parametrize("case", CASES)
def test_maps_inputs_and_axes_are_of_what_the_model_sees(corpus, tmp_path, case):
    kind, words, build, space = CASES[case]
    predictor = personality.load(checkpoint(tmp_path, corpus, kind, words, build))
    video = corpus.clips("test").path.iloc[0]
    scores = predictor.predict(video)
    maps, inputs, place = predictor.explain(video)
    assert scores.shape == (1, 10)
    assert scores.notna().all(axis=None)
    assert set(maps) == set(TRAITS)
    assert {each.shape for each in maps.values()} == {space}
    assert inputs.shape[1:] == space == tuple(len(axis.values) for axis in place.axes)
    assert all(np.abs(each).max() > 0 for each in maps.values())


def test_a_model_of_the_interview_too_scores_ones_own_videos(corpus, tmp_path):
    labelled = FirstImpressions(corpus.root, interview=True)
    predictor = personality.load(checkpoint(tmp_path, corpus, RawWavFFT, {}, CamCNN, labelled.targets))
    scores = predictor.predict(corpus.clips("test").path.iloc[0])
    assert [*scores][:6] == [*TRAITS, "interview"]
    assert scores.notna().all(axis=None)


def test_what_is_not_there_is_not_explained(corpus, tmp_path):
    predictor = personality.load(checkpoint(tmp_path, corpus, RawWavFFT, {}, CamCNN))
    with pytest.raises(ValueError, match="clip 0, has 1 segments: expected one of these instead of 1"):
        predictor.explain(corpus.clips("test").path.iloc[0], segment=1)
    (tmp_path / "none.mp4").touch()
    with pytest.raises(ValueError, match=r"has 0 segments: .*it is empty"):
        predictor.explain(tmp_path / "none.mp4")


def test_a_checkpoint_of_a_model_without_a_recipe_says_what_it_lacks(tmp_path):
    torch.save({"state_dict": {}, "recipe": None}, tmp_path / "bare.ckpt")
    with pytest.raises(ValueError, match="whose `recipe` was set"):
        personality.load(tmp_path / "bare.ckpt")
