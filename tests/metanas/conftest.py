"""The command line, run in this process: what it prints, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metanas import judging
from metanas.cli.app import main

# these assert for tests: failures of theirs show the values, too
pytest.register_assert_rewrite(
    *(f"tests.metanas.{name}" for name in ("drawn", "image_files", "jobs", "refused"))
)

# a search of a second: few trials, short rungs, learners that are quick to train
QUICK = ("search", "sinusoid", "--trials", 2, "--rung", 3, "--space", "closed-form", "--execution", "vmap")


@dataclass(frozen=True)
class Ran:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        err: And to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects of ``--json``, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        """What one of the other commands gives with ``--json``."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Ran]


def run_in(folder: Path, *arguments: object, **environment: str) -> Ran:
    """Runs ``metanas`` with these arguments in that folder."""
    out, err = io.StringIO(), io.StringIO()
    before, term = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["metanas", *map(str, arguments)])
        patch.delenv("METANAS_STORE", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            signal.signal(signal.SIGTERM, term)
            os.environ.clear()
            os.environ.update(before)
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture
def metanas(tmp_path: Path) -> Run:
    """Runs ``metanas`` with some arguments in ``tmp_path``."""
    return partial(run_in, tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """Arguments of a search of a second, in a metanas that scores on few tasks."""
    few_tasks(monkeypatch)
    return QUICK


def few_tasks(patch: pytest.MonkeyPatch) -> None:
    from metanas import baselines, judging, trained
    from metanas.cli import wiring

    patch.setattr(judging, "TEST_TASKS", 40)
    for module in (baselines, trained):
        patch.setattr(module, "TUNING_TASKS", 5)
    patch.setattr(wiring, "_VALID_TASKS", {"regression": 20, "classification": 10})


@dataclass(frozen=True)
class Searched:
    """A folder in which a search has ended.

    Attributes:
        folder: With ``sinusoid.metanas``, ``sinusoid.png`` and ``metanas.db``.
        ran: The search itself, with ``--json``.
    """

    folder: Path
    ran: Ran


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """One search for all tests that only read: three trials and the one that goes on, on few tasks."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        few_tasks(patch)
        ran = run_in(folder, *QUICK, "--trials", 4, "--seed", 3, "--controller", "random", "--json")
    assert ran.code == 0, ran.err
    return Searched(folder, ran)


@pytest.fixture(scope="session")
def metanas_in() -> Run:
    """Runs ``metanas`` in a folder, scoring on few tasks."""

    def run(folder: Path, *arguments: object) -> Ran:
        with pytest.MonkeyPatch.context() as patch:
            few_tasks(patch)
            patch.setattr("metanas.pooled.TASKS", 40)
            return run_in(folder, *arguments)

    return run


@pytest.fixture(scope="session")
def quickly_in(metanas_in: Run) -> Run:
    """Runs a search on few tasks, without the baselines that take most of the time."""
    simple = judging.simple

    def quickly(folder: Path, *arguments: object) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judging, "hand_set", lambda *_: [])
            patch.setattr(judging, "simple", lambda evaluator: simple(evaluator)[:2])
            return metanas_in(folder, *arguments)

    return quickly
