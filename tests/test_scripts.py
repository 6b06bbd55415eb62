"""The scripts as people run them: real runs of small models on a small corpus with planted cues."""

import multiprocessing
import os
import re
import runpy
import shutil
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

import personality
from personality.explanation.bill import bill_of
from personality.traits import TRAITS

ROOT = Path(__file__).parents[1]
TRAINERS = ["default", pytest.param("ddp_cpu", marks=pytest.mark.slow)]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml"))


@pytest.fixture(scope="module")
def overrides(corpus, tmp_path_factory):
    """Overrides that make a run short."""
    sizes = ",".join(map(str, corpus.sizes))
    cache = tmp_path_factory.mktemp("cache")
    return [f"corpus.root={corpus.root}", f"corpus.sizes=[{sizes}]", "corpus.seconds=4", f"data.cache={cache}"]


def run(script: str, *overrides: str, folder: Path, expect: int = 0) -> str:
    """Run a script as its own process, a fork of one that has imported all that takes long."""
    process = start(script, *overrides, folder=folder)
    process.join()
    output = (folder / "output.txt").read_text()
    assert process.exitcode == expect, output[-5000:]
    return output


def start(script: str, *overrides: str, folder: Path) -> multiprocessing.process.BaseProcess:
    arguments = ROOT / f"{script}.py", overrides, folder
    process = multiprocessing.get_context("forkserver").Process(target=execute, args=arguments)
    process.start()
    return process


def execute(script: Path, overrides: tuple[str, ...], folder: Path) -> None:
    os.chdir(folder)
    with (folder / "output.txt").open("w") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    sys.argv = [str(script), *overrides]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent process may ignore it
    torch.set_num_threads(1)
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        sys.exit(end.code)


def newest(folder: Path, runs: str = "*") -> Path:
    return max((folder / "runs").glob(f"{runs}/*"), key=lambda path: path.stat().st_mtime)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def trained(overrides, tmp_path_factory):
    """A run of two epochs, and its output."""
    folder = tmp_path_factory.mktemp("trained")
    output = run("train", *overrides, "trainer.max_epochs=2", "model.width=0.1", folder=folder)
    return newest(folder), output


def test_a_run_leaves_a_folder_that_explains_itself(trained):
    folder, output = trained
    assert folder.parent.name == "clip_spectrogram-cam_cnn"
    for name in [
        *[".hydra/config.yaml", ".hydra/overrides.yaml", "train.log", "metrics.csv", "labels_train.csv"],
        *["checkpoints/best.ckpt", "checkpoints/last.ckpt", "results_test.txt", "results_val.csv"],
        *[
            "predictions_val.csv",
            "predictions_test.csv",
            "report.html",
            "heatmaps/val/index.csv",
            "heatmaps/test/cues.csv",
        ],
        *(f"heatmaps/test/{trait}.{kind}" for trait in TRAITS for kind in ("png", "npz")),
    ]:
        assert (folder / name).stat().st_size > 0, name
    assert not list(folder.rglob("*.part"))
    assert str(folder.relative_to(folder.parents[2])) in output
    assert "mean predictor" in output
    metrics = pd.read_csv(folder / "metrics.csv")
    assert {"train/loss", "val/skill", "val/accuracy/openness", "test/ccc"} <= set(metrics.columns)
    assert metrics["train/loss"].notna().sum() == 2


def test_the_console_has_no_advertisements(trained):
    _, output = trained
    assert not re.search("litlogger|litmodels|Tip:|deprecated|Warning", output)
    assert "Seed set to 1" in output  # what Lightning says of the run itself stays


def test_scores_on_disk_are_those_that_were_measured(trained):
    folder, _ = trained
    predictions = pd.read_csv(folder / "predictions_test.csv", index_col="clip")
    errors = [(predictions[trait] - predictions[f"{trait}_label"]).abs().mean() for trait in TRAITS]
    logged = pd.read_csv(folder / "metrics.csv")["test/accuracy"].dropna().item()
    assert logged == pytest.approx(1 - np.mean(errors), abs=1e-6)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(trained, overrides, tmp_path):
    run("train", *overrides, "trainer.max_epochs=2", "model.width=0.1", "~callbacks.heatmaps", folder=tmp_path)
    again = newest(tmp_path)
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(trained[0]).items())
    assert (again / "predictions_test.csv").read_bytes() == (trained[0] / "predictions_test.csv").read_bytes()


