"""The organisers' archives in miniature, with passwords and without, and what people put into archives to do harm."""

import os
import pickle
import re
import stat
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zips

from personality.corpus import FirstImpressions
from personality.corpus.archives import PASSWORDS, Archive, Member
from personality.corpus.files import find_files, keep_files
from personality.features.cache import FeatureCache
from personality.features.media import MediaError, read_frames, read_waveform

OUTER, INNER = PASSWORDS
KEYS = {OUTER: "out:er §", INNER: "Sesame"}
SPLITS = {"train": "training80_{:02}.zip", "val": "validation80_{:02}.zip", "test": "test80_{:02}.zip"}
ENCRYPTIONS = pytest.mark.parametrize("encrypt", [zips.aes, zips.zip_crypto])


def pack(corpus, root, encrypt=None):
    """Nest a corpus as the organisers do: three clips in an inner archive, labels beside; test twice encrypted."""
    lock = {level: partial(encrypt, password=KEYS[level]) if encrypt else zips.plain for level in KEYS}
    root.mkdir(exist_ok=True)
    for split, inner_name in SPLITS.items():
        paths = [Path(path) for path in corpus.clips(split).path]
        test = split == "test"
        inner = {}
        for start in range(0, len(paths), 3):
            clips = {f"{split}/{path.name}": path.read_bytes() for path in paths[start : start + 3]}
            inner[inner_name.format(start // 3 + 1)] = (lock[INNER] if test else zips.deflated)(clips)
        outer = lock[OUTER] if test else {"train": zips.plain, "val": zips.deflated}[split]
        (root / f"{split}-1{'e' * test}.zip").write_bytes(outer(inner))
    for labels in corpus.root.glob("annotation_*.pkl"):
        (root / labels.name).write_bytes(labels.read_bytes())
    return root


@pytest.fixture
def keys(monkeypatch):
    for variable, password in KEYS.items():
        monkeypatch.setenv(variable, password)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory, monkeypatch):
    """Whatever is unpacked on the way lies here."""
    from personality.corpus import files

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    files._scratch.cache_clear()
    yield
    files._scratch.cache_clear()


def names(files):
    return [str(file).rpartition("/")[-1] for file in files]


def test_clips_in_archives_are_those_of_the_folder(corpus, tmp_path, caplog):
    packed = FirstImpressions(pack(corpus, tmp_path))
    packed.prepare()
    for split in SPLITS:
        here, there = packed.clips(split), corpus.clips(split)
        assert here.drop(columns="path").equals(there.drop(columns="path"))
        assert packed.fingerprint(split) == corpus.fingerprint(split)
        for member, path in zip(here.path, there.path, strict=True):
            assert isinstance(member, Member)
            assert member.open().read() == Path(path).read_bytes()
    assert not caplog.records


def test_what_is_stored_as_it_is_is_read_in_place_and_the_rest_unpacked_once(corpus, tmp_path):
    packed = FirstImpressions(pack(corpus, tmp_path))
    files = {split: {member.archive.file for member in packed.clips(split).path} for split in SPLITS}
    assert files["train"] == {str(tmp_path / "train-1.zip")}
    assert files["test"] == {str(tmp_path / "test-1e.zip")}
    (unpacked,) = files["val"]
    before = Path(unpacked).stat().st_mtime_ns
    assert Path(tempfile.gettempdir()) in Path(unpacked).parents
    assert FirstImpressions(tmp_path).clips("val").equals(packed.clips("val"))
    assert Path(unpacked).stat().st_mtime_ns == before


@pytest.mark.slow
def test_what_was_unpacked_goes_with_the_process_even_if_that_is_killed(corpus, tmp_path):
    pack(corpus, tmp_path)
    list_clips = f"from personality.corpus import *; FirstImpressions({str(tmp_path)!r}).clips('val')"
    place = Path(tempfile.gettempdir())
    environment = os.environ | {"TMPDIR": str(place)}
    for end in ("os.kill(os.getpid(), 9)", "None"):
        subprocess.run([sys.executable, "-c", f"import os; {list_clips}; {end}"], env=environment, check=end == "None")
        assert len([*place.rglob("*.zip")]) == (end != "None")
    assert [*place.iterdir()] == []


def listen(source):
    return {"inputs": read_waveform(source, 4000)[None, None, :8000]}


@pytest.mark.slow
def test_features_come_straight_from_the_archive_in_any_process(corpus, tmp_path):
    clips = FirstImpressions(pack(corpus, tmp_path)).clips("train")
    member = clips.path.iloc[0]
    assert pickle.loads(pickle.dumps(member)) == member
    assert str(member) == f"{tmp_path}/train-1.zip/training80_01.zip/train/{clips.index[0]}"
    cache = FeatureCache(tmp_path / "cache", {}, [*clips.index], (1, 1, 8000))
    cache.fill(listen, clips.path, processes=1)
    for row, path in enumerate(corpus.clips("train").path):
        np.testing.assert_array_equal(cache.inputs[row], listen(path)["inputs"])
    frames, _ = read_frames(member, 3)
    np.testing.assert_array_equal(frames, read_frames(corpus.clips("train").path.iloc[0], 3)[0])


def test_a_clip_that_cannot_be_decoded_is_named_by_its_way_through_the_archives(tmp_path):
    (tmp_path / "a.zip").write_bytes(zips.plain({"b.zip": zips.deflated({"c.mp4": b"no video"})}))
    (member,) = find_files(tmp_path, [".mp4"])
    with pytest.raises(MediaError, match=r"a\.zip/b\.zip/c\.mp4 cannot be decoded as audio: Invalid data"):
        read_waveform(member, 16_000)


# ---- passwords


@ENCRYPTIONS
def test_both_encryptions_are_read_with_the_passwords_of_the_environment(corpus, tmp_path, keys, encrypt, caplog):
    packed = FirstImpressions(pack(corpus, tmp_path, encrypt))
    for member, path in zip(packed.clips("test").path, corpus.clips("test").path, strict=True):
        assert member.open().read() == Path(path).read_bytes()
        assert not any(key in repr(member) for key in KEYS.values())
    assert not caplog.records


@ENCRYPTIONS
def test_an_inner_archive_that_was_taken_out_needs_its_own_password_still(tmp_path, keys, encrypt):
    (tmp_path / "test80_01.zip").write_bytes(encrypt({"a.mp4": b"A" * 99}, KEYS[INNER]))
    (member,) = find_files(tmp_path, [".mp4"])
    assert member.open().read() == b"A" * 99


@ENCRYPTIONS
@pytest.mark.parametrize("missing", KEYS)
def test_a_missing_password_costs_the_test_split_alone(corpus, tmp_path, keys, monkeypatch, encrypt, missing, caplog):
    monkeypatch.delenv(missing)
    packed = FirstImpressions(pack(corpus, tmp_path, encrypt))
    packed.prepare()
    assert len(packed.clips("train")) == 6
    assert len(packed.clips("val")) == 3
    with pytest.raises(FileNotFoundError):
        packed.clips("test")
    archive = "test-1e.zip" + "/test80_01.zip" * (missing == INNER)
    assert f"{archive}: it is encrypted; set the environment variable {missing} to its password" in caplog.text
    assert not any(key in caplog.text for key in KEYS.values())


@ENCRYPTIONS
@pytest.mark.parametrize("wrong", KEYS)
def test_a_wrong_password_is_an_error_before_the_work(corpus, tmp_path, keys, monkeypatch, encrypt, wrong, caplog):
    monkeypatch.setenv(wrong, "Rumpelstilzchen")
    packed = FirstImpressions(pack(corpus, tmp_path, encrypt))
    with pytest.raises(
        PermissionError, match=rf"{wrong} that does not open .*/test-1e\.zip.*Expected.*correct"
    ) as error:
        packed.prepare()
    assert error.value.__cause__ is not None
    assert not any(
        word in f"{error.value} {error.value.__cause__} {caplog.text}" for word in ("Rumpel", *KEYS.values())
    )


def test_a_password_that_seems_right_is_not_believed(tmp_path, monkeypatch):
    content = zips.zip_crypto({"a.mp4": bytes(range(256))}, "right")
    (tmp_path / "a.zip").write_bytes(content)
    monkeypatch.setenv(INNER, "right")
    for number in range(2000):  # of which some pass the one byte that ZipCrypto checks
        monkeypatch.setenv(OUTER, str(number))
        with Archive.at(tmp_path / "a.zip").contents() as contents:
            try:
                contents.open("a.mp4", pwd=str(number).encode()).close()
            except RuntimeError:
                continue
        (member,) = find_files(tmp_path, [".mp4"])
        assert member.open().read() == bytes(range(256))
        return
    pytest.fail("no such password")


def test_a_password_is_forgotten_between_listing_and_reading(tmp_path, keys, monkeypatch):
    (tmp_path / "a.zip").write_bytes(zips.aes({"a.mp4": b"A"}, KEYS[OUTER]))
    (member,) = find_files(tmp_path, [".mp4"])
    for variable in KEYS:
        monkeypatch.delenv(variable)
    with pytest.raises(ValueError, match=rf"a\.zip/a\.mp4 cannot be unpacked: {OUTER} is not set. Expected .* fetch"):
        member.open()


# ---- hostile and damaged archives


def link(archive):
    entry = zipfile.ZipInfo("link.mp4")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(entry, "/etc/passwd")


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("../../evil.mp4", "leads out"),
        ("/etc/evil.mp4", "leads out"),
        ("C:/evil.mp4", "leads out"),
        ("C:evil.mp4", "leads out"),
        ("..\\..\\evil.mp4", "leads out"),
        ("\\\\host\\share\\evil.mp4", "leads out"),
        ("a/../../evil.mp4", "leads out"),
        (link, "is a link"),
    ],
)
def test_no_path_leaves_the_folder(tmp_path, caplog, name, flaw):
    root, kept = tmp_path / "root", tmp_path / "deep/er/kept"
    root.mkdir()
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        name(archive) if callable(name) else archive.writestr(name, b"evil")
        archive.writestr("fine/a.mp4", b"fine")
    keep_files(root, [".mp4"], kept)
    assert names(find_files(root, [".mp4"], kept)) == ["a.mp4", "a.mp4"]  # kept, and, as not all could be, listed again
    assert f"Left out: {root / 'a.zip'}/" in caplog.text
    assert flaw in caplog.text
    files = {path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert files == {root / "a.zip", kept / "a.mp4"}
    assert not Path("/etc/evil.mp4").exists()


def test_a_file_that_claims_to_be_huge_is_left_out(tmp_path, caplog):
    content = bytearray(zips.deflated({"bomb.mp4": bytes(1000), "a.mp4": b"A"}))
    place = content.index(b"PK\1\2") + 24
    content[place : place + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    assert names(find_files(tmp_path, [".mp4"])) == ["a.mp4"]
    assert "bomb.mp4: it claims 2.1 GB" in caplog.text


def test_archives_are_looked_into_no_deeper_than_the_organisers_nest_them(tmp_path):
    content = zips.plain({"a.mp4": b"A"})
    for depth in range(5):
        content = zips.plain({"deeper.zip": content, f"{depth}.mp4": b""})
    (tmp_path / "a.zip").write_bytes(content)
    assert names(find_files(tmp_path, [".mp4"])) == ["4.mp4", "3.mp4"]


@pytest.mark.parametrize("cut", [0, 10, 500, -1, -30])
def test_an_archive_that_breaks_off_costs_its_own_clips_alone(tmp_path, caplog, cut):
    whole = zips.plain({"b.mp4": os.urandom(2000)})
    inner = zips.plain({"1.zip": whole[:cut], "2.zip": whole.replace(b"b.mp4", b"c.mp4")})
    (tmp_path / "a.zip").write_bytes(inner)
    (tmp_path / "half.zip").write_bytes(whole[:cut])
    files = find_files(tmp_path, [".mp4"])
    assert names(files) == ["c.mp4"]
    assert files[0].open().read() == whole[35:2035]
    assert "a.zip/1.zip: " in caplog.text
    assert "half.zip: " in caplog.text


def test_flipped_bytes_in_archives_end_nothing(tmp_path):
    random = np.random.default_rng(0)
    inner = zips.deflated({f"{number}.mp4": random.bytes(50) * 4 for number in range(4)})
    whole = np.frombuffer(zips.plain({"1.zip": inner, "2.zip": inner}), np.uint8)
    reasons = []
    for _ in range(200):
        damaged = whole.copy()
        damaged[random.integers(0, len(damaged), 5)] = random.integers(0, 256, 5)
        (tmp_path / "a.zip").write_bytes(damaged.tobytes())
        for member in find_files(tmp_path, [".mp4"]):
            try:
                assert len(member.open().read()) == member.size
            except ValueError as error:
                reasons.append(str(error))
    assert reasons
    assert all("cannot be unpacked" in reason for reason in reasons)


# ---- kept videos


@ENCRYPTIONS
def test_kept_videos_are_the_same_corpus_without_the_passwords(corpus, tmp_path, keys, monkeypatch, encrypt):
    root, kept = pack(corpus, tmp_path / "root", encrypt), tmp_path / "kept"
    FirstImpressions(root, keep_videos=kept).prepare()
    for variable in KEYS:
        monkeypatch.delenv(variable)
    packed = FirstImpressions(root, keep_videos=str(kept))
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    packed.prepare()
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    for split in SPLITS:
        assert (
            packed.clips(split)
            .path.map(lambda path: Path(path).read_bytes())
            .equals(corpus.clips(split).path.map(lambda path: Path(path).read_bytes()))
        )
    assert sorted(path.name for path in kept.iterdir() if not path.name.startswith(".")) == sorted(
        clip for split in SPLITS for clip in corpus.clips(split).index
    )


@pytest.mark.slow
def test_unpacking_goes_on_where_it_was_killed(corpus, tmp_path):
    root, kept = pack(corpus, tmp_path / "root"), tmp_path / "kept"
    die_at_the_seventh = (
        "import os; from pathlib import Path; from personality.corpus import files\n"
        "moves = iter(range(7)); replace = Path.replace\n"
        "def die(self, target):\n"
        "    next(moves, None) is not None or os.kill(os.getpid(), 9)\n"
        "    return replace(self, target)\n"
        f"Path.replace = die; files.keep_files(Path({str(root)!r}), ['.mp4'], Path({str(kept)!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", die_at_the_seventh], check=False, capture_output=True)
    assert killed.returncode == -9
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.mp4")}
    assert 3 <= len(before) < 12
    keep_files(root, [".mp4"], kept)
    after = {path: path.stat().st_mtime_ns for path in kept.glob("*.mp4")}
    assert len(after) == 12
    assert {path: after[path] for path in before} == before
    assert not [path for path in kept.rglob("*") if path.suffix not in (".mp4", ".kept")]


def test_a_clip_that_cannot_be_unpacked_is_tried_again_and_named(tmp_path, caplog):
    content = zips.plain({"a.mp4": b"A" * 99, "b.mp4": b"B" * 99})
    (tmp_path / "a.zip").write_bytes(content.replace(b"A" * 99, b"A" * 98 + b"?"))
    keep_files(tmp_path, [".mp4"], tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["b.mp4"]
    (tmp_path / "a.zip").write_bytes(content)
    keep_files(tmp_path, [".mp4"], tmp_path / "kept")
    assert (tmp_path / "kept/a.mp4").read_bytes() == b"A" * 99


@pytest.mark.slow
def test_from_encrypted_archives_to_a_trained_model_by_one_command(corpus, tmp_path, keys):
    root = pack(corpus, tmp_path / "downloaded", zips.aes)
    words = ["corpus=first_impressions", f"corpus.root={root}", "corpus.interview=true", "trainer.max_epochs=1"]
    words += ["model.width=0.05", "callbacks.heatmaps.top=1", "data.segments=4"]
    script = Path(__file__).parents[2] / "train.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, *words],
        cwd=tmp_path,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "test: 3 of 3 labelled clips found" in done.stdout
    assert re.search(r"(\d+) clips below .*: \1 in archives, 0 as sound alone", done.stdout)
    assert not any(password in done.stdout for password in KEYS.values())
    (folder,) = tmp_path.glob("runs/*/*")
    predictions = pd.read_csv(folder / "predictions_test.csv")
    assert predictions[["openness", "interview", "interview_label"]].notna().all(axis=None)
    assert (folder / "heatmaps/test/interview.png").exists()
    assert not any(password in path.read_text() for path in folder.rglob("*.yaml") for password in KEYS.values())
