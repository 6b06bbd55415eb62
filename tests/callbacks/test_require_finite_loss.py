"""A training whose loss is no longer a number ends with an error and keeps the checkpoints from before."""

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from personality.callbacks import RequireFiniteLoss

STEPS = 8  # of an epoch


class Line(LightningModule):
    """Learns one number; the loss of some steps is multiplied by `factor`."""

    def __init__(self, bad: set[int], factor: float):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.bad, self.factor, self.seen, self.validations = bad, factor, 0, 0

    def training_step(self, batch, _):
        factor = self.factor if self.seen in self.bad else 1.0
        self.seen += 1
        return (self.weight - batch).square().mean() * factor

    def validation_step(self, batch, _):
        self.validations += 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit(folder, bad, factor=float("nan"), every=50, **settings):
    model, numbers = Line(bad, factor), DataLoader(torch.rand(STEPS, 1))
    checkpoint = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    callbacks = [checkpoint, RequireFiniteLoss(every)]
    trainer = Trainer(max_epochs=4, num_sanity_val_steps=0, callbacks=callbacks, **quiet, **settings)
    try:
        trainer.fit(model, numbers, numbers)
    except FloatingPointError as error:
        return model, str(error)
    return model, ""


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("bad", "every", "epoch", "step", "seen"),
    [
        (0, 50, 0, 1, STEPS),  # the whole first epoch, of which the end is checked
        (2, 50, 0, 3, STEPS),
        (STEPS - 1, 50, 0, STEPS, STEPS),
        (2, 2, 0, 3, 4),  # checked after every second step
        (2 * STEPS + 5, 3, 2, 6, 2 * STEPS + 6),  # later
    ],
)
def test_the_epoch_and_step_are_named_and_earlier_checkpoints_remain(tmp_path, factor, bad, every, epoch, step, seen):
    model, error = fit(tmp_path, {bad}, factor, every)
    assert f"in epoch {epoch}, since step {step} of {STEPS}" in error
    assert "model.lr" in error
    assert "precision" not in error
    assert model.seen == seen
    assert model.validations == epoch * STEPS  # no validation with weights that are no numbers
    checkpoints = list(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) == min(epoch, 1)
    for path in checkpoints:
        content = torch.load(path, weights_only=True)
        assert content["epoch"] == epoch - 1
        assert content["state_dict"]["weight"].isfinite().all()


def test_an_epoch_that_max_steps_cuts_short_is_checked_too(tmp_path):
    _, error = fit(tmp_path, {2}, max_steps=4)
    assert "in epoch 0, since step 3" in error
    assert not list(tmp_path.glob("*.ckpt"))


def test_the_precision_is_named_where_it_is_low(tmp_path):
    _, error = fit(tmp_path, {0}, precision="bf16-mixed")
    assert "bf16-mixed" in error


def test_a_finite_loss_changes_nothing(tmp_path):
    model, error = fit(tmp_path, set(), every=1)
    assert not error
    assert (model.seen, model.validations) == (4 * STEPS, 4 * STEPS)


def test_it_checks_at_least_every_step():
    with pytest.raises(ValueError, match="every_n_steps 0"):
        RequireFiniteLoss(0)
