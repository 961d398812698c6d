"""Finds plug-ins: one file in the folder of their kind, or an entry point of a third party."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from search_spaces.errors import MetanasError, UnknownNameError


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
        try:
            return point.load()
        except Exception as error:  # whatever their code raises: one of theirs must not look like ours
            where = f"{point.value}, {group}"
            raise MetanasError(f"plug-in {name} ({where}) cannot be loaded: {error!r}") from error
    kind = group.rsplit(".", 1)[-1]
    known = names(package, group)
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownNameError(f"no {_singular(kind)} called {name!r}{hint} (known: {', '.join(known)})")


@contextmanager
def blaming(package: str, group: str, name: str) -> Iterator[None]:
    """Around what a plug-in does: what a third party's raises is said to be theirs.

    Raises:
        MetanasError: In place of what is none, and comes from a third party's.
    """
    try:
        yield
    except MetanasError:
        raise
    except Exception as error:  # whatever their code raises: one of theirs must not look like ours
        if name in _own(package):
            raise
        told = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise MetanasError(
            f"{_singular(group.rsplit('.', 1)[-1])} {name}, a plug-in, fails: {told}"
        ) from error


def broken(group: str) -> dict[str, str]:
    """Third parties' plug-ins that cannot be imported, by name: why."""
    found = {}
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:
            found[point.name] = f"{point.value}: {error!r}"
    return found


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


def _singular(kind: str) -> str:
    return "family" if kind == "families" else kind.removesuffix("s")
