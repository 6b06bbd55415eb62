"""Backbones of torchaudio, by the names of its pipelines: `torchaudio:WAVLM_BASE_PLUS`, or `...:6` for a layer."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import wav2vec2_model, wavlm_model
from torchaudio.pipelines import Wav2Vec2Bundle

from personality.models.backbones.published import PublishedNetwork

ADDRESS = "https://download.pytorch.org/torchaudio/models/"
BUILDERS = {"Wav2Vec2": wav2vec2_model, "WavLM": wavlm_model}


def build(name: str, input_shape: Sequence[int]) -> nn.Sequential:
    """Build the layer `network`; `(N, 1, samples)` to `(N, channels, frames)`, a frame every 20 ms.

    Args:
        name: Of a `Wav2Vec2Bundle` of `torchaudio.pipelines`: of wav2vec 2.0, HuBERT or WavLM. After a colon, the
            number of the transformer layer whose output is taken, from 1; by default the last.
        input_shape: `(segments, 1, samples)` at 16 kHz.

    Raises:
        ValueError: torchaudio has no such network, or it does not take such inputs.
    """
    bundle, colon, layer = name.partition(":")
    bundles = [key for key in dir(torchaudio.pipelines) if isinstance(_bundle(key), Wav2Vec2Bundle)]
    if bundle not in bundles:
        near = get_close_matches(bundle, bundles, cutoff=0.5) or bundles[:4]
        raise ValueError(
            f"Got the backbone torchaudio:{name}, which torchaudio {torchaudio.__version__} does not have: expected a "
            f"network of torchaudio.pipelines, such as {', '.join(near)}; choose with model.backbone."
        )
    count = _bundle(bundle)._params["encoder_num_layers"]
    if colon and not (layer.isdecimal() and 1 <= int(layer) <= count):
        raise ValueError(
            f"Got layer {layer or 'nothing'} of {bundle}: expected a number from 1 to {count}; correct model.backbone."
        )
    network = TorchaudioMaps(name, bundle, int(layer) if colon else count)
    _, channels, samples = input_shape
    try:
        copy.deepcopy(network).to("meta")(torch.empty(1, channels, samples, device="meta"))
    except RuntimeError as error:
        raise ValueError(
            f"The backbone torchaudio:{name} does not take inputs of {channels} x {samples}: {error}. Expected "
            "sound of one channel, at 16 kHz, of at least 400 samples; choose data=waveform."
        ) from error
    return nn.Sequential(OrderedDict(network=network))


class TorchaudioMaps(PublishedNetwork):
    """The output of a transformer layer of a network that was trained on speech.

    Layers after it are left out, and so are those that recognise words. Where the network was trained on waveforms of
    mean 0 and variance 1, every segment is normalised.

    Args:
        name: After `torchaudio:`.
        bundle: Of `torchaudio.pipelines`.
        layer: Of the transformer, from 1.
    """

    network: Any  # what the library builds declares no types

    def __init__(self, name: str, bundle: str, layer: int) -> None:
        super().__init__()
        self.name, self.bundle = f"torchaudio:{name}", _bundle(bundle)
        options = {**self.bundle._params, "encoder_num_layers": layer, "aux_num_out": None}
        self.network = BUILDERS[self.bundle._model_type](**options)

    def extra_repr(self) -> str:
        """Name the network."""
        return self.name

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps, `(N, channels, frames)`."""
        waveforms = inputs.squeeze(1)
        if self.bundle._normalize_waveform:
            waveforms = functional.layer_norm(waveforms, waveforms.shape[1:])
        layers, _ = self.network.extract_features(waveforms)
        maps: Tensor = layers[-1].transpose(1, 2)
        return maps

    def published(self, path: Path | None) -> Mapping[str, Tensor]:
        """See `PublishedNetwork`; a file is one that torchaudio publishes."""
        address = ADDRESS + self.bundle._path
        try:
            found = (
                torch.load(path, map_location="cpu", weights_only=True)
                if path
                else torch.hub.load_state_dict_from_url(address, progress=False)
            )
        except (URLError, ConnectionError, TimeoutError) as error:
            raise ConnectionError(
                f"The weights of {self.name} are neither in the cache nor can they be downloaded: {error}. Connect to "
                f"the network once, or download {address} elsewhere and set model.weights to its path."
            ) from error
        except Exception as error:  # a damaged file can raise any exception
            raise self._foreign(path, str(error)) from error
        wanted = self.network.state_dict()
        if not isinstance(found, Mapping) or (missing := wanted.keys() - found.keys()):
            raise self._foreign(path, f"it has no {min(missing)}" if isinstance(found, Mapping) else "it has no layers")
        if wrong := [name for name in wanted if found[name].shape != wanted[name].shape]:
            shapes = [tuple(tensors[wrong[0]].shape) for tensors in (found, wanted)]
            raise self._foreign(path, f"{wrong[0]} is {shapes[0]} instead of {shapes[1]}")
        return {name: found[name] for name in wanted}

    def _foreign(self, path: Path | None, reason: str) -> ValueError:
        return ValueError(
            f"{path or self.name} holds no weights for {self.name}: {' '.join(reason.split())[:300]}. Expected the "
            f"file {ADDRESS}{self.bundle._path}; choose another with model.weights or model.backbone."
        )


def _bundle(name: str) -> Any:
    return getattr(torchaudio.pipelines, name, None)
