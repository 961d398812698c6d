"""Makes our tables, or brings them up to this version of metanas; Optuna's are not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from search_spaces.errors import NoStoreError, StoreError
from storage.database import is_sqlite, share_between_processes, shown, writing
from storage.models import SCHEMA

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "metanas_alembic_version"
"""Where the revision of our tables stands; ``alembic_version`` is Optuna's."""

_LOCK = 0x6D6574616E6173  # "metanas": PostgreSQL's advisory locks go by number


def migrate(engine: Engine, create: bool) -> None:
    """Leaves our tables as :mod:`storage.models` has them, however many processes do so at once.

    Args:
        engine: Of the store.
        create: Whether to make them where there are none.

    Raises:
        StoreError: If there are none and none are to be made, or they are of a newer metanas.
    """
    with engine.connect() as connection:
        _check(connection, revision(connection), create)
    if is_sqlite(engine.url):
        share_between_processes(engine)
    with writing(engine).connect() as connection:
        _wait_for_turn(connection)
        if revision(connection) == SCHEMA:
            _check_writable(connection)
        else:
            _upgrade(connection)
            connection.commit()


def revision(connection: Connection) -> str | None:
    """The revision of our tables; None where there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def config() -> Config:
    """Alembic's configuration: the migrations lie in this package, wherever that is installed."""
    from alembic.config import Config

    settings = Config()
    folder = Path(__file__).parent / "migrations"
    settings.set_main_option("script_location", str(folder).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Alembic's ``include_name``: only our tables, and whatever is in them."""
    return kind != "table" or str(name).startswith("metanas_")


def _check(connection: Connection, found: str | None, create: bool) -> None:
    if found is None and not create:
        raise NoStoreError(f"no store at {shown(connection.engine.url)}; metanas search makes one")
    if found not in (None, SCHEMA) and found not in _known():
        raise StoreError(
            f"store at {shown(connection.engine.url)} was written by a newer metanas (its tables are of "
            f"revision {found}, this one knows up to {SCHEMA}); pip install --upgrade metanas"
        )


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


def _wait_for_turn(connection: Connection) -> None:
    # SQLite's turn comes with BEGIN IMMEDIATE; in PostgreSQL two could make the same table.
    if not is_sqlite(connection.engine.url):
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _check_writable(connection: Connection) -> None:
    # Changed to itself and taken back: to learn now, not at the first result, that we may not write.
    connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = version_num"))
    connection.rollback()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
