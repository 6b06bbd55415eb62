"""ChaLearn First Impressions V2: 10,000 clips of people who talk to a camera, as others judged them."""

import hashlib
import logging
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import pandas as pd

from personality.corpus.annotations import enumerate_clips, join_clips, read_labels
from personality.corpus.base import SPLITS, Corpus
from personality.traits import TRAITS, source_id

log = logging.getLogger(__name__)

LABEL_FILES = dict(
    zip(SPLITS, ("annotation_training.pkl", "annotation_validation.pkl", "annotation_test.pkl"), strict=True)
)


class FirstImpressions(Corpus):
    """A folder with the clips and the label files of First Impressions (CVPR 2017), nested as you like.

    A clip belongs to the split whose label file lists it, wherever it lies. Clips that lack a label and labels that
    lack a clip are left out, and a warning lists them. A split without its label file, as the test split long was,
    does not stand in the way of the others.

    Args:
        root: The folder.
        split: `official`, as the label files say; or `by_source`, three new splits of all labelled clips with no source,
            which is the video that a clip was cut from, in two of them.

    Example:
        FirstImpressions("/data/first_impressions").clips("train")[["path", "openness"]]
    """

    name = "first_impressions"
    media = "mp4 files"
    remedy = "download the data set from https://chalearnlap.cvc.uab.cat/dataset/24/description/ and pass its folder"

    def __init__(self, root: str | Path, split: str = "official") -> None:
        if split not in ("official", "by_source"):
            raise ValueError(f"Got split {split!r}. Expected official or by_source.")
        self.root, self.split = Path(root), split

    def prepare(self) -> None:
        """Check that there are clips with labels, and say how many, and how many of their sources are in training."""
        splits = self._labelled_clips.groupby(level="split")
        sources = {split: [source_id(str(clip)) for _, clip in part.index] for split, part in splits}
        known = set(sources.get("train", []))
        for split, names in sources.items():
            share = sum(name in known for name in names) / len(names)
            crossing = "" if split == "train" else f"; {share:.1%} of them are of a source that is also in training"
            log.info("%s: %d %s clips of %d sources%s", self.root, len(names), split, len(set(names)), crossing)

    def clips(self, split: str) -> pd.DataFrame:
        """List the clips of a split: `Corpus.clips`."""
        if split not in SPLITS:
            raise ValueError(f"There is no split {split!r}. Expected one of {', '.join(SPLITS)}.")
        splits = self._labelled_clips.index.get_level_values("split")
        clips = self._labelled_clips[splits == split].droplevel("split").sort_index()
        if clips.empty:
            raise FileNotFoundError(
                f"No clip below {self.root} is listed in a file {LABEL_FILES[split]} there. Expected that file and its "
                f"clips: {self.remedy}, or use another split."
            )
        return clips[["path", *TRAITS]]

    @cached_property
    def _labelled_clips(self) -> pd.DataFrame:
        """Every clip that has a video and labels, by split and name."""
        files = self._files()
        found = {split: sorted(self.root.rglob(name)) for split, name in LABEL_FILES.items()}
        labels = {split: read_labels(paths[0]) for split, paths in found.items() if paths}
        if not files or not labels:
            raise FileNotFoundError(
                f"{self.root} holds {len(files)} {self.media} and {len(labels)} label files. Expected the clips of "
                f"First Impressions and {' or '.join(LABEL_FILES.values())}: {self.remedy}."
            )
        table = pd.concat(labels, names=["split"])
        twice = table.index.get_level_values("clip").duplicated()
        if twice.any():
            raise ValueError(
                f"The label files below {self.root} put {enumerate_clips(table.index[twice].get_level_values('clip'))} "
                "into more than one split. Expected each clip in one: else what is learnt is not what is tested."
            )
        clips = join_clips(table, files)
        if self.split == "by_source":
            names = clips.index.get_level_values("clip")
            clips = clips.set_axis(pd.MultiIndex.from_arrays([split_by_source(names), names], names=["split", "clip"]))
        return clips

    def _files(self) -> dict[str, Path]:
        """Find where each clip lies, by its name in the label files."""
        return {file.name: file for file in sorted(self.root.rglob("*.mp4"))}


def split_by_source(clips: Iterable[str]) -> list[str]:
    """Divide clips 6 : 2 : 2 so that no source is in two splits; the order of the clips does not matter.

    >>> split_by_source(["a.000.mp4", "b.000.mp4", "a.001.mp4", "c.000.mp4", "d.000.mp4"])
    ['train', 'val', 'train', 'test', 'train']
    """
    sources = pd.Series([source_id(clip) for clip in clips])
    clips_of = sources.value_counts()
    order = sorted(clips_of.index, key=lambda source: hashlib.sha256(str(source).encode()).digest())
    middle = clips_of[order].cumsum() - clips_of[order] / 2
    parts = pd.cut(middle / len(sources), [0, 0.6, 0.8, 1], labels=SPLITS)
    return [str(split) for split in sources.map(parts)]
