"""What the command says of wrong input, and that this is all it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
# makes what is wrong in a folder that holds a store and a learner; gives the rest of the command line
Make = Callable[[Path], Sequence[object]]


def wrong(metanas: Run, folder: Path, *arguments: object) -> str:
    """What is said; checks that it is one line, and all that happens."""
    before = contents(folder)
    ran = metanas(*arguments)
    assert contents(folder) == before
    assert ran.out == ""
    assert ran.err.startswith("metanas: ")
    assert ran.err.endswith("\n")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    assert ran.code == 2
    return str(ran.err)


def contents(folder: Path) -> dict[str, int | None]:
    """Files and folders, with their sizes; what a store writes of itself while it is open is not there."""
    return {
        str(path.relative_to(folder)): path.stat().st_size if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith(("-wal", "-shm"))
    }


def assert_says(said: str, line: str) -> None:
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(line)
