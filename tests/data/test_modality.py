"""An input of three channels that is sound: backbone, baseline and pictures follow from its modality."""

from functools import partial

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from pytorch_lightning import Trainer

import personality
from personality.callbacks import SaveHeatmaps
from personality.data import ClipSpectrogram, TraitDataModule
from personality.data.clip_spectrogram import extract
from personality.explanation.explainer import Explainer
from personality.explanation.pictures import Heatmap, draw_input
from personality.models import CamCNN


def extract_deltas(path, segments):
    (inputs,) = extract(path, segments).values()
    deltas = np.gradient(inputs, axis=2)
    return {"inputs": np.concatenate([inputs, deltas, np.gradient(deltas, axis=2)], axis=1)}


class Deltas(TraitDataModule):
    """A log-mel spectrogram with its first and second derivatives."""

    modality = "audio"

    def __init__(self, corpus, segments=3, **loading):
        super().__init__(corpus, partial(extract_deltas, segments=segments), (segments, 3, 96, 64), **loading)

    coordinates = ClipSpectrogram.coordinates


def test_three_channels_of_sound_are_no_picture(corpus, loading, tmp_path):
    data = Deltas(corpus, **loading)
    model = CamCNN(data.input_shape, modality=data.modality, width=0.05)
    assert "conv4_2" in dict(model.backbone.named_children())  # VGGish; VGG-Face begins with conv1_1
    assert "conv1_1" not in dict(model.backbone.named_children())

    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, callbacks=[SaveHeatmaps(top=1)], **quiet
    )
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    trainer.test(model, data, verbose=False)
    index = pd.read_csv(tmp_path / "heatmaps/test/index.csv")
    assert all((tmp_path / "heatmaps/test" / picture).exists() for picture in index["picture"])

    inputs = data.normalise(data.fetch("test", [0])).inputs[0]
    assert torch.equal(data.baseline(inputs), inputs.flatten(1).amin(1).view(-1, 1, 1, 1).expand_as(inputs))

    (found,) = Explainer(model, data, "test").explain(np.array([[0, 1]]))
    axes = Figure().subplots()
    draw_input(axes, Heatmap("", data.modality, found.inputs, found.maps[0], 0.0, data.coordinates("test", 0, 1)))
    np.testing.assert_array_equal(axes.images[0].get_array(), found.inputs[0].T)  # frequency by time

    again = personality.load(tmp_path / "best.ckpt")
    assert again.model.settings == model.settings
    assert torch.equal(again.model(inputs), model.eval()(inputs))
