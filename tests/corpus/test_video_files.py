"""One's own videos become clips as those of the data set were cut."""

from fractions import Fraction

import av
import numpy as np
import pytest

from personality.corpus import VideoFiles
from personality.features.encoding import write_video
from personality.features.media import read_frames, read_waveform
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


@pytest.mark.parametrize(("seconds", "clips"), [(5, 1), (20, 1), (24, 2)])
def test_a_rest_of_less_than_half_a_clip_is_left_out(tmp_path, seconds, clips):
    black, silence = np.zeros((48, 64, 3), np.uint8), np.zeros(seconds * 16_000, np.float32)
    write_video(tmp_path / "talk.mp4", [black] * seconds, 1, silence, 16_000)
    assert len(VideoFiles([tmp_path]).clips("test")) == clips


def broadcast(path, talk, codec, seconds=40, rate=25, start=600):
    """Record pictures that brighten by 5 a second, and the sound of a file, as a transport stream."""
    with av.open(talk) as source, av.open(path, "w") as target:
        film, sound = (
            target.add_stream(codec, rate=rate),
            target.add_stream_from_template(source.streams.audio[0]),
        )
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        packets = []
        for number in range(seconds * rate):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 5 // rate, np.uint8), "rgb24")
            frame.pts, frame.time_base = number + start * rate, Fraction(1, rate)
            packets += film.encode(frame)
        packets += film.encode()
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.pts += round(start / packet.time_base)
                packet.dts += round(start / packet.time_base)
                packet.stream = sound
                packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            target.mux(packet)
    return path


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])  # a key frame twice a second, and every ten seconds
def test_a_recording_whose_clock_does_not_begin_at_0_is_cut_all_the_same(talk, tmp_path, codec):
    recording = broadcast(tmp_path / "broadcast.ts", talk, codec)
    clips, recorded = (VideoFiles([path]).clips("test").path for path in (talk, recording))
    assert len(recorded) == len(clips) == 3
    for clip, same in zip(clips, recorded, strict=True):
        assert same.start == pytest.approx(clip.start + 600, abs=0.1)
        frames, seconds = read_frames(same, 4)
        assert 0 <= seconds[0] < seconds[-1] < 15.3
        assert frames.mean((1, 2, 3)) / 5 == pytest.approx(same.start + seconds - 600, abs=1)
        assert len(read_waveform(same, 16_000)) == pytest.approx(len(read_waveform(clip, 16_000)), abs=1600)


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
