"""Checkpoints that appear whole or not at all, on whatever file system they lie."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO


class WholeCheckpoints(TorchCheckpointIO):
    """Write a checkpoint beside its place, then let it take the place of the old one.

    Lightning's own way moves it there from the folder for temporary files, which between two file systems is a copy:
    who is killed during that, or has a full disk, is left with half a checkpoint and none to resume from.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Save; after an error the old checkpoint stands as it was.

        Raises:
            OSError: The disk is full or cannot be written to.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # torch.save into a file on a full disk says nothing that a person understands
        torch.save(checkpoint, content)
        part = path.with_name(f".{path.name}.part")  # one name, so that what a killed process leaves is written over
        try:
            part.write_bytes(content.getbuffer())
            part.replace(path)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; the checkpoint before this one stays", str(path)) from error
        finally:
            part.unlink(missing_ok=True)
