"""The one statement that SQLAlchemy has no portable form of."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.models import Base


def insert_once(session: Session, table: type[Base], **values: Any) -> None:
    """Inserts a row, or leaves alone the one that is there under the same key."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    session.execute(insert(table).values(**values).on_conflict_do_nothing())
