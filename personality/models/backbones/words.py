"""Word vectors without another library: a word's letters choose its number, and the number its vector.

Inputs are the words of a transcript as bytes, `(N, 48, words)`: see `personality.data.Transcript`.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

BUCKETS = 2048
LEARNT = 64, 8192
"""Length and number of learnt vectors."""
USUAL = 16
"""Words in about five seconds of speech: the unit in which words are counted."""


def hashed_words(channels: int = 48, width: float = 1.0, batch_norm: bool = False) -> nn.Sequential:
    """Return the hashing trick (Weinberger et al. 2009): a channel a bucket, 1 where the word falls into it."""
    return nn.Sequential(OrderedDict(words=HashedWords(max(8, round(BUCKETS * width)))))


def learnt_words(channels: int = 48, width: float = 1.0, batch_norm: bool = False) -> nn.Sequential:
    """Return vectors that training learns, one for each of 8,192 buckets."""
    length, buckets = LEARNT
    return nn.Sequential(OrderedDict(words=LearntWords(buckets, max(1, round(length * width)))))


class HashedWords(nn.Module):
    """A channel for each of some buckets; maps are 1 in the channel of the word, and 0 in others."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self.buckets = buckets

    def extra_repr(self) -> str:
        """Name the size."""
        return f"{self.buckets}"

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps."""
        found = hash_words(inputs) % self.buckets
        maps = inputs.new_zeros(inputs.shape[0], self.buckets, inputs.shape[2])
        maps.scatter_(1, found.unsqueeze(1), 1.0)
        return weigh_words(maps, inputs)


class LearntWords(nn.Module):
    """A learnt vector for each of some buckets."""

    def __init__(self, buckets: int, length: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(buckets, length)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps."""
        found = hash_words(inputs) % self.vectors.num_embeddings
        return weigh_words(self.vectors(found).transpose(1, 2), inputs)


def hash_words(inputs: Tensor) -> Tensor:
    """Number words by their letters and digits, whatever their case and punctuation: `(N, words)` int64.

    >>> def as_input(word): return torch.tensor(list(word.encode())).view(1, -1, 1)
    >>> hash_words(as_input("Hello,")) == hash_words(as_input("hello?"))
    tensor([[True]])
    """
    number = torch.zeros_like(inputs[:, 0], dtype=torch.int64)
    for byte in inputs.long().unbind(1):
        lower = torch.where((byte >= 65) & (byte <= 90), byte + 32, byte)
        kept = ((lower >= 97) & (lower <= 122)) | ((lower >= 48) & (lower <= 57)) | (lower >= 128)
        number = torch.where(kept, (number * 31 + lower) % 1_000_003, number)
    return number * 7919 % 1_000_003  # neighbours in the alphabet go to different buckets


def weigh_words(vectors: Tensor, inputs: Tensor) -> Tensor:
    """Turn word vectors into maps `(N, channels + 4, words)`, and add what is known of any word.

    The vectors are multiplied by positions over words, so that their mean over all positions is the mean over the
    words. The four channels after them are multiplied by positions over `USUAL`: they count words, letters (divided by
    5), ends of sentences, and questions, since how much somebody says impresses more than what.

    Args:
        vectors: `(N, channels, words)`.
        inputs: `(N, 48, words)`.
    """
    spoken = (inputs != 0).any(1, keepdim=True)
    letters = (inputs != 0).sum(1, keepdim=True) / 5
    ends = ((inputs == ord(".")) | (inputs == ord("!"))).any(1, keepdim=True)
    asks = (inputs == ord("?")).any(1, keepdim=True)
    positions, count = spoken.shape[2], spoken.sum(2, keepdim=True).clamp(min=1)
    facts = torch.cat([spoken, letters, ends, asks], dim=1) * (positions / USUAL)
    return torch.cat([vectors * (spoken * positions / count), facts], dim=1)
