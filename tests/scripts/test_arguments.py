"""Paths reach the scripts as typed, with any characters in their names."""

import os
import random
import shlex

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from personality.scripts.arguments import to_overrides
from personality.scripts.command_line import CONF

KNOWN = {"checkpoint", "split", "clips", "corpus", "data", "model", "cam", "callbacks", "hydra"}
NAMES = [
    *[
        "talk.mp4",
        "My talk (1).mp4",
        "a=b.mp4",
        "a, b.mp4",
        "epoch=3-step=10.ckpt",
        "${run}.mp4",
        "2016",
        "1e3",
        "true",
    ],
    *["Tom's.mp4", 'a "quoted" one.mp4', "é ü 中.mp4", "[x].mp4", "{a: 1}.mp4", "back\\slash.mp4", "end\\", "null"],
    *["\\${run}", "~tilde", "+plus", "50 %#&;!.mp4", " spaces ", "split=val", "str(1)", "n" * 255],
]


def composed(*arguments):
    """The paths that a script gets, after rewriting its arguments twice, as for another process of a run."""
    options, overrides = to_overrides("explain", arguments, KNOWN)
    again = to_overrides("explain", [*options, *overrides], KNOWN)
    assert again == (options, overrides)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("explain", overrides)
    config.run = "x"
    return {key: OmegaConf.to_container(config, resolve=True)[key] for key in ("checkpoint", "split", "clips")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a file of every name."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        (tmp_path / name).touch()
    return tmp_path


def test_plain_arguments_are_the_checkpoint_and_videos(folder):
    paths = composed("epoch=3-step=10.ckpt", *NAMES, "cam=occlusion", "++data.batch_size=4")
    assert paths == {"checkpoint": "epoch=3-step=10.ckpt", "clips": NAMES, "split": "test"}
    assert composed("none.ckpt", "split=train") == {"checkpoint": "none.ckpt", "clips": None, "split": "train"}
    assert composed("talk.mp4", "checkpoint=a.ckpt")["clips"] == ["talk.mp4"]


def test_all_behind_two_dashes_are_paths(folder):
    paths = composed("a.ckpt", "cam=occlusion", "--", "-dash.mp4", "cam=best")
    assert (paths["checkpoint"], paths["clips"]) == ("a.ckpt", ["-dash.mp4", "cam=best"])


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_read_as_it_was_typed_behind_its_setting(name, folder):
    for path in (name, f"{folder}/{name}"):
        paths = composed(f"checkpoint={path}", f"clips={path}")
        assert paths == {"checkpoint": path, "clips": [path], "split": "test"}
    assert composed("a.ckpt", f"clips=[{name}]")["clips"] == [name]


def test_any_name_is_read_as_it_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pieces = [*"a'\"\\}[](),= :#%~é${1@|*?\t", "${", "${run}", "clips="]
    letters = random.Random(0)
    names = {"".join(letters.choices(pieces, k=letters.randint(1, 8))) for _ in range(300)}
    names = {name for name in names if "\\${" not in name}  # a name and the same escaped would be two files
    for name in names:
        (tmp_path / name).touch()
    assert composed("a.ckpt", "--", *names)["clips"] == [*names]


def test_names_of_other_bytes_than_utf_8_are_paths(folder):
    name = os.fsdecode(b"\xff\xfe.mp4")
    (folder / name).touch()
    assert composed("a.ckpt", name)["clips"] == [name]


def test_several_in_brackets(folder):
    assert composed("a.ckpt", "clips=[talk.mp4,2016, a=b.mp4]")["clips"] == ["talk.mp4", "2016", "a=b.mp4"]
    paths = composed("a.ckpt", "clips=['a, b.mp4',\"talk.mp4\",'${run}.mp4']")
    assert paths["clips"] == ["a, b.mp4", "talk.mp4", "${run}.mp4"]
    assert composed("a.ckpt", "clips=[]")["clips"] == []


def test_a_missing_path_is_handed_on_so_that_it_can_be_named(folder):
    assert composed("checkpoint=epoch=4 (1).ckpt")["checkpoint"] == "epoch=4 (1).ckpt"
    assert composed("a.ckpt", "gone=x (1).mp4")["clips"] == ["gone=x (1).mp4"]


@pytest.mark.parametrize("setting", ["corpus.root", "corpus.keep_videos", "data.cache", "model.weights"])
@pytest.mark.parametrize("sign", ["", "++"])
def test_other_settings_of_paths_are_quoted_too(setting, sign, folder):
    for name in ("a=b (1)", "2016", "é", "new, folder"):
        (folder / name).mkdir(exist_ok=True) if name != "2016" else None
        _, overrides = to_overrides("train", [f"{sign}{setting}={name}"])
        assert overrides == [f"{sign}{setting}='{name}'"]


def test_what_is_no_path_stays_as_it_is():
    arguments = ["data=face_frames,clip_spectrogram", "model.width=2016", "experiment=[a,b]", "~callbacks.heatmaps"]
    arguments += ["corpus.root=a,b", "corpus.root=null", "+model.x={a:1}", "hydra/launcher=joblib"]
    assert to_overrides("train", ["-m", *arguments, "--cfg", "job"]) == (["-m", "--cfg", "job"], arguments)


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ("splt=val", "Did you mean split?"),
        ("split=(1)", """'split="(1)"'"""),
        ("cam={a", """'cam="{a"'"""),
        ("", "empty"),
    ],
)
def test_what_cannot_be_read_is_named_and_shown_in_quotes(argument, answer, folder):
    with pytest.raises(SystemExit) as end:
        to_overrides("explain", ["a.ckpt", argument], KNOWN)
    assert answer in str(end.value)
    assert argument in str(end.value)
    assert "\n" not in str(end.value)


def test_the_quotes_that_an_error_shows_are_right(folder):
    with pytest.raises(SystemExit) as end:
        to_overrides("train", ["split=a 'b' (1)\\"])
    shown = shlex.split(str(end.value).partition("such as ")[2])[0].removesuffix(".")
    _, overrides = to_overrides("train", [shown])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose("explain", overrides).split == "a 'b' (1)\\"


def test_a_script_without_paths_refuses_a_plain_argument(folder):
    with pytest.raises(SystemExit) as end:
        to_overrides("train", ["talk.mp4"])
    assert "'talk.mp4'" in str(end.value)
    with pytest.raises(SystemExit) as end:
        to_overrides("explain", ["a.ckpt", "talk.mp4", "clips=2016"], KNOWN)
    assert "clips" in str(end.value)
