"""Human annotations: what a file of MM-OCEAN's layout says, and that odd files are listed, never fatal."""

import json

import numpy as np
import pandas as pd
import pytest

from personality.corpus.mm_ocean import COLUMNS, read_annotations


def observation(dimension="Expression", start=1.0, end=4.0, text="She smiles.", boxes=()):
    return {"dimension": dimension, "start_time": start, "end_time": end, "description": text, "bboxes": [*boxes]}


def box(moment=2.0, x=0.25, y=0.5, w=0.25, h=0.125, region="mouth", **other):
    return {
        "frame_time": moment,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "note": "face human-annotated",
        "region": region,
    } | other


def write(folder, *observations, name="Ab-_9.002.mp4.json"):
    (folder / "test").mkdir(exist_ok=True)
    path = folder / "test" / name
    path.write_text(json.dumps({"video_id": name[:-5], "transcription": "Hello.", "observations": [*observations]}))
    return path


def test_a_row_for_each_box_and_each_observation_without_one(tmp_path):
    write(
        tmp_path,
        observation(boxes=[box(), box(1.1, region="eyes"), box(3.9, region="unknown")]),
        observation("Action", boxes=[box(region="hands")]),
        observation("Audio", 0, 2.5),
        observation("Background", 0, 15.1),
        observation("Words", 1, 1.4),
    )
    table, oddities = read_annotations(tmp_path)
    assert oddities.empty
    assert [*table] == COLUMNS
    assert set(table["clip"]) == {"Ab-_9.002.mp4"}
    rows = table.set_index(["kind", "cue"])[["modality", "start", "end"]]
    assert [*rows.itertuples(name=None)] == [
        (("expression", "mouth"), "image", 1.5, 2.5),  # half a second about its frame
        (("expression", "eyes"), "image", 1.0, 1.6),  # within the observation
        (("expression", "expression"), "image", 3.4, 4.0),
        (("action", "hands"), "image", 1.5, 2.5),
        (("voice", "voice"), "audio", 0.0, 2.5),
        (("background", "background"), "image", 0.0, 15.1),
        (("words", "words"), "text", 1.0, 1.4),
    ]
    assert table.loc[0, ["left", "top", "right", "bottom"]].tolist() == [0.25, 0.5, 0.5, 0.625]
    assert table.loc[4, ["low", "high"]].tolist() == [0, np.inf]
    assert table.loc[[4, 5, 6], ["left", "top", "right", "bottom"]].isna().all(axis=None)


ODD = {
    "end before start": (observation(start=4, end=1, boxes=[box()]), "from 4 to 1 s", 0),
    "no time": (observation(end=None, boxes=[box()]), "from 1.0 to None s", 0),
    "a time that is text": (observation(start="soon", boxes=[box()]), "from soon", 0),
    "another dimension": (observation("Smell"), "Smell", 0),
    "no object": ("smile", "dimension None", 0),
    "empty text": (observation(text=" ", boxes=[box()]), "empty description", 1),
    "no box": (observation(), "no box", 1),
    "no list of boxes": (observation() | {"bboxes": None}, "no box", 1),
    "a box beyond the frame": (observation(boxes=[box(x=0.9)]), "beyond the frame; cut", 1),
    "a box outside the frame": (observation(boxes=[box(x=1.5), box()]), "left out", 1),
    "a box without area": (observation(boxes=[box(w=0), box()]), "left out", 1),
    "a box without numbers": (observation(boxes=[box(y=None), box()]), "left out", 1),
    "a box that is none": (observation(boxes=[7, box()]), "left out", 1),
    "no frame_time": (observation(boxes=[box(None)]), "without frame_time", 1),
    "a frame_time outside": (observation(boxes=[box(4.2)]), "outside 1 to 4 s; it counts where both overlap", 1),
    "a frame_time far outside": (observation(boxes=[box(9), box()]), "outside 1 to 4 s; left out", 1),
    "endless numbers": (observation(start=float("-inf"), end=10**400), "left out", 0),
}


@pytest.mark.parametrize(("odd", "oddity", "rows"), ODD.values(), ids=ODD)
def test_what_is_odd_is_listed_with_its_file(tmp_path, caplog, odd, oddity, rows):
    write(tmp_path, observation("Audio"), odd)
    table, oddities = read_annotations(tmp_path)
    assert len(table) == 1 + rows
    found = oddities[oddities["oddity"].str.contains(oddity)]
    assert found[["file", "observation"]].to_numpy().tolist() == [["test/Ab-_9.002.mp4.json", 2]]
    assert "Ab-_9.002.mp4.json, observation 2" in caplog.text
    assert table[["left", "top", "right", "bottom"]].stack().dropna().between(0, 1).all()  # noqa: PD013
    assert (table["start"] < table["end"]).all()


def test_a_file_that_is_no_json_is_named_and_the_others_are_read(tmp_path):
    whole = write(tmp_path, observation("Audio"))
    contents = {
        "cut.mp4.json": whole.read_bytes()[:60],
        "empty.mp4.json": b"",
        "picture.mp4.json": b"\x89PNG\xff\xfe",
        "deep.mp4.json": b"[" * 100_000,
        "list.mp4.json": b"[1]",
        "other.mp4.json": b'{"observations": {}}',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "again").mkdir()
    (tmp_path / "again/Ab-_9.002.mp4.json").write_bytes(whole.read_bytes())
    table, oddities = read_annotations(tmp_path)
    assert len(table) == 1
    listed = oddities.set_index("file")["oddity"]
    assert set(listed.index) == {*contents, "test/Ab-_9.002.mp4.json"}
    assert listed["test/Ab-_9.002.mp4.json"].startswith("the clip has another file, again/Ab-_9.002.mp4.json")
    assert (
        listed[["cut.mp4.json", "empty.mp4.json", "picture.mp4.json", "deep.mp4.json"]].str.startswith("no JSON").all()
    )
    assert (listed[["list.mp4.json", "other.mp4.json"]] == "no list `observations`").all()


def test_a_folder_without_annotations_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no .json files in {tmp_path}.*check the folder"):
        read_annotations(tmp_path)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ValueError, match=r"a\.json: no list `observations`.*check the folder"):
        read_annotations(tmp_path)


def test_the_table_is_that_of_planted_cues_as_far_as_it_fits(corpus):
    assert {*COLUMNS} - {*corpus.cues()} == {"kind"}
    assert pd.Series(COLUMNS).is_unique
