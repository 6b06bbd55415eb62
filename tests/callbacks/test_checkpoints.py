"""A checkpoint is whole or not there, and the one before it stays until then."""

import errno
import os
from pathlib import Path

import pytest
import torch

from personality.callbacks import AtomicCheckpoints


def test_what_is_saved_is_what_is_read(tmp_path):
    path = tmp_path / "checkpoints/last.ckpt"
    for number in range(2):
        AtomicCheckpoints().save_checkpoint({"number": torch.tensor(number)}, path)
    assert AtomicCheckpoints().load_checkpoint(path)["number"] == 1
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    (path.parent / ".8578.last.ckpt.part").write_bytes(b"half")
    (path.parent / ".8578.best.ckpt.part").write_bytes(b"of another file")
    AtomicCheckpoints().save_checkpoint({"number": torch.tensor(1)}, path)
    assert {file.name for file in path.parent.iterdir()} == {"last.ckpt", ".8578.best.ckpt.part"}


def test_a_full_disk_leaves_the_old_one_and_is_named(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"number": 0}, path)

    def full(part, content):
        with part.open("wb") as file:
            file.write(bytes(content)[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device; the checkpoint before this one stays.*last\.ckpt"):
        AtomicCheckpoints().save_checkpoint({"number": 1}, path)
    assert AtomicCheckpoints().load_checkpoint(path) == {"number": 0}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]
