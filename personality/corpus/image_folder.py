"""Frames that were extracted before: a folder of images for each clip, as published systems use them."""

from functools import cached_property
from pathlib import Path
from typing import Any

from personality.corpus.files import File, find_files, list_files
from personality.corpus.labelled import LabelledCorpus

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class ImageFolder(LabelledCorpus):
    """Folders `<clip without .mp4>/frame1.jpg, frame2.jpg, ...` in any nesting, with the label files.

    There is no sound: only `face_frames` reads this corpus. The times of the images are unknown: their numbers stand
    for seconds.

    Args:
        root: The folder.
        label_files: Another folder of label files, or a single label file, whose clips are training clips.
        split: See `Corpus`. `by_group` by default, since often only the training clips are there.
        **splitting: See `Corpus`.
    """

    name = "image_folder"
    media = "folders of images"
    remedy = "pass the folder of the images, and as `label_files` the label files if they are elsewhere"
    suffixes = (".pkl", ".csv")

    def __init__(
        self, root: str | Path, label_files: str | Path | None = None, split: str | None = "by_group", **splitting: Any
    ) -> None:
        super().__init__(split, **splitting)
        self.root, self.label_files = Path(root), None if label_files is None else Path(label_files)

    @cached_property
    def _files(self) -> list[File]:
        files = find_files(self.root, self.suffixes)
        return files if self.label_files is None else [*find_files(self.label_files, self.suffixes), *files]

    @cached_property
    def _sources(self) -> dict[str, File]:
        folders = dict.fromkeys(image.parent for image in list_files(self.root, IMAGES))
        return {f"{folder.name.removesuffix('.mp4')}.mp4": folder for folder in reversed(folders)}

    @property
    def _label_files(self) -> dict[str, File]:
        if self.label_files is not None and self.label_files.is_file():
            return {"train": self.label_files}
        return super()._label_files
