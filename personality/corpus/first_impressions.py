"""ChaLearn First Impressions V2: 10,000 clips of people who talk to a camera, as others judged them."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from personality.corpus.annotations import enumerate_clips, join_clips, read_labels
from personality.corpus.base import SPLITS, Corpus
from personality.traits import TRAITS

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

    Example:
        FirstImpressions("/data/first_impressions").clips("train")[["path", "openness"]]
    """

    name = "first_impressions"
    remedy = "download the data set from https://chalearnlap.cvc.uab.cat/dataset/24/description/ and pass its folder"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def prepare(self) -> None:
        """Check that there are clips with labels."""
        _ = self._labelled_clips

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
        files = {file.name: file for file in sorted(self.root.rglob("*.mp4"))}
        found = {split: sorted(self.root.rglob(name)) for split, name in LABEL_FILES.items()}
        labels = {split: read_labels(paths[0]) for split, paths in found.items() if paths}
        if not files or not labels:
            raise FileNotFoundError(
                f"{self.root} holds {len(files)} mp4 files and {len(labels)} label files. Expected the clips of First "
                f"Impressions and {' or '.join(LABEL_FILES.values())}: {self.remedy}."
            )
        table = pd.concat(labels, names=["split"])
        twice = table.index.get_level_values("clip").duplicated()
        if twice.any():
            raise ValueError(
                f"The label files below {self.root} put {enumerate_clips(table.index[twice].get_level_values('clip'))} "
                "into more than one split. Expected each clip in one: else what is learnt is not what is tested."
            )
        return join_clips(table, files)
