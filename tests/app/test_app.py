"""The page of `personality-app`: its server as programs and browsers use it, its limits, and what it deletes."""

import asyncio
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import av
import httpx
import numpy as np
import psutil
import pytest
import uvicorn
from pytorch_lightning import Trainer

from personality.app.models import Models, find_models
from personality.app.page import WARNING, Page
from personality.app.rows import result_html
from personality.app.scoring import Limits, score
from personality.app.server import build_server
from personality.app.store import PREFIX, Store, _delete_those_of_ended_processes
from personality.callbacks import SaveResults
from personality.data import ClipSpectrogram, FaceFrames, Joint, Transcript
from personality.features.encoding import write_video
from personality.models import DAN, CamCNN
from personality.models import Joint as JointModel
from personality.predictor import Predictor
from personality.traits import TRAITS

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
LIMITS = Limits(megabytes=2, seconds=20, videos=4)
PATIENCE = 120  # seconds: tests share the machine with others


@pytest.fixture(scope="module")
def runs(corpus, loading, tmp_path_factory):
    """A folder of runs with one model, trained for an epoch."""
    run = tmp_path_factory.mktemp("runs") / "clip_spectrogram-cam_cnn" / "2026-01-31_12-00-00"
    data = ClipSpectrogram(corpus, segments=4, **loading)
    model = CamCNN(data.input_shape, width=0.05)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=run, callbacks=[SaveResults()], enable_checkpointing=False,
        **QUIET,
    )  # fmt: skip
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    trainer.save_checkpoint(run / "checkpoints" / "best.ckpt")
    return run.parents[1]


@pytest.fixture(scope="module")
def videos(corpus, tmp_path_factory):
    """Two videos, and files that the page must refuse."""
    folder = tmp_path_factory.mktemp("videos")
    clips = corpus.clips("test").path
    shutil.copy(clips.iloc[0], folder / "talk.mp4")
    shutil.copy(clips.iloc[1], folder / "bold talk.mp4")
    (folder / "damaged.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    with av.open(folder / "talk.mp4") as talk, av.open(folder / "mute.mp4", "w") as mute:
        stream = mute.add_stream_from_template(talk.streams.video[0])
        for packet in talk.demux(talk.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                mute.mux(packet)
    write_video(folder / "long.mp4", np.zeros((25, 32, 32, 3), np.uint8), 1, np.zeros(16_000, np.float32), 16_000)
    return folder


@contextmanager
def serving(runs, limits=LIMITS, minutes=30.0, waiting=8):
    """Serve the page as the script does; yield its address and its store."""
    with Store.temporary(minutes) as store, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(store.uploads))
        page = Page(store, limits, Models(), runs, accelerator="cpu", waiting=waiting)
        with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
            started: Future[uvicorn.Server] = Future()

            async def run():
                started.set_result(build_server(page, "127.0.0.1"))
                await started.result().serve(sockets=[listening])

            ended = pool.submit(asyncio.run, run())
            server = started.result()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}", store
            finally:
                server.should_exit = True
                ended.result(timeout=PATIENCE)
        folder = store.uploads.parent
    assert not folder.exists()


@pytest.fixture(scope="module")
def served(runs):
    with serving(runs) as found:
        yield found


class Tab:
    """A page that is open in a browser, as the server sees it."""

    def __init__(self, address):
        self.address, self.name = f"{address}/gradio_api", secrets.token_hex(6)

    def upload(self, *files):
        """Upload files; return what the page then refers to them by."""
        paths = []
        for file in files:
            with file.open("rb") as content:
                answer = httpx.post(f"{self.address}/upload", files={"files": (file.name, content)}, timeout=PATIENCE)
            paths += answer.raise_for_status().json()
        return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]

    def start(self, model, *files):
        """Press the button; return the address of what will be shown."""
        body = {"data": [self.upload(*files), None, str(model)], "session_hash": self.name}
        answer = httpx.post(f"{self.address}/call/score", json=body, timeout=PATIENCE)
        return f"{self.address}/call/score/{answer.raise_for_status().json()['event_id']}"

    def score(self, model, *files):
        """Press the button and wait; return what is said of the videos, and the result that is shown."""
        return shown(self.start(model, *files))


