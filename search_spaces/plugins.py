"""Finds plug-ins: one file in the folder of their kind, or an entry point of a third party."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from traceback import extract_tb
from typing import Any

from search_spaces.errors import MetanasError, UnknownNameError

_GROUPS = ("metanas.families", "metanas.architectures", "metanas.rules", "metanas.controllers")
_NEEDED = dict.fromkeys(("metanas.architectures", "metanas.rules"), ("choices", "build"))
_NOT_THEIRS = ("sqlalchemy", "optuna")  # a store that fails, in the midst of a controller


def names(package: str, group: str) -> list[str]:
    """Names of what is there, sorted; loads our own files of that folder, not third parties'.

    Args:
        package: Dotted name of the folder, each module of which is one plug-in if it has ``build``, or
            several if it has ``PLUGINS``, by name.
        group: Entry-point group, ``"metanas.rules"``.
    """
    return sorted({*_own(package), *(point.name for point in entry_points(group=group))})


def load(package: str, group: str, name: str) -> Any:
    """The module (or third party's object) of that name; it has a ``build`` of its kind.

    Raises:
        UnknownNameError: If nothing has that name; the known ones are listed.
        MetanasError: If a third party's cannot be imported.
    """
    own = _own(package)
    if name in own:
        return own[name]
    for point in entry_points(group=group, name=name):
        return _theirs(point)
    kind = _kind(group)
    known = names(package, group)
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownNameError(f"no {kind} called {name!r}{hint} (known: {', '.join(known)})")


def is_ours(package: str, name: str) -> bool:
    """Whether a plug-in of that name is one of this package's files, and no third party's."""
    return name in _own(package)


def broken(package: str, group: str) -> dict[str, str]:
    """Third parties' plug-ins that cannot be had, by name: why."""
    own, found = _own(package), {}
    for point in entry_points(group=group):
        if point.name in own:
            found[point.name] = f"{point.value} has the name of one of ours, which is taken: rename it"
            continue
        try:
            _theirs(point)
        except MetanasError as error:
            found[point.name] = str(error)
    return found


def packages() -> dict[str, str]:
    """Versions of the packages that third parties' plug-ins are of, by their names."""
    known = (point.dist for group in _GROUPS for point in entry_points(group=group))
    return {package.name: package.version for package in known if package is not None}


def summary(plugin: Any) -> str:
    """The first line of a plug-in's docstring, or of that of its ``build``."""
    told = plugin.__doc__ or getattr(getattr(plugin, "build", None), "__doc__", None)
    return str(told or "").strip().partition("\n")[0]


def _own(package: str) -> dict[str, Any]:
    folder = importlib.import_module(package)
    found = (info.name for info in pkgutil.iter_modules(folder.__path__) if not info.name.startswith("_"))
    plugins: dict[str, Any] = {}
    for name in found:
        module = importlib.import_module(f"{package}.{name}")
        plugins |= {name: module} if hasattr(module, "build") else getattr(module, "PLUGINS", {})
    return plugins


def _kind(group: str) -> str:
    kind = group.rsplit(".", 1)[-1]
    return "family" if kind == "families" else kind.removesuffix("s")


def _theirs(point: EntryPoint) -> Theirs:
    where = f"plug-in {point.name} ({point.value}, {point.group})"
    try:
        part = point.load()
    except Exception as error:  # whatever their code raises
        raise MetanasError(f"{where} cannot be loaded: {error!r}") from error
    if not hasattr(part, "build"):  # several, by name
        part = getattr(part, "PLUGINS", {}).get(point.name, part)
    if lacking := [name for name in _NEEDED.get(point.group, ("build",)) if not hasattr(part, name)]:
        raise MetanasError(f"{where} has no {' and no '.join(lacking)}")
    return Theirs(part, f"{_kind(point.group)} {point.name}")


class Theirs:
    """A third party's part: what its functions raise is said to be theirs, and does not look like ours.

    Args:
        part: Of theirs.
        name: What it is called in messages.

    Attributes are those of the part.
    """

    def __init__(self, part: Any, name: str) -> None:
        self._part, self._name, self.__doc__ = part, name, part.__doc__

    def __getattr__(self, name: str) -> Any:
        if name == "_part" or name.startswith("__"):  # of a copy that is being made, or of what copies
            raise AttributeError(name)
        found = getattr(self._part, name)
        return self._guarded(found) if callable(found) and not isinstance(found, type) else found

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def guarded(*given: Any, **named: Any) -> Any:
            try:
                return function(*given, **named)
            except MetanasError:
                raise
            except Exception as error:
                if type(error).__module__.partition(".")[0] in _NOT_THEIRS:
                    raise
                raise MetanasError(f"{self._name}, a plug-in, fails: {_told(error)}") from error

        return guarded


def _told(error: Exception) -> str:
    """An error with the place that it comes from."""
    place = extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    return f"{text} ({Path(place.filename).name} line {place.lineno})"
