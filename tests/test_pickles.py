"""Pickles of labels: all that people have made of the official ones is read, and nothing else is built."""

import collections
import functools
import os
import pickle
import struct
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from personality.corpus.annotations import read_labels, read_transcripts
from personality.evaluation import read_trait_labels
from personality.pickles import ALLOWED, unpickle
from personality.traits import TRAITS

CLIPS = ("-Ab_x9-7kQz.003.mp4", "J4GQm9j0JZ0.000.mp4", "zEyRyTnIw5I.005.mp4")
VALUES = np.random.default_rng(0).uniform(size=(6, 3)).round(3)
TARGETS = [*TRAITS, "interview"]


def labels_of(kind=float, mapping=dict, name=str):
    """Labels in the official layout, with numbers, mappings and names of clips of the given kinds."""
    inner = [mapping({name(clip): kind(value) for clip, value in zip(CLIPS, row, strict=True)}) for row in VALUES]
    return mapping(dict(zip(TARGETS, inner, strict=True)))


def refused(content, tmp_path):
    """The error of a pickle, which must name the file and give a remedy."""
    path = tmp_path / "annotation_training.pkl"
    path.write_bytes(content)
    for read in (read_labels, read_trait_labels):
        with pytest.raises(
            ValueError, match=r"annotation_training.pkl cannot be read as labels: .*Expected labels.*; (fetch|ask)"
        ) as message:
            read(path)
    return str(message.value)


