"""A model is pushed to a hub, and pulled from it elsewhere: a small server on the loopback address."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hub_server import TOKEN, hub_server
from test_predictor import CASES, checkpoint

import personality

pytest.importorskip("huggingface_hub", reason="needs `uv sync --extra hub`")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # its own call of its HTTP client

ELSEWHERE = """
import sys
import numpy as np
import personality

address, video, file = sys.argv[1:]
predictor = personality.load(address)
maps, inputs, _ = predictor.explain(video, segment=0)
np.savez(file, scores=predictor.predict(video).to_numpy(), inputs=inputs, **maps)
"""


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub without models; nothing is in the cache."""
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)  # and what the library made of it at its import
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        files = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # the storage of another server
        yield server


@pytest.fixture
def predictor(corpus, tmp_path):
    return personality.load(checkpoint(tmp_path, corpus, *CASES["spectra"][:3]))


@pytest.mark.slow
def test_pulled_in_another_process_it_predicts_and_explains_the_same_bytes(server, predictor, corpus, tmp_path):
    url = predictor.push_to_hub("ada/voices", private=True)
    repository = server.repositories["ada/voices"]
    assert url == f"{server.address}/ada/voices/commit/{repository['sha']}"
    assert repository["visibility"] == "private"
    assert {*repository["files"]} == {"model.safetensors", "config.json", "README.md"}
    assert b'personality.load("hf://ada/voices")' in repository["files"]["README.md"]

    video = str(corpus.clips("test").path.iloc[0])
    environment = os.environ | {"HF_HOME": str(tmp_path / "elsewhere"), "HF_HUB_DISABLE_XET": "1"}
    arguments = [sys.executable, "-c", ELSEWHERE, "hf://ada/voices", video, str(tmp_path / "found.npz")]
    process = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    found = np.load(tmp_path / "found.npz")
    maps, inputs, _ = predictor.explain(video, segment=0)
    expected = {"scores": predictor.predict(video).to_numpy(), "inputs": inputs, **maps}
    assert {*found} == {*expected}
    for name, values in expected.items():
        assert found[name].tobytes() == values.tobytes(), name


def test_pushed_again_it_is_a_new_commit_and_the_old_one_stays_in_the_cache(server, predictor, corpus, monkeypatch):
    predictor.push_to_hub("hf://ada/voices")
    first = personality.load("hf://ada/voices")
    video = corpus.clips("test").path.iloc[0]
    assert first.predict(video).to_numpy().tobytes() == predictor.predict(video).to_numpy().tobytes()
    asked = len(server.requests)
    assert personality.load("hf://ada/voices@main").source == first.source
    assert not any("resolve" in request for request in server.requests[asked:])  # no file is fetched twice

    card = first.source / "README.md"
    text = card.read_text() + "\nTried on my own clips.\n"
    card.unlink()  # a link into the cache
    card.write_text(text)
    first.push_to_hub("ada/voices")
    assert server.repositories["ada/voices"]["files"]["README.md"].decode() == text
    assert personality.load("hf://ada/voices").source != first.source

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert personality.load("hf://ada/voices").source != first.source


def test_without_a_model_or_a_connection_one_sentence_says_so(server, predictor, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"There is no model ada/voices at http://127.*check the name") as error:
        personality.load("hf://ada/voices")
    assert "\n" not in str(error.value)
    predictor.push_to_hub("ada/voices")
    with pytest.raises(FileNotFoundError, match=r"no model ada/voices with a revision v2 at"):
        personality.load("hf://ada/voices@v2")
    for wrong in ("hf://voices", "hf://ada/voices/model", "hf://"):
        with pytest.raises(ValueError, match="expected USER/NAME"):
            personality.load(wrong)
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(ConnectionError, match=r"cannot be uploaded to ada/voices at .*401.*set HF_TOKEN"):
        predictor.push_to_hub("ada/voices")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        ConnectionError, match=r"bob/faces is not in the cache and cannot be downloaded.*check it"
    ) as error:
        personality.load("hf://bob/faces")
    assert "\n" not in str(error.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"bob/faces is not in the cache"):
        personality.load("hf://bob/faces")


def test_what_else_lies_in_a_repository_is_not_fetched(server, predictor):
    predictor.push_to_hub("ada/voices")
    server.commit("ada/voices", {"model.py": b"raise SystemExit", "pytorch_model.bin": b"\x80"})
    assert {file.name for file in personality.load("hf://ada/voices").source.iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
    }
