"""Controllers' snapshots: their bytes are artifacts, what was measured of them stands beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from search_spaces.errors import StoreError
from storage import artifacts, models
from storage.text import plain

KIND = "snapshot"
"""What the artifacts are."""


@dataclass(frozen=True)
class Kept:
    """A snapshot, as the store has it.

    Attributes:
        sha: SHA-256 of its bytes.
        created: When it was saved, aware, UTC.
        card: What it was made from and what was measured of it, in plain values.
        adopted: Whether it was found to help.
        used: Whether searches of this store use it: one at most is.
    """

    sha: str
    created: datetime
    card: dict[str, Any]
    adopted: bool
    used: bool


def save(session: Session, data: bytes, card: Mapping[str, Any], adopted: bool) -> str:
    """Keeps a snapshot; of one that is there already, the new card counts."""
    sha = artifacts.put(session, data, KIND)
    values = {"card": plain(dict(card), "the card of a snapshot"), "adopted": adopted}
    known = session.get(models.Snapshot, sha)
    if known is None:
        session.add(models.Snapshot(sha=sha, used=False, **values))
    else:
        known.card, known.adopted = values["card"], adopted
        known.used = known.used and adopted
    return sha


def every(session: Session) -> list[Kept]:
    """All of them, oldest first."""
    rows = session.scalars(select(models.Snapshot).order_by(models.Snapshot.created, models.Snapshot.sha))
    return [Kept(row.sha, row.created, row.card, row.adopted, row.used) for row in rows]


def find(session: Session, start: str) -> Kept:
    """The one whose SHA-256 begins so.

    Raises:
        StoreError: If none does, or several do.
    """
    known = every(session)
    found = [kept for kept in known if start and kept.sha.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    hashes = ", ".join(kept.sha[:12] for kept in found or known) or "none; metanas controller train makes one"
    what = "several snapshots begin" if found else "no snapshot begins"
    raise StoreError(f"{what} with {start[:64]!r}; in the store: {hashes}")


def use(session: Session, sha: str | None) -> None:
    """Has searches use that one, or none."""
    session.execute(update(models.Snapshot).values(used=False))
    if sha is not None:
        session.execute(update(models.Snapshot).where(models.Snapshot.sha == sha).values(used=True))


def used(session: Session) -> Kept | None:
    """The one that searches use."""
    return next((kept for kept in every(session) if kept.used), None)
