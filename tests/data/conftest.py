import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from personality.corpus import Corpus
from personality.features.encoding import write_video
from personality.traits import TRAITS


class Shelf(Corpus):
    """The files that a test puts there."""

    def __init__(self, splits: Mapping[str, list[Path]]) -> None:
        super().__init__("official")
        self.splits = splits
        self.name = "_".join({path.parent.name for paths in splits.values() for path in paths})

    def prepare(self) -> None:
        pass

    def read(self) -> pd.DataFrame:
        parts = []
        for split, paths in self.splits.items():
            labels = np.random.default_rng(0).random((len(paths), len(TRAITS)))
            names = [path.name for path in sorted(paths)]
            table = pd.DataFrame(labels, index=pd.Index(names, name="clip"), columns=TRAITS)
            parts.append(table.assign(path=[str(path) for path in sorted(paths)], group=names, split=split))
        return pd.concat(parts)


@pytest.fixture
def shelf():
    """A corpus of the files of each split."""
    return Shelf


@pytest.fixture
def record(tmp_path):
    """Write a clip: a function of its name and its sound, without loss, or of its name and its frames, 5 a second."""

    def write(name, sound=None, rate=16_000, frames=None):
        if frames is not None:
            write_video(tmp_path / name, frames, 5, np.zeros(len(frames) * rate // 5, np.float32), rate)
        else:
            with wave.open(str(tmp_path / name), "wb") as file:
                file.setparams((1, 2, rate, 0, "NONE", ""))
                file.writeframes((sound * 32767).astype("<i2").tobytes())
        return tmp_path / name

    return write


@pytest.fixture
def tone():
    """A sine of so many Hz from one second to another, in silence that lasts."""

    def sound(frequency, start, end, seconds=15.3, rate=16_000):
        time = np.arange(round(seconds * rate)) / rate
        return 0.5 * np.sin(2 * np.pi * frequency * time) * ((time >= start) & (time < end))

    return sound
