import csv
import pickle
import pickletools

import numpy as np
import pandas as pd
import pytest

from personality.corpus.annotations import OFFICIAL_ORDER, read_labels, write_labels
from personality.traits import TRAITS

CLIPS = ("-Ab_x9-7kQz.003.mp4", "J4GQm9j0JZ0.000.mp4", "zEyRyTnIw5I.005.mp4")
CHALLENGE = ("Extraversion", "Agreeableness", "Conscientiousness", "Neurotisicm", "Openness")


@pytest.fixture
def labels():
    values = np.random.default_rng(0).uniform(size=(len(CLIPS), 6))
    return pd.DataFrame(values, index=pd.Index(CLIPS, name="clip"), columns=[*TRAITS, "interview"])


def python_2_pickle(labels):
    """What Python 2 wrote, with a NumPy scalar for the interview: byte strings, memo and dtype as in the real file."""

    def text(word):
        return b"U" + bytes([len(word)]) + word

    out = b"\x80\x02}("
    dtype = b"cnumpy\ndtype\n" + text(b"f8") + b"K\x00K\x01\x87R(K\x03" + text(b"<") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
    for target in OFFICIAL_ORDER:
        out += text(target.encode()) + b"}("
        for clip, label in labels[target].items():
            raw = np.float64(label).tobytes()
            number = b"G" + raw[::-1]
            if target == "interview":
                number = b"cnumpy.core.multiarray\nscalar\n" + dtype + b"K\x00tb" + text(raw) + b"\x86R"
            out += text(clip.encode()) + number
        out += b"u"
    return out + b"u."


def test_reads_what_python_2_wrote(labels, tmp_path):
    path = tmp_path / "annotation_training.pkl"
    path.write_bytes(python_2_pickle(labels))
    pd.testing.assert_frame_equal(read_labels(path), labels)


def test_what_is_written_is_read_again_and_is_the_official_format(labels, tmp_path):
    path = tmp_path / "annotation_test.pkl"
    write_labels(path, labels)
    pd.testing.assert_frame_equal(read_labels(path), labels)

    content = pickle.loads(path.read_bytes(), encoding="latin1")  # ours, so any program may open it
    assert tuple(content) == OFFICIAL_ORDER
    assert {type(label) for judged in content.values() for label in judged.values()} == {float}
    operations = [operation for operation, _, _ in pickletools.genops(path.read_bytes())]
    assert max(operation.proto for operation in operations) <= 2  # what Python 2 reads
    assert not {"GLOBAL", "REDUCE", "BUILD"} & {operation.name for operation in operations}


def test_labels_need_no_interview(labels, tmp_path):
    write_labels(tmp_path / "v1.pkl", labels.drop(columns="interview"))
    assert list(read_labels(tmp_path / "v1.pkl")) == list(TRAITS)


def test_reads_the_csv_of_the_challenge(labels, tmp_path):
    path = tmp_path / "training_gt.csv"
    columns = ["extraversion", "agreeableness", "conscientiousness", "neuroticism", "openness"]
    labels[columns].to_csv(path, index_label="VideoName", header=[f"Value{name}" for name in CHALLENGE])
    pd.testing.assert_frame_equal(read_labels(path), labels[list(TRAITS)])


@pytest.mark.parametrize("rename", [str, str.upper, "Value{}".format, " {} ".format])
def test_reads_a_plain_csv_with_columns_in_any_order_and_spelling(labels, tmp_path, rename):
    path = tmp_path / "mine.csv"
    shuffled = labels.reset_index()[
        ["neuroticism", "openness", "clip", "agreeableness", "extraversion", "conscientiousness"]
    ]
    shuffled.rename(columns=rename).assign(age=30).to_csv(
        path, index=False, encoding="utf-8-sig", quoting=csv.QUOTE_ALL
    )
    pd.testing.assert_frame_equal(read_labels(path), labels[list(TRAITS)])


