"""Clips are made here: grey frames that tell their own number, and tones that tell their own length."""

import io
import struct
import zipfile
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest

from personality.features.encoding import write_video
from personality.features.media import MediaError, duration, read_frames, read_waveform

FPS, SECONDS = 25, 2
RATE = 48_000


@cache
def tone(frequency, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(SECONDS * rate) / rate)).astype(np.float32)


def pitch(waveform, rate):
    return np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))).argmax() * rate / len(waveform)


def greys(height=48, width=64, count=SECONDS * FPS):
    return [np.full((height, width, 3), 4 * number, np.uint8) for number in range(count)]


def brightness(frames):
    return frames.mean((1, 2, 3))


def encode(path, video=None, audio=None, *, pixels="yuv420p", frames=None, stamps=None, sound=None, turn=0):
    """Write a clip in any container with any codec: what `write_video` does not."""
    sound = tone(1000)[None] if sound is None else sound
    frames = greys() if frames is None else frames
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    with av.open(str(path), "w") as container:
        if video:
            height, width = frames[0].shape[:2]
            pictures = container.add_stream(video, FPS, pix_fmt=pixels, height=height, width=width)
            pictures.set_display_rotation(turn)
        if audio:
            voice = container.add_stream(audio, RATE, layout=layout)
            voice_frame = av.AudioFrame.from_ndarray(sound, "fltp", layout)
            voice_frame.sample_rate = RATE
            container.mux(voice.encode(voice_frame))
            container.mux(voice.encode())
        if video:
            for number, stamp in enumerate(stamps or range(len(frames))):
                frame = av.VideoFrame.from_ndarray(frames[number])
                frame.pts, frame.time_base = stamp, Fraction(1, FPS)
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("media") / "-Ab.x_9:7kQ.003.mp4"  # a colon would be a protocol, a dash an option
    write_video(path, greys(), FPS, tone(1000, 44_100), 44_100)
    return path


@pytest.mark.parametrize("rate", [4_000, 16_000, 22_050, 44_100])
def test_a_tone_keeps_its_pitch_its_loudness_and_its_length_at_every_rate(clip, rate):
    waveform = read_waveform(clip, rate)
    frames_of_aac = -(-SECONDS * 44_100 // 1024)
    assert waveform.dtype == np.float32
    assert len(waveform) == pytest.approx(frames_of_aac * 1024 * rate / 44_100, abs=2)
    assert pitch(waveform, rate) == pytest.approx(1000, abs=1)
    middle = waveform[rate // 2 : -rate // 2]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rate", [4_000, 11_025, 16_000, 44_100, 48_000])
def test_the_length_is_exact_to_the_sample(tmp_path, rate):
    sound = encode(tmp_path / "sound.wav", audio="pcm_s16le", sound=tone(300)[None, :70_001])
    assert len(read_waveform(sound, rate)) == round(70_001 * rate / RATE)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "aac"])
@pytest.mark.parametrize("count", [1, 2])
def test_mono_is_the_mean_of_the_channels(tmp_path, codec, count):
    channels = np.stack([tone(300 * number) for number in (1, 2)[:count]])
    path = encode(tmp_path / "sound.mkv", audio=codec, sound=channels)
    middle = slice(RATE // 2, 3 * RATE // 2)
    np.testing.assert_allclose(read_waveform(path, RATE)[middle], channels.mean(0)[middle], atol=0.04)
    left_right = channels[[0, min(1, count - 1)]].T
    np.testing.assert_allclose(read_waveform(path, RATE, channels=2)[middle], left_right[middle], atol=0.04)


def test_a_single_channel_stands_twice_in_stereo(clip):
    left, right = read_waveform(clip, 16_000, channels=2).T
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(left, read_waveform(clip, 16_000))


def test_stereo_survives_writing(tmp_path):
    write_video(tmp_path / "clip.mp4", greys(), FPS, np.stack([tone(500), tone(3000)], axis=1), RATE)
    left, right = read_waveform(tmp_path / "clip.mp4", 16_000, channels=2).T
    assert (pitch(left, 16_000), pitch(right, 16_000)) == pytest.approx((500, 3000), abs=1)


def test_loud_sound_stays_within_full_scale(tmp_path):
    loud = encode(tmp_path / "loud.mkv", audio="pcm_f32le", sound=4 * tone(1000)[None])
    assert np.abs(read_waveform(loud, 16_000)).max() == 1


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("clip.webm", "libvpx-vp9", "libopus"),
        ("clip.mkv", "libx264", "libmp3lame"),
        ("clip.avi", "mpeg4", "pcm_s16le"),
        ("clip.mov", "mjpeg", "aac"),
        ("clip.ts", "libx264", "aac"),
        ("clip.wav", None, "pcm_s16le"),
        ("clip.mp3", None, "libmp3lame"),
    ],
)
def test_containers_and_codecs(tmp_path, name, video, audio):
    path = encode(tmp_path / name, video, audio, pixels="yuvj420p" if video == "mjpeg" else "yuv420p")
    waveform = read_waveform(path, 16_000)
    assert len(waveform) == pytest.approx(SECONDS * 16_000, abs=0.07 * 16_000)
    assert pitch(waveform, 16_000) == pytest.approx(1000, abs=1)
    if video:
        frames, seconds = read_frames(path, 5)
        np.testing.assert_allclose(seconds, [0.2, 0.6, 1.0, 1.4, 1.8], atol=1e-3)
        np.testing.assert_allclose(brightness(frames), 4 * FPS * seconds, atol=3)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 50])
