"""The trained models that the page offers, and those that it has loaded."""

from collections import OrderedDict
from pathlib import Path

from personality import hub
from personality.predictor import Predictor, load
from personality.pretrained import CONFIG, WEIGHTS

PATTERNS = ("*/*/checkpoints/best.ckpt", "*/*/fold_*/checkpoints/best.ckpt")
"""Where runs keep their best checkpoints, and below which there may be folders of `save_pretrained`."""
KEPT = 2
"""How many models stay in memory."""


def find_models(runs: Path) -> list[str]:
    """List the checkpoints of runs, and the folders of `save_pretrained`, in a folder; the newest first."""
    found = [path for pattern in PATTERNS for path in runs.glob(pattern)]
    for pattern in ("*", "*/*"):
        found += [path.parent for path in runs.glob(f"{pattern}/{CONFIG}") if (path.parent / WEIGHTS).is_file()]
    return [str(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def title_of(model: str) -> str:
    """Name a model in one word.

    >>> title_of("runs/face_frames-dan/2026-01-31_12-00-00/checkpoints/best.ckpt"), title_of("hf://user/name@v1")
    ('face_frames-dan', 'name@v1')
    """
    path = Path(model.removeprefix(hub.SCHEME))
    parts = path.parts
    return parts[-4] if len(parts) > 3 and parts[-2] == "checkpoints" else path.stem if path.suffix else path.name


class Models:
    """Models by name: a checkpoint, a folder of `save_pretrained`, or `hf://USER/NAME`. Each is loaded once."""

    def __init__(self) -> None:
        self.loaded: OrderedDict[tuple[str, int], Predictor] = OrderedDict()

    def get(self, name: str) -> Predictor:
        """Return a model; a checkpoint that was written again is loaded again.

        Raises:
            FileNotFoundError: There is no such model.
            ConnectionError: It cannot be downloaded.
            ValueError: It is not a model of this package, or is not one of videos.
        """
        if not name.strip():
            raise ValueError(
                "Got no model. Expected a checkpoint, a folder of save_pretrained, or hf://USER/NAME; choose one."
            )
        path = Path(name)
        key = name, path.stat().st_mtime_ns if path.exists() else 0
        if key not in self.loaded:
            predictor = load(name)
            if predictor.data.modality == "vector":
                raise ValueError(
                    f"{name} scores numbers that another program computes. Expected a model of sound, pictures or "
                    "words of a video; choose another."
                )
            self.loaded[key] = predictor
        self.loaded.move_to_end(key)
        while len(self.loaded) > KEPT:
            self.loaded.popitem(last=False)
        return self.loaded[key]