def shown(address):
    text = httpx.get(address, timeout=PATIENCE).text
    event, data = re.findall(r"event: (\w+)\ndata: (.*)\n", text)[-1]
    assert event == "complete", text
    state, _, result = json.loads(data)
    return state, result


@pytest.fixture
def tab(served):
    return Tab(served[0])


def wait_until(condition):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within ten seconds")


def test_a_video_is_scored_with_interval_percentile_bill_and_report(served, tab, runs, videos):
    (model,) = find_models(runs)
    state, result = tab.score(model, videos / "talk.mp4")
    assert re.search(r"talk.mp4.*done in \d", state)
    predictor = Models().get(model)
    scores = predictor.reference.table(predictor.predict(videos / "talk.mp4"))
    bill = predictor.explain(videos / "talk.mp4")
    for index, trait in enumerate(TRAITS):
        row = scores.loc["talk.000.mp4", trait]
        shown = result.split(f"<h3>{trait}</h3>")[1].split("</li>")[0]
        assert f"<strong>{row.score:.3f}</strong>" in shown
        assert f"above {row.percentile:.0f} % of the training clips" in shown
        assert f"{bill.bias[index]:.3f} bias {bill.parts['voice'].total[index]:+.3f} voice = {row.score:.3f}" in shown
    assert predictor.reference.remark in result
    (address,) = set(re.findall(r'src="(report/[^"#]+)', result))
    report = httpx.get(f"{served[0]}/{address}?download=1", timeout=PATIENCE)
    assert report.headers["content-disposition"] == 'attachment; filename="talk.html"'
    assert report.text.count("data:image/webp;base64,") >= 10
    assert f"{scores.loc['talk.000.mp4', 'openness'].score:.3f}" in report.text
    assert '"talk.000.mp4": "' in report.text.split('id="sounds">')[1]


def test_a_video_that_cannot_be_scored_is_refused_in_a_sentence_and_the_next_is_scored(served, tab, runs, videos):
    wrong = {
        "damaged.mp4": ["damaged.mp4 cannot be decoded", "is it a complete video?"],
        "mute.mp4": ["mute.mp4 cannot be decoded as audio", "no audio"],
        "long.mp4": ["long.mp4 lasts 25 s", "at most 20 s", "Cut it"],
    }
    state, result = tab.score(find_models(runs)[0], *(videos / name for name in [*wrong, "bold talk.mp4"]))
    *refused, done = re.findall("<li.*?</li>", state)
    for text, words in zip(refused, wrong.values(), strict=True):
        assert 'class="failed"' in text
        assert all(word in text for word in words)
    assert str(served[1].results) not in state
    assert "Traceback" not in state
    assert "done in" in done
    assert "<bdi>bold talk.mp4</bdi>" in result


def test_a_joint_model_scores_a_mute_video_without_its_voice(corpus, loading, videos, tmp_path):
    data = Joint(
        corpus, {"voice": ClipSpectrogram(corpus), "face": FaceFrames(corpus, frames=2, size=40, crop=32)}, **loading
    )
    networks = {"voice": CamCNN, "face": DAN}
    parts = {
        name: {"_target_": f"personality.models.{each.__name__}", "width": 0.05} for name, each in networks.items()
    }
    predictor = Predictor(JointModel(**data.model_arguments, parts=parts).eval(), data)
    video = videos / "mute.mp4"
    result = score(predictor, video, "joint", "key", tmp_path, "cpu", lambda *_: None)
    assert result.remarks == ["Scored without voice, missing in 1 of 1 clips."]
    bill = predictor.explain(video)
    for index, trait in enumerate(TRAITS):
        shown = result_html(result).split(f"<h3>{trait}</h3>")[1].split("</li>")[0]
        assert f"bias {bill.parts['face'].total[index]:+.3f} face" in shown
        assert "voice" not in shown


