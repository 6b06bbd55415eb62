"""A joint model: the scores of several inputs of a clip, added before one bias."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, distributed, nn

from personality.models.base import TraitRegressor
from personality.models.data_protocol import Data
from personality.settings import build
from personality.traits import Batch, Scores

MOMENTUM = 0.05
"""The share of a batch in the running mean of a part's scores."""
CENTRED_BY = 256
"""How many training clips say what a part adds on average, before each validation."""


class Parts(TraitRegressor):
    """What joint models have in common: a model for each part, whose scores are added before one bias.

    Args:
        inputs: For each part `input_shape` and `modality`: `Joint.model_arguments` of the data.
        parts: For each part the config of its model: `_target_` and settings; None where the data have no such part.
            Of the training settings there, only weights and `freeze_backbone` have an effect; width and `batch_norm`
            are settings of parts alone.
        **training: See `TraitRegressor`.
    """

    gate: nn.Parameter
    expected: Tensor
    """`(parts, targets)`: the mean score of each part over training clips, scored as they are outside of training."""
    running: Tensor
    """The same while training: a running mean. The two differ as batch normalisation and dropout do."""
    counted: Tensor
    """How many batches the running mean has seen."""

    def __init__(
        self,
        inputs: Mapping[str, Mapping[str, Any]],
        parts: Mapping[str, Mapping[str, Any] | None],
        **training: Any,
    ) -> None:
        super().__init__((), **training)
        chosen = {name: part for name, part in parts.items() if part is not None}
        if inputs.keys() != chosen.keys():
            raise ValueError(
                f"Got models for {', '.join(chosen)} and inputs {', '.join(inputs)}: expected a model for each input; "
                "name the same parts in model and data."
            )
        if self.weights:
            raise ValueError(
                f"Got weights {self.weights} for a joint model: expected them for one of its parts; set "
                f"model.parts.{next(iter(chosen))}.weights."
            )
        self.drop, self.starts = 0.0, dict[str, str]()
        built = {name: build(TraitRegressor, chosen[name], targets=self.targets, **inputs[name]) for name in inputs}
        self.slopes = {name: isinstance(part.head[2], nn.Sigmoid) for name, part in built.items()}
        for part in built.values():
            part.head[2] = nn.Identity()
            part.freeze_backbone |= self.freeze_backbone
            part.backbone.requires_grad_(not part.freeze_backbone)
        self.parts = nn.ModuleDict(built)
        shape = len(built), len(self.targets)
        self.bias = nn.Parameter(torch.full(shape[1:], 0.5))
        self.gate = nn.Parameter(torch.ones(shape), requires_grad=False)
        self.register_buffer("expected", torch.zeros(shape))
        self.register_buffer("running", torch.zeros(shape))
        self.register_buffer("counted", torch.zeros(()))

    @property
    def models(self) -> dict[str, TraitRegressor]:
        """The model of each part."""
        return {name: part for name, part in self.parts.items() if isinstance(part, TraitRegressor)}

    @property
    def intercept(self) -> Tensor:
        """The score, outside of training, of a clip that has the mean score of every part, `(targets,)`."""
        return self.bias + (self.gate * (self.expected - self.running)).sum(0)

    def score(self, batch: Batch) -> Scores:
        """Score clips, in units of the labels, with the share of each part; a clip is its one segment."""
        shares, present = self._shares(batch)
        low, high = self.target_scale
        clips = low + (high - low) * self._add(shares, present)
        parts = ((high - low) * shares).masked_fill(~present.unsqueeze(2), torch.nan)
        return Scores(clips, clips.unsqueeze(1), parts)

    def _add(self, shares: Tensor, present: Tensor) -> Tensor:
        """Add the bias and what the parts that are there add, `(B, targets)`."""
        bias = self.bias if self.training else self.intercept
        return bias + (shares * present.unsqueeze(2)).sum(1)

    def _shares(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what each part adds, `(B, parts, targets)`, and whether it is there, `(B, parts)`."""
        found, there = self._part_scores(batch)
        expected = self.expected
        if self.training:
            expected = self._update_running(found.detach(), there)
            kept = there & (torch.rand(there.shape, device=there.device) >= self.drop)
            there = torch.where(kept.any(1, keepdim=True), kept, there)
        return self.gate * (found - expected), there

    def _part_scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the score of each part, `(B, parts, targets)`, and whether it is there, `(B, parts)`."""
        scores, present = [], []
        for name, part in self.models.items():
            own = batch.parts[name]
            weights = self.segment_weights(own)
            there = weights.any(1)
            absent = ~there.view(-1, *[1] * (own.inputs.ndim - 1))  # whatever stands there must not spread
            segments, _ = part._score_segments(own._replace(inputs=own.inputs.masked_fill(absent, 0)))
            scores.append((segments * weights.unsqueeze(2)).sum(1))
            present.append(there)
        return torch.stack(scores, dim=1), torch.stack(present, dim=1)

    def _update_running(self, scores: Tensor, there: Tensor) -> Tensor:
        """Update the running mean of the scores of each part, over the batches of all processes; return it."""
        sums = torch.cat([(scores * there.unsqueeze(2)).sum(0), there.sum(0).unsqueeze(1).to(scores)], dim=1)
        if distributed.is_initialized():
            distributed.all_reduce(sums)
        count = sums[:, -1:]
        mean = sums[:, :-1] / count.clamp(min=1)
        momentum = 1.0 if self.counted == 0 else MOMENTUM
        running = torch.where(count > 0, self.running.lerp(mean, momentum), self.running)
        self.running.copy_(running)
        self.counted += 1
        return running

    def _score_segments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        shares, present = self._shares(batch)
        scores = self._add(shares, present).unsqueeze(1)
        return scores, torch.ones(len(scores), 1, device=scores.device)

    @torch.no_grad()
    def on_validation_start(self) -> None:
        """While fitting, compute the mean score of each part as clips are scored in validation."""
        super().on_validation_start()
        if self.trainer.state.fn != TrainerFn.FITTING or not self.automatic_optimization:
            return
        sums, counts = torch.zeros_like(self.expected), torch.zeros_like(self.expected[:, :1])
        for batch in self.data.training_batches(CENTRED_BY, self.device):
            scores, there = self._part_scores(batch)
            sums += (scores * there.unsqueeze(2)).sum(0)
            counts += there.sum(0).unsqueeze(1)
        self.expected.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), self.expected))

    def serve_encodings(self, data: Data, compute: bool) -> None:
        """Let each part of the data serve what its frozen backbone makes of it."""
        for name, part in self.models.items():
            part.to(self.device).serve_encodings(data.parts[name], compute)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, in standardised descriptors of each part where they are known."""
        with ExitStack() as stack:
            for part in self.models.values():
                stack.enter_context(part.standardised())
            super().optimizer_step(*args, **kwargs)

    def start(self) -> None:
        """Load weights to start from, learn the labels' scale, and set the bias to the mean label."""
        self.learn_labels()
        for index, (name, part) in enumerate(self.models.items()):
            part.target_mean.copy_(self.target_mean)
            part.target_scale.copy_(self.target_scale)
            part.target_quantiles.copy_(self.target_quantiles)
            if name in self.starts:
                self._load(part, Path(self.starts[name]))
                if self.slopes[name]:  # of the sigmoid at the mean: the model was trained with it
                    mean = self.relative(self.target_mean)
                    self.gate.data[index] = mean * (1 - mean)
            else:
                part.load_start_weights()
        with torch.no_grad():
            self.bias.copy_(self.relative(self.target_mean))

    def _load(self, part: TraitRegressor, path: Path) -> None:
        """Load a part from the checkpoint of a model of its own."""
        if not path.is_file():
            raise FileNotFoundError(f"There is no checkpoint {path}. Expected one of model.start; correct the path.")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
            part.load_state_dict(state)
            part.is_trained = True
        except Exception as error:  # a damaged file can raise any exception
            reason = " ".join(str(error).split())[:300]
            raise ValueError(
                f"{path} does not fit its part of the joint model: {reason}. Expected the checkpoint of a run with the "
                "same data and model settings; correct model.start or model.parts."
            ) from error
        scale = part.target_scale.to(self.target_scale)
        if not torch.equal(scale, self.target_scale):
            raise ValueError(
                f"{path} was trained on labels from {scale[0].tolist()} to {scale[1].tolist()}. Expected "
                f"{self.target_scale[0].tolist()} to {self.target_scale[1].tolist()}; train it on the same corpus."
            )

    def hold_backbone(self) -> None:
        """Keep frozen backbones from learning statistics."""
        for part in self.models.values():
            part.hold_backbone()

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the backbones, and all others."""
        backbones = [each for part in self.models.values() for each in part.backbone.parameters() if each.requires_grad]
        own = {id(each) for part in self.models.values() for each in part.backbone.parameters()}
        return backbones, [each for each in self.parameters() if id(each) not in own and each.requires_grad]


class Joint(Parts):
    r"""Score = bias + what each part adds: $s = b + \sum_p g_p \, (s_p - \bar s_p)$.

    Each part is a model of one input: a backbone and a head. $s_p$ is its score of the clip before its last activation,
    the mean over its segments, and $\bar s_p$ the mean of that over training clips. So a part adds how this clip
    differs from the average one, and a part that is missing adds nothing. Attributions of a part are those of its
    model. The gate $g_p$ is 1, unless it is learnt.

    Args:
        inputs: For each part `input_shape` and `modality`: `Joint.model_arguments` of the data.
        parts: For each part the config of its model: see `Parts`.
        drop: Probability with which a part of a training clip is left out, so that the model can do without it.
        gate: Learn a weight of each part for each target.
        start: For parts that start from a trained model of their own its checkpoint.
        **training: See `TraitRegressor`.
    """

    def __init__(
        self,
        inputs: Mapping[str, Mapping[str, Any]],
        parts: Mapping[str, Mapping[str, Any] | None],
        drop: float = 0.1,
        gate: bool = False,
        start: Mapping[str, str] | None = None,
        **training: Any,
    ) -> None:
        super().__init__(inputs, parts, **training)
        if unknown := {*(start or ())} - {*parts}:
            raise ValueError(
                f"Got checkpoints for {', '.join(sorted(unknown))}: expected parts to start, {', '.join(parts)}; "
                "correct model.start."
            )
        if not 0 <= drop < 1:
            raise ValueError(f"Got drop {drop}: expected a probability, 0 or more and below 1.")
        self.drop, self.starts = drop, dict(start or {})
        self.gate.requires_grad_(gate)
