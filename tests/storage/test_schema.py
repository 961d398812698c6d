"""Our tables and Optuna's beside each other; the models and the migrations say the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from search_spaces.errors import StoreError
from search_spaces.record import Record
from storage import Store
from storage.models import SCHEMA, Base
from storage.schema import VERSION_TABLE, config, is_ours

Sql = Callable[[str], list[tuple[Any, ...]]]


def test_the_models_are_the_last_migration() -> None:
    assert ScriptDirectory.from_config(config()).get_current_head() == SCHEMA


def test_models_and_migrations_make_the_same_tables(store: Store) -> None:
    assert store.optuna  # whose tables must not count as a difference
    options = {"version_table": VERSION_TABLE, "include_name": is_ours, "compare_type": True}
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        inspected = sa.inspect(connection)
        for name, table in Base.metadata.tables.items():
            checks = {check["name"] for check in inspected.get_check_constraints(name)}
            assert checks == {c.name for c in table.constraints if isinstance(c, sa.CheckConstraint)}


def test_a_migration_can_be_undone(store: Store) -> None:
    assert store.optuna
    settings = config()
    with store._engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
        left = set(sa.inspect(connection).get_table_names())
        assert {name for name in left if name.startswith("metanas_")} == {VERSION_TABLE}
        assert "trials" in left
        command.upgrade(settings, "head")
    store.save_study("again", {})


@pytest.mark.parametrize("first", ["ours", "optuna's"])
def test_ours_and_optunas_do_not_touch_each_other(
    url: str, sql: Sql, first: str, record: Callable[..., Record]
) -> None:
    if first == "optuna's":
        Store.open(url).close()  # which makes the URL's driver ours; then all of ours goes again
        for table in reversed([*Base.metadata.sorted_tables]):
            sql(f"DROP TABLE {table.name}")
        sql(f"DROP TABLE {VERSION_TABLE}")
        theirs = optuna.storages.RDBStorage(url)
        optuna.create_study(storage=theirs, study_name="pumps").optimize(lambda _: 1.0, n_trials=2)
        theirs.remove_session()
        theirs.engine.dispose()
    with Store.open(url) as store:
        assert (first == "ours") == ("alembic_version" not in _tables(store))
        store.save_study("pumps", {})
        store.start(record())
        study = optuna.create_study(storage=store.optuna, study_name="pumps", load_if_exists=True)
        study.optimize(lambda _: 2.0, n_trials=1)
        assert store.record("pumps", 0) == record()
        assert len(study.trials) == (1 if first == "ours" else 3)
        optuna.delete_study(storage=store.optuna, study_name="pumps")  # with foreign keys on
        assert sql("SELECT version_num FROM alembic_version") == [(store.optuna.get_head_version(),)]
    assert sql(f"SELECT version_num FROM {VERSION_TABLE}") == [(SCHEMA,)]


def test_optunas_tables_of_another_version_are_an_error(store: Store, sql: Sql, url: str) -> None:
    assert store.optuna
    sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with Store.open(url) as again, pytest.raises(StoreError, match="not for this Optuna"):
        again.optuna.get_all_studies()


def test_wal_foreign_keys_and_patience_are_on(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "runs.db")) as store:
        for engine in (store._engine, store.optuna.engine):
            with engine.connect() as connection:
                found = {
                    name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "foreign_keys", "busy_timeout")
                }
            assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 60_000}
    plain = sqlite3.connect(tmp_path / "runs.db")
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # of the file, not of our connection
    plain.close()


def test_foreign_keys_are_enforced(store: Store) -> None:
    with pytest.raises(StoreError, match=r"(?i)foreign key"), store.session(writes=True) as session:
        session.execute(sa.text("INSERT INTO metanas_worker VALUES (77, 'x', '2026-01-01')"))


def test_nothing_is_pickled() -> None:
    types = {type(column.type) for table in Base.metadata.tables.values() for column in table.columns}
    assert not [kind for kind in types if issubclass(kind, sa.PickleType)]
    binary = [
        str(column)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary)
    ]
    assert binary == ["metanas_artifact.data"]
    sources = Path(__file__).parents[2].joinpath("storage").rglob("*.py")
    assert not [path for path in sources if "import pickle" in path.read_text()]


def _tables(store: Store) -> set[str]:
    with store._engine.connect() as connection:
        return set(sa.inspect(connection).get_table_names())