def test_words_beside_a_video_are_read(corpus, loading, videos, tmp_path):
    data = Joint(corpus, {"voice": ClipSpectrogram(corpus), "words": Transcript(corpus)}, **loading)
    parts = {name: {"_target_": "personality.models.CamCNN", "width": 0.05} for name in data.parts}
    predictor = Predictor(JointModel(**data.model_arguments, parts=parts).eval(), data)
    store = Store(tmp_path, minutes=30)
    video, words = (store.uploads / name / f"talk{name}" for name in (".mp4", ".srt"))
    for each in (video, words):
        each.parent.mkdir()
    shutil.copy(videos / "talk.mp4", video)
    words.write_text("1\n00:00:00,500 --> 00:00:02,000\nhappy people\n")
    results = []
    for beside in ([], [words]):
        with store.workplace("page", video, *beside) as (key, folder, copy):
            results.append(score(predictor, copy, "joint", key, folder, "cpu", lambda *_: None))
            store.add("page", results[-1])
    assert results[0].remarks == ["Scored without words, missing in 1 of 1 clips."]
    assert results[1].remarks == []
    assert "words" in result_html(results[1])


def test_words_of_no_video_are_named(tab, runs, videos, tmp_path):
    for name in ("talk.en.srt", "other.srt"):
        (tmp_path / name).write_text("1\n00:00:00,500 --> 00:00:02,000\nhappy people\n")
    state, result = tab.score(
        find_models(runs)[0], *(tmp_path / name for name in ("talk.en.srt", "other.srt")), videos / "talk.mp4"
    )
    failed, done = re.findall("<li.*?</li>", state)
    assert "other.srt" in failed
    assert "expected a video of its name" in failed
    assert "done in" in done
    assert "<bdi>talk.mp4</bdi>" in result


def test_a_wrong_model_no_video_and_too_many_are_refused_in_a_sentence(tab, runs, videos):
    for model, files, words in [
        ("no/such.ckpt", ["talk.mp4"], "There is no checkpoint no/such.ckpt"),
        (videos / "talk.mp4", ["talk.mp4"], "is not a checkpoint of `personality`"),
        ("", ["talk.mp4"], "Got no model"),
        (find_models(runs)[0], [], "Got no video"),
        (find_models(runs)[0], ["talk.mp4"] * 5, "Got 5 videos: expected at most 4"),
    ]:
        state, result = tab.score(model, *(videos / file for file in files))
        assert words in state
        assert state.count("<li") == 1
        assert result == ""


def test_a_file_that_is_too_large_is_not_stored(served, videos, tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3 * 2**20))
    with large.open("rb") as file:
        answer = httpx.post(f"{served[0]}/gradio_api/upload", files={"files": file}, timeout=PATIENCE)
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text
    assert not [path for path in served[1].uploads.rglob("*") if path.is_file() and path.stat().st_size > 2**20]


def test_two_at_once_are_scored_one_after_the_other_each_for_itself(served, runs, videos):
    model, names = find_models(runs)[0], ["talk.mp4", "bold talk.mp4"]
    waiting = [Tab(served[0]).start(model, videos / name) for name in names]
    for address, name in zip(waiting, names, strict=True):
        _, result = shown(address)
        assert re.findall("<bdi>(.*?)</bdi>", result) == [name]


def test_results_are_deleted_when_they_are_replaced_or_old_and_uploads_when_they_are_not_shown(runs, videos):
    with serving(runs, minutes=1) as (address, store):
        tab, model = Tab(address), find_models(runs)[0]
        reports = [re.findall(r'src="(report/[^"#]+)', tab.score(model, videos / "talk.mp4")[1])[0]]
        assert [path.name for path in store.results.rglob("*") if path.is_file()] == ["report.html"]
        reports += re.findall(r'src="(report/[^"#]+)', tab.score(model, videos / "talk.mp4")[1])
        assert [httpx.get(f"{address}/{report}", timeout=PATIENCE).status_code for report in reports] == [404, 200]
        (upload,) = store.uploads.rglob("talk.mp4")
        store.hold("page", [upload])
        store.hold("another page", [upload])
        store.hold("page", [])
        assert upload.exists()
        store.leave("another page")
        assert not upload.exists()
        ((key, kept),) = store.of(tab.name).items()
        store.pages[tab.name][key] = kept._replace(made=kept.made - 61)
        store.sweep()
        answer = httpx.get(f"{address}/{reports[1]}", timeout=PATIENCE)
        assert answer.status_code == 404
        assert "results are kept for 1 minutes" in answer.text
        assert not [*store.results.iterdir()]


