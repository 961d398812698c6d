"""How to reach the database: its URL, its connections, its transactions, its errors in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from search_spaces.errors import NoStoreError, StoreError

BUSY_SECONDS = 60
"""How long to wait for another process's transaction; ``?timeout=5`` in an SQLite URL says otherwise."""

_TRIES = 100  # each after a turn at the file: two processes may meet again, but not for ever

_EXAMPLES = "give a file, as in runs.db or sqlite:///runs.db, or postgresql://user@host/database"
_DRIVERS = {"psycopg": '"metanas[postgres]"', "psycopg2": "psycopg2-binary"}
_SQLITE_OPTIONS = {"timeout", "uri", "mode", "cache", "immutable", "nolock", "vfs"}
_LIBPQ = ("psycopg", "psycopg2")
_CURES = {
    "locked": "another process holds it; wait for that to end, or stop it",
    "readonly": "it is read-only; copy it to where you may write, or get the right to",
    "unable to open": "it cannot be opened; check its path, and your rights to its folder",
    "not a database": "that file is not an SQLite database; give another path",
    "malformed": "it is damaged; go back to a copy, or try sqlite3's .recover",
    "is full": "the disk is full; make room and run the command again",
    "disk i/o": "its disk cannot be read or written; look at the disk, or copy the store elsewhere",
    "too big": "SQLite keeps artifacts below 1 GB; this one is larger",
    "too large": "a number has more than 64 bits; the store keeps 64",
    "no such table": "its tables are gone; go back to a copy, or give another path",
}


def parse(text: str) -> URL:
    """The URL of a store; a bare path is an SQLite file.

    Raises:
        StoreError: If it is malformed, or of a kind of database that cannot be a store.
    """
    try:
        if not text or not text.isprintable():
            raise ValueError("a URL has 1 or more characters, all of them printable")
        # A path as it is: no % or ? in it means anything.
        path = URL.create("sqlite", database=str(Path(text).expanduser()))
        url = make_url(text) if "://" in text else path
        if is_sqlite(url) and str(url.database).startswith("~"):  # no shell sees it behind sqlite:///
            url = url.set(database=str(Path(str(url.database)).expanduser()))
        if make_url(url.render_as_string(hide_password=False)) != url:  # Optuna would open another file
            raise ValueError("SQLAlchemy before 2.1 cannot write this path as a URL")
    except (ArgumentError, ValueError, RuntimeError) as error:  # the last for ~nobody
        raise StoreError(f"{masked(text)!r} is not the URL of a store; {_EXAMPLES}") from error
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")  # SQLAlchemy's default depends on its version
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"a store is not kept in {url.get_backend_name()!r}; {_EXAMPLES}")
    if is_sqlite(url) and _in_memory(url):
        raise StoreError(f"a store in memory is gone when the command ends; {_EXAMPLES}")
    unknown = set(url.query) - _SQLITE_OPTIONS if is_sqlite(url) else ()
    if unknown:
        raise StoreError(f"no option {min(unknown)!r} for an SQLite store; there is timeout, in seconds")
    return url


def shown(url: URL) -> str:
    """The URL as messages name it, without its password."""
    return masked(url.render_as_string(hide_password=True))


def masked(text: str) -> str:
    """What may be a URL, without what may be a password in it."""
    text = re.sub(r"(://[^:/@]*:)[^/?]*@", r"\1***@", text)  # it may have an @ itself
    return re.sub(r"([?&](?:password|sslpassword)=)[^&]*", r"\1***", text)


def is_sqlite(url: URL) -> bool:
    """Whether the store is an SQLite file."""
    return url.get_backend_name() == "sqlite"


def check_place(url: URL, create: bool) -> None:
    """Sees to it that an SQLite file is there, or can be: SQLite itself says only "unable to open".

    Raises:
        StoreError: If it cannot; the message says what to do.
    """
    if not is_sqlite(url):
        return
    file = Path(str(url.database).removeprefix("file:"))
    if file.is_dir():
        raise StoreError(f"{file} is a folder; give a file in it, as in {file / 'runs.db'}")
    if not file.exists() and not create:
        raise NoStoreError(f"no store at {shown(url)}; metanas search makes one")
    if not file.parent.is_dir():
        made = shlex.quote(str(file.parent))
        raise StoreError(f"no folder {file.parent} for the store; make it first: mkdir -p {made}")