@pytest.mark.slow
def test_resuming_with_another_model_says_what_differs(trained, overrides, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    again = "trainer.max_epochs=3", "model.width=0.2", "resume=true", f"hydra.run.dir={tmp_path / 'run'}"
    output = run("train", *overrides, *again, folder=tmp_path, expect=1)
    assert "last.ckpt has another model: model.width 0.1 instead of 0.2. Expected resume=true with" in output
    assert "Traceback" not in output


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_a_logger_that_is_not_installed_is_named_with_its_extra(overrides, tmp_path):
    output = run("train", *overrides, "logger=wandb", folder=tmp_path, expect=1)
    assert "The logger wandb is not installed. Run `uv sync --extra wandb`." in output


@pytest.mark.slow
def test_a_run_that_is_killed_20_times_ends_as_if_nothing_had_happened(overrides, tmp_path):
    limits = "trainer.max_epochs=100", "model.width=0.05", "~callbacks.heatmaps", "~callbacks.report"
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    run("train", *overrides, *limits, folder=undisturbed)
    random = np.random.default_rng(0)
    kills, reached = 0, []

    def checkpoints():
        return {path: path.stat().st_mtime_ns for path in disturbed.glob("runs/*/*/checkpoints/last.ckpt")}

    while kills < 20:
        before = checkpoints()
        process = start("train", *overrides, *limits, "resume=true", folder=disturbed)
        if random.random() < 0.5:
            process.join(random.uniform(0.5, 4))  # anywhere in its beginning
        else:
            while process.is_alive() and checkpoints() == before:
                time.sleep(0.01)
            process.join(random.uniform(0, 0.3))  # anywhere in its epochs
        kills += process.is_alive()
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), (disturbed / "output.txt").read_text()[-5000:]
        reached += [torch.load(path, weights_only=True)["epoch"] for path in checkpoints()]
    run("train", *overrides, *limits, "resume=true", folder=disturbed)
    assert reached == sorted(reached)  # each goes on where the one before was killed
    assert len(set(reached)) > 1
    assert len(checkpoints()) == 1
    assert not list(disturbed.rglob("*.part"))  # what a killed process left is gone
    once, often = newest(undisturbed), newest(disturbed)
    assert all(torch.equal(value, weights(often)[name]) for name, value in weights(once).items())
    for table in ("metrics.csv", "predictions_test.csv", "results_test.csv"):
        assert (often / table).read_bytes() == (once / table).read_bytes()
    assert len(pd.read_csv(once / "metrics.csv").dropna(subset="train/loss")) == 100


def test_a_checkpoint_alone_can_be_explained(trained, tmp_path):
    folder, _ = trained
    run("explain", str(folder / "checkpoints/best.ckpt"), folder=tmp_path)
    explained = newest(tmp_path)
    assert (explained / "predictions_test.csv").read_text() == (folder / "predictions_test.csv").read_text()
    again, first = (np.load(part / "heatmaps/test/openness.npz")["maps"] for part in (explained, folder))
    np.testing.assert_allclose(again, first, atol=1e-6)


@pytest.mark.parametrize("form", [[], ["format=torch"]])
def test_a_checkpoint_alone_can_be_exported(trained, tmp_path, form):
    if not form:
        pytest.importorskip("onnxruntime", reason="needs `uv sync --extra export`")
    output = run("export", str(trained[0] / "checkpoints/best.ckpt"), *form, folder=tmp_path)
    path = newest(tmp_path, "export") / ("model.pt2" if form else "model.onnx")
    assert path.exists()
    assert str(path.relative_to(tmp_path)) in output
    assert "checkpoint" in run("export", str(path), folder=tmp_path, expect=1)


@pytest.mark.slow
def test_another_split_and_another_method_held_against_annotations(trained, corpus, tmp_path):
    overrides = f"checkpoint={trained[0] / 'checkpoints/best.ckpt'}", "split=train", "cam=grad_cam"
    output = run("explain", *overrides, f"cues={corpus.root / 'annotations'}", folder=tmp_path)
    heatmaps = newest(tmp_path) / "heatmaps/train"
    assert set(pd.read_csv(heatmaps / "index.csv")["method"]) == {"grad_cam"}
    table = pd.read_csv(heatmaps / "annotations.csv")
    assert set(table["cue"]) == {"voice"}
    assert set(table["subset"]) == {"all clips", "known sources"}
    assert (table["clips"] == 6).all()
    assert "in multiples of chance" in output


