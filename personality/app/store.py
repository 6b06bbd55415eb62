"""The one folder of the page: uploads and results, deleted when they are replaced, old, left, or the server ends."""

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from personality.app.scoring import Result

PREFIX = "personality-app-"
"""Of the folder's name, before the number of the process."""


class Store:
    """Uploads and results of all open pages.

    Args:
        folder: Holds all of it.
        minutes: How long an upload or a result is kept.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self.uploads, self.results, self.minutes = folder / "uploads", folder / "results", minutes
        for each in (self.uploads, self.results):
            each.mkdir(parents=True, exist_ok=True)
        self.pages: dict[str, dict[str, Result]] = {}
        self.held: dict[str, set[Path]] = {}
        self.working: set[Path] = set()
        self.lock = threading.RLock()

    @classmethod
    @contextmanager
    def temporary(cls, minutes: float) -> Iterator[Self]:
        """Open a store in a temporary folder, which only this user can read, and delete it at the end."""
        _delete_those_of_ended_processes()
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        try:
            yield cls(folder, minutes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def workplace(self, page: str, video: Path, *beside: Path) -> Iterator[tuple[str, Path, Path]]:
        """Yield the key of a new result, its folder, and the video in it. Uploads are deleted there again at the end.

        The folder is deleted if the block ends with an error, or its page was closed in the meantime.

        Args:
            page: Of which browser tab it is.
            video: The upload.
            *beside: Uploads that are to lie beside it, such as its subtitles.

        Raises:
            FileNotFoundError: The upload has been deleted, since it was old.
        """
        key = secrets.token_urlsafe(16)
        folder = self.results / key
        copy = folder / "video" / video.name
        copy.parent.mkdir(parents=True)
        with self.lock:
            self.working.add(folder)
            self.pages.setdefault(page, {})
        try:
            for upload in (video, *beside):
                self._keep(upload, copy.with_name(upload.name))
            yield key, folder, copy
        finally:
            shutil.rmtree(copy.parent, ignore_errors=True)
            with self.lock:
                self.working.discard(folder)
                if key not in self.pages.get(page, {}):
                    shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, upload: Path, copy: Path) -> None:
        """Let an upload stay until it is scored."""
        try:
            os.link(upload, copy)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{upload.name} has been deleted: uploads are kept for {self.minutes:g} minutes. Upload it again."
            ) from error
        except OSError:  # a file system without links, or two uploads of one name
            shutil.copyfile(upload, copy)

    def add(self, page: str, result: Result) -> None:
        """Keep a result for a page, unless that was closed."""
        with self.lock:
            if page in self.pages:
                self.pages[page][result.key] = result

    def of(self, page: str) -> dict[str, Result]:
        """Return the results of a page, in the order in which they were made."""
        with self.lock:
            return dict(self.pages.get(page, {}))

    def report(self, key: str) -> Result | None:
        """Find a result by its key."""
        with self.lock:
            return next((results[key] for results in self.pages.values() if key in results), None)

    def clear(self, page: str) -> None:
        """Delete the results of a page: they are about to be replaced."""
        with self.lock:
            self._delete(page, self.of(page))

    def hold(self, page: str, uploads: Iterable[str | Path]) -> None:
        """Note which uploads a page shows, and delete those that it showed before and that no other shows."""
        with self.lock:
            before = self.held.pop(page, set())
            now = {Path(upload) for upload in uploads}
            if now:
                self.held[page] = now
            for upload in before - set().union(*self.held.values()):
                if upload.is_relative_to(self.uploads):
                    shutil.rmtree(upload.parent, ignore_errors=True)

    def leave(self, page: str) -> None:
        """Delete all of a page that was closed."""
        with self.lock:
            self.hold(page, [])
            self.clear(page)
            self.pages.pop(page, None)

    def sweep(self) -> None:
        """Delete uploads and results that are older than `minutes`."""
        oldest = time.time() - 60 * self.minutes
        with self.lock:
            for page, results in self.pages.items():
                old = {key: result for key, result in results.items() if result.made < oldest}
                self._delete(page, old)
            for folder in [*self.uploads.iterdir(), *self.results.iterdir()]:
                with suppress(FileNotFoundError):
                    if folder not in self.working and self.report(folder.name) is None and _newest(folder) < oldest:
                        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()

    def _delete(self, page: str, results: dict[str, Result]) -> None:
        for key in results:
            shutil.rmtree(self.results / key, ignore_errors=True)
            self.pages[page].pop(key)


def _newest(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))


def _delete_those_of_ended_processes() -> None:
    """Delete what a server left that was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        if os.name == "posix" and number.isdecimal() and folder.is_dir():
            try:
                os.kill(int(number), 0)  # asks whether there is such a process, and does nothing to it
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
            except OSError:  # it belongs to somebody else
                continue
