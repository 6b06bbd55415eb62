"""Checkpoints that are written completely or not at all, on every file system."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from personality.atomic import atomic_write


class AtomicCheckpoints(TorchCheckpointIO):
    """Write a checkpoint beside the old one, then replace the old one in one step.

    Lightning moves it there from the folder for temporary files. Between two file systems that is a copy: after a kill
    or on a full disk only half a checkpoint is left.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            OSError: The disk is full or cannot be written to. The old checkpoint is as before.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for part in path.parent.glob(f".*.{path.name}.part"):  # of a process that was killed while it wrote
            part.unlink()
        content = io.BytesIO()  # torch.save into a file on a full disk raises an error that does not name the disk
        torch.save(checkpoint, content)
        try:
            with atomic_write(path) as part:
                part.write_bytes(content.getbuffer())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; the checkpoint before this one stays", str(path)) from error