@pytest.mark.slow
def test_two_processes_have_the_results_of_one(trained, tmp_path):
    folder, _ = trained
    run(
        "explain",
        f"checkpoint={folder / 'checkpoints/best.ckpt'}",
        "trainer=ddp_cpu",
        "data.batch_size=2",
        folder=tmp_path,
    )
    (explained,) = (tmp_path / "runs/explain").iterdir()
    names = ["clip", "openness", "neuroticism_std", "segments"]
    ours, theirs = (pd.read_csv(part / "predictions_test.csv")[names] for part in (explained, folder))
    pd.testing.assert_frame_equal(ours, theirs, rtol=0, atol=1e-6)
    for part in ("results_test.csv", "heatmaps/test/index.csv"):
        pd.testing.assert_frame_equal(pd.read_csv(explained / part), pd.read_csv(folder / part), rtol=0, atol=1e-5)
    for trait in TRAITS:
        again, first = (np.load(part / f"heatmaps/test/{trait}.npz")["maps"] for part in (explained, folder))
        np.testing.assert_allclose(again, first, atol=1e-6)


@pytest.mark.slow
def test_a_run_in_two_processes_trains_in_one_folder(overrides, tmp_path):
    limits = "trainer.max_epochs=2", "model.width=0.05", "trainer=ddp_cpu", "~callbacks.heatmaps", "~callbacks.report"
    run("train", *overrides, *limits, folder=tmp_path)
    (folder,) = tmp_path.glob("runs/*/*")
    assert len(pd.read_csv(folder / "predictions_test.csv")) == 3


@pytest.mark.slow
def test_a_joint_run_in_two_processes_adds_up_with_a_part_missing(overrides, corpus, tmp_path):
    clips = [clip for split in ("train", "val", "test") for clip in corpus.clips(split).index]
    words = pd.DataFrame({"clip": clips, "transcript": "I laugh when friends plan a party"})
    mute = corpus.clips("test").index[1]
    words[words["clip"] != mute].to_csv(tmp_path / "words.csv", index=False)
    parts = "data.parts.face=null", "model.parts.face=null", f"data.parts.words.files={tmp_path / 'words.csv'}"
    limits = "trainer.max_epochs=2", "model.width=0.05", "trainer=ddp_cpu", "~callbacks.heatmaps", "~callbacks.report"
    run("train", *overrides, "data=joint", "model=joint", *parts, *limits, folder=tmp_path)
    (folder,) = tmp_path.glob("runs/*/*")
    table = pd.read_csv(folder / "predictions_test.csv", index_col="clip")
    assert table.index[table["openness_from_words"].isna()].tolist() == [mute]
    shares = table[["openness_from_voice", "openness_from_words"]].sum(axis=1)
    assert np.ptp(table["openness"] - shares) < 1e-5  # the bias
    model, data = personality.load(folder / "checkpoints/best.ckpt")
    data.prepare_data()
    data.setup("test")
    for row, clip in enumerate(data.clips("test").index):
        bill = bill_of(model, data, "test", row)
        np.testing.assert_allclose(bill.score, table.loc[clip, TRAITS].astype(float), atol=1e-5)
        assert bill.missing == ["words"] * (clip == mute)


@pytest.mark.slow
def test_a_run_that_loses_a_process_ends_with_an_explanation(overrides, tmp_path):
    limits = "trainer.max_epochs=500", "model.width=0.05", "trainer=ddp_cpu", "~callbacks.heatmaps", "~callbacks.report"
    process = start("train", *overrides, *limits, "data.processes=0", folder=tmp_path)
    while not list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt")):
        assert process.is_alive(), (tmp_path / "output.txt").read_text()
        time.sleep(0.05)
    (other,) = psutil.Process(process.pid).children()
    other.kill()
    process.join(60)
    assert process.exitcode == 1
    output = (tmp_path / "output.txt").read_text()
    assert "train: " in output
    assert "another one ended" in output
    assert "resume=true continues" in output
    assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_continue(overrides, tmp_path, end):
    limits = "trainer.max_epochs=200", "model.width=0.05", "~callbacks.heatmaps", "~callbacks.report"
    process = start("train", *overrides, *limits, folder=tmp_path)
    while not list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt")):
        assert process.is_alive(), (tmp_path / "output.txt").read_text()
        time.sleep(0.05)
    time.sleep(0.2)  # CPython drops an interrupt that falls between a file's last byte and its release
    os.kill(process.pid, end)
    process.join()
    assert process.exitcode == 1
    output = (tmp_path / "output.txt").read_text()
    assert "train: stopped. What is finished stays; resume=true continues" in output
    assert "Traceback" not in output


