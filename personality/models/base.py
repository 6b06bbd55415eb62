"""What every model shares: it scores segments, averages them to clips, learns, and is measured."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional

from personality.evaluation.metrics import TraitMetrics
from personality.models.backbones import output_shape
from personality.traits import TRAITS, Batch

LOSSES = {
    "mse": lambda scores, traits: functional.mse_loss(scores, traits, reduction="none"),
    "l1": lambda scores, traits: functional.l1_loss(scores, traits, reduction="none"),
    "huber": lambda scores, traits: functional.huber_loss(scores, traits, reduction="none"),
}
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class TraitRegressor(LightningModule):
    """A network that scores the traits of a segment; a clip's score is the mean over its segments.

    A model is `backbone`, then `head`: `forward` is exactly `head(backbone(inputs))`. The head is `pool`, `linear` and
    `activation` in a row. An explanation needs no more than that.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        targets: Names of the scores, in order.
        width: Factor on all numbers of channels, to make a small version of the same network.
        batch_norm: Normalise after every convolution: helps training from scratch; published weights have none.
        loss: `mse`, `l1` or `huber`, between each segment's score and its clip's label.
        optimiser: `adamw`, `adam` or `sgd` (with momentum 0.9).
        lr: Learning rate; with the one-cycle schedule its peak.
        backbone_lr: Another learning rate for `backbone`.
        weight_decay: As the optimiser understands it.
        schedule: `one_cycle` over the whole run, or `constant`.
        weights: File or URL to start the backbone from (see `personality.models.weights`), read when training starts.
        sha256: What the weight file's checksum must be.
        freeze_backbone: Train the head alone.
        seed: An epoch's randomness follows from it and from the epoch's number, so that a resumed run is the same run.
    """

    backbone: nn.Module
    head: nn.Sequential
    target_mean: Tensor
    config: dict[str, Any] | None = None
    """How corpus, data and model were made, in plain words: saved with every checkpoint."""
    explained_by = "hirescam"
    """The function of `personality.explanation.cam` that tells the most of this model."""

    def __init__(
        self,
        input_shape: Sequence[int],
        targets: Sequence[str] = TRAITS,
        width: float = 1.0,
        batch_norm: bool = False,
        loss: str = "mse",
        optimiser: str = "adamw",
        lr: float = 1e-3,
        backbone_lr: float | None = None,
        weight_decay: float = 0.01,
        schedule: str = "one_cycle",
        weights: str | None = None,
        sha256: str | None = None,
        freeze_backbone: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        allowed: tuple[str, ...]
        for name, value, allowed in [
            ("loss", loss, (*LOSSES,)),
            ("optimiser", optimiser, (*OPTIMISERS,)),
            ("schedule", schedule, ("one_cycle", "constant")),
        ]:
            if value not in allowed:
                raise ValueError(f"Got {name} {value!r}: expected one of {', '.join(allowed)}.")
        self.width, self.batch_norm = width, batch_norm
        self.loss, self.optimiser, self.schedule = loss, optimiser, schedule
        self.lr, self.backbone_lr, self.weight_decay = lr, backbone_lr, weight_decay
        self.weights, self.sha256, self.freeze_backbone, self.seed = weights, sha256, freeze_backbone, seed
        self.input_shape, self.targets = tuple(input_shape), list(targets)
        self.register_buffer("target_mean", torch.full((len(self.targets),), 0.5))
        self.metrics = TraitMetrics(self.targets, self.target_mean)

    def assemble(self, backbone: nn.Module, pool: nn.Module, activation: nn.Module | None = None) -> None:
        """Put the network together and give it its first weights: the last step of a model's constructor.

        Args:
            backbone: From an input to its maps, `(N, channels, *space)` to `(N, channels', *space')`.
            pool: From maps to the numbers that a linear layer turns into scores, `(N, descriptors)`.
            activation: What follows the linear layer; nothing by default.
        """
        maps = output_shape(backbone, self.input_shape[1:])
        (descriptors,) = output_shape(pool, maps)
        linear = nn.Linear(descriptors, len(self.targets))
        layers = {"pool": pool, "linear": linear, "activation": activation or nn.Identity()}
        self.backbone, self.head = backbone, nn.Sequential(OrderedDict(layers))
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.normal_(linear.weight, std=min(0.01, 0.25 / descriptors**0.5))  # first scores lie about the mean
        self.backbone.requires_grad_(not self.freeze_backbone)
        self.to(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> Tensor:
        """Score segments: `(N, channels, *space)` to `(N, targets)`."""
        return self.head(self.backbone(inputs))

    def score(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Score a batch of clips.

        Returns:
            The scores of the segments `(B, S, targets)`, and each segment's weight in its clip's mean `(B, S)`: equal
            for all that are real, 0 for those that pad a short clip.
        """
        clips, segments = batch.inputs.shape[:2]
        scores = self(batch.inputs.flatten(0, 1)).unflatten(0, (clips, segments))
        count = torch.as_tensor(batch.segments, device=scores.device).clamp(max=segments).unsqueeze(1)
        return scores, (torch.arange(segments, device=scores.device) < count) / count

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Compare every segment's score with the label of its clip."""
        scores, weights = self.score(batch)
        labels = batch.labels.unsqueeze(1).expand_as(scores)
        labelled = labels.isfinite()
        errors = LOSSES[self.loss](scores, labels.where(labelled, scores.detach()))
        share = weights.unsqueeze(2) * labelled
        loss = (errors * share).sum() / share.sum().clamp(min=1e-9)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(scores), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> dict[str, Tensor]:
        """Measure clips; what it returns is what callbacks read: `scores` `(B, S, targets)` and `weights` `(B, S)`."""
        scores, weights = self.score(batch)
        self.metrics.update(torch.einsum("bst,bs->bt", scores, weights), batch.labels, torch.as_tensor(batch.clip))
        return {"scores": scores, "weights": weights}

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Log every measure over the whole split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log every measure over the whole split."""
        self._log_metrics("test")

    def _log_metrics(self, split: str) -> None:
        self.metrics.mean = self.target_mean  # as it is by now: what moves or converts a model makes new tensors
        self.log_dict({f"{split}/{name}": value for name, value in self.metrics.compute().items()})
        self.metrics.reset()

    def setup(self, stage: str) -> None:
        """Before training, start from the mean of the training labels, and from published weights where asked."""
        if stage != "fit":
            return
        if self.weights:
            from personality.models.weights import load_weights

            load_weights(self, self.weights, sha256=self.sha256)
        self.target_mean.copy_(self.trainer.datamodule.target_mean)  # type: ignore[attr-defined]
        linear, activation = self.head[1], self.head[2]
        with torch.no_grad():
            linear.bias.copy_(self.target_mean.logit() if isinstance(activation, nn.Sigmoid) else self.target_mean)  # type: ignore[operator]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the checkpoint know how it was made, so that it can be used with no other word."""
        checkpoint["config"] = self.config

    def on_train_epoch_start(self) -> None:
        """Let the epoch's randomness follow from the seed and the epoch's number, on each process its own."""
        torch.manual_seed((self.seed * 100_003 + self.current_epoch) * 1009 + self.global_rank)
        if self.freeze_backbone:
            self.backbone.eval()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig | torch.optim.Optimizer:
        """Two groups of parameters, the backbone's and the head's, and the schedule."""
        groups: list[dict[str, Any]] = [
            {"params": list(part.parameters()), "lr": lr}
            for part, lr in [
                (self.backbone, self.lr if self.backbone_lr is None else self.backbone_lr),
                (self.head, self.lr),
            ]
            if any(parameter.requires_grad for parameter in part.parameters())
        ]
        extra: dict[str, Any] = {"momentum": 0.9} if self.optimiser == "sgd" else {}
        extra["fused"] = True  # one pass over all parameters
        optimiser = OPTIMISERS[self.optimiser](groups, lr=self.lr, weight_decay=self.weight_decay, **extra)
        if self.schedule == "constant":
            return optimiser
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=[group["lr"] for group in groups],
            total_steps=int(self.trainer.estimated_stepping_batches),
            cycle_momentum=False,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
