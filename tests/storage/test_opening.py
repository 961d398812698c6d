"""What a user meets who gives a wrong URL, or whose file is not what it was: one line, what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from sqlalchemy import Engine, event

from search_spaces.errors import StoreError
from search_spaces.record import Record
from storage import Store, database, explaining


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "not the URL of a store"),
        ("two\nlines.db", "not the URL of a store"),
        ("postgresql://host:port/x", "not the URL of a store"),
        ("postgresql://me:hidden@host:port/x", r"'postgresql://me:\*\*\*@host:port/x' is not the URL"),
        ("mysql://user@host/x", "not kept in 'mysql'"),
        ("http://host/runs.db", "not kept in 'http'"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("sqlite:///runs.db?colour=blue", "no option 'colour'"),
        ("sqlite:///runs.db?timeout=soon", "could not convert"),
        ("postgresql+telepathy://host/x", "no driver"),
        ("~nobody-of-that-name/runs.db", "not the URL of a store"),
    ],
)
def test_a_wrong_url_is_told_how_to_be_right(url: str, message: str) -> None:
    _refused(url, message)


def test_a_bare_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("runs.db") as store:
        assert store.url == "sqlite:///runs.db"
    assert (tmp_path / "runs.db").is_file()


@pytest.mark.parametrize("url", ["~/runs.db", "sqlite:///~/runs.db", "sqlite:///~/runs.db?timeout=9"])
def test_a_path_may_begin_at_home(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell does it behind the slashes of a URL."""
    monkeypatch.setenv("HOME", str(tmp_path))
    Store.open(url).close()
    assert (tmp_path / "runs.db").is_file()


def test_odd_characters_of_a_path_are_only_characters(tmp_path: Path) -> None:
    path = tmp_path / "my {runs} 100%20#ü.db"
    with Store.open(str(path)) as store:
        store.save_study("pumps", {})
        assert store.optuna.get_all_studies() == []  # Optuna's engine has found the same file
        with Store.open(store.url, create=False) as again:
            assert again.settings("pumps") == {}
    assert path.is_file()
    assert {file.name for file in tmp_path.iterdir()} == {path.name}


def test_a_question_mark_never_splits_a_store_in_two(tmp_path: Path) -> None:
    path = tmp_path / "why?.db"
    try:
        with Store.open(str(path)) as store:
            assert store.optuna.get_all_studies() == []
    except StoreError:  # SQLAlchemy before 2.1
        assert list(tmp_path.iterdir()) == []
    else:
        assert list(tmp_path.iterdir()) == [path]


def test_without_create_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    _refused(str(path), "no store at .*runs.db; metanas search makes one", create=False)
    assert not path.exists()


def test_without_create_a_store_is_opened(url: str) -> None:
    with Store.open(url) as store:
        store.save_study("pumps", {"trials": 1})
    with Store.open(url, create=False) as store:
        assert store.settings("pumps") == {"trials": 1}


def test_without_create_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    _refused(str(path), "no store at", create=False)
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    _refused(str(tmp_path / "no" / "runs.db"), f"no folder {tmp_path}/no for the store.*mkdir -p")
    _refused(str(tmp_path / "so is" / "runs.db"), f"mkdir -p '{tmp_path}/so is'$")


def test_a_folder_is_not_a_store(tmp_path: Path) -> None:
    _refused(str(tmp_path), "is a folder; give a file in it")


@pytest.mark.parametrize("content", [b"hello", b"hello" * 5000])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(content)
    _refused(str(path), "not an SQLite database")
    assert path.read_bytes() == content


def test_a_damaged_store_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    Store.open(str(path)).close()
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996  # the first page: where the tables are listed
    path.write_bytes(content)
    _refused(str(path), "damaged")


