"""A model with its attribution maps as one file that runs without this package: ONNX, or PyTorch's own format.

The file takes segments `(N, channels, *space)` float32 as the data module's `normalise` gives them, for any `N`:

- `scores` `(N, targets)`, in units of the labels. A clip's score is the mean over its segments.
- `maps` `(N, targets, *space)`: the attribution by the method that suits the model best, in the same units.
- `bias` `(N, targets)`: the mean of a map plus the bias is the score, before the sigmoid of a model that ends in one.

Gradients are no obstacle. Those of HiResCAM pass through the head alone, and they are traced once: the file holds their
operations as ordinary layers.
"""

import copy
import itertools
import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from personality.atomic import atomic_write
from personality.explanation import cam
from personality.explanation.protocols import Data, Model

OUTPUTS = ("scores", "maps", "bias")
WARNING = (
    "Scores guess the first impression of strangers, not who somebody is. Do not use them to decide about people: not "
    "for hiring, admission, credit, insurance, policing or profiling, and not to diagnose anyone."
)
NORMALISATIONS = {
    "clip": "each clip has mean 0 and standard deviation 1 in every channel, over its segments and their positions",
    "patches": "each clip has mean 0 and standard deviation 1 at every position, over its segments",
    "training": "each number has mean 0 and standard deviation 1 over the training clips: subtract mean, divide by std",
    "none": "values as the front end gives them: pixels from 0 to 255, waveforms from -1 to 1",
}


def export_model(path: str | Path, model: Model, data: Data) -> None:
    """Write a model and its explanation to a file.

    Args:
        path: What to write: `.onnx`, or `.pt2` for `torch.export.load`.
        model: The network. It stays as it is.
        data: The data module that it was trained on.

    Raises:
        ImportError: The extra `export` is not installed, which ONNX needs.
        ValueError: The name of the file has another ending, or the model is joint.
    """
    path = Path(path)
    if path.suffix not in (".onnx", ".pt2"):
        raise ValueError(f"Got the file {path}: expected a name that ends in .onnx or .pt2; correct the ending.")
    if data.parts:
        raise ValueError(
            f"Got a joint model of {', '.join(data.parts)}: expected one of a single input; export a part."
        )
    described = metadata(model, data)
    segments = torch.zeros(2, *model.input_shape[1:])
    batch = ({0: torch.export.Dim("segments")},)
    with torch.no_grad():
        program = torch.export.export(_ScoresAndMaps(model).eval(), (segments,), dynamic_shapes=batch)
    if path.suffix == ".pt2":
        with atomic_write(path) as part, part.open("wb") as file:
            torch.export.save(program, file, extra_files={"metadata.json": json.dumps(described)})
        return
    _require_onnx()
    converted = torch.onnx.export(
        program,
        dynamo=True,
        input_names=["segments"],
        output_names=OUTPUTS,
        dynamic_shapes=({0: "segments"},),
        verbose=False,
    )
    assert converted is not None
    for name, value in described.items():
        converted.model.metadata_props[name] = value if isinstance(value, str) else json.dumps(value)
    with atomic_write(path) as part:
        converted.save(part, external_data=False)


def metadata(model: Model, data: Data) -> dict[str, Any]:
    """Describe what a file takes and returns, in plain values."""
    learnt = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in data.state_dict().items()}
    return {
        "warning": WARNING,
        "model": type(model).__name__,
        "input": type(data).__name__,
        "input_shape": ["N", *model.input_shape[1:]],
        "settings": {
            name: value for name, value in data.extract.keywords.items() if isinstance(value, int | float | str)
        },
        "normalise": data.normalisation,
        "normalisation": NORMALISATIONS[data.normalisation],
        "targets": data.targets,
        "lowest_and_highest_label": model.target_scale.tolist(),
        "versions": {name: version(name) for name in ("personality", "torch")},
        **learnt,
    }


class _ScoresAndMaps(nn.Module):
    """What the file computes, in operations that can be exported."""

    low: Tensor
    high: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        model = copy.deepcopy(model).to(torch.device("cpu"))
        for part in (model.backbone, model.head):
            part.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
        self.backbone, self.activation = model.backbone, model.head[-1]
        for name, each in zip(("low", "high"), model.target_scale, strict=True):
            self.register_buffer(name, each.clone())
        shape = self.backbone(torch.zeros(1, *model.input_shape[1:])).shape[1:]
        model.backbone = nn.Identity()  # so the inputs of what is traced are maps
        batch = next(size for size in itertools.count(2) if size not in shape)  # equal sizes would be taken for one
        trace: Callable[..., nn.Module] = make_fx(
            partial(cam.best, model), tracing_mode="symbolic", _allow_non_fake_inputs=True
        )
        self.explain = trace(torch.zeros(batch, *shape))

    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score and explain segments `(N, channels, *space)`."""
        maps, bias, score = self.explain(self.backbone(segments).contiguous())
        maps, span = cam.resize(maps, tuple(segments.shape[2:])), self.high - self.low
        scores = self.low + span * self.activation(score)
        return scores, maps * span.view(-1, *[1] * (maps.ndim - 2)), self.low + span * bias


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"A file in ONNX needs the packages onnx and onnxscript ({error}): run `uv sync --extra export`, or choose "
            "format=torch."
        ) from error
