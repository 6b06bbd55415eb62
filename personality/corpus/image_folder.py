"""Frames that somebody has extracted already: a folder of images for each clip, as the published systems left them."""

from pathlib import Path

from personality.corpus.first_impressions import FirstImpressions

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


class ImageFolder(FirstImpressions):
    """Folders `<clip without .mp4>/frame1.jpg, frame2.jpg, ...` in any nesting, with the label files beside them.

    There is no sound: only `face_frames` reads this corpus. Its moments are the images' numbers, for no one knows when
    they were seen.

    Args:
        root: The folder.
        split: `by_source`, since often only the training clips are there, or `official`.
    """

    name = "image_folder"
    media = "folders of images"

    def __init__(self, root: str | Path, split: str = "by_source") -> None:
        super().__init__(root, split)

    def _files(self) -> dict[str, Path]:
        folders = {image.parent for image in self.root.rglob("*") if image.suffix.lower() in IMAGES}
        return {f"{folder.name}.mp4": folder for folder in sorted(folders)}
