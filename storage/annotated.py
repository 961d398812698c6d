"""Optuna's storage as its dashboard sees it: with a note and a picture for each trial, never written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any, Protocol

from storage.database import parse
from storage.optuna_storage import close_optuna, open_optuna
from storage.turns import InTurn


@dataclass(frozen=True)
class Picture:
    """An artifact, as Optuna lists it.

    Attributes:
        artifact_id: By which the artifact store is asked for it.
        filename: That a person sees.
        mimetype: Of its bytes.
        encoding: Of its bytes, if they have one.
    """

    artifact_id: str
    filename: str
    mimetype: str = "image/png"
    encoding: str | None = None


@dataclass(frozen=True)
class Note:
    """What is said of a trial, or of a study.

    Attributes:
        text: Markdown.
        picture: Beside it, if there is one.
    """

    text: str
    picture: Picture | None = None


class Source(Protocol):
    """What knows the notes."""

    def notes(self, study: str) -> Mapping[int | None, Note]:
        """Of a study's trials by number, and of the study itself: None; none of a study that is not ours."""


class Annotated(InTurn):
    """Optuna's own storage; a note that a person wrote in the dashboard takes the place of ours.

    The names of the attributes are those that optuna-dashboard reads; tests/metanas/test_dashboard.py asks
    it for what it shows.
    """

    source: Source | None = None

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._with_notes(study_id, super().get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[Any]:
        found = super().get_all_studies()
        for study in found:
            study_id = self.get_study_id_from_name(study.study_name)
            attributes = study.system_attrs
            study.system_attrs = _Noted(attributes, partial(self._with_notes, study_id, attributes))
        return found

    def _with_notes(self, study_id: int, attributes: dict[str, Any]) -> dict[str, Any]:
        notes = self.source.notes(self.get_study_name_from_id(study_id)) if self.source else {}
        added: dict[str, Any] = {}
        ids = self._ids(study_id, max((number for number in notes if number is not None), default=-1))
        for number, note in notes.items():
            if number is not None and number not in ids:  # removed in the dashboard
                continue
            where = "" if number is None else f"{ids[number]}:"
            if f"dashboard:{where}note_ver" not in attributes:
                added |= {f"dashboard:{where}note_ver": 1, f"dashboard:{where}note_str:0": note.text}
            if note.picture:
                key = f"dashboard:artifacts:{where}{note.picture.artifact_id}"
                added[key] = json.dumps(asdict(note.picture))
        return added | attributes

    def _ids(self, study_id: int, last: int) -> dict[int, int]:
        """Of a study's trials by number, at least those up to the last one that is asked for."""
        known: dict[int, dict[int, int]] = self.__dict__.setdefault("_known", {})
        if last > max(known.get(study_id, ()), default=-1):
            trials = self.get_all_trials(study_id, deepcopy=False)
            known[study_id] = {trial.number: trial._trial_id for trial in trials}
        return known.get(study_id, {})


class _Noted(dict[str, Any]):
    """Attributes of a study; its notes are made as soon as they are looked for, by no list of studies."""

    def __init__(self, attributes: dict[str, Any], made: Callable[[], dict[str, Any]]) -> None:
        super().__init__(attributes)
        self._own, self._made = attributes, cache(made)

    def __contains__(self, key: object) -> bool:
        return key in self._looked_at(key)

    def __getitem__(self, key: str) -> Any:
        return self._looked_at(key)[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self._looked_at(key).get(key, default)

    def items(self) -> Any:
        return self._made().items()

    def keys(self) -> Any:
        return self._made().keys()

    def values(self) -> Any:
        return self._made().values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def _looked_at(self, key: object) -> dict[str, Any]:
        return self._made() if str(key).startswith("dashboard:") else self._own


@contextmanager
def annotated(url: str, source: Source) -> Iterator[Annotated]:
    """Optuna's storage at that URL, with notes.

    Raises:
        StoreError: If it cannot be opened.
    """
    storage = open_optuna(parse(url), Annotated)
    assert isinstance(storage, Annotated)
    storage.source = source
    try:
        yield storage
    finally:
        close_optuna(storage)