def test_own_videos_of_any_length_are_scored_and_explained(trained, corpus, tmp_path):
    clips = corpus.clips("test").path
    (tmp_path / "videos").mkdir()
    shutil.copy(clips.iloc[0], tmp_path / "videos/talk.mp4")
    shutil.copy(clips.iloc[1], tmp_path / "other: name.mp4")
    (tmp_path / "videos/broken.webm").write_text("not a video")
    checkpoint = f"checkpoint={trained[0] / 'checkpoints/best.ckpt'}"
    videos = f"clips=['{tmp_path}/videos','{tmp_path}/other: name.mp4']"
    output = run("explain", checkpoint, videos, folder=tmp_path)
    assert "1 of 3 test clips are left out" in output
    folder = newest(tmp_path)
    predictions = pd.read_csv(folder / "predictions_test.csv", index_col="clip")
    assert list(predictions.index) == ["broken.000.mp4", "other: name.000.mp4", "talk.000.mp4"]
    assert predictions.loc["broken.000.mp4", list(TRAITS)].isna().all()
    known = pd.read_csv(trained[0] / "predictions_test.csv", index_col="clip")
    for name, clip in [("talk", clips.index[0]), ("other: name", clips.index[1])]:
        own = predictions.loc[f"{name}.000.mp4", list(TRAITS)].astype(float)
        np.testing.assert_allclose(own, known.loc[clip, list(TRAITS)].astype(float), atol=1e-6)
    assert "could not be read" in (folder / "report.html").read_text()
    assert (folder / "heatmaps/test/openness.png").exists()

    predictor = personality.load(trained[0] / "checkpoints/best.ckpt")
    scores = predictor.predict(tmp_path / "videos/talk.mp4")
    np.testing.assert_allclose(scores.loc["talk.000.mp4", list(TRAITS)].astype(float), own_of(predictions), atol=1e-6)
    maps, inputs, coordinates = predictor.explain(tmp_path / "videos/talk.mp4", segment=1)
    assert set(maps) == set(TRAITS)
    assert maps["openness"].shape == inputs.shape[1:]
    assert (coordinates.start, coordinates.end) == pytest.approx((0.96, 1.92))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_videos_are_plain_arguments_however_they_are_spelt(trained, corpus, tmp_path, trainer):
    names = ["My talk (1).mp4", "a=b.mp4", "c, d.mp4", "2016", "${run}.mp4"]
    checkpoint = tmp_path / "epoch=3-step=10 (best).ckpt"
    shutil.copy(trained[0] / "checkpoints/best.ckpt", checkpoint)
    for name, path in zip(names, [*corpus.clips("test").path, *corpus.clips("val").path], strict=False):
        shutil.copy(path, tmp_path / name)
    shutil.move(tmp_path / "2016", tmp_path / "talk.mp4")
    (tmp_path / "2016").mkdir()
    shutil.move(tmp_path / "talk.mp4", tmp_path / "2016/talk.mp4")
    few = "callbacks.heatmaps.top=1", "~callbacks.report", f"trainer={trainer}"
    run("explain", checkpoint.name, *names, *few, folder=tmp_path)
    (folder,) = (tmp_path / "runs/explain").iterdir()
    table = pd.read_csv(folder / "predictions_test.csv", index_col="clip")
    assert len(table) == len(names)
    assert table[list(TRAITS)].notna().all(axis=None)
    known = pd.read_csv(trained[0] / "predictions_test.csv", index_col="clip").iloc[0]
    own = table.loc["My talk (1).000.mp4"]
    np.testing.assert_allclose(*(row[list(TRAITS)].astype(float) for row in (own, known)), atol=1e-6)


def own_of(predictions: pd.DataFrame) -> pd.Series:
    return predictions.loc["talk.000.mp4", list(TRAITS)].astype(float)