LAYOUTS = {
    "floats": labels_of(),
    "float64": labels_of(np.float64),
    "float32": labels_of(np.float32),
    "float16": labels_of(np.float16),
    "big-endian": labels_of(lambda value: np.array([value], ">f8")[0]),
    "OrderedDict": labels_of(mapping=collections.OrderedDict),
    "defaultdict of dicts": collections.defaultdict(dict, labels_of(np.float32)),
    "defaultdict of floats": labels_of(mapping=functools.partial(collections.defaultdict, float)),
    "defaultdict of NumPy's": labels_of(np.float32, functools.partial(collections.defaultdict, np.float32)),
    "NumPy's names": labels_of(np.float64, name=np.str_),
    "names as bytes": labels_of(name=str.encode),
    "names without .mp4": labels_of(name=lambda clip: clip.removesuffix(".mp4")),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_official_labels_that_were_pickled_again(layout, protocol, tmp_path):
    path = tmp_path / "annotation_training.pkl"
    path.write_bytes(pickle.dumps(LAYOUTS[layout], protocol=protocol))
    read = read_labels(path)
    assert list(read.index) == list(CLIPS)
    np.testing.assert_allclose(read[TARGETS], VALUES.T, atol=1e-3 if layout == "float16" else 1e-7)
    pd.testing.assert_frame_equal(read_trait_labels(path), read)


def test_numpy_1_and_numpy_2_call_the_same_function(tmp_path):
    """A pickle of the other NumPy is the same but for one name."""
    now = pickle.dumps(labels_of(np.float32), protocol=2)
    assert b"numpy._core.multiarray\nscalar" in now
    path = tmp_path / "annotation_training.pkl"
    path.write_bytes(now.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_allclose(read_labels(path)[TARGETS], VALUES.T, atol=1e-7)


def test_the_plain_values_are_pythons_own():
    built = unpickle(pickle.dumps(LAYOUTS["defaultdict of NumPy's"]), "labels.pkl", "labels")
    assert type(built) is dict
    assert {type(labels) for labels in built.values()} == {dict}
    assert {type(value) for labels in built.values() for value in labels.values()} == {float}
    with pytest.raises(KeyError):
        built["openness"]["nobody.mp4"]


class Call:
    """An object whose pickle asks for a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_pickles_do_not_run(tmp_path, protocol):
    harm = tmp_path / "harm"
    calls = [
        Call(os.mkdir, str(harm)),
        Call(os.system, f"mkdir {harm}"),
        Call(eval, f"__import__('os').mkdir({str(harm)!r})"),
        Call(exec, f"import os; os.mkdir({str(harm)!r})"),
        Call(getattr, Call(__import__, "os"), "mkdir"),
        Call(functools.partial, os.mkdir, str(harm)),
        Call(np.load, str(harm)),
        Call(np.memmap, str(harm), "float32", "w+", 0, (1,)),
        Call(pd.read_pickle, str(harm)),
        Call(open, str(harm), "w"),
        Call(bytearray, 10**10),
        Call(collections.Counter, "abc"),
    ]
    for call in calls:
        name = call.call[0].__name__
        for content in (call, {"openness": call}, {call: 1}, {"openness": {"a.mp4": call}}):
            message = refused(pickle.dumps(content, protocol=protocol), tmp_path)
            assert "it asks for " in message
            assert name in message or "getattr" in message or "__import__" in message
    assert not harm.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "numpy.load", "numpy.core.multiarray.load", "builtins.eval", "codecs.load"]
)
def test_a_name_is_refused_before_its_package_is_imported(tmp_path, name):
    module, _, function = name.rpartition(".")
    assert f"asks for {name}" in refused(f"c{module}\n{function}\n.".encode(), tmp_path)
    assert "asks for absent_package.load" in refused(b"\x80\x02cabsent_package\nload\n.", tmp_path)
    assert "absent_package" not in sys.modules


@pytest.mark.parametrize(
    ("factory", "name"),
    [(os.getcwd, "getcwd"), (print, "print"), (functools.partial(dict, a=1), "partial"), (np.load, "load")],
)
def test_a_defaultdict_with_a_factory_that_is_no_plain_type(tmp_path, factory, name):
    message = refused(pickle.dumps(collections.defaultdict(factory, labels_of())), tmp_path)
    assert f"asks for {factory.__module__ if name != 'partial' else 'functools'}" in message
    assert name in message


def test_types_that_a_defaultdict_may_name_cannot_be_called(tmp_path):
    for name, stand_in in ALLOWED.items():
        if stand_in is None:
            module, _, kind = name.rpartition(".")
            content = f"c{module}\n{kind}\n(I100000000000\ntR.".encode()
            assert "not callable" in refused(content, tmp_path)


def scalar(code, data, state="(I3\nV<\nNNNI-1\nI-1\nI0\nt"):
    """The opcodes of a NumPy scalar with a type of one's own."""
    kind = f"cnumpy\ndtype\n(V{code}\nI00\nI01\ntR{state}b"
    return f"cnumpy._core.multiarray\nscalar\n({kind}V".encode() + data + b"\ntR."


@pytest.mark.parametrize(
    "code", ["O", "O8", "V8", "|O", "M8", "f8,O", "(2,)f8", "U99999999999", "f8f8", "os.system", "c16"]
)
def test_numpy_scalars_of_other_types_are_refused(tmp_path, code):
    nested = pickle.dumps(Call(os.mkdir, str(tmp_path / "harm")), protocol=0).decode().replace("\n", "\\u000a").encode()
    for data in (b"12345678", nested):
        refused(scalar(code, data), tmp_path)
    assert not (tmp_path / "harm").exists()


def test_a_numpy_scalar_has_as_many_bytes_as_its_type(tmp_path):
    assert "of 4 bytes instead of 8" in refused(scalar("f8", b"1234"), tmp_path)
    assert "of 4 bytes instead of 3999996" in refused(scalar("U999999", b"1234"), tmp_path)


@pytest.mark.parametrize("state", ["(I3\nVOO\nNNNI-1\nI-1\nI0\nt", "N", "(t", "(dVorder\nVx\ns"])
def test_the_state_of_a_numpy_type_is_not_trusted(tmp_path, state):
    refused(scalar("f8", b"12345678", state), tmp_path)


def test_only_latin_1_is_encoded(tmp_path):
    assert "the encoding idna" in refused(b"c_codecs\nencode\n(Va\nVidna\ntR.", tmp_path)


def test_stand_ins_cannot_be_changed_for_the_next_file(tmp_path):
    """BUILD sets attributes on whatever lies on the stack, also on what a name stands for."""
    for name in ("numpy.dtype", "numpy._core.multiarray.scalar", "collections.OrderedDict", "collections.defaultdict"):
        module, _, function = name.rpartition(".")
        for state in (
            "(dV__code__\nV1\ns",
            "(N(dV__setstate__\nV1\nst",
            "(N(dV__code__\nV1\nst",
            "(N(dV__call__\nV1\nst",
        ):
            path = tmp_path / "hostile.pkl"
            path.write_bytes(f"c{module}\n{function}\n{state}b.".encode())
            with pytest.raises(ValueError, match=r"hostile\.pkl"):
                read_labels(path)
    built = unpickle(pickle.dumps(labels_of(np.float32)), "labels.pkl", "labels")
    assert built["openness"][CLIPS[0]] == np.float32(VALUES[0, 0])


BOMBS = {
    "memo": b"\x80\x04}r" + struct.pack("<I", 2**28) + b".",
    "memo in text": b"(dp268435456\n.",
    "string": b"\x80\x04\x8d" + struct.pack("<Q", 2**33) + b"a.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**33) + b"a.",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"a.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**33) + b"}.",
    "long": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_few_bytes_do_not_fill_the_memory(tmp_path, bomb):
    tracemalloc.start()
    try:
        refused(BOMBS[bomb], tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        pd.DataFrame(labels_of()),
        {trait: pd.Series(labels) for trait, labels in labels_of().items()},
        {trait: np.array(list(labels.values())) for trait, labels in labels_of().items()},
    ],
    ids=["frame", "series", "arrays"],
)
def test_labels_in_pandas_and_numpy_containers_are_refused_with_a_remedy_that_helps(content, tmp_path):
    message = refused(pickle.dumps(content), tmp_path)
    remedy = message.partition("written with ")[2].removesuffix(".")
    assert remedy.startswith("pandas.DataFrame(labels).to_csv(")
    table = pd.DataFrame(content)
    table.index = pd.Index(CLIPS)
    table.to_csv(tmp_path / "labels.csv", index_label="clip")  # what the remedy says
    np.testing.assert_allclose(read_labels(tmp_path / "labels.csv")[TARGETS], VALUES.T)


@pytest.mark.parametrize("content", [{"openness": {"a.mp4": "high"}}, {"openness": {"a.mp4": [1]}}])
def test_values_that_are_no_numbers_are_named(content, tmp_path):
    path = tmp_path / "labels.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"labels\.pkl has .* for openness\. Expected a number"):
        read_labels(path)


def test_a_pickle_is_known_by_its_first_byte(tmp_path):
    path = tmp_path / "annotation_training.csv"
    path.write_bytes(pickle.dumps(labels_of(), protocol=2))
    assert list(read_labels(path).index) == list(CLIPS)


def test_transcripts_are_read_with_the_same_caution(tmp_path):
    path = tmp_path / "transcription_training.pkl"
    path.write_bytes(pickle.dumps(collections.OrderedDict({"a.000": "Hello.", "b.000.mp4": ""}), protocol=2))
    assert read_transcripts(path).to_dict() == {"a.000.mp4": "Hello.", "b.000.mp4": ""}
    path.write_bytes(pickle.dumps({"a": Call(os.mkdir, str(tmp_path / "harm"))}))
    with pytest.raises(ValueError, match=r"transcription_training.pkl cannot be read as transcriptions: it asks for"):
        read_transcripts(path)
    assert not (tmp_path / "harm").exists()


def test_what_is_allowed_is_no_more_than_functions_of_ours_and_dict():
    allowed = [stand_in for stand_in in ALLOWED.values() if stand_in is not None]
    assert all(stand_in is dict or stand_in.__module__ == "personality.pickles" for stand_in in allowed)
