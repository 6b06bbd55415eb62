"""The base class of all models: scores of segments and clips, training, and metrics."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from personality.evaluation.trait_metrics import TraitMetrics
from personality.models.backbones import output_shape
from personality.models.data_protocol import Data
from personality.models.losses import LOSS_NAMES, LOSSES, concordance
from personality.models.optimisers import OPTIMISERS, SCHEDULES, build_optimiser
from personality.settings import RecordsSettings
from personality.traits import QUANTILES, TRAITS, Batch, Modality, Scores


class TraitRegressor(RecordsSettings, LightningModule):
    """A network that scores the traits of a segment; a clip's score is the mean over its segments.

    `forward` is exactly `head(backbone(inputs))`, and the head is `pool`, `linear` and `activation` in a row. An
    explanation needs no more than that. Whatever the scale of the labels, the network works on [0, 1]: `score` returns
    the labels' units, by `target_scale`.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        modality: `audio`, `image`, `text` or `vector`: what the data show. The backbone follows from it.
        targets: Names of the scores, in order.
        width: Factor on every number of channels, for a small version of the same network.
        batch_norm: Normalise after every convolution. Helps training from scratch; published weights have none.
        loss: `mse`, `l1` or `huber`, between each segment's score and its clip's label. Or `ccc`: 1 less the
            concordance of scores and labels over the clips of a batch, which should be 16 or more; scores then shrink
            less to the mean. It cannot bring back a target whose scores have left the range of the labels, which
            `ccc_mse` can, the sum of both.
        optimiser: `adamw`, `adam` or `sgd` (with momentum 0.9).
        lr: Learning rate; with the one-cycle schedule its peak.
        backbone_lr: Learning rate of the backbone, if it has another.
        weight_decay: As the optimiser defines it.
        schedule: `one_cycle` over the whole run, or `constant`.
        weights: File or URL to start the backbone from, read when training starts (see `models.weight_files`). Without
            one, a backbone whose weights come with a package starts from these.
        sha256: Checksum that the weight file must have.
        freeze_backbone: Train the head alone.
        seed: An epoch's randomness depends on it and on the epoch's number alone, so that a resumed run is the same.
    """

    backbone: nn.Module
    head: nn.Sequential
    target_mean: Tensor
    target_scale: Tensor
    target_quantiles: Tensor
    """`(QUANTILES, targets)`: the distribution of the training labels; infinite before training."""
    origin: Mapping[str, Any] = {}
    """Of a loaded model: `corpus`, the config that it was trained on, and `error`, see `evaluation.reference`."""
    metrics: TraitMetrics
    reference: Tensor | None
    """`(channels, *space')`: the maps of the average training clip, to which attributions are relative; none for 0."""
    explained_by = "hirescam"
    """The method of `personality.explanation.cam` that suits this model best."""

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        modality: Modality = "audio",
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
            ("loss", loss, LOSS_NAMES),
            ("optimiser", optimiser, (*OPTIMISERS,)),
            ("schedule", schedule, SCHEDULES),
        ]:
            if value not in allowed:
                raise ValueError(f"Got {name} {value!r}: expected one of {', '.join(allowed)}.")
        self.width, self.batch_norm = width, batch_norm
        self.loss, self.optimiser, self.schedule = loss, optimiser, schedule
        self.lr, self.backbone_lr, self.weight_decay = lr, backbone_lr, weight_decay
        self.weights, self.sha256, self.freeze_backbone, self.seed = weights, sha256, freeze_backbone, seed
        self.input_shape, self.modality, self.targets = tuple(input_shape), modality, list(targets)
        self.save_hyperparameters(self.settings)  # for loggers and `load_from_checkpoint`
        self.standard: tuple[Tensor, Tensor] | None = None
        self.is_trained = False  # whether the linear layer starts from weights that fit descriptors as they are
        self.in_standard = False
        self.register_buffer("reference", None)
        self.register_buffer("target_mean", torch.full((len(self.targets),), 0.5))
        self.register_buffer("target_scale", torch.tensor([[0.0], [1.0]]).repeat(1, len(self.targets)))
        self.register_buffer("target_quantiles", torch.full((QUANTILES, len(self.targets)), torch.inf))

    @property
    def data(self) -> Data:
        """The trainer's data module."""
        data: Data = self.trainer.datamodule  # type: ignore[attr-defined]
        return data

    def assemble(self, backbone: nn.Module, pool: nn.Module, activation: nn.Module | None = None) -> None:
        """Build the network and initialise it: the last step of a model's constructor.

        Args:
            backbone: From inputs to maps, `(N, channels, *space)` to `(N, channels', *space')`.
            pool: From maps to descriptors, `(N, descriptors)`, the input of the linear layer.
            activation: Of the linear layer; none by default.
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
        nn.init.normal_(linear.weight, std=min(0.01, 0.25 / descriptors**0.5))  # so first scores are near the mean
        self.backbone.requires_grad_(not self.freeze_backbone)
        self.to(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> Tensor:
        """Score segments: `(N, channels, *space)` to `(N, targets)`, 0 for the lowest label and 1 for the highest."""
        scores: Tensor = self.head(self.backbone(inputs))
        return scores

    @property
    def frozen(self) -> nn.Sequential:
        """The part that is the same in every epoch where the backbone is frozen, with the pool unless that learns."""
        pool = self.head[0]
        random = any(isinstance(layer, nn.Dropout) and layer.p for layer in pool.modules())
        learns = next(pool.parameters(), None) is not None
        return nn.Sequential(self.backbone) if random or learns else nn.Sequential(self.backbone, pool)

    def score(self, batch: Batch) -> Scores:
        """Score a batch of clips: every segment, and their mean for each clip, in units of the labels."""
        scores, weights = self._score_segments(batch)
        low, high = self.target_scale
        scores = low + (high - low) * scores
        clips = (scores * weights.unsqueeze(2)).sum(1)
        clips = torch.where(weights.any(1, keepdim=True), clips, self.target_mean)  # of a clip without segments
        return Scores(clips, scores.masked_fill(weights.unsqueeze(2) == 0, torch.nan))

    def _score_segments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return scores `(B, S, targets)` and each segment's weight in its clip `(B, S)`, 0 for padding."""
        clips, segments = batch.inputs.shape[:2]
        network = nn.Sequential(self.backbone, *self.head)[len(self.frozen) :] if batch.encoded_by else self
        inputs = batch.inputs
        if self.in_standard and self.standard:
            mean, std = self.standard
            inputs = (inputs - mean) / std
        scores = network(inputs.flatten(0, 1)).unflatten(0, (clips, segments))
        return scores, self.segment_weights(batch)

    @staticmethod
    def segment_weights(batch: Batch) -> Tensor:
        """Return each segment's weight in its clip, `(B, S)`: 0 for padding, the same for all others."""
        segments, device = batch.inputs.shape[1], batch.inputs.device
        count = torch.as_tensor(batch.segments, device=device).clamp(max=segments).unsqueeze(1)
        return (torch.arange(segments, device=device) < count) / count.clamp(min=1)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Compute the loss between scores and labels."""
        scores, weights = self._score_segments(batch)
        labels = self.relative(batch.labels)
        loss = torch.zeros((), device=scores.device)
        if self.loss.startswith("ccc"):
            loss = loss + (1 - concordance((scores * weights.unsqueeze(2)).sum(1), labels)).mean()
        if self.loss != "ccc":
            labels = labels.unsqueeze(1).expand_as(scores)
            labelled = labels.isfinite()
            errors = LOSSES[self.loss.removeprefix("ccc_")](scores, labels.where(labelled, scores.detach()))
            share = weights.unsqueeze(2) * labelled
            loss = loss + (errors * share).sum() / share.sum().clamp(min=1e-9)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(scores), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> dict[str, Tensor]:
        """Score clips; return `clips` and `segments` of `Scores` for the callbacks."""
        scores = self.score(batch)
        self.metrics.update(scores.clips, batch.labels, torch.as_tensor(batch.clip))
        return scores._asdict()

    test_step = validation_step

    def on_validation_start(self) -> None:
        """Start the metrics of the validation split."""
        self._start_metrics("val")

    def on_test_start(self) -> None:
        """Start the metrics of the test split."""
        self._start_metrics(self.data.test_split)

    def _start_metrics(self, split: str) -> None:
        self.serve_encodings(self.data, compute=False)  # weights that came with a checkpoint may be others
        clips, (low, high) = len(self.data.clips(split)), self.target_scale
        self.metrics = TraitMetrics(self.targets, self.target_mean, clips, high - low).to(self.device)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("test")

    def _log_metrics(self, split: str) -> None:
        self.log_dict({f"{split}/{name}": value for name, value in self.metrics.compute().items()})

    def setup(self, stage: str) -> None:
        """Before training, load the weights to start from, and set the bias so that scores start at the mean label.

        What a frozen backbone makes of the inputs is computed here, once.
        """
        if stage == "fit":
            self.start()
        self.serve_encodings(self.data, compute=stage == "fit")

    def serve_encodings(self, data: Data, compute: bool) -> None:
        """Let data serve what a frozen backbone makes of them; before training, compute what is missing."""
        if not self.freeze_backbone:
            return
        data.encode(self.frozen, self._frozen_key(), compute)
        if compute and len(self.frozen) > 1 and data.encoded_by and self.automatic_optimization:
            mean, std = data.encoded_statistics()
            self.standard = mean.to(self.device), std.to(self.device)
            if not self.is_trained:
                self._fold_standard()  # first scores are the mean label, whatever the size of the descriptors

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, in standardised descriptors where they are known."""
        with self.standardised():
            super().optimizer_step(*args, **kwargs)

    @contextmanager
    def standardised(self) -> Iterator[None]:
        """Take a step as if descriptors that are computed once were standardised.

        Their size would otherwise decide how fast their weights learn. Outside of a step the linear layer has the
        weights for descriptors as they are: the mean and the deviation are folded into it.
        """
        if self.standard is None:
            yield
            return
        mean, std = self.standard = self.standard[0].to(self.device), self.standard[1].to(self.device)
        linear = self.head[1]
        assert isinstance(linear, nn.Linear)
        with torch.no_grad():
            linear.bias.add_(linear.weight @ mean)
            linear.weight.mul_(std)
        self.in_standard = True
        try:
            yield
        finally:
            self.in_standard = False
            self._fold_standard()

    @torch.no_grad()
    def _fold_standard(self) -> None:
        """Turn weights for standardised descriptors into those for descriptors as they are."""
        assert self.standard
        mean, std = self.standard
        _, linear, _ = self.head
        assert isinstance(linear, nn.Linear)
        linear.weight.div_(std)
        linear.bias.sub_(linear.weight @ mean)

    def _frozen_key(self) -> str:
        """Return a checksum of the frozen part: its layers and its numbers."""
        key = hashlib.sha256(f"{self.settings.get('backbone')}{self.frozen}".encode())
        for tensor in (*self.frozen.parameters(), *self.frozen.buffers()):
            key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return key.hexdigest()[:12]

    def start(self) -> None:
        """Load weights to start from, learn the labels' scale, and set the bias so that first scores are the mean."""
        self.load_start_weights()
        self.learn_labels()
        _, linear, activation = self.head
        assert isinstance(linear, nn.Linear)
        mean = self.relative(self.target_mean)
        with torch.no_grad():
            linear.bias.copy_(mean.logit() if isinstance(activation, nn.Sigmoid) else mean)

    def learn_labels(self) -> None:
        """Take over the mean, the scale and the distribution of the training labels."""
        self.origin = {}  # trained further, it is another model
        for name in ("target_mean", "target_scale", "target_quantiles"):
            self.get_buffer(name).copy_(getattr(self.data, name))

    def load_start_weights(self) -> None:
        """Load the weights that the backbone starts from, if there are any."""
        from personality.models.weights import default_weights, load_weights

        source = self.weights or default_weights(self.settings.get("backbone"), self.width, self.batch_norm)
        if source:
            load_weights(self, source, sha256=self.sha256)

    def relative(self, labels: Tensor) -> Tensor:
        """Bring labels `(..., targets)` to the scale of the network, on which the lowest is 0 and the highest 1."""
        low, high = self.target_scale
        relative: Tensor = (labels - low) / (high - low)
        return relative

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save how corpus, data and model were made, so that `personality.load` needs the checkpoint alone."""
        if isinstance(self.data, RecordsSettings):
            parts = {"corpus": self.data.corpus, "data": self.data, "model": self}
            checkpoint["config"] = {name: part.config for name, part in parts.items()}

    def on_train_epoch_start(self) -> None:
        """Seed the epoch: by seed, epoch and process."""
        torch.manual_seed((self.seed * 100_003 + self.current_epoch) * 1009 + self.global_rank)
        self.hold_backbone()

    def hold_backbone(self) -> None:
        """Keep a frozen backbone from learning statistics."""
        if self.freeze_backbone:
            self.backbone.eval()

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the backbone, and all others."""
        return [*self.backbone.parameters()], [*self.head.parameters()]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig | torch.optim.Optimizer:
        """Return the optimiser, with a group for the backbone and one for the head, and the schedule."""
        backbone, others = self.parameter_groups()
        groups = (backbone, self.lr if self.backbone_lr is None else self.backbone_lr), (others, self.lr)
        steps = int(self.trainer.estimated_stepping_batches) if self.schedule == "one_cycle" else 0
        return build_optimiser(groups, self.optimiser, self.lr, self.weight_decay, self.schedule, steps)
