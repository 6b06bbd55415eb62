"""The sample corpus: synthetic clips with planted cues, to try everything within minutes."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from personality.atomic import atomic_write
from personality.corpus.annotations import write_labels, write_transcripts
from personality.corpus.labelled import LABEL_FILES, LabelledCorpus
from personality.corpus.splits import SPLITS
from personality.corpus.synthetic.labels import CUE_TRAITS, clip_table
from personality.corpus.synthetic.observations import write_observations
from personality.corpus.synthetic.words import say, word_strengths
from personality.corpus.transcripts import Transcripts, Word
from personality.progress import progress
from personality.traits import CLIP_SECONDS, TARGETS

FOLDERS = dict(zip(SPLITS, ("train-1/training80", "val-1/validation80", "test-1/test80"), strict=True))
CLIPS_IN_A_FOLDER = 80  # as in the archives of First Impressions
SETTINGS, CUES, WORDS, ANNOTATIONS = "settings.txt", "cues.csv", "words.csv", "annotations"
TRANSCRIPT_FILES = {split: name.replace("annotation", "transcription") for split, name in LABEL_FILES.items()}
VERSION = 4  # of the generator: increase it whenever its files change


class SampleCorpus(LabelledCorpus):
    """A small corpus of drawn people with synthetic voices, with the layout, names and labels of First Impressions.

    Labels have the means, standard deviations and correlations of the real ones. A person has several clips with
    similar labels, and most persons in val and test are also in train. Each trait has one tone, one feature of the face
    and three words of the transcript as its cues; their strength follows the label (see `synthetic.labels`). Other
    tones, features and words are distractors. The voices speak no language: the words are in the transcript alone.
    `annotations/` holds the cues of traits as files of human observers would, in the layout of MM-OCEAN.

    Args:
        root: Folder of the corpus.
        sizes: Number of clips in train, val and test. Explanations choose the 20 highest of the test clips.
        seconds: Duration of a clip.
        seed: The same seed gives the same files.
        processes: Number of processes that make clips; by default one for each core. 1 makes them in this process.
        **splitting: See `Corpus`.

    Example:
        corpus = SampleCorpus("corpora/sample")
        corpus.prepare()  # a minute or two, once
        corpus.cues().query("trait == 'openness' and modality == 'sound'")
    """

    name = "sample"
    remedy = "call prepare(), which makes them"

    def __init__(
        self,
        root: str | Path = "corpora/sample",
        sizes: Sequence[int] = (64, 16, 40),
        seconds: float = CLIP_SECONDS,
        seed: int = 0,
        processes: int | None = None,
        **splitting: Any,
    ) -> None:
        super().__init__(**splitting)
        if len(sizes) != len(SPLITS) or min(sizes) < 1 or seconds < 1:
            raise ValueError(
                f"Got sizes {list(sizes)} and {seconds} seconds. Expected at least one clip for each of "
                f"{', '.join(SPLITS)}, of at least one second: for example sizes=(6, 3, 3), seconds=4."
            )
        self.root, self.sizes, self.seconds = Path(root), tuple(sizes), seconds
        self.seed, self.processes = seed, processes

    def prepare(self) -> None:
        """Make the files that are missing: one to two minutes on two cores. A run that was stopped continues."""
        self._check_folder()
        clips = [path for path in self._paths() if not path.exists()]
        self._write_words()
        tables = [self.root / name for name in (CUES, ANNOTATIONS, *LABEL_FILES.values())]
        if clips or not all(path.exists() for path in tables):
            self._make(clips)
        super().prepare()

    def _make(self, paths: list[Path]) -> None:
        from personality.corpus.synthetic import clips  # slow to import, and only needed here

        strengths = {str(clip): dict(cues) for clip, cues in self._clip_table[list(CUE_TRAITS)].iterrows()}
        for folder in {path.parent for path in paths}:
            folder.mkdir(parents=True, exist_ok=True)
        make = partial(clips.make_clip, seconds=self.seconds, seed=self.seed)
        arguments = paths, [strengths[path.name] for path in paths]
        with ExitStack() as stack:
            made = map(make, *arguments)
            if self.processes != 1 and paths:
                pool = ProcessPoolExecutor(self.processes, get_context("spawn"), clips.use_one_thread)
                made = stack.enter_context(pool).map(make, *arguments)  # type: ignore[assignment]
            for _ in progress(made, "Making the sample corpus", len(paths), "clips"):
                pass

        cues = pd.concat(clips.list_cues(*item, self.seconds, self.seed) for item in strengths.items())
        with atomic_write(self.root / CUES) as part:
            cues.to_csv(part, index=False, float_format="%.4f")
        with atomic_write(self.root / ANNOTATIONS) as part:
            part.mkdir()
            write_observations(part, self.cues())
        for split, name in LABEL_FILES.items():  # last: a corpus with labels is complete
            with atomic_write(self.root / name) as part:
                write_labels(part, self._clip_table.loc[self._clip_table["split"] == split, list(TARGETS)])

    def _write_words(self) -> None:
        """Write the words of all clips, and the transcripts as First Impressions has them."""
        if not (self.root / WORDS).exists():
            strengths = word_strengths(self._clip_table[[*TARGETS]], self.seed)
            words = [say(str(clip), strength, self.seconds, self.seed) for clip, strength in strengths.iterrows()]
            with atomic_write(self.root / WORDS) as part:
                pd.concat(words).to_csv(part, index=False, float_format="%.4f")
        texts = self._words.groupby("clip", sort=False)["word"].agg(" ".join)
        for split, name in TRANSCRIPT_FILES.items():
            if not (self.root / name).exists():
                with atomic_write(self.root / name) as part:
                    write_transcripts(part, texts[self._clip_table["split"] == split])

    def transcripts(self, split: str) -> Transcripts:
        """Return the words of each clip, with their times: `Corpus.transcripts`."""
        rows = self._words[self._words["clip"].isin(self.clips(split).index)]
        columns = ["word", "start", "end"]
        return {str(clip): [*map(Word._make, part[columns].to_numpy().tolist())] for clip, part in rows.groupby("clip")}

    def cues(self) -> pd.DataFrame:
        """Return where each cue is heard, seen or read: `Corpus.cues`."""
        words = self._words.dropna(subset="trait").rename(columns={"word": "cue"})
        return pd.concat([pd.read_csv(self.root / CUES), words.assign(modality="text")], ignore_index=True)

    @cached_property
    def _words(self) -> pd.DataFrame:
        return pd.read_csv(self.root / WORDS)

    @cached_property
    def _clip_table(self) -> pd.DataFrame:
        return clip_table(self.sizes, self.seed)

    def _paths(self) -> list[Path]:
        numbers = self._clip_table.groupby("split").cumcount() // CLIPS_IN_A_FOLDER + 1
        folders = self._clip_table["split"].map(FOLDERS) + numbers.map("_{:02d}".format)
        return [self.root / folder / clip for clip, folder in folders.items()]

    def _check_folder(self) -> None:
        """Raise where the folder holds anything but this corpus."""
        settings = f"version {VERSION}, sizes {self.sizes}, seconds {self.seconds}, seed {self.seed}"
        if not self.root.exists() or not any(self.root.iterdir()):
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / SETTINGS).write_text(settings)
        found = (self.root / SETTINGS).read_text() if (self.root / SETTINGS).exists() else "no sample corpus"
        if found != settings:
            raise FileExistsError(
                f"{self.root} holds {found}. Expected an empty folder, or the sample corpus of {settings}: "
                "pass another root, or delete that folder."
            )
