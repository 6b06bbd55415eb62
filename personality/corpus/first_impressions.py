"""ChaLearn First Impressions V2: 10,000 clips of people who talk to a camera, as others judged them."""

import logging
from collections.abc import Sequence
from functools import cached_property, reduce
from pathlib import Path

import pandas as pd

from personality.corpus.annotations import enumerate_clips, join_clips, read_labels, read_transcripts
from personality.corpus.archives import Member
from personality.corpus.base import SPLITS, Corpus
from personality.corpus.files import File, base_name, find_files, keep_files
from personality.corpus.people import read_people
from personality.corpus.splits import SHARES, crossing, split_by_source
from personality.tables import ATTRIBUTES
from personality.traits import TRAITS

log = logging.getLogger(__name__)

LABEL_FILES = dict(
    zip(SPLITS, ("annotation_training.pkl", "annotation_validation.pkl", "annotation_test.pkl"), strict=True)
)
CHALLENGE_FILES = dict(zip(SPLITS, ("training_gt.csv", "validation_gt.csv", "test_gt.csv"), strict=True))
"""The labels of the first challenge (ECCV 2016): of the same clips, without the interview."""


class FirstImpressions(Corpus):
    """A folder with what people have of First Impressions, nested as they like.

    That may be the organisers' archives (`train-1.zip` and its like), which are read without being unpacked, folders of
    videos, the sound alone (`VoiceData/trainingData/<clip>.wav`: enough for inputs that only listen), or some of each;
    and the label files of 2017 (`annotation_training.pkl`) or of 2016 (`training_gt.csv`). The passwords of encrypted
    archives are taken from the environment variables PERSONALITY_PASSWORD_OUTER, for archives in the folder, and
    PERSONALITY_PASSWORD_INNER, for archives within those.

    A clip belongs to the split whose label file lists it, wherever it lies. Clips that lack a label and labels that
    lack a clip are left out, and a warning lists them. A split without its label file, as the test split long was,
    does not stand in the way of the others.

    Args:
        root: The folder.
        split: "official", where most people who are tested are known from training; or "by_source", which splits all
            labelled clips anew, so that nobody is in two splits.
        interview: Whether to read how inclined the judges were to invite the person to a job interview, as a sixth
            label beside the five traits.
        keep_videos: A folder to which `prepare` unpacks all archives, once. It pays where archives within archives are
            themselves encrypted, as those of the test clips are: else they are unpacked anew, to a temporary folder,
            whenever the corpus is opened.
        shares: How large the three splits are in comparison when they are made by source.

    Example:
        FirstImpressions("/data/first_impressions").clips("train")[["path", "openness"]]
    """

    name = "first_impressions"
    remedy = "download the data set from https://chalearnlap.cvc.uab.cat/dataset/24/description/ and pass its folder"
    media = "mp4 files"
    kinds: tuple[str, ...] = (".mp4", ".wav", ".pkl", ".csv")

    def __init__(
        self,
        root: str | Path,
        split: str = "official",
        interview: bool = False,
        keep_videos: str | Path | None = None,
        shares: Sequence[float] = SHARES,
    ) -> None:
        if split not in ("official", "by_source"):
            raise ValueError(f"Got split {split!r}. Expected official or by_source; choose one.")
        self.root, self.split, self.shares = Path(root), split, shares
        self.targets = [*TRAITS, "interview"] if interview else [*TRAITS]
        self.keep_videos = None if keep_videos is None else Path(keep_videos)

    def prepare(self) -> None:
        """Unpack what is to be kept, and say by split what is there and what is missing."""
        if self.keep_videos:
            keep_files(self.root, self.kinds, self.keep_videos)
        self.describe()

    def describe(self) -> None:
        """Say by split what is there, what is missing, and how much of it is of people who are trained on."""
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
                share = 100 * crossing(map(str, paths.index), train)
                log.info("%s: %.1f %% of its clips are from a source that is also in train", split, share)

    def clips(self, split: str) -> pd.DataFrame:
        """List the clips of a split: `Corpus.clips`, with `interview` if that is asked for."""
        if split not in SPLITS:
            raise ValueError(f"There is no split {split!r}. Expected one of {', '.join(SPLITS)}.")
        splits = self._labelled_clips.index.get_level_values("split")
        clips = self._labelled_clips[splits == split].droplevel("split").sort_index()
        if clips.empty:
            anew = "; or let split='by_source' (corpus.split=by_source) make three splits of all labelled clips"
            raise FileNotFoundError(
                f"There are no {split} clips: no clip below {self.root} is listed in a file {LABEL_FILES[split]} "
                f"there. Expected that file and its clips: {self.remedy}{anew if self.split == 'official' else ''}."
            )
        return clips[["path", *self.targets]]

    def transcripts(self, split: str) -> pd.Series | None:
        """Read what is said: `Corpus.transcripts`, from files such as `transcription_training.pkl`."""
        files = [file for file in self._files if base_name(file).startswith("transcription_")]
        if not files:
            return None
        texts = pd.concat([read_transcripts(file) for file in files])
        return texts[~texts.index.duplicated()].reindex(self.clips(split).index)

    def groups(self, split: str) -> pd.DataFrame | None:
        """Read who is seen: `Corpus.groups`, from any csv that tells gender, ethnicity or age by clip."""
        files = [file for file in self._files if base_name(file).lower().endswith(".csv")]
        tables = [table for table in map(read_people, files) if table is not None]
        if not tables:
            return None
        people = reduce(pd.DataFrame.combine_first, tables)
        return people.reindex(self.clips(split).index)[[name for name in ATTRIBUTES if name in people]]

    @cached_property
    def _files(self) -> list[File]:
        return find_files(self.root, self.kinds, self.keep_videos)

    @cached_property
    def _sources(self) -> dict[str, File]:
        """Where each clip lies: rather its video than its sound, rather in the open than in an archive."""
        return {
            base_name(file)[:-4].removesuffix(".mp4") + ".mp4": file
            for kind in (".wav", ".mp4")
            for file in reversed(self._files)
            if base_name(file).lower().endswith(kind)
        }

    @property
    def _label_files(self) -> dict[str, File]:
        """The file with each split's labels, of those that are there."""
        files = {base_name(file): file for file in reversed(self._files)}
        names = {split: [LABEL_FILES[split], CHALLENGE_FILES[split]] for split in SPLITS}
        return {split: files[name] for split in SPLITS for name in names[split][::-1] if name in files}

    @cached_property
    def _labels(self) -> pd.DataFrame:
        """How every clip was judged, by split and name."""
        labels = {split: read_labels(file) for split, file in self._label_files.items()}
        for split, table in labels.items():
            if missing := [target for target in self.targets if target not in table]:
                raise ValueError(
                    f"{self._label_files[split]} has no labels of {', '.join(missing)}. Expected a label file of 2017, "
                    f"such as {LABEL_FILES[split]}; put it there, or do without interview."
                )
        if not self._sources or not labels:
            raise FileNotFoundError(
                f"{self.root} holds {len(self._sources)} {self.media} and {len(labels)} label files. Expected the "
                f"clips of First Impressions and {' or '.join(LABEL_FILES.values())}: {self.remedy}."
            )
        table = pd.concat(labels, names=["split"])
        clips = table.index.get_level_values("clip")
        if clips.has_duplicates:
            raise ValueError(
                f"The label files below {self.root} put {enumerate_clips(clips[clips.duplicated()])} "
                "into more than one split. Expected each clip in one: else what is learnt is not what is tested."
            )
        if self.split == "by_source":
            table.index = pd.MultiIndex.from_arrays(
                [split_by_source(clips, shares=self.shares), clips], names=["split", "clip"]
            )
        return table

    @cached_property
    def _labelled_clips(self) -> pd.DataFrame:
        """Every clip that is there and has labels, by split and name."""
        return join_clips(self._labels, self._sources)
