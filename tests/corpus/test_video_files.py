"""One's own videos become clips as those of the data set were cut."""

import os
import re
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from personality.corpus import VideoFiles
from personality.features.encoding import write_video
from personality.features.media import MediaError, read_frames, read_waveform
from personality.tables import read_table
from personality.traits import TRAITS, source_id


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Forty seconds of which each has a pitch of its own."""
    path = tmp_path_factory.mktemp("own") / "talk.mp4"
    seconds = np.arange(40 * 16_000) / 16_000
    sound = 0.5 * np.sin(2 * np.pi * np.cumsum(200 + 10 * np.floor(seconds)) / 16_000)
    frames = (np.full((48, 64, 3), 5 * number, np.uint8) for number in range(40))
    write_video(path, frames, 1, sound.astype(np.float32), 16_000)
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Two seconds."""
    return media(tmp_path_factory.mktemp("own") / "short.mp4", sound=2, picture=2)


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


def test_a_folder_is_all_the_videos_in_it_and_in_its_folders(short, tmp_path):
    for name in ("intro.mp4", "P01/a.mov", "P01/b/c.mkv", ".hidden.mp4", ".hidden/d.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(short, tmp_path / name)
    assert list(VideoFiles([tmp_path]).clips("test").index) == ["a.000.mp4", "c.000.mp4", "intro.000.mp4"]
    assert list(VideoFiles(tmp_path / "P01").clips("test").index) == ["a.000.mp4", "c.000.mp4"]
    assert list(VideoFiles(tmp_path / ".hidden.mp4").clips("test").index) == [".hidden.000.mp4"]  # it was named
    with pytest.raises(FileNotFoundError, match="no split 'train'"):
        VideoFiles([tmp_path]).clips("train")


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_what_is_no_media_is_passed_over_and_counted(short, tmp_path, caplog, modality):
    text = "1\n00:00:00,000 --> 00:00:09,000\nhello\n" * 99  # as .txt it would be a drawing of characters to FFmpeg
    others = [
        "talk.srt",
        "notes.txt",
        "windows.txt",
        "run.log",
        "playlist",
        "photo.jpg",
        "image",
        "moving.gif",
        "data.bin",
    ]
    for name in ("talk.srt", "notes.txt", "run.log"):
        (tmp_path / name).write_text("\x1b[31m" * (name == "run.log") + text)
    (tmp_path / "windows.txt").write_text(text, encoding="utf-16")
    (tmp_path / "playlist").write_text("ffconcat version 1.0\nfile talk.mp4\n")
    (tmp_path / "data.bin").write_bytes(np.random.default_rng(0).bytes(20_000))
    images = [Image.fromarray(np.full((64, 64, 3), grey, np.uint8)) for grey in range(0, 200, 10)]
    images[0].save(tmp_path / "photo.jpg")
    images[0].save(tmp_path / "image", "png")
    images[0].save(tmp_path / "moving.gif", save_all=True, append_images=images[1:], duration=200)
    os.mkfifo(tmp_path / "pipe.mp4")  # who opened it would wait for ever
    for name in ("talk.mp4", "unknown.suffix", "none"):
        shutil.copy(short, tmp_path / name)
    corpus = VideoFiles([tmp_path], modality)
    assert list(corpus.clips("test").index) == ["none.000.mp4", "talk.000.mp4", "unknown.000.mp4"]
    corpus.clips("test")
    (message,) = caplog.messages
    assert f"{len(others)} of {len(others) + 3} files" in message
    assert all(name in message for name in others)
    for name in others:  # what is named is tried
        assert list(VideoFiles([tmp_path / name]).clips("test").index) == [f"{Path(name).stem}.000.mp4"]


def test_a_folder_without_videos_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FileNotFoundError, match=rf"no video in {tmp_path}, among 1 files.*name it"):
        VideoFiles([tmp_path]).clips("test")