def test_what_a_page_that_was_closed_would_get_is_deleted(tmp_path, videos):
    store = Store(tmp_path, minutes=30)
    upload = store.uploads / "hash" / "talk.mp4"
    upload.parent.mkdir()
    shutil.copy(videos / "talk.mp4", upload)
    with store.workplace("page", upload) as (_, folder, video):
        store.hold("page", [upload])
        store.leave("page")
        assert not upload.exists()
        assert video.stat().st_size > 0  # work goes on
        (folder / "report.html").write_text("")
    assert not folder.exists()
    with pytest.raises(FileNotFoundError, match=r"talk\.mp4 has been deleted.*30 minutes.*Upload it again"):
        store.workplace("page", upload).__enter__()


def test_what_a_killed_server_left_is_deleted_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = tmp_path / f"{PREFIX}99999999-abc"  # above the highest number of a process
    (ended / "uploads").mkdir(parents=True)
    with Store.temporary(30) as store:
        assert not ended.exists()
        _delete_those_of_ended_processes()
        assert store.uploads.exists()


def test_the_page_names_its_limits_and_warning_and_no_other_server(served):
    page = httpx.get(served[0], timeout=PATIENCE)
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert WARNING.split("**")[2] in page.text
    assert "each 2 MB and 20 s" in page.text
    style = httpx.get(f"{served[0]}/theme.css", timeout=PATIENCE).text
    assert "http" not in style.replace("http://www.w3.org", "")
    config = httpx.get(f"{served[0]}/config", timeout=PATIENCE).json()
    assert not config["analytics_enabled"]
    assert not config.get("run_history")


@pytest.mark.parametrize("path", ["/", "/report/a", "/config"])
def test_a_request_in_another_name_is_refused(served, path):
    assert httpx.get(f"{served[0]}{path}", headers={"Host": "attacker.example"}, timeout=PATIENCE).status_code == 400


def test_the_warning_is_that_of_the_documents():
    limits = (Path(__file__).parents[2] / "docs/limits.md").read_text()
    assert WARNING in " ".join(limits.split())


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_people_upload_wait_and_look(browser, served, videos, scheme):
    page = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
    asked, troubles = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.goto(served[0])
    page.set_input_files(
        "#files input[type=file]", [videos / "damaged.mp4", videos / "talk.mp4", videos / "bold talk.mp4"]
    )
    page.wait_for_function("document.querySelector('#files').innerText.includes('bold')")
    page.click("#score")
    page.wait_for_function("document.querySelectorAll('#state li').length == 3", timeout=180_000)
    assert "cannot be decoded" in page.inner_text("#state li.failed")
    assert page.locator("#state .failed").count() == 1
    assert page.inner_text("#result h2") == "bold talk.mp4"
    page.click("#chosen label >> nth=0")
    page.wait_for_function("document.querySelector('#result h2').innerText == 'talk.mp4'")
    assert page.locator("#result .scores svg").count() == 5
    report = page.frame_locator("iframe.report")
    report.locator(".grid button >> nth=0").click()
    report.locator("#clip").click()
    report.locator(".cursor >> nth=0").wait_for(state="visible")  # the sound runs
    with page.expect_download() as download:
        page.click("#result .links a >> nth=0")
    assert download.value.suggested_filename == "talk.html"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    warning = page.locator("#warning").bounding_box()
    assert warning["y"] == 0
    assert "not for hiring" in page.inner_text("#warning")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert troubles == []
    assert {httpx.URL(url).host for url in asked if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}
    results = [result.report for result in served[1].of(next(reversed(served[1].pages))).values()]
    assert len(results) == 2
    page.close()
    wait_until(lambda: not any(path.exists() for path in results))