@pytest.fixture
def unlabelled(corpus, tmp_path):
    """First Impressions as most people have it, with overrides for it; take a label file away to lose a split."""
    root = tmp_path / "First Impressions, 2017 (a=b)"
    shutil.copytree(corpus.root, root)
    return root, ["corpus=first_impressions", f"corpus.root={root}", f"data.cache={tmp_path}/a cache (1)"]


@pytest.mark.slow
def test_without_test_labels_the_test_is_left_out_and_the_report_shows_validation(unlabelled, tmp_path):
    root, overrides = unlabelled
    (root / "annotation_test.pkl").unlink()
    limits = "trainer.max_epochs=1", "model.width=0.05", "data.train_segments=2"
    output = run("train", *overrides, *limits, folder=tmp_path)
    assert "The test is left out" in output
    assert "annotation_test.pkl" in output
    folder = newest(tmp_path)
    assert (folder / "results_val.csv").exists()
    assert not (folder / "predictions_test.csv").exists()
    predicted = pd.read_csv(folder / "predictions_val.csv")
    page = (folder / "report.html").read_text()
    assert len(predicted) == 3
    assert all(clip in page for clip in predicted["clip"])
    assert "heatmaps" in output

    checkpoint = str(folder / "checkpoints/best.ckpt")
    cache = f"data.cache={tmp_path}/another"
    output = run("explain", checkpoint, cache, folder=tmp_path, expect=1)
    assert "There are no test clips" in output
    assert "annotation_test.pkl" in output
    assert "Traceback" not in output
    assert not (tmp_path / "another").exists()  # output before any features are computed


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(
    ("file", "split"), [("annotation_validation.pkl", "val"), ("annotation_training.pkl", "train")]
)
def test_a_split_that_training_needs_is_missed_before_features_are_computed(unlabelled, tmp_path, file, split, trainer):
    root, overrides = unlabelled
    (root / file).unlink()
    output = run("train", *overrides, f"trainer={trainer}", folder=tmp_path, expect=1)
    for part in (f"There are no {split} clips", file, str(root), "corpus.split=by_group"):
        assert part in output
    assert "Traceback" not in output
    assert not (tmp_path / "a cache (1)").exists()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_loss_that_is_not_finite_ends_the_run_in_its_first_epoch(overrides, tmp_path, trainer):
    limits = "trainer.max_epochs=3", "model.width=0.05", "data.batch_size=1", "model.lr=1e30", f"trainer={trainer}"
    output = run("train", *overrides, *limits, folder=tmp_path, expect=1)
    assert re.search(r"train: The training loss is (nan|inf) in epoch 0, since step [23] of [36]\.", output)
    assert "model.lr" in output
    assert "Traceback" not in output
    (folder,) = tmp_path.glob("runs/*/*")
    assert (folder / ".hydra/overrides.yaml").exists()
    assert not [*folder.rglob("*.ckpt"), *folder.rglob("*.part"), *folder.rglob("report.html")]


