"""The page in a browser: what it shows, and what happens when something is pressed."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeVar

import gradio as gr

from personality.app.models import Models, find_models
from personality.app.rows import result_html
from personality.app.scoring import Limits, Result, Say, check, score
from personality.app.store import Store
from personality.corpus.transcripts import FILES, belongs

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
WARNING = (
    "**Do not use it to decide about people**: not for hiring, admission, credit, insurance, policing or profiling, "
    "and not to diagnose anyone."
)
ABOUT = (
    "Labels are *apparent* traits: what strangers on the internet thought of people in 15 seconds, with all their "
    "prejudices about gender, age, skin and accent. A score guesses what such strangers would say. It does not say who "
    "somebody is. Everything is computed on this machine, and is deleted when you close this page."
)


@dataclass
class Page:
    """What the page works with.

    Args:
        store: Holds uploads and results.
        limits: Of videos.
        models: Those that are loaded.
        runs: The folder in which models are looked for.
        checkpoint: The model that is chosen first; by default the newest.
        accelerator: Of the Trainer.
        waiting: How many presses of the button may wait.
    """

    store: Store
    limits: Limits
    models: Models
    runs: Path
    checkpoint: str | None = None
    accelerator: str = "auto"
    waiting: int = 8

    def blocks(self) -> gr.Blocks:
        """Lay the page out."""
        limits = self.limits
        with gr.Blocks(title="personality", analytics_enabled=False) as blocks:
            gr.Markdown(WARNING, elem_id="warning")
            gr.Markdown(f"# Which personality do strangers see in a video?\n\n{ABOUT}", elem_id="about")
            model = gr.Dropdown(
                [],
                label="Model",
                info="One of your runs; or type a checkpoint, a folder of save_pretrained, or hf://USER/NAME.",
                allow_custom_value=True,
                interactive=False,
                elem_id="model",
            )
            with gr.Tab("Files"):
                files = gr.File(
                    label=f"Videos: at most {limits.videos}, each {limits.megabytes:g} MB and {limits.seconds:g} s. "
                    "What is said in them, for models of words: talk.srt or talk.txt for talk.mp4",
                    file_count="multiple",
                    elem_id="files",
                    height=180,
                )
            with gr.Tab("Webcam"):
                recording = gr.Video(
                    label=f"Recording: 15 s are best, at most {limits.seconds:g} s",
                    sources=["webcam"],
                    include_audio=True,
                    webcam_options=gr.WebcamOptions(mirror=False),  # mirroring needs FFmpeg as a program
                    elem_id="recording",
                    height=320,
                )
            button = gr.Button("Score", variant="primary", interactive=False, elem_id="score")
            state = gr.HTML(elem_id="state")
            chosen = gr.Radio([], label="Video", visible=False, elem_id="chosen")
            result = gr.HTML(elem_id="result")
            button.click(
                self.run,
                [files, recording, model],
                [state, chosen, result],
                show_progress_on=state,
                concurrency_limit=1,
                api_name="score",
            )
            for each in (files, recording):
                each.change(
                    self.hold, [files, recording], queue=False, show_progress="hidden", api_visibility="private"
                )
            chosen.input(self.show, chosen, result, queue=False, show_progress="hidden", api_visibility="private")
            blocks.load(
                self.choices, outputs=[model, button], queue=False, show_progress="hidden", api_visibility="private"
            )
            blocks.unload(self.leave)
        return blocks.queue(max_size=self.waiting)

    def choices(self) -> tuple[gr.Dropdown, gr.Button]:
        """List the models, as they are when a page is opened; only then can one be chosen, and the button pressed."""
        found = find_models(self.runs)
        if self.checkpoint:
            found = [self.checkpoint, *(each for each in found if each != self.checkpoint)]
        model = gr.Dropdown(found, value=found[0] if found else None, interactive=True)
        return model, gr.Button(interactive=True)

    def hold(self, files: Sequence[str] | None, recording: str | None, request: gr.Request) -> None:
        """Delete the uploads that the page does not show any more."""
        self.store.hold(str(request.session_hash), _uploads(files, recording))

    def leave(self, request: gr.Request) -> None:
        """Delete all of a page that was closed."""
        self.store.leave(str(request.session_hash))

    def show(self, key: str, request: gr.Request) -> str:
        """Show one of the results of the page."""
        return self._html(str(request.session_hash), key)

    def _html(self, page: str, key: str | None) -> str:
        if key is None:
            return ""
        found = self.store.of(page).get(key)
        return result_html(found) if found else _state([("", too_old(self.store.minutes), True)])

    def run(
        self,
        files: Sequence[str] | None,
        recording: str | None,
        model: str | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  how Gradio passes it
    ) -> Iterator[tuple[str, gr.Radio, str]]:
        """Score videos, one after the other, and show where the work stands. Earlier results are deleted."""
        page, lines = str(request.session_hash), list[tuple[str, str, bool]]()
        self.store.clear(page)
        yield "", gr.Radio([], visible=False), ""
        uploads = _uploads(files, recording)
        texts = [upload for upload in uploads if upload.suffix.lower() in FILES]
        videos = [upload for upload in uploads if upload not in texts]
        if refused := self._refuse(videos, model or "", progress):
            yield _state([("", refused, True)]), gr.Radio([], visible=False), ""
            return
        for text in texts:
            if not any(belongs(text, video) for video in videos):
                lines.append((text.name, "left out: expected a video of its name, as talk.mp4 for talk.srt", True))
        for number, video in enumerate(videos, start=1):
            beside = [text for text in texts if belongs(text, video)]
            say = self._say(progress, number, len(videos), video.name)
            lines.append((video.name, *self._try(page, video, beside, model or "", say)))
            names = [(result.video, key) for key, result in self.store.of(page).items()]
            last = names[-1][1] if names else None
            yield _state(lines), gr.Radio(names, value=last, visible=len(names) > 1), self._html(page, last)

    def _refuse(self, videos: Sequence[Path], model: str, progress: gr.Progress) -> str:
        """Say why nothing can be scored; empty if it can. Read the model."""
        if not videos:
            return "Got no video. Drop one in, or record one; then press the button again."
        if len(videos) > self.limits.videos:
            return f"Got {len(videos)} videos: expected at most {self.limits.videos}. Take some out."
        progress(0, desc="reading the model")
        _, error = self._guard(lambda: self.models.get(model))
        return error

    def _guard(self, work: Callable[[], Answer]) -> tuple[Answer | None, str]:
        """Return what some work returned, or in words why it failed."""
        try:
            return work(), ""
        except (ValueError, OSError, ImportError) as error:
            return None, re.sub(rf"{re.escape(str(self.store.results))}/[^/]+/video/", "", str(error))
        except Exception:
            log.exception("Scoring failed")
            return None, (
                "An error that this program did not expect; the terminal in which it runs shows it. The page goes on: "
                "try another video or another model."
            )

    def _try(self, page: str, video: Path, texts: Sequence[Path], model: str, say: Say) -> tuple[str, bool]:
        """Score a video with the words beside it; return what to say of it, and whether that is an error."""

        def work() -> Result:
            with self.store.workplace(page, video, *texts) as (key, folder, copy):
                check(copy, self.limits)
                result = score(self.models.get(model), copy, model, key, folder, self.accelerator, say)
                self.store.add(page, result)
            return result

        result, error = self._guard(work)
        return (f"done in {result.seconds:.1f} s", False) if result else (error, True)

    @staticmethod
    def _say(progress: gr.Progress, number: int, count: int, name: str) -> Say:
        """Show what is done with a video, and which of several it is."""
        which = f"{number} of {count}, {name}" if count > 1 else name

        def say(share: float, what: str) -> None:
            progress((number - 1 + share) / count, desc=f"{which}: {what}")

        return say


def _uploads(files: Sequence[str] | None, recording: str | None) -> list[Path]:
    return [Path(each) for each in [*(files or []), *([recording] if recording else [])]]


def too_old(minutes: float) -> str:
    """Say that a result is not there any more."""
    return f"This result has been deleted: results are kept for {minutes:g} minutes. Score the video again."


def _state(lines: Sequence[tuple[str, str, bool]]) -> str:
    """List what became of each video."""
    items = []
    for name, text, failed in lines:
        title = "" if text.startswith(name) else f"<b><bdi>{escape(name)}</bdi></b>: "  # an error that does not name it
        shown = title + escape(text)
        items.append(f'<li class="failed" role="alert">{shown}</li>' if failed else f"<li>{shown}</li>")
    return f'<ul class="state">{"".join(items)}</ul>'
