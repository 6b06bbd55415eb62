"""Networks of other libraries, which build them and know where their weights are."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn


class PublishedNetwork(nn.Module):
    """A layer of a backbone that holds the network of another library.

    Its own state dict is that of `network`, so that a checkpoint has the library's names behind `network.network.`.
    """

    name: str
    """As in `model.backbone`: the family, a colon, and the library's name."""
    network: nn.Module

    def published(self, path: Path | None) -> Mapping[str, Tensor]:
        """Return a state dict of `network`: as the library fetches it, or from a file.

        Args:
            path: A file of weights in one of the library's formats; without it the library finds them in its cache, or
                downloads them.

        Raises:
            ConnectionError: They are not in the cache and cannot be downloaded.
            ValueError: The network has no published weights, or the file belongs to another network.
        """
        raise NotImplementedError
