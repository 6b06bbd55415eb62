"""A corpus in a folder with label files: joins clips and labels."""

import logging
from functools import cached_property, reduce
from pathlib import Path

import pandas as pd

from personality.corpus.annotations import read_labels, read_people, read_transcripts
from personality.corpus.archives import Member
from personality.corpus.base import Corpus
from personality.corpus.files import File, base_name, find_files
from personality.corpus.splits import SPLITS
from personality.corpus.transcripts import Transcripts, split_words
from personality.tables import ATTRIBUTES, clip_name, format_clips
from personality.traits import source_id

log = logging.getLogger(__name__)

LABEL_FILES = dict(
    zip(SPLITS, ("annotation_training.pkl", "annotation_validation.pkl", "annotation_test.pkl"), strict=True)
)
CHALLENGE_FILES = dict(zip(SPLITS, ("training_gt.csv", "validation_gt.csv", "test_gt.csv"), strict=True))
"""Label files of the first challenge (ECCV 2016): the same clips, without the interview."""


class LabelledCorpus(Corpus):
    """Clips and label files below one folder, also in archives.

    A clip belongs to the split whose label file lists it, wherever its video is, and to the group of its source video.
    Clips without labels and labels without a clip are left out with a warning. A split without a label file does not
    affect the others. A subclass sets `name`, `remedy` and `targets`, and overrides what differs of `_files`,
    `_sources` and `_label_files`.
    """

    root: Path
    media = "mp4 files"
    suffixes: tuple[str, ...] = (".mp4", ".wav", ".pkl", ".csv")

    def read(self) -> pd.DataFrame:
        """Join label files, clips and tables of people: `Corpus.read`."""
        labels, files = self._labels, self._sources
        paths = [files.get(clip) for clip in labels.index]
        if not any(paths):
            raise ValueError(
                f"None of {len(files)} {self.media} below {self.root} has one of {len(labels)} labels. Expected names "
                f"such as {labels.index[0]} among the clips; check that both come from one data set."
            )
        if unlabelled := sorted({*files} - {*labels.index}):
            log.warning("Clips without a label, left out: %s", format_clips(unlabelled, 20))
        found = [path for path in paths if path is not None]
        archived = sum(isinstance(path, Member) for path in found)
        sound = sum(str(path).lower().endswith(".wav") for path in found)
        log.info("%d clips below %s: %d in archives, %d as sound alone", len(found), self.root, archived, sound)
        columns = {
            "path": [path if path is None or isinstance(path, Member) else str(path) for path in paths],
            "group": [source_id(clip) for clip in labels.index],
        }
        table = pd.DataFrame(columns, index=labels.index, dtype=object)
        people = self._people.reindex(labels.index)
        return pd.concat([table, labels[["split", *self.targets]], people], axis="columns")

    @property
    def attributes(self) -> list[str]:  # type: ignore[override]
        """Those of gender, ethnicity and age that a csv file below the folder has."""
        return [*self._people]

    def transcripts(self, split: str) -> Transcripts:
        """Return the words of clips from files such as `transcription_training.pkl`: `Corpus.transcripts`."""
        files = [file for file in self._files if base_name(file).startswith("transcription_")]
        if not files:
            return super().transcripts(split)
        texts = pd.concat([read_transcripts(file) for file in files])
        texts = texts[~texts.index.duplicated() & texts.index.isin(self.clips(split).index)]
        return {str(clip): split_words(text) for clip, text in texts.items()}

    @cached_property
    def _people(self) -> pd.DataFrame:
        """The gender, ethnicity and age in all csv files with clips, as far as they are there."""
        files = [file for file in self._files if base_name(file).lower().endswith(".csv")]
        tables = [table for table in map(read_people, files) if table is not None]
        people = reduce(pd.DataFrame.combine_first, tables, pd.DataFrame())
        return people[[name for name in ATTRIBUTES if name in people]]

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

    @property
    def _labels(self) -> pd.DataFrame:
        """The labels of all clips, and the split of their file: index `clip`."""
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
        table = pd.concat([part.assign(split=split) for split, part in labels.items()]).rename(index=clip_name)
        if table.index.has_duplicates:
            raise ValueError(
                f"The label files below {self.root} put {format_clips(table.index[table.index.duplicated()], 20)} "
                "into more than one split. Expected each clip in one split; correct the label files."
            )
        return table

    def _why_none(self, split: str) -> str:
        by_group = "; or let split='by_group' (corpus.split=by_group) make three splits of all labelled clips"
        return (
            f"no clip below {self.root} is listed in a file {LABEL_FILES[split]} there. Expected that file and its "
            f"clips: {self.remedy}{by_group * (not self._table.attrs['made_anew'])}"
        )
