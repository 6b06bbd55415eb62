"""The inventory says of every clip what has become of it, and what is damaged or failed gets another try."""

import numpy as np
import pytest

from personality.data import ClipSpectrogram, FaceFrames
from personality.data.inventory import inventory, inventory_text, repair
from personality.features.media import read_waveform


def test_mute_short_and_broken_clips_are_called_so(shelf, record, tone, loading, tmp_path):
    clips = [record("long.wav", tone(440, 0, 9)), record("mute.wav", np.zeros(160_000))]
    clips += [record("short.wav", tone(440, 0, 9, seconds=2)), tmp_path / "broken.mp4"]
    clips[3].write_text("no video")
    data = ClipSpectrogram(shelf({"train": clips[:1], "val": clips}), segments=8, **loading)
    assert inventory(data)["state"].tolist() == ["missing"] * 5
    data.prepare_data()
    table = inventory(data)
    assert table["split"].tolist() == ["train", *["val"] * 4]
    table = table[1:].set_index("clip")
    assert table.index[table["state"] == "failed"].tolist() == ["broken.mp4"]
    assert (table["state"] == "done").sum() == 3
    assert table["segments"].to_dict() == {"broken.mp4": 0, "long.wav": 8, "mute.wav": 8, "short.wav": 2}
    assert table.index[table["mute"]].tolist() == ["mute.wav"]
    assert table.index[table["short"]].tolist() == ["short.wav"]
    assert not table["faceless"].any()
    assert "broken.mp4 cannot be decoded as audio" in table.reason["broken.mp4"]
    assert (table.reason.drop("broken.mp4") == "").all()
    text = inventory_text(inventory(data))
    assert text.splitlines()[3].split() == ["val", "4", "3", "1", "0", "1", "1", "0"]
    assert f"1 failed: {table.reason['broken.mp4']}\n    broken.mp4" in text


def test_a_film_without_a_face_is_faceless(shelf, record, corpus, loading):
    film = record("wall.mp4", frames=np.full((10, 120, 160, 3), 90, np.uint8))
    for source, faceless in [(shelf({"val": [film]}), [True]), (corpus, [False] * 12)]:
        data = FaceFrames(source, frames=2, size=32, **loading)
        data.prepare_data()
        table = inventory(data)
        assert table["faceless"].tolist() == faceless
        assert not table[["mute", "short"]].any(axis=None)


@pytest.mark.parametrize("retry", [False, True])
def test_what_failed_is_computed_anew_only_when_it_gets_another_try(shelf, record, tone, loading, monkeypatch, retry):
    clips = [record(f"{name}.wav", tone(440, 0, 9)) for name in "ab"]
    data = ClipSpectrogram(shelf({"val": clips}), segments=8, **loading)

    def too_busy(path, rate):
        if path.endswith("b.wav"):
            raise TimeoutError("too busy")
        return read_waveform(path, rate)

    with monkeypatch.context() as busy:
        busy.setattr("personality.features.media.read_waveform", too_busy)
        data.prepare_data()
    assert inventory(data)["reason"].tolist() == ["", "TimeoutError: too busy"]
    assert repair(data, retry) == []
    assert inventory(data)["state"].tolist() == ["done", "missing" if retry else "failed"]
    data.prepare_data()
    assert inventory(data)["state"].tolist() == ["done", "done" if retry else "failed"]


def test_damaged_features_are_forgotten_and_computed_anew(shelf, record, tone, loading):
    data = ClipSpectrogram(shelf({"val": [record(f"{name}.wav", tone(440, 0, 9)) for name in "ab"]}), **loading)
    assert repair(data) == []
    data.prepare_data()
    path = data.open("val").folder / "inputs.npy"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert repair(data) == ["b.wav"]
    assert inventory(data)["state"].tolist() == ["done", "missing"]
    data.prepare_data()
    assert path.read_bytes() == before