def connect_args(url: URL) -> dict[str, Any]:
    """What the driver is to be told beyond the URL: how many seconds to wait before giving up."""
    if is_sqlite(url):
        return {} if "timeout" in url.query else {"timeout": BUSY_SECONDS}
    known = url.get_driver_name() in _LIBPQ and "connect_timeout" not in url.query
    return {"connect_timeout": 10} if known else {}


def pool_args(url: URL) -> dict[str, Any]:
    """What the pool is to be told: a server may have cut a connection that nobody used for minutes."""
    return {} if is_sqlite(url) else {"pool_pre_ping": True}


def has_studies(url: URL) -> bool:
    """Whether Optuna keeps studies there; to open them makes its tables where there are none.

    Raises:
        StoreError: If the driver is missing.
    """
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return {"studies", "version_info"} <= set(inspect(connection).get_table_names())
    finally:
        engine.dispose()


def connect(url: URL) -> Engine:
    """An engine for our own tables. Nothing is opened yet.

    Raises:
        StoreError: If the driver is missing.
    """
    try:
        engine = create_engine(url, connect_args=connect_args(url), **pool_args(url))
    except NoSuchModuleError as error:
        raise StoreError(f"no driver {url.drivername!r} is known; {_EXAMPLES}") from error
    except ValueError as error:
        raise StoreError(f"{shown(url)} has an option that is wrong: {error}") from error
    except ImportError as error:
        missing = str(error.name or url.get_driver_name())  # psycopg without libpq does not say
        package = _DRIVERS.get(missing, missing)
        raise StoreError(f"{shown(url)} needs a driver: pip install {package}") from error
    if is_sqlite(url):
        event.listen(engine, "connect", enforce_keys)
        event.listen(engine, "begin", _begin)
    return engine


def writing(engine: Engine) -> Engine:
    """The engine whose transactions take SQLite's one write lock at their start.

    One that first reads and then writes is refused at once, without waiting, if another process
    has written in between.
    """
    return engine.execution_options(metanas_begin="BEGIN IMMEDIATE")


def share_between_processes(engine: Engine) -> None:
    """Puts an SQLite file in WAL mode, in which readers and the writer do not wait for each other.

    The file keeps the mode, so that Optuna's connections have it too.

    Raises:
        sqlalchemy.exc.OperationalError: If another process holds the file for too long.
    """
    # Outside a transaction, as SQLite demands.
    with engine.execution_options(metanas_begin="").connect() as connection:
        for tries_left in reversed(range(_TRIES)):
            # For a transaction SQLite waits, until no other process has the file; a change of mode
            # it refuses at once, whatever the timeout, while another process changes it or writes.
            connection.exec_driver_sql("BEGIN EXCLUSIVE").close()
            connection.exec_driver_sql("ROLLBACK").close()
            try:
                return connection.exec_driver_sql("PRAGMA journal_mode = WAL").close()
            except OperationalError as error:
                if not (tries_left and "locked" in str(error.orig)):
                    raise


def enforce_keys(connection: Any, _record: object) -> None:
    """Has a new SQLite connection check foreign keys: it does not by itself."""
    connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turns the errors of a database into one line that says what to do.

    Args:
        where: The store, as :func:`shown` gives it.

    Raises:
        StoreError: In place of any of them; without SQL, without the password.
    """
    try:
        yield
    except (SQLAlchemyError, OSError, OverflowError, UnicodeError) as error:
        raise failure(where, error) from error


def failure(where: str, error: BaseException | None) -> StoreError:
    """What :func:`explained` raises for an error; its message holds no SQL."""
    text = str(getattr(error, "orig", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [cure for sign, cure in _CURES.items() if sign in text.lower()]
    return StoreError(f"store at {where}: {(found + lines + [type(error).__name__])[0]}")


def _in_memory(url: URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _begin(connection: Connection) -> None:
    # sqlite3 itself begins too late, at the first change, and not at all for CREATE TABLE.
    statement = connection.get_execution_options().get("metanas_begin", "BEGIN")
    if statement:
        connection.exec_driver_sql(statement)