@pytest.mark.parametrize(
    ("paths", "error"),
    [([], "Got no videos.*name at least one"), (["talk.mp4", "none.mp4"], r"no none\.mp4.*check the name")],
)
def test_what_is_not_there_is_said_at_once(short, tmp_path, monkeypatch, paths, error):
    shutil.copy(short, tmp_path / "talk.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=error):
        VideoFiles(paths).prepare()


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["talk.mp4", "other.mp4"], ["talk", "other"]),
        (["P01/talk.mp4", "P02/talk.mp4", "intro.mp4"], ["P01_talk", "P02_talk", "intro"]),
        (["talk.mp4", "talk.mov", "talk.srt"], ["talk.mp4", "talk.mov"]),
        (["a/x/talk.mp4", "b/x/talk.mp4", "b/x/talk.mov"], ["a_x_talk", "b_x_talk", "talk.mov"]),
        (["P01/talk.mp4", "P02/talk.mp4", "P01_talk.mp4"], [None, "P02_talk", None]),
        (["talk.mp4", "talk.000.mp4", "talk.001.mp4", "00/0.mp4"], ["talk", "talk.000", "talk.001", "0"]),
        (["a b.mp4", " a b.mp4", "a b .mp4"], [None, None, None]),
        (["two\nlines.mp4", "two%0Alines.mp4"], [None, None]),
    ],
)
def test_clips_of_different_files_have_different_sources(short, tmp_path, monkeypatch, files, names):
    monkeypatch.setattr("personality.corpus.video_files.CLIP_SECONDS", 0.5)  # four clips each
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        if name.endswith(".srt"):
            (tmp_path / name).write_text("hello")
        else:
            shutil.copy(short, tmp_path / name)
    clips = VideoFiles([tmp_path]).clips("test")
    by_file = clips.groupby(clips.path.map(lambda excerpt: excerpt.path)).groups
    sources = {file: {source_id(clip) for clip in of_file} for file, of_file in by_file.items()}
    videos = [str(tmp_path / name) for name in files if not name.endswith(".srt")]
    assert sources.keys() == {*videos}
    assert all(len(of_file) == 1 for of_file in sources.values())
    assert len(set.union(*sources.values())) == len(videos)
    assert all(name is None or sources[file] == {name} for file, name in zip(videos, names, strict=True))


