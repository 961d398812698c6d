"""Optuna's own storage, in the same database as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError

from search_spaces.errors import StoreError
from storage.database import connect_args, enforce_keys, explained, failure, is_sqlite, shown

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

_TRIES = 50  # more than Optuna has tables


def open_optuna(url: URL) -> RDBStorage:
    """Opens Optuna's tables, or makes them.

    Raises:
        StoreError: If the database cannot be reached, or its tables are of another Optuna.
    """
    with explained(shown(url)):
        storage = _make(url)
    if is_sqlite(url):
        event.listen(storage.engine, "connect", enforce_keys)
        storage.engine.dispose()  # the connections it made so far
    return storage


def close_optuna(storage: RDBStorage) -> None:
    """Closes its connections."""
    storage.remove_session()
    storage.engine.dispose()


def _make(url: URL) -> RDBStorage:
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage

    text = url.render_as_string(hide_password=False)
    escaped = text.replace("{", "{{").replace("}", "}}")  # Optuna fills in {SCHEMA_VERSION}
    for _ in range(_TRIES):
        try:
            return RDBStorage(escaped, engine_kwargs={"connect_args": connect_args(url)})
        except DatabaseError as error:
            last: Exception = error
        except StorageInternalError as error:
            last = error
        except RuntimeError as error:
            raise StoreError(f"Optuna's tables in {shown(url)} are not for this Optuna: {error}") from error
        if not _overtaken(last):
            break
    raise failure(shown(url), last.__cause__ if isinstance(last, StorageInternalError) else last) from last


def _overtaken(error: Exception) -> bool:
    """Whether another process made a table after Optuna had seen that it was not there."""
    text = f"{error} {error.__cause__}".lower()
    return "already exists" in text or "unique" in text
