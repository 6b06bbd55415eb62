"""Files as cameras, broadcasts and editors leave them: read as a player would, or an error that says why not."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from personality.features.media import Excerpt, MediaError, excerpts, read_frames, read_waveform
from tests.features.clocks import FPS, RATE, lag, melody, number_of, write_media


def surround(path, codec, layout, **tones):
    """Write a second of sound in which each channel that is named has a tone of its own, in Hz."""
    rate = 48_000
    time = np.arange(rate) / rate
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    planes = np.stack([0.25 * np.sin(2 * np.pi * tones.get(name, 0) * time) for name in names])
    frame = av.AudioFrame.from_ndarray(planes.T.reshape(1, -1).astype(np.float32), "flt", layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    with av.open(str(path), "w") as container:
        voice = container.add_stream(codec, rate, layout=layout)
        resampler = av.AudioResampler(voice.format.name, layout, rate, frame_size=voice.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(voice.encode(part))
    return path


def amplitude(sound, frequency):
    """Amplitude of a tone in a second of sound."""
    middle = sound[RATE // 4 : 3 * RATE // 4]
    phase = 2j * np.pi * frequency * np.arange(len(middle)) / RATE
    return 2 * np.abs((middle * np.exp(phase)).mean())


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("clip.mp4", "aac", "5.1"),
        ("clip.mp4", "aac", "7.1"),
        ("clip.mkv", "libopus", "7.1"),
        ("clip.mka", "flac", "7.1"),
        ("clip.wav", "pcm_s16le", "5.1"),
        ("clip.mov", "pcm_f32le", "7.1"),
    ],
)
def test_more_than_two_channels_are_mixed_as_bs_775_says(tmp_path, name, codec, layout):
    tones = {"FL": 400, "FR": 600, "FC": 1000, "BL": 1400, "BR": 1800, "LFE": 80}
    path = surround(tmp_path / name, codec, layout, **tones)
    half = 2**-0.5
    mono = {"FC": 1, "FL": half, "FR": half, "BL": 0.5, "BR": 0.5, "LFE": 0}
    left = {"FC": half, "FL": 1, "FR": 0, "BL": half, "BR": 0, "LFE": 0}
    sounds = [(read_waveform(path, RATE), mono), (read_waveform(path, RATE, channels=2)[:, 0], left)]
    for sound, weights in sounds:
        for channel, weight in weights.items():
            assert amplitude(sound, tones[channel]) == pytest.approx(0.25 * weight, abs=0.03), channel


@pytest.mark.parametrize(
    ("name", "container", "codec", "rates", "late"),
    [
        ("joined.mp3", "mp3", "libmp3lame", (16_000, 44_100), 0.2),  # each part begins with the encoder's delay
        ("joined.mp3", "mp3", "libmp3lame", (44_100, 16_000), 0.1),
        ("joined.aac", "adts", "aac", (16_000, 44_100), 0.15),
        ("joined.aac", "adts", "aac", (44_100, 16_000), 0.15),
        ("joined.ts", "mpegts", "aac", (16_000, 44_100), 0.15),
        ("joined.ts", "mpegts", "aac", (44_100, 16_000), 0.15),
        ("chained.ogg", "ogg", "libopus", (48_000, 48_000), 0.02),
        ("chained.ogg", "ogg", "flac", (16_000, 16_000), 0.02),
        ("chained.ogg", "ogg", "flac", (44_100, 16_000), 0.02),
        ("joined.mka", "matroska", "flac", (16_000, 16_000), 0.02),
    ],
)
def test_joined_sound_is_read_to_its_end_at_each_rate(tmp_path, name, container, codec, rates, late):
    options = {"write_xing": "0", "id3v2_version": "0"} if codec == "libmp3lame" else {}
    parts = [
        write_media(
            tmp_path / f"{seed}", sound=4, rate=rate, sound_codec=codec, format=container, options=options, seed=seed
        ).read_bytes()
        for seed, rate in enumerate(rates)
    ]
    path = tmp_path / name
    path.write_bytes(b"".join(parts))
    whole = read_waveform(path, RATE)
    assert len(whole) == pytest.approx(8 * RATE, abs=2 * late * RATE + 800)
    for seed in (0, 1):
        middle = whole[(4 * seed + 1) * RATE : (4 * seed + 3) * RATE]
        assert 0 <= lag(middle, melody(4, seed)[RATE : 3 * RATE]) < late
    for part in excerpts(path, "audio", 3.0):
        sound, since = read_waveform(part, RATE), round((part.start - excerpts(path, "audio", 3.0)[0].start) * RATE)
        assert abs(lag(sound, whole[since : since + len(sound)])) < 0.06


@pytest.mark.parametrize("tracks", [1, 2])
def test_a_chain_of_ogg_that_ffmpeg_cannot_decode_is_an_error(tmp_path, tracks):
    parts = []
    for rate in (16_000, 44_100):  # FLAC in Ogg keeps the first recording's block size; two tracks are not replaced
        path = tmp_path / "part.ogg"
        with av.open(str(path), "w") as container:
            voices = [container.add_stream("flac", rate, layout="mono") for _ in range(tracks)]
            for voice in voices:
                frame = av.AudioFrame.from_ndarray((melody(4) * 2**15).astype(np.int16)[None], "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
                container.mux(voice.encode(frame))
                container.mux(voice.encode(None))
        parts.append(path.read_bytes())
    (tmp_path / "chained.ogg").write_bytes(b"".join(parts))
    with pytest.raises(MediaError, match=r"chained\.ogg.*second recording.*cut the file"):
        read_waveform(tmp_path / "chained.ogg", RATE)


@pytest.mark.parametrize(
    ("container", "codecs"),
    [
        ("mpegts", {}),
        ("mpeg", {"sound_codec": "mp2", "picture_codec": "mpeg1video"}),
        ("matroska", {"sound_codec": "libmp3lame"}),
        ("webm", {"sound_codec": "libopus", "picture_codec": "libvpx"}),
    ],
)
def test_of_joined_videos_sound_and_picture_stay_together(tmp_path, container, codecs):
    parts = [
        write_media(
            tmp_path / f"{seed}", sound=4, picture_seconds=4, first=500 * seed, seed=seed, format=container, **codecs
        ).read_bytes()
        for seed in (0, 1)
    ]
    path = tmp_path / "joined"
    path.write_bytes(b"".join(parts))
    whole = read_waveform(path, RATE)
    assert len(whole) == pytest.approx(8 * RATE, abs=0.2 * RATE)
    second = lag(whole, np.pad(melody(4, 1), (4 * RATE, 0)))
    assert 0 <= second < 0.15
    for source in [path, *excerpts(path, "video", 3.0)]:
        start = source.start - excerpts(path, "video", 3.0)[0].start if isinstance(source, Excerpt) else 0.0
        frames, times = read_frames(source, 4)
        shown = [number % 500 / FPS + (4 + second) * (number >= 500) for number in map(number_of, frames)]
        np.testing.assert_allclose(times + start, shown, atol=0.1)
    assert max(number_of(frame) for frame in read_frames(path, 4)[0]) > 500


def test_a_broadcast_whose_clock_turns_over_is_read_from_its_beginning(tmp_path):
    turn = 2**33 / 90_000
    path = write_media(tmp_path / "wrap.ts", sound=12, picture_seconds=12, shift=turn - 5 - 1.4, format="mpegts")
    assert len(read_waveform(path, RATE)) == pytest.approx(12 * RATE, abs=0.1 * RATE)
    parts = excerpts(path, "audio", 4.0)
    assert [round(part.start - parts[0].start) for part in parts] == [0, 4, 8]
    for number, part in enumerate(parts):
        assert abs(lag(read_waveform(part, RATE), melody(12)[4 * number * RATE : 4 * (number + 1) * RATE])) < 0.06
    for number, part in enumerate(excerpts(path, "video", 4.0)):
        frames, times = read_frames(part, 3)
        np.testing.assert_allclose(4 * number + times, [number_of(frame) / FPS for frame in frames], atol=0.06)


def test_a_clip_that_begins_in_a_gap_begins_in_silence(tmp_path):
    path = write_media(tmp_path / "gap.mkv", sound=14, gap=(5, 8), picture_seconds=14)
    sound = read_waveform(Excerpt(str(path), 6.0, 4.0), RATE)
    assert len(sound) == 4 * RATE
    assert np.abs(sound[: round(1.9 * RATE)]).max() == 0
    assert abs(lag(sound[2 * RATE :], melody(14)[8 * RATE : 10 * RATE])) < 0.06
    assert not read_waveform(Excerpt(str(path), 5.5, 2.0), RATE).any()  # all of it, though sound follows
    assert len(read_waveform(Excerpt(str(path), 4.0, 3.0), RATE)) == 3 * RATE  # its end


def test_jitter_of_time_stamps_is_no_gap(tmp_path):
    path = write_media(tmp_path / "clip.mkv", sound=5, sound_codec="pcm_s16le", rate=RATE)  # in milliseconds
    np.testing.assert_allclose(read_waveform(path, RATE), melody(5), atol=1e-3)


def test_an_excerpt_beyond_the_stream_is_an_error_that_says_when(tmp_path):
    path = write_media(tmp_path / "talk.mp4", sound=9, picture_seconds=3)
    assert len(excerpts(path, "audio", 3.0)) == 3
    assert len(excerpts(path, "video", 3.0)) == 1
    with pytest.raises(MediaError, match=r"talk\.mp4.*no picture from 6\.00 s to 9\.00 s"):
        read_frames(Excerpt(str(path), 6.0, 3.0), 4)
    with pytest.raises(MediaError, match=r"talk\.mp4.*no sound from 12\.00 s to 15\.00 s"):
        read_waveform(Excerpt(str(path), 12.0, 3.0), RATE)
    with pytest.raises(MediaError, match="no video"):
        excerpts(write_media(tmp_path / "mute.mp4", sound=2), "video", 3.0)


def test_what_an_edit_list_hides_is_not_shown(tmp_path):
    """As `ffmpeg -ss 2.2 -t 4 -c copy` leaves it: packets from the key frame before, hidden up to 2.2 s."""
    path = write_media(tmp_path / "whole.mp4", sound=9, picture_seconds=9, every=50)
    cut = tmp_path / "cut.mp4"
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or not 2.0 <= (packet.pts + 1) * packet.time_base < 6.2:
                continue
            if packet.stream.type == "audio" and packet.pts * packet.time_base < 2.2:
                continue
            shift = round(2.2 / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, streams[packet.stream_index]
            target.mux(packet)
    frames, times = read_frames(cut, 10)
    numbers = [number_of(frame) for frame in frames]
    assert len(set(numbers)) == 10
    np.testing.assert_allclose(times, np.array(numbers) / FPS - 2.2, atol=0.06)
    assert abs(lag(read_waveform(cut, RATE)[:RATE], melody(9)[round(2.2 * RATE) :][:RATE])) < 0.06
    assert excerpts(cut, "video", 15.3)[0].start == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize(("aspect", "shown"), [("16:9", (32, 284)), ("2:3", (48, 160)), ("1:1", (32, 160))])
def test_pixels_that_are_not_square_are_shown_as_a_player_does(tmp_path, aspect, shown):
    path = write_media(tmp_path / "dv.mp4", picture_seconds=1, aspect=Fraction(*map(int, aspect.split(":"))))
    frames, _ = read_frames(path, 3)
    assert frames.shape == (3, *shown, 3)
    assert [number_of(frame) for frame in frames] == [4, 12, 20]
    assert read_frames(path, 1, size=(20, 40))[0].shape == (1, 20, 40, 3)


ORIENTATIONS = {  # EXIF's number: how the stored picture becomes the one that is shown
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: np.rot90,
}


def quarters():
    """Picture whose four quarters differ."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, 32:], image[16:, :32], image[16:, 32:] = 80, 160, 240
    return image


