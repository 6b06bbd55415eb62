"""Ridge regression on a frozen backbone: the linear head is solved, not trained."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from personality.models.backbones import build_backbone, output_shape
from personality.models.backbones.stages import Stages, resample
from personality.models.base import TraitRegressor
from personality.models.moments import Block, Moments, folds_of
from personality.traits import Batch


class Ridge(TraitRegressor):
    """Frozen backbone > means and maxima of its maps > linear, solved in closed form (Hoerl and Kennard 1970).

    The first epoch adds up what the solution needs: one pass, in any number of processes. The penalty of each target is
    chosen by folds of the training clips, each group in one of them. The score of a clip is the mean over its segments,
    so the descriptors of a clip are, too. Standardisation is part of the solution: the head is linear in the maps, and
    HiResCAM is exact. Its maps are relative to those of the average training clip, except for words and where
    there are maxima.

    With `freeze_backbone=False` the epochs that follow train the whole network from there, with `lr` and a far smaller
    `backbone_lr`. Otherwise training ends after the first, and loss and optimiser have no effect.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        backbone: A name of `personality.models.backbones.BACKBONES`; by default the one that fits the input.
        stages: Layers of the backbone, and into how many cells their maps are averaged, along each dimension or along
            all: with `{"stage2": [8, 1], "stage4": 1}` every map of `stage2` gives the means of 8 rows, every map of
            `stage4` its mean. By default the mean of every last map, or a vector's numbers themselves.
        maximum: Also take the maximum of every map.
        mirror: Average the maps of an image and those of its mirror image, mirrored back. It takes twice as long.
        standardise: Whether penalties are on weights of standardised descriptors; otherwise those of large descriptors
            are penalised less, which suits words, most of them rare.
        penalties: To choose from, times the number of clips.
        folds: Of the training clips, to choose the penalty; of few groups, one for each.
        freeze_backbone: End with the solution.
        **training: See `TraitRegressor`.
    """

    reference: Tensor

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        backbone: str | None = None,
        stages: Mapping[str, int | Sequence[int]] | None = None,
        maximum: bool = False,
        mirror: bool = False,
        standardise: bool = True,
        penalties: Sequence[float] = (0.1, 0.3, 1.0, 2.0, 5.0),
        folds: int = 5,
        freeze_backbone: bool = True,
        **training: Any,
    ) -> None:
        super().__init__(input_shape, freeze_backbone=freeze_backbone, **training)
        if folds < 2 or not penalties or min(penalties) <= 0:
            raise ValueError(
                f"Got penalties {[*penalties]} and {folds} folds: expected numbers above 0, and 2 or more."
            )
        if mirror and self.modality != "image":
            raise ValueError(f"Got mirror for inputs of {self.modality}: expected images; leave model.mirror unset.")
        self.automatic_optimization = False
        self.standardise, self.penalties, self.folds = standardise, [*penalties], folds
        layers = build_backbone(input_shape, self.modality, backbone, self.width, self.batch_norm)
        vector = self.modality == "vector" and input_shape[1] == 1
        stages = stages or {[*dict(layers.named_children())][-1]: input_shape[2] if vector else 1}
        staged = Stages(layers, stages)
        dimensions = len(input_shape) - 2
        cells = [[each] * dimensions if isinstance(each := stages[name], int) else [*each] for name in staged.stages]
        if wrong := [each for each in cells if len(each) != dimensions or min(each) < 1]:
            raise ValueError(
                f"Got the cells {wrong[0]} for maps of {dimensions} dimensions: expected a number above 0 for each; "
                "correct model.stages."
            )
        pool = Descriptors(staged.channels(input_shape[1:]), cells, maximum)
        self.assemble(Mirrored(staged) if mirror else staged, pool)
        self.reference = torch.zeros(output_shape(self.backbone, input_shape[1:]))

    @property
    def linear(self) -> nn.Linear:
        """The layer that is solved."""
        linear = self.head[1]
        assert isinstance(linear, nn.Linear)
        return linear

    def on_train_epoch_start(self) -> None:
        """Start the sums, in the first epoch."""
        super().on_train_epoch_start()
        if self.current_epoch:
            return
        self.backbone.eval()
        self.fold_of, folds = folds_of(self.data.clips("train")["group"].tolist(), self.folds, self.seed)
        self.moments = Moments(folds, [Block(self.linear.in_features, self.standardise)], len(self.targets))
        self.left = clips_of_process(self)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Add a batch to the sums, and solve after the last. Return the batch's mean squared error before.

        In later epochs fine-tune.
        """
        if self.current_epoch:
            return self._fine_tune(batch)
        with torch.no_grad():
            clips = self.describe(batch)
            labels = self.relative(batch.labels)
            errors: Tensor = self.head[1:](clips) - labels
        known = labels.isfinite().all(1).cpu() & (torch.arange(len(labels)) < self.left)
        known &= torch.as_tensor(batch.segments).cpu() > 0
        self.left -= len(labels)
        folds = self.fold_of[torch.as_tensor(batch.clip).cpu()]
        self.moments.add(clips.cpu()[known], labels.cpu()[known], folds[known])
        if self.trainer.is_last_batch:
            self.solve()
        return errors.square().nanmean()

    def solve(self) -> None:
        """Set the head to the solution, and end the training unless fine-tuning follows."""
        self.moments.flush()
        sums = self.trainer.strategy.reduce(self.moments.sums.to(self.device), reduce_op="sum")
        self.moments.sums = torch.as_tensor(sums).cpu()
        solution = self.moments.solve(self.penalties)
        step_to(self._optimiser(0), [(self.linear.weight, solution.weight), (self.linear.bias, solution.bias)])
        self.set_reference(solution.mean)
        self.log_dict({f"penalty/{name}": each for name, each in zip(self.targets, solution.penalties, strict=True)})
        self.trainer.should_stop = self.freeze_backbone
        del self.moments

    def set_reference(self, mean: Tensor) -> None:
        """Take the mean descriptors `(descriptors,)` of clips as those of the average clip."""
        pool = self.head[0]
        assert isinstance(pool, Descriptors)
        if not pool.maximum and self.modality != "text":  # an empty position is no word, average or other
            self.reference.copy_(pool.expand(mean, self.reference.shape[1:]))

    def _fine_tune(self, batch: Batch) -> Tensor:
        """Take a step of gradient descent."""
        optimiser = self._optimiser(1)
        optimiser.zero_grad()
        loss = super().training_step(batch, 0)
        self.manual_backward(loss)
        optimiser.step()
        schedule = self.lr_schedulers()
        if isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
            schedule.step()
        return loss

    def _optimiser(self, index: int) -> LightningOptimizer:
        optimisers = self.optimizers()
        return optimisers[index] if isinstance(optimisers, list) else optimisers

    def describe(self, batch: Batch) -> Tensor:
        """Return the descriptors of clips, `(B, descriptors)`: the mean over their segments."""
        shape = batch.inputs.shape[:2]
        inputs, weights = batch.inputs.flatten(0, 1), self.segment_weights(batch).unsqueeze(2)
        descriptors: Tensor = (inputs if batch.encoded_by else self.frozen(inputs)).unflatten(0, shape)
        return (descriptors.where(weights > 0, 0.0) * weights).sum(1)

    def configure_optimizers(self) -> Any:
        """Return what takes the step to the solution, since checkpoints count such steps, and what fine-tunes."""
        step = torch.optim.SGD(self.head.parameters(), lr=1.0)
        if self.freeze_backbone:
            return step
        found = super().configure_optimizers()
        return {"optimizer": step}, found if isinstance(found, dict) else {"optimizer": found}


