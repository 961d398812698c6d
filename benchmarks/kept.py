"""Replays that are done, a file each: what was interrupted goes on, and what is shared is done once.

What a replay gives depends on the job, the table, the code of its controller and of what replays it, and
Optuna; all of that is in the name of its file. Another code or table gives other names, and is replayed anew.
A controller of another package is known by its name alone: after a change to it, take another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from replay import Replay

import controllers
import search_spaces

HERE = Path(__file__).resolve().parent
_OURS = [HERE / name for name in ("searches.py", "replay.py", "recorded.py", "arrays.py", "conditions.py")]


@dataclass(frozen=True)
class Kept:
    """Those of a folder; None: nothing is kept."""

    folder: Path | None

    def read(self, name: str) -> Replay | None:
        """The replay of that name, if it is there and whole."""
        try:
            return None if self.folder is None else Replay(**json.loads((self.folder / name).read_text()))
        except (OSError, TypeError, ValueError):
            return None

    def put(self, name: str, replay: Replay) -> None:
        """Keeps one: the whole of it or nothing."""
        if self.folder is None:
            return
        part = self.folder / f"{name}.{os.getpid()}.part"
        part.write_text(json.dumps(asdict(replay)))
        part.replace(self.folder / name)


def name_of(job: dict[str, Any], path: Path, controller: str) -> str:
    """What stands for a replay.

    Args:
        job: Its settings, without the place of the table.
        path: The table.
        controller: If it is a package, all of that is its code, beside the modules that all have.
    """
    whole = [job, _digest((path,)), _code(controller), *_versions()]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32] + ".json"


@cache
def _code(controller: str) -> str:
    home, spaces = (Path(str(module.__file__)).parent for module in (controllers, search_spaces))
    ours = (
        *sorted(home.glob("*.py")),
        *sorted((home / controller).rglob("*.py")),
        *sorted(spaces.rglob("*.py")),
    )
    return _digest((*_OURS, *ours))


@cache
def _versions() -> tuple[str, ...]:
    """Of what computes: near ties are decided otherwise by another."""
    known = {part.metadata["Name"].lower(): part.version for part in distributions()}
    return tuple(f"{name} {known.get(name)}" for name in ("optuna", "numpy", "scipy", "torch", "nni"))


@cache
def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
