"""Models on a hub, through `huggingface-hub` (extra `hub`).

The environment variable HF_ENDPOINT names another server, HF_TOKEN the token, HF_HUB_OFFLINE=1 forbids the network.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from personality.pretrained import FILES

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hf://"
NAME = r"[\w.-]+/[\w.-]+"


def pull(address: str) -> Path:
    """Download the files of a model, unless they are in the cache. Return their folder.

    Args:
        address: `hf://USER/NAME`, or `hf://USER/NAME@REVISION`: a branch, a tag or a commit.

    Raises:
        ImportError: The extra `hub` is not installed.
        FileNotFoundError: There is no such model.
        ConnectionError: It is not in the cache and cannot be downloaded.
    """
    api = _library()
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    repository, _, revision = _checked(address, rf"{NAME}(@[\w./-]+)?").partition("@")
    try:
        return Path(api.snapshot_download(repository, revision=revision or None, allow_patterns=[*FILES]))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise FileNotFoundError(
            f"There is no model {repository}{f' with a revision {revision}' if revision else ''} at {api.endpoint}, or "
            f"you may not read it. Expected {SCHEME}USER/NAME; check the name, or set HF_TOKEN for a private one."
        ) from error
    except Exception as error:  # of the library, its HTTP client and its transfers
        raise ConnectionError(
            f"{address} is not in the cache and cannot be downloaded from {api.endpoint}: {_reason(error)}. Expected "
            "a connection once; check it and HF_HUB_OFFLINE, or name a folder that has the files."
        ) from error


def push(folder: Path, address: str, private: bool) -> str:
    """Upload the files of a folder in one commit; make the repository if there is none.

    Args:
        folder: It has `FILES`.
        address: `USER/NAME`.
        private: Whether a new repository is private.

    Returns:
        The web address of the commit.

    Raises:
        ImportError: The extra `hub` is not installed.
        ConnectionError: The upload failed.
    """
    api = _library()
    from huggingface_hub import CommitOperationAdd

    repository = _checked(address, NAME)
    files = [CommitOperationAdd(name, folder / name) for name in FILES]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        return str(api.create_commit(repository, files, commit_message="Save a model of personality").commit_url)
    except Exception as error:  # of the library, its HTTP client and its transfers
        raise ConnectionError(
            f"The model cannot be uploaded to {repository} at {api.endpoint}: {_reason(error)}. Expected a "
            "connection and a token that may write there; set HF_TOKEN, or run `hf auth login` once."
        ) from error


def _checked(address: str, pattern: str) -> str:
    """Return an address without its scheme, if it has the form of a pattern."""
    name = address.removeprefix(SCHEME)
    if not re.fullmatch(pattern, name):
        raise ValueError(f"Got {address}: expected USER/NAME, as in {SCHEME}USER/NAME; correct the address.")
    return name


def _reason(error: Exception) -> str:
    """Return what a server answered, or why there was no answer, in one line."""
    from huggingface_hub.errors import HfHubHTTPError

    found = error if isinstance(error, HfHubHTTPError) else error.__cause__ or error
    return " ".join(str(found).split())[:300].rstrip(".") or type(found).__name__


def _library() -> "HfApi":
    """Import huggingface-hub when it is needed."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ImportError(
            f"{SCHEME} needs the package huggingface-hub ({error}): run `uv sync --extra hub`, or name a folder."
        ) from error
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))  # as it is now, not as it was at the first import