def clips_of_process(model: TraitRegressor) -> int:
    """Return how many training clips this process has; what follows them fills its last batch."""
    sampler = model.trainer.train_dataloader.sampler  # type: ignore[union-attr]
    return len(range(sampler.rank, len(sampler.dataset), sampler.num_replicas))


def step_to(optimiser: Any, solved: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Set parameters to their solution by a step of length 1, since checkpoints count steps."""
    for parameter, value in solved:
        parameter.grad = parameter.detach() - value.to(parameter)
    optimiser.step()


class Descriptors(nn.Module):
    """The means of maps over the cells of a grid, and their maxima.

    `(N, channels, *space)` to `(N, descriptors)`. Linear in the maps where the maximum lies.

    Args:
        channels: Of each stage; the maps of all stages lie one behind the other.
        cells: Of each stage, along each dimension.
        maximum: Whether to take the maximum of every map.
    """

    def __init__(self, channels: Sequence[int], cells: Sequence[Sequence[int]], maximum: bool) -> None:
        super().__init__()
        self.channels, self.cells, self.maximum = [*channels], [*cells], maximum

    def extra_repr(self) -> str:
        """Name what is computed."""
        return f"cells={self.cells}, maximum={self.maximum}"

    def forward(self, maps: Tensor) -> Tensor:
        """Describe the maps."""
        found = [maps.flatten(2).amax(2)] if self.maximum else []
        for stage, cells in zip(maps.split(self.channels, dim=1), self.cells, strict=True):
            found.append(resample(stage, cells).flatten(1))
        return torch.cat(found, dim=1)

    def expand(self, means: Tensor, space: Sequence[int]) -> Tensor:
        """Turn descriptors without maxima, `(descriptors,)`, into maps `(channels, *space)`, constant in each cell."""
        sizes = [channels * math.prod(cells) for channels, cells in zip(self.channels, self.cells, strict=True)]
        groups = zip(means.split(sizes), self.channels, self.cells, strict=True)
        maps = [resample(group.view(1, channels, *cells), space) for group, channels, cells in groups]
        return torch.cat(maps, dim=1).squeeze(0)


class Mirrored(nn.Module):
    """The mean of an image's maps and of its mirror image's, mirrored back: what a network sees on either side."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps, `(N, channels, height, width)`."""
        maps: Tensor = (self.layers(inputs) + self.layers(inputs.flip(3)).flip(3)) / 2
        return maps
