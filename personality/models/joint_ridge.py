"""A joint model in closed form: ridge regression on the descriptors of all parts at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from personality.models.joint import Parts
from personality.models.moments import Block, Moments, folds_of
from personality.models.ridge import Ridge, clips_of_process, step_to
from personality.traits import Batch


class JointRidge(Parts):
    """Frozen backbones > descriptors of every part > one linear layer, solved in closed form.

    The first epoch adds up what the solution needs, see `Ridge`. Every part has the same weight, whatever its number of
    descriptors, times a factor that is chosen with the penalty, by folds of the training clips, each group in one of
    them. A clip that lacks a part gets the mean of the other clips there, so the part adds nothing to its score.

    Args:
        inputs: See `Parts`.
        parts: For each part the config of a `Ridge`, of which backbone, stages, `maximum`, `mirror` and `standardise`
            have an effect.
        penalties: To choose from, times the number of clips.
        factors: To choose from for each part but the one with the most descriptors.
        folds: Of the training clips; of few groups, one for each.
        **training: See `TraitRegressor`.
    """

    def __init__(
        self,
        inputs: Mapping[str, Mapping[str, Any]],
        parts: Mapping[str, Mapping[str, Any] | None],
        penalties: Sequence[float] = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
        factors: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
        folds: int = 5,
        **training: Any,
    ) -> None:
        super().__init__(inputs, parts, **training)
        if folds < 2 or not penalties or min(penalties) <= 0 or not factors or min(factors) <= 0:
            raise ValueError(
                f"Got penalties {[*penalties]}, factors {[*factors]} and {folds} folds: expected numbers above 0, and "
                "2 or more."
            )
        if other := [name for name, part in self.models.items() if not isinstance(part, Ridge)]:
            raise ValueError(
                f"Got {type(self.models[other[0]]).__name__} for the part {other[0]}: expected Ridge, whose head can "
                "be solved; choose model.parts, or model=joint."
            )
        self.automatic_optimization = False
        self.penalties, self.factors, self.folds = [*penalties], [*factors], folds

    @property
    def ridges(self) -> list[Ridge]:
        """The models of the parts."""
        return [part for part in self.models.values() if isinstance(part, Ridge)]

    def on_train_epoch_start(self) -> None:
        """Start the sums."""
        super().on_train_epoch_start()
        self.fold_of, folds = folds_of(self.data.clips("train")["group"].tolist(), self.folds, self.seed)
        blocks = [Block(part.linear.in_features, part.standardise) for part in self.ridges]
        self.moments = Moments(folds, [*blocks, Block(len(blocks))], len(self.targets))
        self.left = clips_of_process(self)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Add a batch to the sums, and solve after the last. Return the batch's mean squared error before."""
        labels = self.relative(batch.labels)
        with torch.no_grad():
            described = [part.describe(batch.parts[name]) for part, name in zip(self.ridges, self.models, strict=True)]
            present = [torch.as_tensor(batch.parts[name].segments) > 0 for name in self.models]
        rows = torch.cat([*described, torch.stack(present, dim=1).to(labels)], dim=1)
        known = labels.isfinite().all(1).cpu() & (torch.arange(len(labels)) < self.left)
        self.left -= len(labels)
        folds = self.fold_of[torch.as_tensor(batch.clip).cpu()]
        self.moments.add(rows.cpu()[known], labels.cpu()[known], folds[known])
        if self.trainer.is_last_batch:
            self.solve()
        return (self.bias.detach() - labels).square().nanmean()

    def solve(self) -> None:
        """Set the linear layers to the solution, and end the training."""
        moments, ridges = self.moments, self.ridges
        moments.flush()
        sums = self.trainer.strategy.reduce(moments.sums.to(self.device), reduce_op="sum")
        moments.sums = torch.as_tensor(sums).cpu()
        means = moments.impute()
        self._choose_factors(moments)
        solution = moments.solve(self.penalties)
        weights = solution.weight.split([block.size for block in moments.blocks], dim=1)
        step_to(
            self.optimizers(),
            [(part.linear.weight, weight) for part, weight in zip(ridges, weights, strict=True)]
            + [(part.linear.bias, torch.zeros(len(self.targets))) for part in ridges]
            + [(self.bias, solution.bias)],
        )
        self.expected = torch.stack([weight @ mean for weight, mean in zip(weights, means, strict=True)]).to(self.bias)
        self.running = self.expected
        for part, mean in zip(ridges, means, strict=True):
            part.set_reference(mean)
        self.log_dict({f"penalty/{name}": each for name, each in zip(self.targets, solution.penalties, strict=True)})
        self.log_dict({f"factor/{name}": block.factor for name, block in zip(self.models, moments.blocks, strict=True)})
        self.trainer.should_stop = True
        del self.moments

    def _choose_factors(self, moments: Moments) -> None:
        """Choose the factors of the parts one after the other, by the error on left-out folds."""
        sizes = [block.size for block in moments.blocks]
        for index in sorted(range(len(sizes)), key=sizes.__getitem__)[:-1] if len(self.factors) > 1 else ():
            errors = {}
            for factor in self.factors:
                moments.blocks[index] = moments.blocks[index]._replace(factor=factor)
                errors[factor] = float(moments.errors(self.penalties).amin(0).mean())
            moments.blocks[index] = moments.blocks[index]._replace(factor=min(errors, key=errors.__getitem__))

    def configure_optimizers(self) -> Any:
        """Return what takes the step to the solution."""
        heads = [each for part in self.ridges for each in part.linear.parameters()]
        return torch.optim.SGD([*heads, self.bias], lr=1.0)
