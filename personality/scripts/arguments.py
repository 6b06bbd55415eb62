"""Arguments with paths of any spelling, rewritten as overrides that Hydra reads in the same way."""

import difflib
import os
import re
import shlex
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString, Sweep
from hydra.errors import HydraException

PATHS = (
    *("checkpoint", "clips", "corpus.root", "corpus.file", "corpus.keep_videos", "corpus.label_files"),
    *("data.cache", "data.files", "model.weights"),
)
"""The settings that hold a path."""
SEVERAL = ("clips", "data.files")
"""Those of them that hold several."""


def to_overrides(
    script: str, arguments: Sequence[str], known: Collection[str] | None = None
) -> tuple[list[str], list[str]]:
    """Rewrite arguments so that Hydra reads every path exactly.

    Rewriting the result again changes nothing: the other processes of a run get it as their arguments.

    Args:
        script: Name of the script, for errors.
        arguments: The arguments of the command line, without the script's name.
        known: The names of all settings and groups, for a script that takes plain paths: first the checkpoint, then
            videos and folders. All arguments after `--` are paths. None for a script without plain paths.

    Returns:
        Hydra's options, and its overrides.

    Raises:
        SystemExit: An argument is neither an override nor a path that the script takes.
    """
    before, after = [*arguments], []
    if known and "--" in before:
        end = before.index("--")
        before, after = before[:end], before[end + 1 :]
    parsed = get_args_parser().parse_intermixed_args(before)
    own_config = parsed.config_dir or parsed.config_name or parsed.config_path  # it may have other settings
    options = [*before]
    overrides: list[str] = []
    paths: list[str] = []
    for argument in parsed.overrides:
        options.remove(argument)
        plain = known and not own_config and _is_path(script, argument, known)
        (paths if plain else overrides).append(argument)
    overrides = _with_paths(script, overrides, paths + after) if known else overrides
    return options, [_readable(script, argument) for argument in overrides]


def exists(path: str) -> bool:
    """Return whether there is a file or folder of this name; the name may be any text."""
    return os.path.lexists(path)  # Path.exists raises an error for a text that is too long for a name


def quoted(text: str) -> str:
    r"""Quote a text for Hydra. The name of an existing file is taken literally, also if it contains `${...}`.

    >>> print(quoted("Tom's (1).mp4"))
    'Tom\'s (1).mp4'
    """
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text) if exists(text) else text
    return QuotedString(literal, Quote.single).with_quotes()


def _key(argument: str) -> tuple[str, str]:
    """Return the sign (+, ++ or ~) and the key of an override; both are empty if the argument cannot be one."""
    found = re.match(r"(\+\+?|~|)([A-Za-z_][\w.@/]*)=", argument) or re.match(r"(~)([A-Za-z_][\w.@/]*)$", argument)
    return (found[1], found[2]) if found else ("", "")


def _is_path(script: str, argument: str, known: Collection[str]) -> bool:
    """Return whether an argument is a path, not an override of a known setting."""
    sign, key = _key(argument)
    if exists(argument) or not key:
        return True
    name = re.split(r"[.@/]", key)[0]
    if name not in known and (meant := difflib.get_close_matches(name, known, n=1)):
        sys.exit(f"{script}: there is no {name} in {argument!r}. Did you mean {meant[0]}? --help lists all.")
    return name not in known and not sign


def _with_paths(script: str, overrides: list[str], paths: list[str]) -> list[str]:
    """Turn plain paths into overrides: the first is the checkpoint, unless an override names it."""
    given = {_key(override)[1] for override in overrides}
    if "" in paths:
        sys.exit(f"{script}: got an empty argument. Expected a path or an override; is a variable of the shell unset?")
    if paths and "checkpoint" not in given:
        overrides, paths = [*overrides, f"checkpoint={quoted(paths[0])}"], paths[1:]
    if paths and "clips" in given:
        sys.exit(f"{script}: got clips=... and also {shlex.join(paths)}. Expected videos in one way; leave one out.")
    return [*overrides, f"clips={_list(paths)}"] if paths else overrides


def _readable(script: str, override: str) -> str:
    """Quote the path in an override, and refuse what Hydra cannot read."""
    (_, key), (start, _, value) = _key(override), override.partition("=")
    if key in PATHS and value:
        override = f"{start}={_path_value(value, several=key in SEVERAL)}"
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        advice = "Expected group=choice or setting=value"
        if value:
            example = shlex.quote(f"{start}={QuotedString(value, Quote.double).with_quotes()}")
            advice += f"; a value with brackets, quotes, commas or = signs needs quotes of its own, such as {example}"
        sys.exit(f"{script}: cannot read the argument {override!r}. {advice}. --help lists all settings.")
    return override


def _path_value(value: str, several: bool) -> str:
    """Quote the value of a setting that holds a path, or `several`, for Hydra."""
    inner = value[1:-1] if several and value[0] + value[-1] == "[]" else value
    for text in (value, inner):
        if exists(text):
            return _list([text]) if several else quoted(text)
    parsed: Any = ...  # no value of Hydra's grammar
    with suppress(HydraException):
        parsed = OverridesParser.create().parse_override(f"path={value}").value()
    if parsed is None or isinstance(parsed, Sweep):
        return value
    if not several:
        return quoted(parsed if isinstance(parsed, str) else value)
    if isinstance(parsed, list) and all(isinstance(text, str) for text in parsed):
        return _list(parsed)
    if isinstance(parsed, str) or inner == value:
        return _list([parsed if isinstance(parsed, str) else value])
    return _list([text.strip() for text in inner.split(",")])  # numbers as typed, and unquoted brackets


def _list(paths: Sequence[str]) -> str:
    return f"[{','.join(map(quoted, paths))}]"