def test_a_file_counts_once_however_often_it_is_named(short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    shutil.copy(short, tmp_path / "videos/talk.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "videos")
    (tmp_path / "videos/notes.txt").write_text("hello")
    paths = ["videos", "videos/talk.mp4", "./videos/../videos/talk.mp4", tmp_path / "videos", "link", "link/talk.mp4"]
    assert list(VideoFiles(paths).clips("test").index) == ["talk.000.mp4"]
    assert list(VideoFiles([*paths, "videos/notes.txt"]).clips("test").index) == ["notes.000.mp4", "talk.000.mp4"]


def test_any_name_becomes_one_that_tables_and_pages_can_hold(short, tmp_path):
    odd = [
        b"caf\xe9",
        b"caf\xc3\xa9",
        b"\xff" * 251,
        b"x" * 251,
        b"a\nb\tc\r",
        b"back\\slash",
        b" spaces ",
        b"\xe2\x80\xae",
    ]
    plain = ["$x_{1}^2$", "<script>&\"'", "a,b;c", "😀 👨\u200d👩\u200d👧", "שיחה", "-rf", "%E9", "nan", "#1"]
    names = [*odd, *map(os.fsencode, plain)]
    for name in names:
        shutil.copy(short, os.fsencode(tmp_path) + b"/" + name)
    corpus = VideoFiles([tmp_path])
    clips = corpus.clips("test")
    assert len(clips) == len({source_id(clip) for clip in clips.index}) == len(names)
    assert {f"{name}.000.mp4" for name in plain} < {*clips.index}  # what does no harm stays as it is
    assert {"caf%E9.000.mp4", "café.000.mp4", "a%0Ab%09c%0D.000.mp4", "back%5Cslash.000.mp4"} < {*clips.index}
    assert re.fullmatch("[0-9a-f]{16}", corpus.fingerprint("test"))
    (tmp_path / "table.csv").write_text(clips.to_csv(), encoding="utf-8")
    assert list(pd.read_csv(tmp_path / "table.csv", index_col="clip").index) == list(clips.index)
    assert list(read_table(tmp_path / "table.csv", "clip").index) == list(clips.index)
    assert all(len(read_waveform(source, 16_000)) for source in clips.path)


def test_more_than_a_thousand_clips_stay_in_order_and_have_one_source(short, monkeypatch):
    monkeypatch.setattr("personality.corpus.video_files.CLIP_SECONDS", 0.0015)
    clips = VideoFiles([short]).clips("test")
    assert len(clips) > 1000
    assert {source_id(clip) for clip in clips.index} == {"short"}
    assert clips.path.map(lambda excerpt: excerpt.start).is_monotonic_increasing


def media(path, sound=0.0, picture=0.0, picture_at=0.0):
    """Write a file of noise and of changing pictures, of so many seconds each."""
    with av.open(str(path), "w") as container:
        packets = []
        film = container.add_stream("libx264", 10, {"preset": "ultrafast"}) if picture else None
        voice = container.add_stream("aac", 16_000, layout="mono") if sound else None
        if voice:
            samples = np.random.default_rng(0).uniform(-0.3, 0.3, round(sound * 16_000)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
            packets += [*voice.encode(frame), *voice.encode()]
        if film:
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
            for number in range(round(picture * 10)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 200, np.uint8))
                frame.pts, frame.time_base = number + round(picture_at * 10), Fraction(1, 10)
                packets += film.encode(frame)
            packets += film.encode()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("layout", "audio", "image"),
    [
        ({"sound": 5, "picture": 40}, [0], [0, 15.3, 30.6]),  # the sound ends early
        ({"sound": 40, "picture": 5}, [0, 15.3, 30.6], [0]),  # the picture does
        ({"sound": 36, "picture": 16, "picture_at": 20}, [0, 15.3], [20]),  # the picture is late
        ({"sound": 36, "picture": 36}, [0, 15.3], [0, 15.3]),
    ],
)
def test_clips_follow_the_stream_that_the_input_reads(tmp_path, suffix, layout, audio, image):
    path = media(tmp_path / f"talk.{suffix}", **layout)
    for modality, starts in [("audio", audio), ("image", image)]:
        clips = VideoFiles([path], modality).clips("test")
        assert [source.start for source in clips.path] == pytest.approx(starts, abs=0.1)
        for source in clips.path:  # each of them has something to read
            if modality == "audio":
                assert len(read_waveform(source, 16_000)) > 16_000 * 4.9
            else:
                frames, seconds = read_frames(source, 4)
                assert len(np.unique(frames.reshape(4, -1), axis=0)) == 4
                assert (seconds >= 0).all()


@pytest.mark.parametrize(("modality", "layout"), [("audio", {"picture": 40}), ("image", {"sound": 40})])
def test_a_file_without_the_stream_is_one_clip_that_fails_with_its_reason(tmp_path, modality, layout):
    media(tmp_path / "talk.mp4", **layout)
    (source,) = VideoFiles([tmp_path], modality).clips("test").path
    with pytest.raises(MediaError, match=r"talk\.mp4.* no (audio|video)"):
        read_waveform(source, 16_000) if modality == "audio" else read_frames(source, 1)


def test_videos_for_a_model_of_numbers_from_files_are_refused():
    with pytest.raises(ValueError, match=r"Got videos for a model whose input \(vector\) is not computed"):
        VideoFiles(["talk.mp4"], "vector")


def test_what_cannot_be_read_is_one_clip_that_fails_with_its_reason(tmp_path):
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "elsewhere.mp4").symlink_to(tmp_path / "gone/elsewhere.mp4")
    clips = VideoFiles([tmp_path]).clips("test")
    assert list(clips.index) == ["broken.000.mp4", "elsewhere.000.mp4"]
    for name, source in zip(("broken", "elsewhere"), clips.path, strict=True):
        with pytest.raises((ValueError, FileNotFoundError), match=rf"{name}\.mp4"):
            read_waveform(source, 16_000)
