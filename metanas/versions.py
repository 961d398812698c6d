"""Which packages results depend on, and of which version they are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from search_spaces import plugins

_OURS = ("metanas", "torch", "optuna", "numpy", "sqlalchemy")
SNAPSHOT = "snapshot"  # among the versions of a trial: the hash of the one that its controller had


def versions() -> dict[str, str]:
    """Of the packages that results depend on."""
    found = {}
    for name in _OURS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found | plugins.packages()


def of_others(known: Mapping[str, str]) -> list[str]:
    """The packages of third parties' plug-ins among them, in words."""
    return [f"{name} {known[name]}" for name in sorted(known.keys() - {*_OURS, SNAPSHOT})]
