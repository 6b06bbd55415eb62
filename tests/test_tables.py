"""The reader of foreign tables: every dialect that people have saved a table of labels in, and who reads it."""

import numpy as np
import pytest

from personality.corpus.annotations import read_labels, read_people
from personality.evaluation import read_groups, read_predictions, read_trait_labels
from personality.tables import read_table, rename_columns
from personality.traits import TRAITS

CLIPS = ["-Ab_x9-7kQz.003", "J4GQm9j0JZ0.000", "zoé talks.001"]
VALUES = np.round(np.random.default_rng(0).uniform(size=(3, 5)), 3)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", ", " ; "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin1"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("quoted", [False, True])
def test_every_dialect(tmp_path, separator, encoding, decimal, quoted):
    if decimal == separator.strip() and not quoted:
        pytest.skip("cannot be distinguished")
    ending = ".mp4" if quoted else ""
    lines = [["CLIP", *(trait.upper() for trait in TRAITS)]]
    for clip, row in zip(CLIPS, VALUES, strict=True):
        lines.append([f"{clip}{ending}", *(str(value).replace(".", decimal) for value in row)])
    if quoted:
        lines = [[f'"{cell}"' for cell in line] for line in lines]
        separator = separator.strip(" ")
    path = tmp_path / "labels.csv"
    path.write_bytes(("\r\n".join(separator.join(line) for line in lines) + "\r\n").encode(encoding))
    for read in (read_labels, read_trait_labels, read_predictions):
        table = read(path)
        assert table.index.tolist() == [f"{clip}.mp4" for clip in CLIPS]
        np.testing.assert_allclose(table[list(TRAITS)], VALUES)


def test_big_endian_utf_16_and_the_first_line_of_excel(tmp_path):
    path = tmp_path / "labels.csv"
    text = f"sep=;\r\nclip;{';'.join(TRAITS)}\r\na.000;0,1;0,2;0,3;0,4;0,5\r\n"
    path.write_bytes(b"\xfe\xff" + text.encode("utf-16-be"))
    assert read_labels(path).loc["a.000.mp4"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_separators_within_quotes_do_not_count(tmp_path):
    path = tmp_path / "labels.csv"
    header = ['"clip"', *(f'"{trait}"' for trait in TRAITS), '"one, two, three, four, five, six, seven"']
    path.write_text(";".join(header) + '\na.000;.1;.2;.3;.4;.5;"x, y"\n')
    assert read_labels(path).loc["a.000.mp4"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("clip,openness\n".encode("utf-16-le"), r"begins with the bytes .*Expected a csv file in UTF-8; save it"),
        (b"PK\x03\x04\x14\x00\x06\x00", r"begins with the bytes b'PK.*Expected a csv file in UTF-8; save it"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"begins with the bytes .*PNG.*Expected a csv file in UTF-8; save it"),
        (b"clip O C E A N\na.000 1 1 1 1 1\n", r"has the columns clip O C E A N\. Expected .*one of them clip"),
        (b'{"a": "' + 200_000 * b"x" + b'"}', r"is no csv file: .*Expected a header and a line a clip"),
        (b"clip,O,C,E,A\na.000,1,1,1,1\n", r"has no column openness, .* but clip, O, C, E, A\. Expected a column for"),
        (b"clip,opennes,C,E,A,N\na.000,1,1,1,1,1\n", r"but clip, opennes, C.*; rename opennes, if that is what it is"),
        (
            b"clip,O,C,E,A,N,pred_O,pred_C,pred_E,pred_A,pred_N\na,1,1,1,1,1,1,1,1,1,1\n",
            r"two columns of .*O, .*pred_O",
        ),
    ],
    ids=["UTF-16 without mark", "Excel", "PNG", "blanks", "long line", "four letters", "misspelt", "doubled"],
)
@pytest.mark.parametrize("read", [read_labels, read_trait_labels, read_predictions])
def test_what_cannot_be_read_is_explained_exactly(tmp_path, read, content, message):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"labels\.csv .*{message}"):
        read(path)


@pytest.mark.parametrize("read", [read_table, read_labels, read_trait_labels, read_groups])
def test_a_folder_is_not_a_missing_file(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent.csv does not exist.*check the name"):
        read(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("columns", "spelled"),
    [
        ("O C E A N", TRAITS),
        ("o c e a", ["o", "c", "e", "a"]),
        ("label_o label_c label_e label_a label_n", [f"{trait}_label" for trait in TRAITS]),
        ("O C E A N gt_O gt_C", [*TRAITS, "gt_O", "gt_C"]),
        ("y_pred_openness openness_true predictedOpenness", ["openness", "openness_label", "openness"]),
        ("interview_label opennessSpread openness_std", ["interview_label", "openness_std", "openness_std"]),
        ("name video clip", ["name", "video", "clip"]),
        ("name video", ["name", "clip"]),
        ("ApparentAge GENDER ethnicity_group", ["age", "gender", "ethnicity"]),
        ("openness_rank mean_openness", ["openness_rank", "mean_openness"]),
    ],
)
def test_columns_are_spelled_as_ours(columns, spelled):
    assert rename_columns(columns.split()) == list(spelled)


def test_columns_that_clips_may_be_called_by(tmp_path):
    path = tmp_path / "table.csv"
    for key in ("VideoName", "sample_id", "File Name", "clip", "Path", "video", "name"):
        path.write_text(f"{key};x\na.000;1\n")
        assert read_table(path, "clip").index.tolist() == ["a.000.mp4"]


def test_one_table_of_people_for_corpus_and_evaluation(tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes("Video_Name\tApparent Age\tGender\r\nzoé.000\t 31 \t1\r\nb.000.mp4\t\t2\r\n".encode("utf-16"))
    people, groups = read_people(path), read_groups(path)
    assert people.index.tolist() == groups.index.tolist() == ["zoé.000.mp4", "b.000.mp4"]
    assert people["gender"].tolist() == ["1", "2"]
    assert groups["gender"].tolist() == ["male", "female"]
    assert people["age"].tolist()[0] == "31"
    assert groups["age"].tolist()[0] == "30 to 39"
    assert people["age"].isna().tolist() == groups["age"].isna().tolist() == [False, True]


@pytest.mark.parametrize("text", ["clip,openness\na.000,0.5\n", "a,b\n1,2\n", "", "\0\0", "clip,age\na.000,1,2,3\n"])
def test_other_tables_are_no_tables_of_people(tmp_path, text):
    (tmp_path / "other.csv").write_text(text, newline="", encoding="utf-8")
    assert read_people(tmp_path / "other.csv") is None