@pytest.mark.slow
def test_in_a_browser_two_tabs_wait_for_each_other_and_a_large_file_is_refused(browser, served, videos, tmp_path):
    (tmp_path / "large.mp4").write_bytes(bytes(3 * 2**20))
    tabs = [browser.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(served[0])
        tab.set_input_files("#files input[type=file]", [tmp_path / "large.mp4"])
        tab.wait_for_selector("text=exceed the maximum allowed size of 2")
        tab.set_input_files("#files input[type=file]", [videos / "talk.mp4"])
        tab.wait_for_function("document.querySelector('#files').innerText.includes('talk')")
    for tab in tabs:
        tab.click("#score")
    for tab in tabs:
        tab.wait_for_selector("#state li:has-text('done in')", timeout=180_000)
        assert tab.inner_text("#result h2") == "talk.mp4"
        tab.close()


@pytest.mark.slow
def test_in_a_browser_the_button_waits_for_the_models(browser, served, videos):
    page = browser.new_page()
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    page.goto(served[0])
    slow = {"offline": False, "latency": 1500, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#files input[type=file]", [videos / "talk.mp4"])
    page.wait_for_function("document.querySelector('#files').innerText.includes('talk')")
    page.click("#score", timeout=60_000)
    page.wait_for_selector("#state li:has-text('done in')", timeout=180_000)
    page.close()


@pytest.mark.slow
def test_in_a_browser_a_recording_of_the_webcam_is_scored_with_its_sound(browser, served):
    context = browser.new_context(permissions=["camera", "microphone"])
    page = context.new_page()
    page.goto(served[0])
    page.click("button[role=tab]:has-text('Webcam')")
    page.click("#recording >> text=Click to Access Webcam")
    for seconds in (6, 0):  # start, stop
        page.click("#recording .button-wrap button >> nth=0", timeout=10_000)
        page.wait_for_timeout(1000 * seconds)
    page.wait_for_selector("#recording button[aria-label=Clear]")
    page.click("#score")
    page.wait_for_selector("#state li:has-text('done in')", timeout=180_000)
    assert page.locator("#result .scores svg").count() == 5
    context.close()


@pytest.mark.slow
def test_in_a_browser_the_page_cannot_ask_another_server(browser, served):
    page = browser.new_page()
    page.goto(served[0])
    refused = page.evaluate(
        """async () => {
            const refused = []
            addEventListener("securitypolicyviolation", event => refused.push(event.blockedURI))
            await fetch("https://other.example/").catch(() => {})
            await new Promise(done => setTimeout(done, 500))
            return refused
        }"""
    )
    assert refused == ["https://other.example/"]
    page.close()


@pytest.mark.slow
def test_the_command_serves_on_loopback_and_deletes_all_when_it_is_stopped(runs, videos, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "personality-app"), f"port={port}", f"runs={runs}"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert f"http://127.0.0.1:{port} in a browser" in process.stdout.readline()
        assert {each.laddr.ip for each in psutil.Process(process.pid).net_connections() if each.laddr.port == port} == {
            "127.0.0.1"
        }
        state, _ = Tab(f"http://127.0.0.1:{port}").score(find_models(runs)[0], videos / "talk.mp4")
        assert "done in" in state
        assert [*tmp_path.glob(f"{PREFIX}*/results/*/report.html")]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert not [*tmp_path.rglob("*")]


@pytest.mark.slow
def test_the_command_refuses_in_a_sentence(tmp_path):
    for argument, words in [("no/such.ckpt", "There is no checkpoint no/such.ckpt"), ("seconds=0", "Got seconds=0")]:
        output = refusal(argument, folder=tmp_path)
        assert words in output
        assert "Traceback" not in output


def refusal(*arguments, folder):
    start = f"import sys; sys.argv[1:] = {[*arguments]}; from personality.scripts.app import main; main()"
    process = subprocess.run([sys.executable, "-c", start], cwd=folder, capture_output=True, text=True)
    assert process.returncode == 1
    return process.stderr


@pytest.mark.slow
def test_without_the_extra_one_sentence_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['gradio'] = None\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    start = "from personality.scripts.app import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", start], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "uv sync --extra app" in process.stderr
    assert "Traceback" not in process.stderr
