"""Arguments as people type them: paths in any spelling, beside Hydra's overrides."""

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

PATHS = ("checkpoint", "clips", "corpus.root", "corpus.keep_videos", "corpus.labels", "data.cache", "model.weights")
"""The settings that hold a path; `clips` holds several."""


def to_overrides(
    script: str, arguments: Sequence[str], known: Collection[str], paths: bool = False
) -> tuple[list[str], list[str]]:
    """Rewrite arguments so that Hydra reads every path as it was typed.

    Rewriting the result again changes nothing: the further processes of a run get it as their arguments.

    Args:
        script: The name of the script, for errors.
        arguments: What follows the script's name on the command line.
        known: The names of all settings and groups of the script.
        paths: Whether plain arguments are paths: first the checkpoint, then videos and folders. What follows `--` is
            a path in any case.

    Returns:
        Hydra's options, and its overrides.

    Raises:
        SystemExit: An argument is neither an override nor, where `paths` allows it, a path.
    """
    before, found = [*arguments], []
    if paths and "--" in before:
        end = before.index("--")
        before, found = before[:end], before[end + 1 :]
    parsed = get_args_parser().parse_intermixed_args(before)
    own_config = parsed.config_dir or parsed.config_name or parsed.config_path  # which may have settings of its own
    options = [*before]
    overrides: list[str] = []
    plain: list[str] = []
    for argument in parsed.overrides:
        options.remove(argument)
        sign, key = _key(argument)
        group = re.split(r"[.@/]", key)[0]
        if paths and (exists(argument) or not key):
            plain.append(argument)
        elif group not in known and not own_config and (meant := difflib.get_close_matches(group, known, n=1)):
            sys.exit(f"{script}: there is no {group} in {argument!r}. Did you mean {meant[0]}? --help lists all.")
        else:
            (plain if paths and not (group in known or own_config or sign) else overrides).append(argument)
    overrides = _with_paths(script, overrides, plain + found) if paths else overrides
    return options, [_readable(script, argument) for argument in overrides]


def exists(path: str) -> bool:
    """Tell whether there is a file or folder of this name; it may be any text."""
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
    """Quote a path that Hydra would read otherwise than it was typed, and refuse what Hydra cannot read."""
    (_, key), (start, _, value) = _key(override), override.partition("=")
    if key in PATHS and value:
        override = f"{start}={_path_value(value, several=key == 'clips')}"
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
    """Write the value of a setting that holds a path, or `several`, so that Hydra reads what was typed."""
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
    return _list([text.strip() for text in inner.split(",")])  # numbers as they were typed, and unquoted brackets


def _list(paths: Sequence[str]) -> str:
    return f"[{','.join(map(quoted, paths))}]"
