"""Sound and pictures of every container lie where a player has them, in the whole file and in every excerpt."""

import numpy as np
import pytest

from personality.features.demux import open_stream
from personality.features.media import excerpts, read_frames, read_waveform
from tests.features.clocks import FPS, RATE, lag, melody, number_of, write_media

NEAR = 0.06  # seconds

CONTAINERS = {
    "mp4": {},
    "mov": {"sound_codec": "pcm_s16le"},
    "fragmented.mp4": {"options": {"movflags": "frag_keyframe+delay_moov"}},
    "mkv": {"sound_codec": "libmp3lame"},
    "live.mkv": {"options": {"live": "1"}},
    "webm": {"sound_codec": "libopus", "picture_codec": "libvpx"},
    "live.webm": {"sound_codec": "libopus", "picture_codec": "libvpx", "options": {"live": "1"}},
    "ts": {},
    "avi": {"sound_codec": "libmp3lame", "picture_codec": "mpeg4"},
    "ogg": {"sound_codec": "libopus"},
    "mp3": {"sound_codec": "libmp3lame"},
}
SOUND_ONLY = ("ogg", "mp3")
LAYOUTS = {
    "together": {"sound": 14, "picture_seconds": 14},
    "sound early": {"sound": 14, "picture_seconds": 9, "picture_at": 5},
    "sound late": {"sound": 9, "sound_at": 5, "picture_seconds": 14},
    "sound shorter": {"sound": 5, "picture_seconds": 14},
    "sound longer": {"sound": 14, "picture_seconds": 5},
    "gap": {"sound": 14, "gap": (4, 8), "picture_seconds": 14},
    "two key frames": {"sound": 14, "picture_seconds": 14, "every": 200},
    "a still picture": {"sound": 14, "picture_seconds": 1 / FPS},
}
IMPOSSIBLE = {
    ("avi", "sound late"),  # an AVI counts its chunks: it has no time stamps
    ("avi", "sound early"),
    ("avi", "gap"),
    ("mov", "gap"),  # of uncompressed sound
    *(("mp3", name) for name in ("sound late", "gap")),  # nor has an mp3
    *(("ogg", name) for name in ("sound late",)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_moment_lies_where_a_player_has_it(tmp_path, container, layout):
    if (container, layout) in IMPOSSIBLE:
        pytest.skip(f"{container} cannot hold {layout}")
    parts = LAYOUTS[layout] | CONTAINERS[container]
    if container in SOUND_ONLY:
        parts = parts | {"picture_seconds": 0, "picture_at": 0}
    path = write_media(tmp_path / f"talk.{container}", **parts)
    start, seconds = parts.get("sound_at", 0), parts["sound"]
    expected = np.pad(melody(seconds), (start * RATE, 0))
    first, last = parts.get("gap", (0, 0))
    expected[first * RATE : last * RATE] = 0

    whole = read_waveform(path, RATE)
    assert len(whole) == pytest.approx(len(expected), abs=0.1 * RATE)
    compare(whole, expected)
    for part in excerpts(path, "audio", 3.0):
        sound = read_waveform(part, RATE)
        since = round((part.start - shown_from(path)) * RATE)
        assert len(sound) == pytest.approx(min(3 * RATE, len(whole) - since), abs=0.03 * RATE)
        compare(sound, whole[since : since + 3 * RATE])

    if parts["picture_seconds"]:
        at = parts.get("picture_at", 0)
        on_screen(*read_frames(path, 7), at)
        for part in excerpts(path, "video", 3.0):
            on_screen(*read_frames(part, 5), at - (part.start - shown_from(path)))


def shown_from(path):
    """When a player starts, in seconds on the clock of the file."""
    with open_stream(path, "audio") as stream:
        return stream.start


def compare(sound, expected):
    """Hold that a sound is the expected one second by second, and silent where that is."""
    for second in range(min(len(sound), len(expected)) // RATE):
        heard, due = (each[second * RATE : (second + 1) * RATE] for each in (sound, expected))
        if np.abs(due).mean() < 0.01:
            assert np.abs(heard[RATE // 5 : -RATE // 5]).max() < 0.01
        elif np.abs(due).mean() > 0.15:  # all of it has sound
            assert abs(lag(heard, due)) < NEAR


def on_screen(frames, times, at):
    """Hold that each frame was on screen at its time, `at` being when the first frame is."""
    shown = np.array([number_of(frame) for frame in frames]) / FPS + at
    np.testing.assert_allclose(times, shown, atol=NEAR)
    assert np.all(np.diff(times) >= 0)
