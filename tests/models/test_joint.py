"""Joint data and joint models: exact sums, missing parts, and the same attributions as single models."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from sklearn.linear_model import Ridge as Reference

import personality
from personality.callbacks import SaveHeatmaps, SaveReport, SaveResults
from personality.data import ClipSpectrogram, Joint, SummarySpectrogram, Transcript
from personality.evaluation.parts import part_names, part_table
from personality.explanation.about import about
from personality.explanation.bill import bill_of
from personality.explanation.explainer import Explainer
from personality.models import CamCNN, JointRidge, Ridge
from personality.models import Joint as JointModel
from personality.models.moments import Block, Moments
from personality.traits import TRAITS

CAM = {"_target_": "personality.models.CamCNN", "width": 0.05, "batch_norm": True}
RIDGE = {"_target_": "personality.models.Ridge", "width": 0.05}
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


@pytest.fixture
def data(corpus, loading):
    return Joint(corpus, {"voice": ClipSpectrogram(corpus), "words": Transcript(corpus)}, **loading)


def fitted(data, model, folder, epochs=1):
    trainer = Trainer(
        max_epochs=epochs, default_root_dir=folder, enable_checkpointing=False, **QUIET,
        callbacks=[SaveResults(), SaveHeatmaps(top=2, average=False), SaveReport()],
    )  # fmt: skip
    trainer.fit(model, data)
    return trainer


def cam(data, **options):
    return JointModel(**data.model_arguments, parts={"voice": CAM, "words": CAM}, lr=0.003, **options)


def ridge(data):
    parts = {"voice": RIDGE, "words": RIDGE | {"standardise": False}}
    return JointRidge(**data.model_arguments, parts=parts, folds=2)


def silence(data, part, split, row):
    """Let a part be missing in a clip."""
    cache = data.parts[part]
    counts = cache.segments(split).copy()
    counts[row] = 0
    cache.segments = lambda asked, known=cache.segments: counts if asked == split else known(asked)


@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("build", [cam, ridge])
def test_bias_and_all_positions_add_up_to_the_score(data, build, tmp_path):
    model = build(data)
    fitted(data, model, tmp_path)
    model.eval()
    silence(data, "voice", "test", 1)
    for row in range(3):
        bill = bill_of(model, data, "test", row)
        with torch.inference_mode():
            scores = model.score(data.normalise(data.fetch("test", [row])))
        np.testing.assert_allclose(bill.score, scores.clips[0], atol=1e-5)
        assert bill.missing == ["voice"] * (row == 1)
        for index, part in enumerate(data.parts):
            if part in bill.parts:
                np.testing.assert_allclose(bill.parts[part].total, scores.parts[0, index], atol=1e-5)
            else:
                assert scores.parts[0, index].isnan().all()
        sums = bill.table().groupby("trait")["share"].sum()
        np.testing.assert_allclose(sums[data.targets], bill.score, atol=1e-9)


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_a_part_has_the_attribution_of_a_single_model_with_its_weights(data, tmp_path):
    model = cam(data)
    fitted(data, model, tmp_path)
    part = data.parts["voice"]
    single = CamCNN(part.input_shape, width=0.05, batch_norm=True)
    single.load_state_dict(model.models["voice"].state_dict())
    segments = np.array([[0, 0], [2, 1]])
    networks = model.models["voice"], single
    for mine, alone in zip(*(Explainer(each, part, "test").explain(segments) for each in networks), strict=True):
        np.testing.assert_allclose(mine.maps, alone.maps, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_files_say_what_each_part_adds(data, tmp_path):
    model = cam(data)
    trainer = fitted(data, model, tmp_path)
    trainer.test(model, data, verbose=False)
    table = pd.read_csv(tmp_path / "predictions_test.csv", index_col="clip")
    assert part_names(table) == ["voice", "words"]
    shares = table[[f"openness_from_{part}" for part in data.parts]].sum(axis=1)
    bias = table["openness"] - shares
    assert np.ptp(bias) < 1e-5
    parts = pd.read_csv(tmp_path / "parts_test.csv")
    assert {"explained", "of score", "without: skill", "gain: skill"} <= {*parts["metric"]}
    whole = parts[(parts["metric"] == "of score") & (parts["target"] == "openness")]["value"].sum()
    assert whole == pytest.approx(1, abs=1e-4)
    for part in data.parts:
        assert (tmp_path / "heatmaps/test" / part / "openness.png").exists()
    assert (tmp_path / "heatmaps/test/words/words.csv").exists()
    bills = pd.read_csv(tmp_path / "heatmaps/test/bills/index.csv")
    assert sorted(bills["trait"]) == sorted(TRAITS)
    np.testing.assert_allclose(bills["bias"] + bills["voice"] + bills["words"], bills["score"], atol=1e-6)
    page = (tmp_path / "report.html").read_text()
    assert "From the bias to the score" in page
    assert 'alt="openness of ' in page


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_a_checkpoint_explains_whole_videos(data, corpus, tmp_path):
    model = cam(data)
    trainer = fitted(data, model, tmp_path)
    trainer.save_checkpoint(tmp_path / "joint.ckpt")
    predictor = personality.load(tmp_path / "joint.ckpt")
    assert predictor.data.parts.keys() == data.parts.keys()
    video = corpus.clips("test").path.iloc[0]
    bill = predictor.explain(video)
    assert bill.missing == ["words"]  # there is no subtitle beside it
    scores = predictor.predict(video)
    np.testing.assert_allclose(scores[data.targets].to_numpy()[0], bill.score, atol=1e-5)
    assert scores["openness_from_words"].isna().all()


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_parts_may_start_from_models_of_their_own(data, tmp_path):
    part = data.parts["words"]
    single = CamCNN(part.input_shape, modality="text", width=0.05, batch_norm=True)
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, **QUIET)
    trainer.fit(single, Transcript(data.corpus, cache=str(data.folder), processes=0, batch_size=2))
    trainer.save_checkpoint(tmp_path / "words.ckpt")
    model = cam(data, start={"words": str(tmp_path / "words.ckpt")})
    model.trainer = Trainer(**QUIET)
    model.trainer.datamodule = data
    data.prepare_data()
    data.setup()
    model.start()
    assert torch.equal(model.models["words"].head[1].weight, single.head[1].weight)
    (tmp_path / "bad.ckpt").write_bytes(b"no")
    model.starts = {"voice": str(tmp_path / "bad.ckpt")}
    with pytest.raises(ValueError, match=r"bad.ckpt does not fit its part"):
        model.start()


def test_missing_parts_are_said_and_a_clip_without_any_is_left_out(data, caplog):
    caplog.set_level(logging.WARNING)
    data.prepare_data()
    data.setup()
    silence(data, "voice", "test", 0)
    assert data.usable("test").tolist() == [0, 1, 2]
    silence(data, "words", "test", 0)
    assert data.usable("test").tolist() == [1, 2]
    silence(data, "words", "test", 1)
    assert data.usable("test").tolist() == [1, 2]


def test_the_sums_of_clips_that_lack_a_block_are_those_with_its_mean():
    rng = np.random.default_rng(0)
    voice, face = rng.normal(size=(60, 3)) + 2, rng.normal(size=(60, 2)) - 1
    there = rng.random(60) > 0.3
    labels = (voice.sum(1) + np.where(there, face.sum(1), 0))[:, None] + rng.normal(size=(60, 1)) / 9
    moments = Moments(2, [Block(3, False), Block(2, False), Block(2)], 1)
    rows = np.concatenate([voice, face * there[:, None], np.ones((60, 1)), there[:, None]], axis=1)
    moments.add(torch.from_numpy(rows), torch.from_numpy(labels), torch.arange(60) % 2)
    means = moments.impute()
    np.testing.assert_allclose(means[1], face[there].mean(0))
    moments.blocks = [Block(5, False)]
    filled = np.concatenate([voice - voice.mean(0), np.where(there[:, None], face - face[there].mean(0), 0)], axis=1)
    solution = moments.solve([0.1])
    expected = Reference(0.1 * 60).fit(filled, labels)
    np.testing.assert_allclose(solution.weight[0], np.ravel(expected.coef_), atol=1e-8)


def test_wrong_parts_are_refused(data, corpus):
    with pytest.raises(ValueError, match="expected a model for each input"):
        JointModel(**data.model_arguments, parts={"voice": CAM})
    with pytest.raises(ValueError, match=r"expected them for one of its parts.*model.parts.voice.weights"):
        cam(data, weights="x.pt")
    with pytest.raises(ValueError, match="expected Ridge"):
        JointRidge(**data.model_arguments, parts={"voice": CAM, "words": RIDGE})
    with pytest.raises(ValueError, match="expected names of letters"):
        Joint(corpus, {})
    with pytest.raises(ValueError, match="expected a TraitDataModule"):
        Joint(corpus, {"voice": {"_target_": "os.system"}})


def test_a_part_that_is_none_is_left_out(data, corpus, loading):
    without = Joint(corpus, {"voice": None, "words": Transcript(corpus)}, **loading)
    assert [*without.parts] == [*without.settings["parts"]] == ["words"]
    model = JointModel(**without.model_arguments, parts={"voice": None, "words": CAM})
    assert [*model.models] == ["words"]
    assert about(without, model)["model"].startswith("Joint, words CamCNN,")
    with pytest.raises(ValueError, match="expected a model for each input"):
        JointModel(**data.model_arguments, parts={"voice": None, "words": CAM})


def test_a_folder_of_a_joint_model_gives_back_what_the_checkpoint_does(corpus, loading, tmp_path):
    data = Joint(corpus, {"voice": ClipSpectrogram(corpus), "face": None, "words": Transcript(corpus)}, **loading)
    parts = {"voice": CAM | {"backbone": "vggish"}, "face": None, "words": CAM}
    model = JointModel(**data.model_arguments, parts=parts, start={"words": "/elsewhere/words.ckpt"})
    config = {"corpus": corpus.config, "data": data.config, "model": model.config}
    torch.save({"state_dict": model.state_dict(), "config": config}, tmp_path / "best.ckpt")
    personality.save_pretrained(tmp_path / "best.ckpt", tmp_path / "model")
    video, changes = corpus.clips("test").path.iloc[0], {"parts": {"voice": {"train_segments": 3}}}
    before = personality.load(tmp_path / "best.ckpt", data=changes)
    after = personality.load(tmp_path / "model", data=changes)
    assert before.predict(video).to_numpy().tobytes() == after.predict(video).to_numpy().tobytes()
    assert before.explain(video).table().equals(after.explain(video).table())
    for predictor in (before, after):
        assert predictor.data.parts["voice"].settings["train_segments"] == 3
        assert predictor.data.parts["voice"].settings["segments"] == 15
    assert "elsewhere" not in (tmp_path / "model/config.json").read_text()
    card = (tmp_path / "model/README.md").read_text()
    assert "backbone voice: `vggish`; words: `hashed_words`." in card
    assert "started from: voice: none: it was trained from scratch" in card
    assert "words: those of the trained model `words.ckpt`" in card


def test_what_parts_explain_adds_up_to_r2():
    rng = np.random.default_rng(0)
    clips = [f"source{row // 2}.{row % 2:03d}.mp4" for row in range(40)]
    voice, face = rng.normal(size=(40, 5)) / 9, rng.normal(size=(40, 5)) / 9
    labels = 0.5 + voice + face + rng.normal(size=(40, 5)) / 20
    table = pd.DataFrame(0.5 + voice + face, index=pd.Index(clips, name="clip"), columns=TRAITS)
    table = table.join(pd.DataFrame(labels, index=table.index, columns=[f"{trait}_label" for trait in TRAITS]))
    for name, share in {"voice": voice, "face": face}.items():
        table[[f"{trait}_from_{name}" for trait in TRAITS]] = share
    parts = part_table([(table, None)], resamples=50)
    explained = parts[(parts["metric"] == "explained") & (parts["target"] == "openness")]["value"].sum()
    errors = table["openness"] - table["openness_label"]
    variance = table["openness_label"].var(ddof=0)
    assert explained == pytest.approx(1 - errors.var(ddof=0) / variance)
    assert (parts.dropna()["low"] <= parts.dropna()["high"]).all()

    train = pd.DataFrame(0.5, index=["x.000.mp4"], columns=TRAITS)
    one = part_table([(table, train)], resamples=50).set_index(["part", "metric", "target"])
    folds = part_table([(table[:14], train), (table[14:], train)], resamples=50)
    pd.testing.assert_frame_equal(folds.set_index(one.index.names), one)
    assert (one.xs("only: skill", level="metric")["value"] > 0).all()
    other = part_table([(table[:14], train), (table[14:], train + 0.2)], resamples=50)
    skill = other.set_index(one.index.names).xs("only: skill", level="metric")["value"]
    assert (skill > one.xs("only: skill", level="metric")["value"]).all()  # beside a worse mean


def test_inputs_of_a_joint_may_be_alike(corpus, loading):
    parts = {"near": SummarySpectrogram(corpus), "far": SummarySpectrogram(corpus, normalise="none")}
    data = Joint(corpus, parts, **loading)
    data.prepare_data()
    data.setup()
    batch = data.normalise(data.fetch("train", [0, 1]))
    assert batch.parts["near"].inputs.shape == batch.parts["far"].inputs.shape == (2, 1, 1, 208, 64)
    assert not torch.equal(batch.parts["near"].inputs, batch.parts["far"].inputs)
    assert isinstance(Ridge(data.parts["far"].input_shape, width=0.05), Ridge)
