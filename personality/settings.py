"""Objects that record the arguments they were built with, so that a checkpoint can build them again."""

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any


class RecordsSettings:
    """Record the arguments of the constructor, defaults included, in `settings`.

    Arguments that are not plain (numbers, strings, paths, and lists and mappings of these) are left out.

    Example:
        >>> class Square(RecordsSettings):
        ...     def __init__(self, side, colour="red", canvas=None): pass
        >>> Square(2, canvas=object()).settings
        {'side': 2, 'colour': 'red'}
    """

    settings: dict[str, Any]
    _passes_on: bool

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    @property
    def config(self) -> dict[str, Any]:
        """The settings, and under `_target_` the shortest name under which the class can be imported."""
        kind, parts = type(self), type(self).__module__.split(".")
        modules = [".".join(parts[:end]) for end in range(1, len(parts))]
        public = (module for module in modules if getattr(sys.modules[module], kind.__name__, None) is kind)
        return {"_target_": f"{next(public, kind.__module__)}.{kind.__qualname__}", **self.settings}


def build(kind: type, config: Mapping[str, Any], **more: Any) -> Any:
    """Build the object that a config describes: `_target_`, and the arguments of the constructor.

    Raises:
        ValueError: The config names no subclass of `kind`, so that a config from somebody else cannot run other code;
            or its arguments do not fit the class.
    """
    found = find_class(kind, config)
    given = {**config, **more}  # in the order of the config
    try:
        return found(**{name: value for name, value in given.items() if name not in ("_target_", "_recursive_")})
    except TypeError as error:
        raise ValueError(
            f"The settings of {found.__name__} do not fit it: {error}. Expected those of this version; set what is "
            "missing, or load the model with the version of `personality` that saved it."
        ) from error


def find_class(kind: type, config: Mapping[str, Any]) -> Any:
    """Import the class that a config's `_target_` names, if it is a subclass of `kind`: see `build`."""
    target = str(config.get("_target_", "nothing"))
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name, None) if module else None
    except ModuleNotFoundError as error:
        raise ValueError(
            f"The checkpoint asks for {target}, which is not here: {error}. Expected a {kind.__name__}; install what "
            "it was trained with."
        ) from error
    if not (isinstance(found, type) and issubclass(found, kind)) or found is kind:
        raise ValueError(f"The checkpoint asks for {target}: expected a {kind.__name__}. Do not trust this file.")
    return found


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Make a constructor record its arguments.

    The constructor of a base class adds the defaults of what its subclass passes on as `**options`. What the subclass
    gives it by itself is no setting.
    """
    signature = inspect.signature(init)
    options = next((name for name, each in signature.parameters.items() if each.kind is each.VAR_KEYWORD), "")

    @functools.wraps(init)
    def record(self: RecordsSettings, *args: Any, **kwargs: Any) -> None:
        with suppress(TypeError):  # which the constructor raises again, with a better message
            bound = signature.bind(self, *args, **kwargs)
            given = {*bound.arguments}
            bound.apply_defaults()
            _, *names = bound.arguments
            known: dict[str, Any] = vars(self)  # modules refuse attributes before their constructor is called
            outermost = "settings" not in known
            if outermost:
                known.update(settings={}, _passes_on=True)
            values = {name: bound.arguments[name] for name in names if outermost or name not in given}
            extra = values.pop(options, {})
            if known["_passes_on"]:
                self.settings |= _plain(values | extra)
                known["_passes_on"] = bool(options)
        init(self, *args, **kwargs)

    return record


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Copy the plain values."""
    plain = {}
    for name, value in values.items():
        with suppress(TypeError, ValueError):
            plain[name] = json.loads(json.dumps(value, default=os.fspath))
    return plain


def change(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change settings, also those of parts.

    >>> change({"seed": 0, "parts": {"face": {"size": 96, "crop": 88}}}, {"parts": {"face": {"size": 64}}})
    {'seed': 0, 'parts': {'face': {'size': 64, 'crop': 88}}}
    """
    nested = {
        name: change(settings[name], value)
        for name, value in changes.items()
        if isinstance(value, Mapping) and isinstance(settings.get(name), Mapping)
    }
    return {**settings, **changes, **nested}
