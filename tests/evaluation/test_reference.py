"""What a score means: percentiles against SciPy's, intervals that hold on new clips, and what isn't known."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from scipy.stats import percentileofscore
from sklearn.metrics import root_mean_squared_error

import personality
from personality.callbacks import SaveResults
from personality.data import RawWavFFT
from personality.evaluation.reference import KnownError, Reference
from personality.models import CamCNN
from personality.traits import QUANTILES, TRAITS

SCALE = torch.tensor([[0.0], [1.0]]).expand(2, 2)


def clips(count, start=0, per_source=2):
    return pd.Index([f"s{number // per_source:04d}.{number % per_source:03d}.mp4" for number in range(start, count)])


def predictions_of(rng, index, std=0.1):
    labels = pd.DataFrame(rng.uniform(0.2, 0.8, (len(index), 5)), index, TRAITS)
    return (labels + rng.normal(0.05, std, labels.shape)).join(labels.add_suffix("_label"))


@pytest.mark.parametrize("decimals", [9, 1])  # labels that differ, and steps of a scale of a few values
def test_percentiles_are_those_of_scipy(decimals):
    rng = np.random.default_rng(0)
    labels = rng.beta(4, 3, 4000).round(decimals)
    quantiles = torch.from_numpy(np.quantile(labels, np.linspace(0, 1, QUANTILES)))
    reference = Reference.of(["a", "b"], torch.stack([quantiles, quantiles], 1), SCALE, {})
    scores = pd.DataFrame({"a": [0.3, 0.5, 0.8, -1, 2, np.nan]}, index=[*"uvwxyz"])
    found = reference.table(scores.assign(b=0.5))
    assert [*found.index[:3]] == [("u", "a"), ("u", "b"), ("v", "a")]
    expected = [percentileofscore(labels, score, "mean") for score in scores.a[:5]]
    np.testing.assert_allclose(found.percentile.xs("a", level="target").iloc[:5], expected, atol=1.1)
    assert found.loc[("z", "a"), "percentile"] != found.loc[("z", "a"), "percentile"]
    assert found[["low", "high"]].isna().all(axis=None)
    assert "is not known" in reference.remark


def test_the_error_is_that_of_new_sources_and_its_interval_holds_on_others():
    rng = np.random.default_rng(0)
    predictions = predictions_of(rng, clips(300))
    predictions.iloc[:200, :5] += 1  # known sources, which do not count
    error = KnownError.measure("test", predictions, predictions[:200].filter(like="_label"))
    assert (error.subset, error.clips, error.sources) == ("new sources", 100, 50)
    for trait in TRAITS:
        expected = root_mean_squared_error(predictions[f"{trait}_label"][200:], predictions[trait][200:])
        assert error.table.rmse[trait] == pytest.approx(expected)
    inside = []
    for _ in range(200):
        error = KnownError.measure("test", predictions_of(rng, clips(25)))
        others = predictions_of(rng, clips(200))
        misses = others[f"{TRAITS[0]}_label"] - others[TRAITS[0]]
        inside.append(misses.between(*error.table.loc[TRAITS[0], ["low", "high"]]).mean())
    assert np.mean(inside) == pytest.approx(0.8, abs=0.02)


def test_few_new_sources_count_with_all_others_and_few_clips_not_at_all():
    rng = np.random.default_rng(0)
    predictions = predictions_of(rng, clips(60))
    train = predictions[:50].filter(like="_label")
    error = KnownError.measure("test", predictions, train)
    assert (error.subset, error.clips) == ("all clips", 60)
    assert KnownError.measure("test", predictions[:19], train) is None
    predictions[f"{TRAITS[1]}_label"] = np.nan
    assert [*KnownError.measure("val", predictions).table.index] == [trait for trait in TRAITS if trait != TRAITS[1]]
    text = Reference.of(TRAITS[:2], torch.zeros(QUANTILES, 2), SCALE, {"error": error.config}).remark
    assert "all 60 test clips from 30 sources" in text
    assert "not known, and probably larger" in text


def test_an_interval_stays_on_the_scale_and_survives_json():
    error = KnownError.measure("test", predictions_of(np.random.default_rng(0), clips(60)))
    again = json.loads(json.dumps(error.config))
    reference = Reference.of(TRAITS[:2], torch.rand(QUANTILES, 2).sort(0).values, SCALE, {"error": again})
    found = reference.table(pd.DataFrame({trait: [0.5, 0.99] for trait in TRAITS}, index=["a.mp4", "b.mp4"]))
    expected = 0.5 + error.table.loc[[*TRAITS[:2]], ["low", "high"]].to_numpy()
    np.testing.assert_allclose(found.loc["a.mp4", ["low", "high"]], expected)
    assert (found.loc["b.mp4", "high"] == 1).all()


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """A short run, whose test is then said to have had 60 clips."""
    folder = tmp_path_factory.mktemp("run")
    data = RawWavFFT(corpus, cache=str(folder / "cache"), processes=0, batch_size=3)
    model = CamCNN(data.input_shape, width=0.05)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", max_steps=1, default_root_dir=folder, callbacks=[SaveResults()], **quiet)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    (folder / "checkpoints").mkdir()
    trainer.save_checkpoint(folder / "checkpoints/best.ckpt")
    predictions = predictions_of(np.random.default_rng(0), clips(60)).rename_axis("clip")
    predictions.to_csv(folder / "predictions_test.csv")
    return folder


def test_a_model_knows_its_labels_and_its_error_wherever_it_goes(corpus, run, tmp_path):
    predictor = personality.load(run / "checkpoints/best.ckpt")
    labels = corpus.clips("train")[[*TRAITS]]
    np.testing.assert_allclose(
        predictor.reference.labels.loc[[0, 0.5, 1]], [labels.min(), labels.median(), labels.max()], atol=1e-6
    )
    assert (predictor.reference.error.subset, predictor.reference.error.clips) == ("new sources", 60)
    table = predictor.reference.table(predictor.predict(corpus.clips("test").path.iloc[0]))
    assert [*table] == ["score", "percentile", "low", "high"]
    assert (table.low < table.high).all()
    personality.save_pretrained(run / "checkpoints/best.ckpt", tmp_path / "one")
    personality.load(tmp_path / "one").save_pretrained(tmp_path / "two")
    for folder in ("one", "two"):
        again = personality.load(tmp_path / folder).reference
        pd.testing.assert_frame_equal(again.labels, predictor.reference.labels)
        pd.testing.assert_frame_equal(again.error.table, predictor.reference.error.table)
        assert again.remark == predictor.reference.remark


def test_a_checkpoint_that_the_run_did_not_test_has_no_known_error(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    best = tmp_path / "run/checkpoints/best.ckpt"
    shutil.copy(best, best.with_name("last.ckpt"))
    assert personality.load(best.with_name("last.ckpt")).reference.error is None
    (tmp_path / "run/predictions_test.csv").write_text("nonsense\n1\n")
    assert personality.load(best).reference.error is None
    shutil.copy(best, tmp_path / "alone.ckpt")
    predictor = personality.load(tmp_path / "alone.ckpt")
    assert predictor.reference.error is None
    assert predictor.reference.labels.notna().all(axis=None)


@pytest.mark.parametrize("error", [3, [], {}, {"split": "test"}, {"rmse": 0.1}])
def test_a_folder_with_a_damaged_error_is_refused(run, tmp_path, error):
    personality.save_pretrained(run / "checkpoints/best.ckpt", tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps(config | {"error": error}))
    with pytest.raises(ValueError, match=r"config\.json is not the config of a model: its error is .*fetch it again"):
        personality.load(tmp_path / "model")


def test_training_again_forgets_the_error_of_before(corpus, run, tmp_path):
    model, data = personality.load(
        run / "checkpoints/best.ckpt", {"root": str(corpus.root)}, {"cache": str(tmp_path), "processes": 0}
    )
    assert model.origin["error"]
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    Trainer(accelerator="cpu", max_steps=1, default_root_dir=tmp_path, **quiet).fit(model.train(), data)
    assert not model.origin
