"""A corpus in a folder with label files: joins clips and labels, and makes splits."""

import logging
from collections.abc import Sequence
from functools import cached_property, reduce
from pathlib import Path

import pandas as pd

from personality.corpus.annotations import join_clips, read_labels, read_people, read_transcripts
from personality.corpus.archives import Member
from personality.corpus.base import SPLITS, Corpus
from personality.corpus.files import File, base_name, find_files
from personality.corpus.splits import SHARES, split_by_source, train_source_share
from personality.tables import ATTRIBUTES, format_clips

log = logging.getLogger(__name__)

LABEL_FILES = dict(
    zip(SPLITS, ("annotation_training.pkl", "annotation_validation.pkl", "annotation_test.pkl"), strict=True)
)
CHALLENGE_FILES = dict(zip(SPLITS, ("training_gt.csv", "validation_gt.csv", "test_gt.csv"), strict=True))
"""Label files of the first challenge (ECCV 2016): the same clips, without the interview."""


class LabelledCorpus(Corpus):
    """Clips and label files below one folder, also in archives.

    A clip belongs to the split whose label file lists it, wherever its video is. Clips without labels and labels
    without a clip are left out with a warning. A split without a label file does not affect the others. A sub-class
    sets `name`, `remedy` and `targets`, and overrides what differs of `_files`, `_sources` and `_label_files`.

    Args:
        root: The folder.
        split: "official" uses the splits of the label files; "by_source" makes new splits of all labelled clips, so
            that the clips of a source video are in one split.
        shares: Relative sizes of the three splits made by source.
    """

    remedy: str
    """What to do where clips or label files are missing."""
    media = "mp4 files"
    suffixes: tuple[str, ...] = (".mp4", ".wav", ".pkl", ".csv")

    def __init__(self, root: str | Path, split: str = "official", shares: Sequence[float] = SHARES) -> None:
        if split not in ("official", "by_source"):
            raise ValueError(f"Got split {split!r}. Expected official or by_source; choose one.")
        self.root, self.split, self.shares = Path(root), split, shares

    def prepare(self) -> None:
        """Log for each split how many clips were found and are missing, and how many have a source in train."""
        counts = self._labels.groupby(level="split").size()
        parts = self._labelled_clips["path"].groupby(level="split")
        found = {str(split): paths.droplevel("split") for split, paths in parts}
        train = [str(clip) for clip in found["train"].index] if "train" in found else []
        for split in SPLITS:
            if split not in counts:
                log.info("%s: no labels (expected %s or %s)", split, LABEL_FILES[split], CHALLENGE_FILES[split])
                continue
            paths = found.get(split, pd.Series(dtype=object))
            archived = sum(isinstance(path, Member) for path in paths)
            sound = sum(str(path).lower().endswith(".wav") for path in paths)
            log.info(
                "%s: %d of %d labelled clips found (%d in archives, %d as sound alone), %d missing",
                *(split, len(paths), counts[split], archived, sound, counts[split] - len(paths)),
            )
            if split != "train" and len(paths) and train:
                share = 100 * train_source_share(map(str, paths.index), train)
                log.info("%s: %.1f %% of its clips are from a source that is also in train", split, share)

    def clips(self, split: str) -> pd.DataFrame:
        """Return the clips of a split: `Corpus.clips`, with all `targets`."""
        if split not in SPLITS:
            raise ValueError(f"There is no split {split!r}. Expected one of {', '.join(SPLITS)}.")
        splits = self._labelled_clips.index.get_level_values("split")
        clips = self._labelled_clips[splits == split].droplevel("split").sort_index()
        if clips.empty:
            by_source = "; or let split='by_source' (corpus.split=by_source) make three splits of all labelled clips"
            raise FileNotFoundError(
                f"There are no {split} clips: no clip below {self.root} is listed in a file {LABEL_FILES[split]} "
                f"there. Expected that file and its clips: {self.remedy}{by_source * (self.split == 'official')}."
            )
        return clips[["path", *self.targets]]

    def transcripts(self, split: str) -> pd.Series | None:
        """Return transcripts from files such as `transcription_training.pkl`: `Corpus.transcripts`."""
        files = [file for file in self._files if base_name(file).startswith("transcription_")]
        if not files:
            return None
        texts = pd.concat([read_transcripts(file) for file in files])
        return texts[~texts.index.duplicated()].reindex(self.clips(split).index)

    def groups(self, split: str) -> pd.DataFrame | None:
        """Return groups from all csv files with gender, ethnicity or age of clips: `Corpus.groups`."""
        files = [file for file in self._files if base_name(file).lower().endswith(".csv")]
        tables = [table for table in map(read_people, files) if table is not None]
        if not tables:
            return None
        people = reduce(pd.DataFrame.combine_first, tables)
        return people.reindex(self.clips(split).index)[[name for name in ATTRIBUTES if name in people]]

    @cached_property
    def _files(self) -> list[File]:
        """All files of the corpus."""
        return find_files(self.root, self.suffixes)

    @cached_property
    def _sources(self) -> dict[str, File]:
        """The file of each clip: the video rather than its sound, an unpacked file rather than one in an archive."""
        return {
            base_name(file)[:-4].removesuffix(".mp4") + ".mp4": file
            for suffix in (".wav", ".mp4")
            for file in reversed(self._files)
            if base_name(file).lower().endswith(suffix)
        }

    @property
    def _label_files(self) -> dict[str, File]:
        """The label file of each split that has one."""
        files = {base_name(file): file for file in reversed(self._files)}
        names = {split: [LABEL_FILES[split], CHALLENGE_FILES[split]] for split in SPLITS}
        return {split: files[name] for split in SPLITS for name in names[split][::-1] if name in files}

    @cached_property
    def _labels(self) -> pd.DataFrame:
        """The labels of all clips: index `split`, `clip`."""
        labels = {split: read_labels(file) for split, file in self._label_files.items()}
        for split, table in labels.items():
            if missing := [target for target in self.targets if target not in table]:
                raise ValueError(
                    f"{self._label_files[split]} has no labels of {', '.join(missing)}. Expected a label file of 2017, "
                    f"such as {LABEL_FILES[split]}; add it, or set interview to false."
                )
        if not self._sources or not labels:
            raise FileNotFoundError(
                f"{self.root} holds {len(self._sources)} {self.media} and {len(labels)} label files. Expected the "
                f"clips and {' or '.join(LABEL_FILES.values())}: {self.remedy}."
            )
        table = pd.concat(labels, names=["split"])
        clips = table.index.get_level_values("clip")
        if clips.has_duplicates:
            raise ValueError(
                f"The label files below {self.root} put {format_clips(clips[clips.duplicated()], 20)} "
                "into more than one split. Expected each clip in one split; correct the label files."
            )
        if self.split == "by_source":
            splits = split_by_source(clips, shares=self.shares)
            table.index = pd.MultiIndex.from_arrays([splits, clips], names=["split", "clip"])
        return table

    @cached_property
    def _labelled_clips(self) -> pd.DataFrame:
        """All clips that have both a file and labels: index `split`, `clip`."""
        return join_clips(self._labels, self._sources)