def test_frames_are_even_in_time_and_show_what_was_on_screen(clip, count):
    frames, seconds = read_frames(clip, count)
    assert frames.shape == (count, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert seconds.dtype == np.float64
    centres = (np.arange(count) + 0.5) * SECONDS / count
    assert np.all(seconds <= centres + 1e-9)
    assert np.all(centres < seconds + 1 / FPS + 1e-9)
    np.testing.assert_allclose(brightness(frames), 4 * FPS * seconds, atol=2)


def test_time_stamps_decide_when_the_frame_rate_varies(tmp_path):
    stamps = [*range(0, 25), *range(25, 100, 5)]  # a second at 25 frames a second, then three at 5
    path = encode(tmp_path / "phone.mp4", "libx264", frames=greys(count=40), stamps=stamps)
    frames, seconds = read_frames(path, 4)
    np.testing.assert_allclose(seconds, [12 / FPS, 35 / FPS, 60 / FPS, 85 / FPS])
    np.testing.assert_allclose(brightness(frames), [4 * 12, 4 * 27, 4 * 32, 4 * 37], atol=2)


@pytest.mark.parametrize("name", ["one.mp4", "still.png"])
def test_a_clip_of_too_few_frames_repeats_them(tmp_path, name):
    video, pixels = ("png", "rgb24") if name == "still.png" else ("libx264", "yuv420p")
    path = encode(tmp_path / name, video, pixels=pixels, frames=greys(count=11)[10:])
    frames, seconds = read_frames(path, 6)
    np.testing.assert_allclose(brightness(frames), 40, atol=2)
    assert seconds.tolist() == [0] * 6


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_frames_stand_upright(tmp_path, turn):
    lying = np.zeros((48, 64, 3), np.uint8)
    lying[:24, :32] = 255
    path = encode(tmp_path / "phone.mp4", "libx264", frames=[lying] * 5, turn=turn)
    upright = np.rot90(lying, turn // 90)
    np.testing.assert_allclose(read_frames(path, 1)[0][0], upright, atol=9)
    assert read_frames(path, 1, size=(30, 50))[0].shape == (1, 30, 50, 3)


def test_a_phone_turned_clockwise_is_turned_back(tmp_path):
    path = encode(tmp_path / "phone.mp4", "libx264", turn=-90)
    x_goes_down_and_y_goes_left = struct.pack(">6i", 0, 1 << 16, 0, -1 << 16, 0, 0)  # QuickTime's matrix, 16.16 fixed
    assert x_goes_down_and_y_goes_left in path.read_bytes()


@pytest.mark.parametrize(
    ("pixels", "codec"),
    [("yuv444p10le", "libx264"), ("gray", "ffv1"), ("gray16le", "ffv1"), ("bgra", "ffv1"), ("yuva420p", "libvpx-vp9")],
)
def test_deep_grey_and_transparent_pixels(tmp_path, pixels, codec):
    frames, seconds = read_frames(encode(tmp_path / "clip.mkv", codec, pixels=pixels), 5)
    np.testing.assert_allclose(brightness(frames), 4 * FPS * seconds, atol=3)


def test_odd_sizes_and_scaling(tmp_path):
    path = encode(tmp_path / "odd.mkv", "ffv1", pixels="bgra", frames=greys(47, 63))
    assert read_frames(path, 2)[0].shape == (2, 47, 63, 3)
    frames, seconds = read_frames(path, 2, size=(21, 33))
    assert frames.shape == (2, 21, 33, 3)
    np.testing.assert_allclose(brightness(frames), 4 * FPS * seconds, atol=1)


def test_an_open_file_is_read_like_a_path_and_stays_open(clip, tmp_path):
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.write(clip, "inside.mp4")
    with zipfile.ZipFile(tmp_path / "clips.zip") as archive, archive.open("inside.mp4") as member:
        for source in (member, io.BytesIO(clip.read_bytes())):
            np.testing.assert_array_equal(read_waveform(source, 16_000), read_waveform(clip, 16_000))
            np.testing.assert_array_equal(read_frames(source, 3)[0], read_frames(clip, 3)[0])


def test_writing_twice_gives_the_same_bytes(clip, tmp_path):
    write_video(tmp_path / "again.mp4", iter(greys()), FPS, tone(1000, 44_100), 44_100)
    assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()


def test_a_frame_rate_need_not_be_whole(tmp_path):
    write_video(tmp_path / "ntsc.mp4", greys(), 29.97, tone(1000), RATE)
    assert read_frames(tmp_path / "ntsc.mp4", 1)[1][0] == pytest.approx(25 / 29.97, abs=1 / 29.97)


def test_what_cannot_be_encoded_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"odd\.mp4.*even"):
        write_video(tmp_path / "odd.mp4", greys(47, 63), FPS, tone(1000), RATE)
    with pytest.raises(ValueError, match=r"rate\.mp4.*Invalid argument"):
        write_video(tmp_path / "rate.mp4", greys(), FPS, tone(1000), 12_345)
    with pytest.raises(ValueError, match=r"none\.mp4.*no frame"):
        write_video(tmp_path / "none.mp4", [], FPS, tone(1000), RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_the_wanted_stream_names_the_streams_it_has(tmp_path):
    mute = encode(tmp_path / "mute.mp4", "libx264")
    with pytest.raises(MediaError, match=r"mute\.mp4 .* no audio that can be decoded among its streams \['video'\]"):
        read_waveform(mute, 16_000)
    dark = encode(tmp_path / "dark.mp4", audio="aac")
    with pytest.raises(MediaError, match=r"dark\.mp4 .* no video that can be decoded among its streams \['audio'\]"):
        read_frames(dark, 3)


def test_a_codec_that_nobody_knows_is_an_error(tmp_path):
    path = encode(tmp_path / "new.mkv", "libx264")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC"))
    with pytest.raises(MediaError, match=r"new\.mkv.*no video that can be decoded among its streams \['video'\]"):
        read_frames(path, 3)


def test_the_cover_of_a_song_is_no_video(tmp_path):
    song = encode(tmp_path / "song.mp3", audio="libmp3lame")
    cover = encode(tmp_path / "still.png", "png", pixels="rgb24", frames=greys(count=1)).read_bytes()
    picture = b"\0image/png\0\x03\0" + cover  # as ID3v2.3 attaches it
    tag = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    song.write_bytes(
        b"ID3\x03\0\0" + bytes(len(tag) >> shift & 127 for shift in (21, 14, 7, 0)) + tag + song.read_bytes()
    )
    with pytest.raises(
        MediaError, match=r"song\.mp3.*no video that can be decoded among its streams \['audio', 'video'\]"
    ):
        read_frames(song, 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.mp4", b""), ("notes.mp4", b"He seems open to experience.\n" * 99), ("noise.mp4", bytes(range(256)) * 99)],
)
def test_a_file_that_is_no_video_is_named_with_the_words_of_the_decoder(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for read in (read_waveform, read_frames):
        with pytest.raises(MediaError, match=rf"{name} cannot be decoded.*(Invalid data|it is empty)") as caught:
            read(tmp_path / name, 8)
        assert caught.value.__cause__ is not None
    with pytest.raises(MediaError, match="the file object cannot be decoded"):
        read_waveform(io.BytesIO(content), 16_000)


def test_a_missing_file_is_the_system_s_own_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        read_frames(tmp_path / "gone.mp4", 3)


def test_an_index_that_was_cut_off_is_an_error(clip, tmp_path):
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:4000])  # MP4 keeps its index at the end
    with pytest.raises(MediaError, match=r"half\.mp4 cannot be decoded as audio: Invalid data"):
        read_waveform(tmp_path / "half.mp4", 16_000)


def test_a_stream_that_breaks_off_gives_what_comes_before(tmp_path):
    whole = encode(tmp_path / "whole.mkv", "libx264", "libmp3lame").read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])
    frames, seconds = read_frames(tmp_path / "half.mkv", 4)
    assert 0.2 < seconds[-1] < 1.5
    np.testing.assert_allclose(brightness(frames), 4 * FPS * seconds, atol=2)
    waveform = read_waveform(tmp_path / "half.mkv", 16_000)
    assert 0.2 * 16_000 < len(waveform) < 1.5 * 16_000
    assert pitch(waveform, 16_000) == pytest.approx(1000, abs=3)


def test_damage_in_the_middle_is_passed_over_in_silence(tmp_path, capfd):
    content = bytearray(encode(tmp_path / "whole.avi", "mpeg4", "libmp3lame").read_bytes())
    for start in range(len(content) // 3, len(content) // 2, 600):
        content[start : start + 40] = bytes(40)
    (tmp_path / "hurt.avi").write_bytes(content)
    assert len(read_waveform(tmp_path / "hurt.avi", 16_000)) > 16_000
    assert read_frames(tmp_path / "hurt.avi", 5)[0].shape == (5, 48, 64, 3)
    assert capfd.readouterr() == ("", "")


def test_a_file_lasts_as_long_as_the_longer_of_sound_and_picture(tmp_path):
    for seconds, sound in [(3, 2), (2, 4)]:
        path = tmp_path / f"{seconds}.mp4"
        frames, waveform = np.zeros((10 * seconds, 32, 32, 3), np.uint8), np.zeros(16_000 * sound, np.float32)
        write_video(path, frames, 10, waveform, 16_000)
        assert duration(path) == pytest.approx(max(seconds, sound), abs=0.1)
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"notes\.mp4 cannot be decoded"):
        duration(tmp_path / "notes.mp4")
