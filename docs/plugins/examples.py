"""Show the examples of docstrings as code, which Markdown would otherwise read as text and quotations."""

import re
from textwrap import dedent
from typing import Any

import griffe

EXAMPLES = re.compile(r"^Example:\n(?P<example>(?: {4}.*\n)+)|^(?P<doctest>>>> (?:.+\n)+)", re.MULTILINE)


class Examples(griffe.Extension):
    """Put every example and every doctest into a fenced code block."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = EXAMPLES.sub(_fence, obj.docstring.value + "\n")


def _fence(found: re.Match[str]) -> str:
    heading = "**Example:**\n\n" if found["example"] else ""
    code = dedent(found["example"] or found["doctest"])
    return f"{heading}```{'pycon' if '>>>' in code else 'python'}\n{code}```\n"
