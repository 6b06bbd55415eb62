"""One's own videos become clips as those of the data set were cut."""

import numpy as np
import pytest

from personality.corpus import VideoFiles
from personality.features.encoding import write_video
from personality.features.media import read_waveform
from personality.traits import TRAITS


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Forty seconds of which each has a pitch of its own."""
    path = tmp_path_factory.mktemp("own") / "talk.mp4"
    seconds = np.arange(40 * 16_000) / 16_000
    sound = 0.5 * np.sin(2 * np.pi * np.cumsum(200 + 10 * np.floor(seconds)) / 16_000)
    frames = (np.full((48, 64, 3), 5 * number, np.uint8) for number in range(40))
    write_video(path, frames, 1, sound.astype(np.float32), 16_000)
    return path


def test_a_long_video_becomes_clips_and_their_sound_is_its_own(talk):
    corpus = VideoFiles([talk])
    clips = corpus.clips("test")
    assert list(clips.index) == ["talk.000.mp4", "talk.001.mp4", "talk.002.mp4"]
    assert clips[list(TRAITS)].isna().all(axis=None)
    whole = read_waveform(talk, 16_000)
    for number, source in enumerate(clips.path):
        part = read_waveform(source, 16_000)
        start = round(number * 15.3 * 16_000)
        assert len(part) == pytest.approx(min(15.3 * 16_000, len(whole) - start), abs=1)
        np.testing.assert_allclose(part[1000:-1000], whole[start + 1000 : start + len(part) - 1000], atol=2e-3)


def test_a_folder_is_all_that_it_holds_and_names_must_differ(talk, tmp_path):
    for name in ("a.mp4", "b.mp4", ".hidden.mp4"):
        (tmp_path / name).write_bytes(talk.read_bytes())
    assert len(VideoFiles([tmp_path]).clips("test")) == 6
    with pytest.raises(ValueError, match="Two videos are called talk"):
        VideoFiles([talk, talk]).clips("test")
    with pytest.raises(FileNotFoundError, match="There is no"):
        VideoFiles([tmp_path / "none.mp4"]).prepare()
    with pytest.raises(FileNotFoundError, match="no split 'train'"):
        VideoFiles([talk]).clips("train")


def test_what_cannot_be_read_is_one_clip_that_fails_with_its_reason(tmp_path):
    (tmp_path / "broken.mp4").write_text("no video")
    (source,) = VideoFiles([tmp_path]).clips("test").path
    with pytest.raises(ValueError, match=r"broken\.mp4"):
        read_waveform(source, 16_000)
