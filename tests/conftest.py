import multiprocessing
import shutil
import subprocess
import sys
from multiprocessing.forkserver import ensure_running

import pytest
from playwright.sync_api import Error, sync_playwright

from personality.corpus import SampleCorpus


def pytest_collection_finish(session):
    """For tests that run scripts, import slow modules once, in a process that is forked for each run."""
    if any(
        item.module.__name__.endswith(("test_scripts", "test_prepare", "test_documents", "test_pretrained"))
        for item in session.items
        if hasattr(item, "module")
    ):
        multiprocessing.get_context("forkserver").set_forkserver_preload(["personality.predictor"])
        ensure_running()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Twelve clips of four seconds with planted cues."""
    corpus = SampleCorpus(tmp_path_factory.mktemp("sample"), sizes=(6, 3, 3), seconds=4, processes=1)
    corpus.prepare()
    return corpus


@pytest.fixture(scope="session")
def loading(tmp_path_factory):
    """Arguments for every data module: features are computed once, in this process."""
    return {"cache": str(tmp_path_factory.mktemp("cache")), "processes": 0, "batch_size": 2}


@pytest.fixture(scope="module")
def browser():
    """A headless browser; a test is skipped where there is none."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            if not found:
                subprocess.run(
                    [sys.executable, "-m", "playwright", "install", "--with-deps", "chromium-headless-shell"],
                    check=True,
                    timeout=240,
                    capture_output=True,
                )
            camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
            browser = playwright.chromium.launch(
                executable_path=found,
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *camera],
            )
        except (Error, OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no browser here, and none could be fetched: {str(error)[:200]}")
        yield browser
        browser.close()
