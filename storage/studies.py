"""Studies and what is kept of each: settings, its log, its results, its looks at the test tasks."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from search_spaces.errors import StoreError
from storage import models, owner
from storage.models import Study, Trial, Worker, now
from storage.text import check_name, plain, writable
from storage.upsert import insert_once

RESULT = "result"  # what the log calls that one was saved


@dataclass(frozen=True)
class StudySummary:
    """A study at a glance.

    Attributes:
        name: Of the study.
        created: When it was first opened, aware, UTC.
        settings: As they were saved.
        complete: Number of trials in that state; so the other three.
    """

    name: str
    created: datetime
    settings: dict[str, Any]
    complete: int
    pruned: int
    failed: int
    running: int


@dataclass(frozen=True)
class Event:
    """A line of a study's log.

    Attributes:
        at: When it was written, aware, UTC.
        what: What happened.
        why: And why; may be empty.
        trial: Number of the trial it is about, if it is about one.
    """

    at: datetime
    what: str
    why: str
    trial: int | None


def find(session: Session, name: str) -> Study:
    """The row of a study.

    Raises:
        StoreError: If there is none; names the known ones, the nearest first.
    """
    found = session.scalar(select(Study).where(Study.name == name))
    if found is None:
        raise StoreError(f"no study {name!r} in the store; {_known(session, name)}")
    return found


def save(session: Session, name: str, settings: Mapping[str, Any]) -> None:
    """Makes a study, or sees to it that it has these very settings; notes that we work on it.

    Raises:
        StoreError: If it has others, or the name or the settings cannot be stored.
    """
    check_name(name)
    new = plain(dict(settings), "the settings of a study")
    insert_once(session, Study, name=name, settings=new)
    study = find(session, name)
    differing = [key for key in study.settings | new if not _same(study.settings, new, key)]
    if differing:
        raise StoreError(_difference(name, study.settings, new, differing))
    session.merge(Worker(study_id=study.id, owner=owner.me(), touched=now()))


def stay(session: Session, names: set[str]) -> None:
    """Notes that this process still works on these studies."""
    for study in session.scalars(select(Study.id).where(Study.name.in_(names))).all():
        session.merge(Worker(study_id=study, owner=owner.me(), touched=now()))


def leave(session: Session, names: set[str]) -> None:
    """Notes that this process no longer works on these studies."""
    ours = select(Study.id).where(Study.name.in_(names))
    session.execute(delete(Worker).where(Worker.owner == owner.me(), Worker.study_id.in_(ours)))


def others_at_work(session: Session, study: str) -> bool:
    """Whether a living process, other than this one, has the study open."""
    query = select(Worker).join(Study, Worker.study_id == Study.id).where(Study.name == study)
    others = [worker for worker in session.scalars(query) if worker.owner != owner.me()]
    return any(owner.alive(worker.owner, worker.touched, now()) for worker in others)


def summaries(session: Session) -> list[StudySummary]:
    """All studies, oldest first."""
    counted = select(Trial.study_id, Trial.state, func.count()).group_by(Trial.study_id, Trial.state)
    counts = {(study, state): count for study, state, count in session.execute(counted)}
    return [
        StudySummary(
            study.name,
            study.created,
            study.settings,
            *(counts.get((study.id, state), 0) for state in ("complete", "pruned", "failed", "running")),
        )
        for study in session.scalars(select(Study).order_by(Study.id))
    ]


def ended(session: Session, name: str) -> tuple[int, int] | None:
    """How many trials and how many searches of a study have ended; None: there is no such study."""
    known = session.scalar(select(Study.id).where(Study.name == name))
    if known is None:
        return None
    trials = select(func.count()).where(Trial.study_id == known, Trial.state != "running")
    found = select(func.count()).where(models.Result.study_id == known)
    return session.scalar(trials) or 0, session.scalar(found) or 0


def look(session: Session, name: str) -> int:
    """Counts one look at a study's test tasks; how many there were, this one included.

    Of stored data, also by other studies of the same, divided in the same way.
    """
    # The database adds: two processes that look at once are both counted.
    session.execute(update(Study).where(Study.name == name).values(looks=Study.looks + 1))
    study = find(session, name)
    ours = set(divisions(study.settings.get("family", {})))
    if not ours:  # its tasks are drawn anew for each look
        return study.looks
    known = session.execute(select(Study.settings, Study.looks).where(Study.looks > 0)).all()
    return sum(looks for settings, looks in known if ours & set(divisions(settings.get("family", {}))))


def divisions(family: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of each data set of a family, or of a mix, hashes of what it holds and of how it is divided."""
    for facts in (family, *family.get("mixed", ())):
        for content in (facts.get("content"), *facts.get("archives", ())):
            if content is not None:
                yield content, facts.get("division", "")


def log(session: Session, name: str, what: str, why: str, trial: int | None) -> None:
    """Adds a line to a study's log."""
    study = find(session, name)
    session.add(models.Event(study_id=study.id, what=writable(what), why=writable(why), trial=trial))


def events(session: Session, name: str) -> list[Event]:
    """The log of a study, oldest first."""
    rows = select(models.Event).where(models.Event.study_id == find(session, name).id)
    return [
        Event(row.at, row.what, row.why, row.trial) for row in session.scalars(rows.order_by(models.Event.id))
    ]


def save_result(session: Session, name: str, result: Mapping[str, Any]) -> None:
    """Adds a result to a study, and to its log that it did."""
    summary = plain(dict(result), "a result")
    session.add(models.Result(study_id=find(session, name).id, summary=summary))
    log(session, name, RESULT, "", None)


def results(session: Session, name: str) -> list[dict[str, Any]]:
    """The results of a study, oldest first."""
    rows = select(models.Result.summary).where(models.Result.study_id == find(session, name).id)
    return list(session.scalars(rows.order_by(models.Result.id)))


def _known(session: Session, name: str) -> str:
    known = list(session.scalars(select(Study.name).order_by(Study.id.desc())))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    names = near + [other for other in known if other not in near]
    if not names:
        return "it has none yet: metanas search makes one"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return "known: " + ", ".join(names[:10]) + more


def _same(old: dict[str, Any], new: dict[str, Any], key: str) -> bool:
    if key not in old or key not in new:
        return False
    # As text too: NaN is not equal to itself.
    return old[key] == new[key] or json.dumps(old[key]) == json.dumps(new[key])


def _difference(name: str, old: dict[str, Any], new: dict[str, Any], keys: list[str]) -> str:
    def told(values: dict[str, Any], key: str) -> str:
        return repr(values[key]) if key in values else "not set"

    changes = "; ".join(f"{key}: {told(old, key)}, now {told(new, key)}" for key in keys)
    return f"study {name!r} has other settings ({changes}); give them as they were, or another --study"