@pytest.mark.parametrize("content", [b"", b"\x80", b"<html>404</html>", b"\x80\x02}(U\x05"])
def test_what_is_no_pickle_is_refused(tmp_path, content):
    path = tmp_path / "annotation_training.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"annotation_training.pkl cannot be read as labels: .* fetch the file again"):
        read_labels(path)


def test_predictions_are_not_taken_for_labels(labels, tmp_path):
    labels.drop(columns="interview").add_prefix("pred_").to_csv(tmp_path / "test_gt.csv")
    with pytest.raises(ValueError, match=r"test_gt.csv has predictions \(pred_openness, .*Expected labels; name"):
        read_labels(tmp_path / "test_gt.csv")


def test_half_a_pickle_is_refused(labels, tmp_path):
    path = tmp_path / "annotation_training.pkl"
    path.write_bytes(python_2_pickle(labels)[:-20])
    with pytest.raises(ValueError, match="cannot be read as labels"):
        read_labels(path)


@pytest.mark.parametrize(("content", "kind"), [({"a.mp4": "Hello."}, "dict"), ([1, 2], "list")])
def test_other_pickles_of_the_data_set_are_refused(tmp_path, content, kind):
    path = tmp_path / "transcription_training.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(
        ValueError, match=rf"transcription_training.pkl holds a {kind}.*check that it is an annotation file"
    ):
        read_labels(path)


@pytest.mark.parametrize("suffix", ["pkl", "csv"])
def test_a_missing_trait_is_named(labels, tmp_path, suffix):
    path = tmp_path / f"labels.{suffix}"
    lacking = labels.drop(columns=["openness", "interview"])
    (write_labels(path, lacking) if suffix == "pkl" else lacking.to_csv(path))
    with pytest.raises(ValueError, match=rf"labels.{suffix} has no column openness, but clip, .*\. Expected a column"):
        read_labels(path)


def test_a_csv_without_names_is_refused(labels, tmp_path):
    labels.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(ValueError, match=r"labels.csv has the columns openness.* Expected .*one of them clip"):
        read_labels(tmp_path / "labels.csv")


def test_an_empty_csv_is_refused(tmp_path):
    (tmp_path / "labels.csv").touch()
    with pytest.raises(ValueError, match=r"labels.csv is no csv file: .*Expected a header and a line a clip"):
        read_labels(tmp_path / "labels.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels.csv does not exist.* check the name"):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize("suffix", ["pkl", "csv"])
@pytest.mark.parametrize("label", [np.nan, 1.2, -0.1])
def test_a_clip_with_an_impossible_label_is_left_out_and_listed(labels, tmp_path, caplog, suffix, label):
    path = tmp_path / f"labels.{suffix}"
    wrong = labels.copy()
    wrong.loc[CLIPS[1], "extraversion"] = label
    (write_labels(path, wrong) if suffix == "pkl" else wrong.to_csv(path))
    pd.testing.assert_frame_equal(read_labels(path), labels.drop(index=CLIPS[1]))
    assert f"labels missing or out of [0, 1], left out: 1 clip ({CLIPS[1]})" in caplog.text


def test_a_clip_that_one_trait_does_not_list_is_left_out(labels, tmp_path, caplog):
    path = tmp_path / "annotation_training.pkl"
    content = labels.to_dict()
    del content["neuroticism"][CLIPS[2]]
    path.write_bytes(pickle.dumps(content, protocol=2))
    assert list(read_labels(path).index) == list(CLIPS[:2])
    assert CLIPS[2] in caplog.text


def test_words_for_labels_leave_nothing(labels, tmp_path):
    labels.astype(object).replace(labels.to_numpy().ravel().tolist(), "high").to_csv(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match=r"labels.csv has no clip with all its labels"):
        read_labels(tmp_path / "labels.csv")


def test_a_clip_that_stands_twice_is_an_error(labels, tmp_path):
    pd.concat([labels, labels[:1]]).to_csv(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match=rf"labels.csv has more than one line for 1 clip \({CLIPS[0]}\)"):
        read_labels(tmp_path / "labels.csv")
