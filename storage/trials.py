"""Trials: records to rows and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from search_spaces import record as values
from search_spaces.candidate import Candidate
from search_spaces.errors import StoreError
from search_spaces.record import Record
from storage import artifacts, models, owner
from storage.models import Scorecard, Study, Trial, Worker, now
from storage.studies import find
from storage.text import plain, writable
from storage.upsert import insert_once


def start(session: Session, record: Record) -> None:
    """Notes that this process runs a trial.

    Raises:
        StoreError: If it was started before, or its state is not ``"running"``.
    """
    if record.state != "running":
        raise StoreError(f"{_named(record)} cannot start as {record.state!r}; it should be 'running'")
    study = find(session, record.study)
    if _row(session, record.study, record.number) is not None:
        raise StoreError(
            f"{_named(record)} was started already; numbers are used once: ask Optuna for another"
        )
    row = Trial(study_id=study.id, number=record.number, owner=owner.me())
    _fill(session, row, record)
    session.add(row)
    _sign_of_life(session, study.id)


def touch(session: Session, study: str, number: int) -> None:
    """Gives a sign of life of a running trial; one that has ended needs none.

    Raises:
        StoreError: If there is no such trial.
    """
    find(session, study)
    row = _row(session, study, number)
    if row is None:
        raise missing(study, number)
    if row.state == "running":
        row.touched = now()
        _sign_of_life(session, row.study_id)


def finish(session: Session, record: Record) -> None:
    """Writes what became of a trial.

    Raises:
        StoreError: If it was not started, has ended before, or is said to be running still.
    """
    if record.state == "running":
        raise StoreError(f"{_named(record)} cannot finish as 'running'; say complete, pruned or failed")
    find(session, record.study)
    row = _row(session, record.study, record.number, lock=True)
    if row is None:
        raise StoreError(f"{_named(record)} was never started; call start first")
    # a process that slept too long was taken for dead: what it comes back with is its own
    is_back = (row.state, row.reason, row.owner) == ("failed", values.INTERRUPTED, owner.me())
    if row.state != "running" and not is_back:
        why = f" ({row.reason})" if row.reason else ""
        raise StoreError(f"{_named(record)} has ended already: {row.state}{why}")
    _fill(session, row, record)
    _sign_of_life(session, row.study_id)


def interrupt(session: Session, study: str, number: int, seen: datetime) -> bool:
    """Marks a running trial as failed, for its process is gone.

    Args:
        session: That writes.
        study: Name of the study.
        number: Of the trial.
        seen: Its last sign of life when it was judged.

    Returns:
        False if it has given another since then, or has ended: it is as it was.
    """
    change = (
        update(Trial)
        .where(Trial.study_id == find(session, study).id, Trial.number == number)
        .where(Trial.state == "running", Trial.touched == seen)
        .values(state="failed", reason=values.INTERRUPTED)
    )
    change = change.returning(Trial.id).execution_options(synchronize_session=False)
    return session.scalar(change) is not None


def read(session: Session, study: str, number: int | None = None) -> list[Record]:
    """The records of a study by number, or the one of that number, in one query.

    Raises:
        StoreError: If there is no such study.
    """
    query = select(Trial).where(Trial.study_id == find(session, study).id).order_by(Trial.number)
    query = query.options(joinedload(Trial.candidate), joinedload(Trial.score))
    if number is not None:
        query = query.where(Trial.number == number)
    return [_record(study, row) for row in session.scalars(query)]


def missing(study: str, number: int) -> StoreError:
    """The error for a trial that is not there."""
    return StoreError(f"no trial {number} in study {study!r}; metanas leaderboard lists those there are")


@dataclass(frozen=True)
class Standing:
    """How a trial stands, for :func:`storage.reconcile`.

    Attributes:
        state: Of the trial.
        value: By which it is judged; None if it was never scored.
        owner: The process that runs or ran it.
        touched: The last sign of life of the trial.
        seen: That of its process, in this study.
        reason: Why it ended.
    """

    state: str
    value: float | None
    owner: str
    touched: datetime
    seen: datetime
    reason: str = ""


def standing(session: Session, study: str, number: int) -> Standing | None:
    """How a trial stands; None if there is none."""
    row = _row(session, study, number)
    if row is None:
        return None
    value = None if row.score is None else row.score.value
    worker = session.get(Worker, (row.study_id, row.owner))
    # one that waits for its batch is not touched itself
    seen = row.touched if worker is None else max(row.touched, worker.touched)
    return Standing(row.state, value, row.owner, row.touched, seen, row.reason or "")


def running(session: Session, study: str) -> list[int]:
    """Numbers of the running trials."""
    query = select(Trial.number).where(Trial.study_id == find(session, study).id, Trial.state == "running")
    return list(session.scalars(query))


def _row(session: Session, study: str, number: int, *, lock: bool = False) -> Trial | None:
    query = select(Trial).join(Study, Trial.study_id == Study.id)
    query = query.where(Study.name == study, Trial.number == number)
    # SQLite's writer has the whole file; PostgreSQL's two writers must not both find it running.
    return session.scalar(query.with_for_update(of=Trial) if lock else query)


def _sign_of_life(session: Session, study: int) -> None:
    session.merge(Worker(study_id=study, owner=owner.me(), touched=now()))


def _named(record: Record) -> str:
    return f"trial {record.number} of study {record.study!r}"


def _fill(session: Session, row: Trial, record: Record) -> None:
    if record.weights is not None and not artifacts.has(session, record.weights):
        raise StoreError(f"the weights of {_named(record)} are not in the store; put them there first")
    insert_once(session, models.Candidate, id=record.candidate.id, text=record.candidate.to_json())
    row.state, row.reason, row.touched = record.state, writable(record.reason), now()
    row.candidate_id, row.weights = record.candidate.id, record.weights
    row.rung, row.seed, row.parent = record.rung, record.seed, record.parent
    row.costs = plain(asdict(record.costs), "the costs of a trial")
    row.versions = plain(record.versions, "the versions of a trial")
    row.curve, row.valid_curve = _points(record.curve), _points(record.valid_curve)
    row.score = None if record.score is None else _scorecard(record.score)


def _scorecard(score: values.Score) -> Scorecard:
    seen = score.transductive
    return Scorecard(**asdict(score) | {"transductive": None if seen is None else bool(seen)})


def _points(curve: Sequence[tuple[int, float]]) -> list[Any]:
    return [[int(step), float(value)] for step, value in curve]


def _record(study: str, row: Trial) -> Record:
    return Record(
        study=study,
        number=row.number,
        candidate=Candidate.from_json(row.candidate.text),
        state=cast("values.State", row.state),
        reason=row.reason,
        rung=row.rung,
        score=None if row.score is None else _known_fields(values.Score, vars(row.score)),
        curve=tuple((step, value) for step, value in row.curve),
        valid_curve=tuple((step, value) for step, value in row.valid_curve),
        costs=_known_fields(values.Costs, row.costs),
        seed=row.seed,
        parent=row.parent,
        weights=row.weights,
        versions=row.versions,
    )


def _known_fields(made: Any, stored: dict[str, Any]) -> Any:
    """Of what is stored, what this version knows: a field added later has its default in old rows."""
    return made(**{field.name: stored[field.name] for field in fields(made) if field.name in stored})
