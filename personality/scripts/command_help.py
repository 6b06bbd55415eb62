"""What `--help` prints: a script's groups with their options, and every word of what is chosen, from its docstring."""

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

OURS = ("corpus", "input_shape", "targets", "extract", "kept", "extra_arrays", "dtype", "seed")
"""Parameters that one part hands to another, and nobody on the command line."""
WIDTH, MARGIN = 118, 35


def help_text(about: str, options: Mapping[str, list[str]], remarks: Mapping[str, str], config: Any) -> str:
    """Lay out the help of a script.

    Args:
        about: What the script does, with examples.
        options: The names that each group can be set to.
        remarks: On the script's own words.
        config: What is chosen, composed: parts with a `_target_` of ours are explained word by word.
    """
    parts = [about.strip(), "Groups, each to be set to one of these (experiment and logger to several in brackets):"]
    parts.append("\n".join(_line(f"{group}=", ", ".join(names)) for group, names in options.items()))
    parts.append("Words of the script itself:")
    parts.append("\n".join(_line(f"{word}={_said(config[word])}", text) for word, text in remarks.items()))
    parts.append("Words of what is chosen here; --help with data=face_frames or the like tells those of others:")
    for name, part in _parts(config):
        room, _, target = part["_target_"].rpartition(".")
        words = words_of(getattr(import_module(room), target))
        found = [(word, part.get(word, default), text) for word, default, text in words]
        lines = [_line(f"{name}.{word}={_said(value)}", text) for word, value, text in found if "${" not in str(value)]
        if lines:
            parts.append("\n".join(lines))
    parts.append(
        "Lightning's Trainer takes its own words too (trainer.max_epochs=5). --cfg job prints the whole\n"
        "configuration, --hydra-help what Hydra knows besides."
    )
    return "\n\n".join(parts)


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List the parts of a configuration that are ours, also those that a group such as `callbacks` holds by name."""
    for name, part in config.items():
        if isinstance(part, Mapping) and str(part.get("_target_", "")).startswith("personality."):
            yield name, part
        elif isinstance(part, Mapping) and name not in ("trainer", "logger"):
            yield from ((f"{name}.{inner}", each) for inner, each in _parts(part))


def words_of(target: Any) -> Iterator[tuple[str, Any, str]]:
    """List what a class or function can be told: name, default, and the text of its docstring.

    >>> def greet(name: str, loud: bool = False) -> None:
    ...     '''Say hello.
    ...
    ...     Args:
    ...         name: Whom to greet.
    ...         loud: Whether everybody
    ...             shall hear it.
    ...     '''
    >>> list(words_of(greet))[1]
    ('loud', False, 'Whether everybody shall hear it.')
    """
    seen = set(OURS)
    for each in target.__mro__[:-1] if inspect.isclass(target) else [target]:
        if inspect.isclass(each) and "__init__" not in vars(each):
            continue
        texts = _arguments(inspect.getdoc(each) or "")
        parameters = inspect.signature(each.__init__ if inspect.isclass(each) else each).parameters.values()
        for parameter in parameters:
            if parameter.name in texts and parameter.name not in seen:
                seen.add(parameter.name)
                yield parameter.name, parameter.default, texts[parameter.name]
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break


def _arguments(text: str) -> dict[str, str]:
    """Take the arguments out of a docstring, name by name."""
    _, _, section = text.partition("Args:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n(?:     .*|$))*)", section, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def _line(word: str, text: str) -> str:
    margin = " " * MARGIN
    lines = textwrap.wrap(text, WIDTH - MARGIN, break_on_hyphens=False) or [""]
    start = f"  {word} ".ljust(MARGIN)
    return (start if len(start) == MARGIN else f"  {word}\n{margin}") + f"\n{margin}".join(lines)


def _said(value: Any) -> str:
    """Write a value as one types it."""
    if value is inspect.Parameter.empty or value == "???":
        return "..."
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(list(value)).replace(" ", "") if isinstance(value, list | tuple) else str(value)