@pytest.mark.parametrize("made", [False, True])
def test_a_read_only_file_is_refused_at_once(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "runs.db"
    Store.open(str(path)).close() if made else path.touch()
    # Not chmod: it does not stop root.
    _refused(f"sqlite:///file:{path}?mode=ro&uri=true", "it is read-only")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write in")
def test_a_folder_without_the_right_to_write_is_refused() -> None:
    _refused("/proc/runs.db", "cannot be opened; check its path, and your rights")


def test_a_newer_store_is_refused_and_left_as_it_is(url: str, sql: Callable[[str], list[tuple[str]]]) -> None:
    Store.open(url).close()
    sql("UPDATE metanas_alembic_version SET version_num = '9999'")
    for create in (True, False):
        _refused(url, "newer metanas .*9999.*pip install --upgrade metanas", create=create)
    assert sql("SELECT version_num FROM metanas_alembic_version") == [("9999",)]


def test_a_held_store_is_said_to_be_held(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with Store.open(f"sqlite:///{path}?timeout=0") as store:
        store.save_study("pumps", {})
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds it"):
            store.log("pumps", "x")
        _refused(f"sqlite:///{path}?timeout=0", "another process holds it")
        assert store.events("pumps") == []  # readers do not wait for the writer
        holder.execute("ROLLBACK")
        holder.close()
        store.log("pumps", "x")


def test_a_new_store_waits_for_one_who_comes_between(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        _refused(f"sqlite:///{path}?timeout=0", "another process holds it")
        other.execute("ROLLBACK")
        seen = []

        def between(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if statement in ("BEGIN EXCLUSIVE", "PRAGMA journal_mode = WAL"):
                seen.append(statement)
                other.execute("BEGIN IMMEDIATE" if len(seen) == 2 else "ROLLBACK" if len(seen) == 3 else "--")

        event.listen(Engine, "before_cursor_execute", between)
        try:
            Store.open(str(path)).close()
        finally:
            event.remove(Engine, "before_cursor_execute", between)
    assert seen == ["BEGIN EXCLUSIVE", "PRAGMA journal_mode = WAL"] * 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "runs.db")) as store:
        with store._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 60")
        with pytest.raises(StoreError, match="the disk is full"):
            store.put(bytes(1_000_000), "weights")
        assert store.studies() == []


def test_vanished_tables_are_said_to_be_gone(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with Store.open(str(path)) as store:
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE metanas_result")
        connection.close()
        store.save_study("pumps", {})
        with pytest.raises(StoreError, match="tables are gone"):
            store.results("pumps")


def test_messages_hold_neither_sql_nor_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"needs a driver: pip install .*metanas\[postgres\]") as caught:
        Store.open("postgresql://user:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)

    def without_libpq(*_: object, **__: object) -> None:
        raise ImportError("no pq wrapper available")

    monkeypatch.setattr("storage.database.create_engine", without_libpq)
    with pytest.raises(StoreError, match=r"pip install .*metanas\[postgres\]"):
        Store.open("postgresql://user:secret@127.0.0.1:1/x")


def test_an_unreachable_server_is_a_line_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: a refused PostgreSQL host was not tried")
    with pytest.raises(StoreError, match="refused") as caught:
        Store.open("postgresql://user:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_postgresql_holds_a_store() -> None:
    if not os.environ.get("METANAS_POSTGRES"):
        pytest.skip("METANAS_POSTGRES is unset: no test of the store ran on PostgreSQL")


def test_a_store_that_is_moved_goes_on(tmp_path: Path, record: Callable[..., Record]) -> None:
    with Store.open(str(tmp_path / "runs.db")) as store:
        store.save_study("pumps", {})
        store.start(record())
    shutil.move(tmp_path / "runs.db", tmp_path / "moved.db")
    assert not list(tmp_path.glob("*-wal"))  # one file is all there is to move
    with Store.open(str(tmp_path / "moved.db"), create=False) as store:
        assert store.record("pumps", 0) == record()


def test_importing_the_store_loads_neither_optuna_nor_alembic() -> None:
    code = "import sys, storage; print({'optuna', 'alembic', 'torch'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "set()"


def _refused(url: str, message: str, *, create: bool = True) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(url, create=create)
    assert len(str(caught.value).splitlines()) == 1
    assert "SELECT" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_optuna_makes_of_a_held_store_is_said_as_well(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with Store.open(f"sqlite:///{path}?timeout=0") as store, closing(sqlite3.connect(path)) as holder:
        study = optuna.create_study(storage=store.optuna)
        trial = study.ask()
        holder.execute("BEGIN IMMEDIATE")
        for act in (study.ask, lambda: study.tell(trial, 1.0), lambda: trial.suggest_int("x", 0, 1)):
            with pytest.raises(StoreError, match="another process holds it"), explaining(store.shown):
                act()
        holder.rollback()
        study.tell(trial, 1.0)
        assert study.best_value == 1.0


def test_what_was_deleted_in_optuna_meanwhile_is_said_as_well(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/runs.db") as store:
        study = optuna.create_study(storage=store.optuna, study_name="gone")
        trial = study.ask()
        optuna.delete_study(study_name="gone", storage=f"sqlite:///{tmp_path}/runs.db")
        for act in (study.ask, lambda: study.tell(trial, 1.0), lambda: trial.report(1.0, 0)):
            with pytest.raises(StoreError, match="was deleted in Optuna meanwhile"), explaining(store.shown):
                act()
        with pytest.raises(KeyError, match="mine"), explaining(store.shown):
            raise KeyError("mine")


def test_a_password_of_the_query_is_hidden_too() -> None:
    url = database.parse("postgresql://db/runs?user=me&password=hidden&sslmode=require")
    assert "hidden" not in database.shown(url)
    assert "sslmode=require" in database.shown(url)
    assert database.masked("metanas.db") == "metanas.db"
    assert database.masked("--store=postgresql://me:p@ss@db/x") == "--store=postgresql://me:***@db/x"
