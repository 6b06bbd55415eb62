import numpy as np
import pandas as pd
import pytest

from personality.traits import TRAITS


def labelled(sources: range, seed: int) -> pd.DataFrame:
    """One to four clips a source, whose labels agree more within a source than between sources."""
    rng = np.random.default_rng(seed)
    names, rows = [], []
    for source in sources:
        person = np.random.default_rng(source).normal(0.5, 0.12, 5)
        for clip in range(rng.integers(1, 5)):
            names.append(f"-source{source:04d}.{clip + 10 * seed:03d}.mp4")
            rows.append(np.clip(person + rng.normal(0, 0.08, 5), 0, 1))
    return pd.DataFrame(rows, index=pd.Index(names, name="clip"), columns=TRAITS)


@pytest.fixture
def train() -> pd.DataFrame:
    """Labels of training clips from sources 0 to 199."""
    return labelled(range(200), seed=1)


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Scores and labels of other clips, from sources 150 to 249: a quarter are known to `train`, the others new."""
    labels = labelled(range(150, 250), seed=2)
    noise = np.random.default_rng(3).normal(0.2, 0.07, labels.shape)
    return (0.6 * labels + noise).join(labels.add_suffix("_label"))