def test_prepare_computes_features_that_training_then_finds(overrides, tmp_path):
    elsewhere = [*overrides[:-1], f"data.cache={tmp_path}"]
    run("prepare", *elsewhere, folder=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert len(before) == 6
    clips = pd.read_csv(newest(tmp_path, "prepare") / "clips.csv")
    assert clips["state"].tolist() == ["done"] * 12
    assert not clips[["mute", "short", "faceless"]].to_numpy()[:, [0, 2]].any()
    assert clips["short"].all()  # 4 seconds are 4 of 15 patches
    run("train", *elsewhere, "trainer.max_epochs=1", "model.width=0.05", "~callbacks.heatmaps", folder=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == before


@pytest.mark.slow
def test_every_input_runs_with_every_model(overrides, tmp_path):
    names = {g: sorted(p.stem for p in (ROOT / "conf" / g).glob("[!_]*.yaml")) for g in ("data", "model")}
    names["data"] = [name for name in names["data"] if name not in ("embeddings", "joint")]  # the first needs a file
    names["model"] = [name for name in names["model"] if not name.startswith("joint")]
    inputs, models = (",".join(each) for each in names.values())
    short = "trainer.max_epochs=1", "model.width=0.02", "data.train_segments=2", "~callbacks.heatmaps", "logger=csv"
    run("train", "-m", *overrides, f"data={inputs}", f"model={models}", *short, folder=tmp_path)
    runs = {path.parent.parent.name for path in tmp_path.glob("runs/*/*/results_test.txt")}
    assert runs == {f"{data}-{model}" for data in inputs.split(",") for model in models.split(",")}
    run("train", *overrides, "data=joint", "model=joint", *short, folder=tmp_path)
    assert len([*tmp_path.glob("runs/joint-joint/*/parts_test.csv")]) == 1


@pytest.mark.slow
def test_every_experiment_makes_a_short_run(overrides, tmp_path):
    need_files = "face_and_sound", "sound_embeddings", "wavlm"  # of others
    names = [name for name in EXPERIMENTS if name not in need_files]
    choices = ",".join(f"[{name}]" for name in names)
    short = "trainer.max_epochs=1", "model.width=0.02", "~callbacks.heatmaps", "data.train_segments=2"
    run("train", "-m", *overrides, f"experiment={choices}", *short, folder=tmp_path)
    assert len(list(tmp_path.glob("runs/*/*/results_test.txt"))) == len(names)


@pytest.mark.parametrize(
    ("script", "argument", "answer"),
    [
        ("train", "modle=dan", "Did you mean model?"),
        ("train", "experimnt=[clip_cam]", "Did you mean experiment?"),
        ("train", "model=cam_cn", "Available options in 'model'"),
        ("train", "model.widht=1", "Did you mean model.width?"),
        ("explain", "splt=val", "Did you mean split?"),
        ("train", "model.backbone=vgg", "expected one of vggish"),
        ("train", "data.normalise=x", "expected one of clip, patches, none"),
        ("train", "corpus=first_impressions", "corpus.root is not set. Expected a value: add corpus.root=VALUE"),
        ("explain", "split=test", "checkpoint"),
        ("explain", "checkpoint=none.ckpt", "There is no checkpoint none.ckpt"),
        ("explain", "no such (1).ckpt", "There is no checkpoint no such (1).ckpt"),
        ("explain", "clips=[]", "at least one video"),
        ("train", "model.lr=(1)", """'model.lr="(1)"'"""),
        ("train", "corpus.root=${here}/a", "here"),
        ("train", "talk.mp4", "'talk.mp4'"),
    ],
)
def test_a_wrong_argument_is_answered_in_one_paragraph(script, argument, answer, tmp_path):
    output = run(script, argument, folder=tmp_path, expect=1)
    assert answer in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("script", "overrides", "settings"),
    [
        ("train", [], ["resume: false", "sizes: [64, 16, 40]", "segments: 15", "top: 20", "lr: 0.001"]),
        ("train", ["data=face_frames", "model=dan_plus"], ["detector: haar", "plus: true", "dropout: 0.0"]),
        ("train", ["experiment=[clip_cam]", "model.lr=1"], ["normalise: patches", "max_epochs: 50"]),
        ("explain", [], ["checkpoint: ???", "method: ${cam}", "faithfulness: false"]),
        ("prepare", [], ["shard: [0, 1]", "time_limit: 60.0"]),
        ("export", [], ["checkpoint: ???", "format: onnx"]),
    ],
)
def test_help_shows_the_settings_of_the_chosen_files(script, overrides, settings, tmp_path):
    output = run(script, "--help", *overrides, folder=tmp_path)
    for setting in settings:
        assert re.search(rf"(?m)^ *{re.escape(setting)}(  # \w|$)", output), setting
    assert f"python {script}.py " in output
    assert "model: cam_cnn, dan, dan_plus, joint, joint_ridge, linear, regular_cnn, ridge\n" in output


def test_load_refuses_other_files(trained, tmp_path):
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    for name in ("text", "foreign"):
        with pytest.raises(ValueError, match=f"{name}.ckpt is not a checkpoint"):
            personality.load(tmp_path / f"{name}.ckpt")
    content = torch.load(trained[0] / "checkpoints/best.ckpt", weights_only=True)
    torch.save(content | {"config": content["config"] | {"model": {"_target_": "os.system"}}}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="Do not trust"):
        personality.load(tmp_path / "evil.ckpt")
    other = content["config"]["model"] | {"width": 0.3}
    torch.save(content | {"config": content["config"] | {"model": other}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="does not fit the CamCNN"):
        personality.load(tmp_path / "other.ckpt")
