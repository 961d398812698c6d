"""Optuna's own storage, in the same database as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError

from search_spaces.errors import StoreError
from storage.database import connect_args, enforce_keys, explained, failure, is_sqlite, pool_args, shown

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

_TRIES = 50  # more than Optuna has tables
_GONE = "Record does not exist."  # what Optuna says of a study or trial that its tables lack


def open_optuna(url: URL, kind: type[RDBStorage] | None = None) -> RDBStorage:
    """Opens Optuna's tables, or makes them.

    Args:
        url: Of the database.
        kind: Of storage; None: Optuna's own, in turn.

    Raises:
        StoreError: If the database cannot be reached, or its tables are of another Optuna.
    """
    with explaining(shown(url)), explained(shown(url)):
        _prepare(url)
        storage = _storage(url, kind)
    if is_sqlite(url):
        event.listen(storage.engine, "connect", enforce_keys)
        storage.engine.dispose()  # the connections it made so far
    return storage


@contextmanager
def explaining(where: str) -> Iterator[None]:
    """Turns what Optuna makes of the errors of a database into one line that says what to do.

    Args:
        where: The store, as :attr:`storage.Store.shown` gives it.

    Raises:
        StoreError: In place of any of them, and where a study or trial was deleted in Optuna meanwhile.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except StorageInternalError as error:
        raise failure(where, error.__cause__) from error
    except KeyError as error:
        if error.args != (_GONE,):
            raise
        raise StoreError(
            f"store at {where}: the study, or a trial of it, was deleted in Optuna meanwhile: "
            "search under another name, with --study"
        ) from error


def close_optuna(storage: RDBStorage) -> None:
    """Closes its connections."""
    storage.remove_session()
    storage.engine.dispose()


def _prepare(url: URL) -> None:
    """Makes the tables and checks their version, without a pool: one that fails cannot be closed."""
    from optuna.exceptions import StorageInternalError

    for tries_left in reversed(range(_TRIES)):
        try:
            return close_optuna(_storage(url, None, poolclass=NullPool))
        except (DatabaseError, StorageInternalError) as error:
            if not (tries_left and _overtaken(error)):
                raise
        except RuntimeError as error:
            raise StoreError(f"Optuna's tables in {shown(url)} are not for this Optuna: {error}") from error


def _overtaken(error: Exception) -> bool:
    """Whether another process made a table after Optuna had seen that it was not there."""
    text = f"{error} {error.__cause__}".lower()
    return "already exists" in text or "unique" in text


def _storage(url: URL, kind: type[RDBStorage] | None, **options: Any) -> RDBStorage:
    from storage.turns import InTurn

    text = url.render_as_string(hide_password=False)
    text = text.replace("{", "{{").replace("}", "}}")  # Optuna fills in {SCHEMA_VERSION}
    return (kind or InTurn)(
        text, engine_kwargs={"connect_args": connect_args(url), **pool_args(url), **options}
    )
