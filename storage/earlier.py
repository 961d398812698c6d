"""What other studies know: their families' fingerprints, and their records as another space sees them."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, cast

from sqlalchemy import Row, and_, func, or_, select, update
from sqlalchemy.orm import Session

from search_spaces import Space
from search_spaces import record as values
from search_spaces.candidate import Candidate
from search_spaces.fingerprint import Fingerprint
from search_spaces.record import TIMEOUT, Record
from storage import models
from storage.models import Scorecard, Study, Trial
from storage.studies import find
from storage.text import plain
from storage.upsert import insert_once

LIMIT = 5000
"""Records that are read unless more or fewer are asked for."""

_EACH = 256  # records of one study: its first, which are spread, and its last, which are good
_LEAST = 0.5  # part of a candidate's choices that the space has to have, for it to tell something


def save_fingerprint(session: Session, study: str, key: str, fingerprint: Fingerprint) -> None:
    """Notes what a study's family is like."""
    data = plain(fingerprint.to_dict(), "a fingerprint")
    row = find(session, study).id
    insert_once(session, models.Fingerprint, study_id=row, key=key, data=data)  # others may do so now, too
    session.execute(
        update(models.Fingerprint).where(models.Fingerprint.study_id == row).values(key=key, data=data)
    )


def fingerprint(session: Session, key: str) -> Fingerprint | None:
    """What is known of a family by its key."""
    query = select(models.Fingerprint.data).where(models.Fingerprint.key == key).limit(1)
    found = session.scalar(query)
    return None if found is None else Fingerprint.from_dict(found)


def fingerprints(session: Session) -> dict[str, Fingerprint]:
    """By name of the study, oldest first."""
    query = select(Study.name, models.Fingerprint.data).join(Study, models.Fingerprint.study_id == Study.id)
    return {name: Fingerprint.from_dict(data) for name, data in session.execute(query.order_by(Study.id))}


def records(
    session: Session,
    space: Space,
    near: Fingerprint | None,
    limit: int,
    besides: Collection[str],
    slow: bool = False,
) -> list[Record]:
    """Scored records of other studies that tell of the space, those of the nearest families first.

    Where it matters what is ``slow``, also those of trials that took too long to get a score.
    """
    found: list[Record] = []
    for number, name in _by_nearness(session, near, besides):
        if len(found) >= limit:
            break
        for row in session.execute(_query(session, number, slow)):
            candidate = Candidate.from_json(row.text)
            shared = space.shared(candidate)
            if len(shared) >= max(1, _LEAST * len(candidate)):
                found.append(_record(name, row, shared))
    return found[:limit]


def _by_nearness(
    session: Session, near: Fingerprint | None, besides: Collection[str]
) -> list[tuple[int, str]]:
    """Studies by row and name; those of which nothing is known come last, of equally near ones the newest."""
    known = {} if near is None else {n: near.distance(other) for n, other in fingerprints(session).items()}
    rows = session.execute(select(Study.id, Study.name).order_by(Study.id.desc()))
    others = [(number, name) for number, name in rows if name not in besides]
    return sorted(others, key=lambda study: known.get(study[1], math.inf))


def _query(session: Session, study: int, slow: bool) -> Any:
    scored = and_(Trial.state.in_(("complete", "pruned")), Scorecard.trial_id.is_not(None))
    timed_out = and_(Trial.state == "failed", Trial.parent.is_(None), Trial.reason.startswith(TIMEOUT))
    told = Trial.study_id == study, or_(scored, timed_out) if slow else scored
    last = session.scalar(select(func.max(Trial.number)).outerjoin(Trial.score).where(*told)) or 0
    columns = Trial.number, Trial.state, Trial.rung, Trial.valid_curve, Trial.seed, Trial.parent, Trial.reason
    query = select(*columns, Trial.costs, models.Candidate.text, Scorecard).join(Trial.candidate)
    ends = or_(Trial.number < _EACH // 2, Trial.number > last - _EACH // 2)
    return query.outerjoin(Trial.score).where(*told, ends).order_by(Trial.number)


def _record(study: str, row: Row[Any], candidate: Candidate) -> Record:
    card, score = row.Scorecard, None
    if card is not None:
        score = values.Score(card.metric, card.value, card.ci95, card.tasks, card.split, card.transductive)
    return Record(
        study,
        row.number,
        candidate,
        cast("values.State", row.state),
        row.reason,
        row.rung,
        score,
        costs=values.Costs(seconds=float(row.costs.get("seconds") or 0.0)),
        valid_curve=tuple((step, value) for step, value in row.valid_curve),
        seed=row.seed,
        parent=row.parent,
    )
