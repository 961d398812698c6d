"""The tables: what is kept of studies, trials, artifacts and events. Portable types, nothing pickled.

They stand beside Optuna's in one database, each of ours named ``metanas_*``. Whoever changes a
table adds a revision to ``migrations/versions`` and raises :data:`SCHEMA`.
"""

from __future__ import annotations

import json
import math
import operator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

SCHEMA = "0003"
"""The Alembic revision that these models describe."""

NAME_LENGTH = 512
"""Longest name of a study, in characters; Optuna's own limit."""


def now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


class Json(TypeDecorator[Any]):
    """Plain values as JSON in a text column.

    Not the database's own JSON type: PostgreSQL's refuses the NaN of a trial that diverged.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Whole(TypeDecorator[int]):
    """A whole number of 64 bits, NumPy's too: sqlite3 would take those for bytes."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return None if value is None else operator.index(value)


class Number(TypeDecorator[float]):
    """A float that may be NaN, kept as NULL: SQLite has no NaN, and would do so unasked."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        return math.nan if value is None else value


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: SQLite drops the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Gives every constraint a name, for a later migration can only drop what has one."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Moment, dict[str, Any]: Json, list[Any]: Json}  # noqa: RUF012


class Study(Base):
    """One search. ``looks`` counts the looks at its test tasks."""

    __tablename__ = "metanas_study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    created: Mapped[datetime] = mapped_column(default=now)
    settings: Mapped[dict[str, Any]]
    looks: Mapped[int] = mapped_column(default=0)


class Fingerprint(Base):
    """What the family of a study is like. ``key`` is of its data and setting: studies may share it."""

    __tablename__ = "metanas_fingerprint"

    study_id: Mapped[int] = mapped_column(ForeignKey("metanas_study.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), index=True)
    data: Mapped[dict[str, Any]]


class Worker(Base):
    """A process that has opened a study; see :mod:`storage.owner` for what an owner is."""

    __tablename__ = "metanas_worker"

    study_id: Mapped[int] = mapped_column(ForeignKey("metanas_study.id"), primary_key=True)
    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    touched: Mapped[datetime]


class Candidate(Base):
    """A candidate, once, however many trials and studies try it. ``text`` is its canonical JSON."""

    __tablename__ = "metanas_candidate"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class Artifact(Base):
    """Bytes by their SHA-256. ``size`` is in bytes; ``data`` is loaded only when asked for."""

    __tablename__ = "metanas_artifact"

    sha: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(Whole)
    created: Mapped[datetime] = mapped_column(default=now)
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class Trial(Base):
    """One candidate evaluated in one study.

    The curves are JSON at the end of the row: they are read whole or not at all, and the counts
    by state come from the index alone.
    """

    __tablename__ = "metanas_trial"
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        Index(None, "study_id", "state"),
        CheckConstraint("state IN ('running', 'complete', 'pruned', 'failed')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("metanas_study.id"))
    number: Mapped[int] = mapped_column(Whole)
    state: Mapped[str] = mapped_column(String(16))
    candidate_id: Mapped[str] = mapped_column(ForeignKey("metanas_candidate.id"), index=True)
    owner: Mapped[str] = mapped_column(String(255))
    touched: Mapped[datetime]
    rung: Mapped[int] = mapped_column(Whole)
    seed: Mapped[int] = mapped_column(Whole)
    parent: Mapped[int | None] = mapped_column(Whole)
    weights: Mapped[str | None] = mapped_column(ForeignKey("metanas_artifact.sha"))
    reason: Mapped[str] = mapped_column(Text)
    costs: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    curve: Mapped[list[Any]]
    valid_curve: Mapped[list[Any]]

    candidate: Mapped[Candidate] = relationship()
    score: Mapped[Scorecard | None] = relationship(cascade="all, delete-orphan")


class Scorecard(Base):
    """The figure by which a trial is judged."""

    __tablename__ = "metanas_scorecard"

    trial_id: Mapped[int] = mapped_column(ForeignKey("metanas_trial.id"), primary_key=True)
    split: Mapped[str] = mapped_column(String(64))
    metric: Mapped[str] = mapped_column(String(64))
    value: Mapped[float] = mapped_column(Number, nullable=True)
    ci95: Mapped[float] = mapped_column(Number, nullable=True)
    tasks: Mapped[int] = mapped_column(Whole)
    transductive: Mapped[bool | None]


class Event(Base):
    """A line of a study's log; never changed."""

    __tablename__ = "metanas_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("metanas_study.id"), index=True)
    at: Mapped[datetime] = mapped_column(default=now)
    what: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    trial: Mapped[int | None] = mapped_column(Whole)


class Result(Base):
    """What a search found, as it ended."""

    __tablename__ = "metanas_result"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("metanas_study.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)
    summary: Mapped[dict[str, Any]]


class Snapshot(Base):
    """What a controller learned from recorded studies; ``used`` by searches is one at most."""

    __tablename__ = "metanas_snapshot"

    sha: Mapped[str] = mapped_column(ForeignKey("metanas_artifact.sha"), primary_key=True)
    created: Mapped[datetime] = mapped_column(default=now)
    card: Mapped[dict[str, Any]]
    adopted: Mapped[bool]
    used: Mapped[bool]
