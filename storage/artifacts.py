"""Bytes by their SHA-256: weights, controllers' snapshots. In the database, so that one URL is all."""

from __future__ import annotations

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from search_spaces.errors import StoreError
from storage.models import Artifact
from storage.upsert import insert_once


def put(session: Session, data: bytes, kind: str) -> str:
    """Keeps ``data`` and returns its SHA-256, 64 hexadecimal digits. What is there already stays as it is."""
    sha = hashlib.sha256(data).hexdigest()
    if not has(session, sha):  # asked first, so as not to send what is there
        insert_once(session, Artifact, sha=sha, kind=kind, size=len(data), data=data)
    return sha


def has(session: Session, sha: str) -> bool:
    """Whether it is there; its bytes are not loaded."""
    return session.scalar(select(Artifact.sha).where(Artifact.sha == sha)) is not None


def get(session: Session, sha: str) -> bytes:
    """The bytes.

    Raises:
        StoreError: If they are absent, or are not what was put there.
    """
    data = session.scalar(select(Artifact.data).where(Artifact.sha == sha))
    if data is None:
        raise StoreError(f"no artifact {sha[:12]}… in the store; was its trial run with another store?")
    if hashlib.sha256(data).hexdigest() != sha:
        raise StoreError(f"artifact {sha[:12]}… was altered; go back to a copy, or run its trial again")
    return data
