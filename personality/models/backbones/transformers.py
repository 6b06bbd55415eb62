"""Language models of the library transformers: `transformers:NAME`, or `transformers:FOLDER` with one on this disk."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from personality.models.backbones.published import PublishedNetwork
from personality.models.backbones.words import weigh_words


def build(name: str, input_shape: Sequence[int]) -> nn.Sequential:
    """Build the layer `network`; words as bytes `(N, 48, words)` to maps as of `weigh_words`.

    Args:
        name: Of a model on the hub of Hugging Face, such as `sentence-transformers/all-MiniLM-L6-v2`, or a folder with
            its `config.json` and its tokenizer.
        input_shape: `(segments, 48, words)`.

    Raises:
        ConnectionError: The model is neither in the cache nor can it be fetched.
    """
    return nn.Sequential(OrderedDict(network=TokenVectors(name)))


class TokenVectors(PublishedNetwork):
    """The last layer of a language model. Where a word is several tokens, its vector is their mean.

    Tokens after the longest text that the model takes are left out.

    Args:
        name: After `transformers:`.
    """

    network: Any  # what the library builds declares no types

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.source = f"transformers:{name}", name
        library = _library()
        try:
            config = library.AutoConfig.from_pretrained(name)
            self.tokenizer = library.AutoTokenizer.from_pretrained(name, add_prefix_space=True)
        except (OSError, ValueError) as error:
            raise self._not_found(error) from error
        self.network = library.AutoModel.from_config(config)
        self.longest = min(config.max_position_embeddings, self.tokenizer.model_max_length)
        self.channels: int = config.hidden_size

    def extra_repr(self) -> str:
        """Name the network."""
        return self.name

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps: see `weigh_words`."""
        if inputs.is_meta:  # there is no text to read, only shapes are asked for
            return weigh_words(inputs.new_empty(len(inputs), self.channels, inputs.shape[2]), inputs)
        texts = [[bytes(word).rstrip(b"\0").decode(errors="ignore") for word in text] for text in _bytes(inputs)]
        tokens = self.tokenizer(
            [[word for word in text if word] or [""] for text in texts],
            is_split_into_words=True,
            padding=True,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        )
        found = self.network(**tokens.to(inputs.device)).last_hidden_state
        maps = inputs.new_zeros(len(inputs), self.channels, inputs.shape[2])
        for row in range(len(inputs)):
            owners = [-1 if word is None else word for word in tokens.word_ids(row)]
            of_word = torch.tensor(owners, device=inputs.device)
            taken = of_word >= 0
            counts = torch.bincount(of_word[taken], minlength=inputs.shape[2]).clamp(min=1)
            maps[row].index_add_(1, of_word[taken], found[row, taken].T.to(maps))
            maps[row] /= counts
        return weigh_words(maps, inputs)

    def published(self, path: Path | None) -> Mapping[str, Tensor]:
        """See `PublishedNetwork`; a file is the folder of a model, or a `.safetensors` file of one."""
        library = _library()
        try:
            network = library.AutoModel.from_pretrained(str(path.parent if path else self.source))
        except (OSError, ValueError) as error:
            raise self._not_found(error) from error
        state: Mapping[str, Tensor] = network.state_dict()
        return state

    def _not_found(self, error: Exception) -> ConnectionError:
        return ConnectionError(
            f"{self.name} is neither in the cache nor can it be fetched: {str(error).splitlines()[0]} Expected a name "
            "on the hub of Hugging Face, or a folder with config.json, a tokenizer and weights; connect to the network "
            "once, or correct model.backbone."
        )


def _bytes(inputs: Tensor) -> Any:
    """Return the bytes of each word, `(N, words, 48)` uint8."""
    return inputs.transpose(1, 2).to("cpu", torch.uint8).numpy()


def _library() -> Any:
    """Import transformers when it is needed."""
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            f"A backbone transformers:NAME needs the package transformers ({error}): run `uv sync --extra "
            "transformers`, or choose another with model.backbone."
        ) from error
    return transformers
