"""Two hundred clips, damaged in every way: a run goes through them all, and names those that are no use."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from personality.features.cache import FeatureCache
from personality.features.media import read_frames, read_waveform

HEADERS = [
    b"",
    b"\0\0\0\x18ftypmp42",
    b"RIFF\xff\xff\xff\xffWAVEfmt ",
    b"\x1aE\xdf\xa3",
    b"PK\3\4",
    b"\xff\xd8\xff\xe0",
    b"ID3\4",
]
HOPELESS = 80


@pytest.fixture(scope="module")
def damaged(corpus):
    """Contents of 200 files: 80 are no use to anybody, some of the others can still be heard or seen in part."""
    random = np.random.default_rng(0)
    whole = Path(corpus.clips("train").path.iloc[0]).read_bytes()
    start = whole.index(b"moov")

    def flip(content, first, last, count):
        content = bytearray(content)
        for place in random.integers(first, last, count):
            content[place] ^= int(random.integers(1, 256))
        return bytes(content)

    texts = [b"He seems open to experience.\n" * int(random.integers(1, 999)) for _ in range(20)]
    wrong = [HEADERS[number % len(HEADERS)] + random.bytes(int(random.integers(1, 9999))) for number in range(20)]
    cut = [whole[: random.integers(1, start)] for _ in range(20)]  # the index is at the end
    shorn = [whole[random.integers(100, start) :] for _ in range(20)]
    late = [whole[: random.integers(start, len(whole))] for _ in range(20)]
    flipped = [flip(whole, 0, len(whole), int(random.integers(1, 2000))) for _ in range(50)]
    index = [flip(whole, start, len(whole), int(random.integers(1, 50))) for _ in range(40)]
    return [b""] * 10 + texts + wrong[:10] + cut + shorn + wrong[10:] + late + flipped + index


def listen_and_look(source):
    sound, (frames, _) = read_waveform(source, 4000), read_frames(source, 2, size=(8, 8))
    return {"inputs": np.array([[[sound.mean()], [frames.mean()]]], np.float32)}


def test_none_ends_the_run_and_each_that_is_no_use_is_named(damaged, tmp_path):
    clips = [f"{number:011d}.000.mp4" for number in range(len(damaged))]
    for clip, content in zip(clips, damaged, strict=True):
        (tmp_path / clip).write_bytes(content)
    cache = FeatureCache(tmp_path / "cache", {}, clips, (1, 2, 1))
    started = time.monotonic()
    cache.fill(partial(listen_and_look), [tmp_path / clip for clip in clips], processes=1, time_limit=5)
    assert time.monotonic() - started < 60
    assert cache.complete
    failures = cache.failures().set_index("clip")["reason"]
    assert len(damaged) == 200
    assert set(clips[:HOPELESS]) <= set(failures.index)
    assert len(failures) < len(clips)
    assert all(clip in reason for clip, reason in failures.items())
    assert set(failures.str.partition(":")[0]) == {"MediaError"}
