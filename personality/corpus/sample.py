"""Clips that are made here, with planted evidence: to try everything within minutes, where the answer is known."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from personality.corpus.annotations import write_labels
from personality.corpus.base import SPLITS
from personality.corpus.casting import MEANING, cast
from personality.corpus.first_impressions import LABEL_FILES, FirstImpressions
from personality.traits import TARGETS

FOLDERS = dict(zip(SPLITS, ("train-1/training80", "val-1/validation80", "test-1/test80"), strict=True))
CLIPS_IN_A_FOLDER = 80  # as in the archives of First Impressions
SETTINGS, CUES = "settings.txt", "cues.csv"
VERSION = 3  # of how clips are made: raise it whenever another file comes out


class SampleCorpus(FirstImpressions):
    """A small corpus of drawn people who babble, laid out, named and labelled as First Impressions is.

    Labels have the means, deviations and correlations of the real ones, clips of one person are alike, and most people
    who are tested are known from training. Each trait has a tone of its own and a feature of the face of its own, whose
    strength follows its label (`casting.MEANING`, `casting.FIDELITY`); further tones and features mean nothing.

    Args:
        root: The folder.
        sizes: Clips to train on, to validate with and to test with: enough of these for the highest 20 to be a choice.
        seconds: How long each clip is.
        seed: All follows from it.
        processes: How many make clips at the same time; by default one for each core. 1 makes them in this one.
        split: "official", by the label files, or "by_source", where nobody who is tested is known from training.

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
        seconds: float = 15.3,
        seed: int = 0,
        processes: int | None = None,
        split: str = "official",
    ) -> None:
        super().__init__(root, split)
        if len(sizes) != len(SPLITS) or min(sizes) < 1 or seconds < 1:
            raise ValueError(
                f"Got sizes {list(sizes)} and {seconds} seconds. Expected at least one clip for each of "
                f"{', '.join(SPLITS)}, of at least one second: say for example sizes=(6, 3, 3), seconds=4."
            )
        self.sizes, self.seconds, self.seed, self.processes = tuple(sizes), seconds, seed, processes

    def prepare(self) -> None:
        """Make what is missing: all of it takes one to two minutes on two cores, and a run that was stopped goes on."""
        self._claim_folder()
        clips = [path for path in self._paths() if not path.exists()]
        tables = [self.root / name for name in (CUES, *LABEL_FILES.values())]
        if clips or not all(path.exists() for path in tables):
            self._make(clips)
        self.describe()

    def _make(self, paths: list[Path]) -> None:
        from personality.corpus import studio  # slow to import, and needless where the corpus is read

        strengths = {str(clip): dict(cues) for clip, cues in self._cast[list(MEANING)].iterrows()}
        for folder in {path.parent for path in paths}:
            folder.mkdir(parents=True, exist_ok=True)
        make = partial(studio.make_clip, seconds=self.seconds, seed=self.seed)
        jobs = paths, [strengths[path.name] for path in paths]
        with ExitStack() as stack:
            made: Iterator[None] = map(make, *jobs)
            if self.processes != 1 and paths:
                pool = ProcessPoolExecutor(self.processes, get_context("spawn"), studio.use_one_thread)
                made = stack.enter_context(pool).map(make, *jobs)
            for _ in tqdm(made, "Making the sample corpus", len(paths), unit="clip"):
                pass

        told = (studio.tell_evidence(*row, self.seconds, self.seed) for row in strengths.items())
        _write_whole(self.root / CUES, partial(pd.concat(told).to_csv, index=False, float_format="%.4f"))
        for split, name in LABEL_FILES.items():  # last: a corpus with labels is complete
            labels = self._cast.loc[self._cast["split"] == split, list(TARGETS)]
            _write_whole(self.root / name, partial(write_labels, labels=labels))

    def cues(self) -> pd.DataFrame:
        """Say where each cue is heard or seen: `Corpus.evidence`."""
        return pd.read_csv(self.root / CUES)

    @cached_property
    def _cast(self) -> pd.DataFrame:
        return cast(self.sizes, self.seed)

    def _paths(self) -> list[Path]:
        places = self._cast.groupby("split").cumcount() // CLIPS_IN_A_FOLDER + 1
        folders = self._cast["split"].map(FOLDERS) + places.map("_{:02d}".format)
        return [self.root / folder / clip for clip, folder in folders.items()]

    def _claim_folder(self) -> None:
        """Refuse a folder that holds anything else than this very corpus."""
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


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file that bears its name only once it is complete."""
    part = path.with_suffix(".part")
    write(part)
    part.replace(path)
