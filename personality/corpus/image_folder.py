"""Frames that were extracted before: a folder of images for each clip, as published systems use them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from personality.corpus.files import File, find_files, list_files
from personality.corpus.labelled import LabelledCorpus
from personality.corpus.splits import SHARES

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class ImageFolder(LabelledCorpus):
    """Folders `<clip without .mp4>/frame1.jpg, frame2.jpg, ...` in any nesting, with the label files.

    There is no sound: only `face_frames` reads this corpus. The times of the images are unknown: their numbers stand
    for seconds.

    Args:
        root: The folder.
        labels: Another folder of label files, or a single label file, whose clips are training clips.
        split: "by_source", since often only the training clips are there, or "official".
        shares: Relative sizes of the three splits made by source.
    """

    name = "image_folder"
    media = "folders of images"
    remedy = "pass the folder of the images, and as `labels` the label files if they are elsewhere"
    suffixes = (".pkl", ".csv")

    def __init__(
        self,
        root: str | Path,
        labels: str | Path | None = None,
        split: str = "by_source",
        shares: Sequence[float] = SHARES,
    ) -> None:
        super().__init__(root, split, shares)
        self.labels = None if labels is None else Path(labels)

    @cached_property
    def _files(self) -> list[File]:
        files = find_files(self.root, self.suffixes)
        return files if self.labels is None else [*find_files(self.labels, self.suffixes), *files]

    @cached_property
    def _sources(self) -> dict[str, File]:
        folders = dict.fromkeys(image.parent for image in list_files(self.root, IMAGES))
        return {f"{folder.name.removesuffix('.mp4')}.mp4": folder for folder in reversed(folders)}

    @property
    def _label_files(self) -> dict[str, File]:
        if self.labels is not None and self.labels.is_file():
            return {"train": self.labels}
        return super()._label_files