def write_image(path, codec="mjpeg"):
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream(codec, 1, width=64, height=32, pix_fmt="yuvj420p")
        frame = av.VideoFrame.from_ndarray(quarters()).reformat(format="yuvj420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_says_how_a_picture_is_shown(tmp_path, orientation):
    folder = tmp_path / "clip"
    folder.mkdir()
    write_image(folder / "frame1.jpg")
    jpeg = (folder / "frame1.jpg").read_bytes()
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    (folder / "frame1.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    shown = ORIENTATIONS[orientation](quarters())
    np.testing.assert_allclose(read_frames(folder, 1)[0][0].astype(int), shown.astype(int), atol=40)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_display_matrix_may_turn_and_mirror(tmp_path, orientation):
    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, width=64, height=32, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(quarters())))
        container.mux(stream.encode())
    shown = ORIENTATIONS[orientation](quarters())
    basis = [ORIENTATIONS[orientation](axis) for axis in np.stack(np.mgrid[:2, :2])[..., None].repeat(3, 3)]
    # Where the stored picture's columns and rows grow to on the screen, in this order: right, down.
    right, down = (
        (int(grid[0, 1, 0] - grid[0, 0, 0]), int(grid[1, 0, 0] - grid[0, 0, 0])) for grid in (basis[1], basis[0])
    )
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    for place, value in {0: right[0], 4: right[1], 12: down[0], 16: down[1]}.items():
        content[matrix + place : matrix + place + 4] = struct.pack(">i", value << 16)
    path.write_bytes(content)
    np.testing.assert_allclose(read_frames(path, 1)[0][0].astype(int), shown.astype(int), atol=40)
