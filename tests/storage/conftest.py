from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from search_spaces.candidate import Candidate
from search_spaces.record import Record, Score
from storage import Store

POSTGRES = os.environ.get("METANAS_POSTGRES")  # a server's URL, with the right to make databases

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/runs.db"
        return
    server = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    name = f"metanas_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with one study, "pumps"."""
    with Store.open(url) as opened:
        opened.save_study("pumps", {"trials": 20})
        yield opened


@pytest.fixture
def study(store: Store) -> optuna.Study:
    """Optuna's "pumps" in that store; the lower the better."""
    return optuna.create_study(storage=store.optuna, study_name="pumps")


@pytest.fixture
def sql(url: str) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Runs a statement behind the store's back; its rows, if it has any."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def run(statement: str) -> list[tuple[object, ...]]:
        with engine.connect() as connection:
            result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    yield run
    engine.dispose()


@pytest.fixture
def record() -> Callable[..., Record]:
    """Makes a record of "pumps", trial 0, running, with whatever is given changed."""

    def make(number: int = 0, state: str = "running", value: float | None = None, **rest: object) -> Record:
        score = None if value is None else Score("mse", value, 0.1, 40, "valid")
        known = {"study": "pumps", "candidate": Candidate({"rule": "ridge"}), "score": score}
        return Record(**known | {"number": number, "state": state} | rest)  # type: ignore[arg-type]

    return make


@pytest.fixture
def program(url: str) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts another process with a store opened as ``store``; it prints and reads lines.

    What still runs when the test is over, as after one that failed, is ended.
    """
    head = (
        "import os, signal, sys\n"
        "from search_spaces.candidate import Candidate\n"
        "from search_spaces.record import Record, Score\n"
        "from storage import Store\n"
        "def say(line): print(line, flush=True)\n"
        "def die(): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"store = Store.open({url!r})\n"
    )

    with ExitStack() as started:

        def start(body: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", head + body],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
            started.enter_context(process)
            started.callback(process.kill)  # called first; nothing happens to one that has ended
            return process

        yield start
