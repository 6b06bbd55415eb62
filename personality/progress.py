"""Where long work stands: a bar in a terminal, now and then a plain line elsewhere."""

import io
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS = 30
"""Between two lines."""
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed} elapsed, {remaining} left"


class _Lines(io.StringIO):
    """Print what would redraw a bar as a line of its own."""

    def write(self, text: str) -> int:
        if line := text.strip("\r\n "):
            print(line, file=sys.stderr, flush=True)
        return len(text)


def progress(work: Iterable[Item], description: str, total: int | None, unit: str, initial: int = 0) -> "tqdm[Item]":
    """Iterate over work and show where it stands on standard error.

    In a log file it is a line at the start, every 30 seconds, and at the end.

    Args:
        work: What to iterate over.
        description: What is done.
        total: How many units there are, if that is known.
        unit: In the plural, such as `clips`.
        initial: How many were done before.
    """
    if sys.stderr.isatty():
        return tqdm(work, description, total, unit=unit, initial=initial)
    lines: dict[str, Any] = {"file": _Lines(), "mininterval": SECONDS, "bar_format": LINE, "position": 0}
    return tqdm(work, description, total, unit=unit, initial=initial, **lines)
