"""What Optuna's dashboard shows of our trials: a note and a picture each, made when it asks for them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, BinaryIO
from uuid import NAMESPACE_URL, uuid5

from metanas.cli.files import output_path
from metanas.cli.joint_tables import stored_standings
from metanas.cli.live import score_words, standing_words
from metanas.cli.options import STORE, store_words
from metanas.cli.settings import families_of
from metanas.goals import loss
from metanas.report.trial import trial_png
from metanas.standings import Standing
from metanas.words import in_words
from search_spaces import Record, Signature
from search_spaces.errors import StoreError
from search_spaces.named import consent
from storage import Store
from storage.annotated import Note, Picture

_COSTS = {
    "parameters": "{:,} numbers set by meta-training",
    "multiply_adds": "{:,} multiply-adds to learn one task and answer",
    "adapt_ms": "{:.3g} ms to adapt to a task",
    "seconds": "{:.3g} s of meta-training and scoring",
}
_KEPT = 200  # pictures
# trials that have a note, the best and the last: the dashboard looks through all notes for each trial
_BEST, _LAST = 100, 200


class Notes:
    """Notes of a store's studies, and an artifact store (:mod:`optuna.artifacts`) of their pictures.

    A search spends no time on them: notes are written when the dashboard shows a study, again when
    more of its trials have ended or a result was saved; a picture is drawn when it is looked at.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._notes: dict[str, tuple[object, Mapping[int | None, Note]]] = {}
        self._pictured: dict[str, tuple[str, int]] = {}
        self._png = lru_cache(_KEPT)(self._draw)

    def notes(self, study: str) -> Mapping[int | None, Note]:
        """See :class:`storage.annotated.Source`."""
        ended = self._store.ended(study)
        if ended is None:
            return {}
        if self._notes.get(study, (None,))[0] != ended:
            self._notes[study] = ended, dict(self._of(study))
        return self._notes[study][1]

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The picture of that id.

        Raises:
            ArtifactNotFound: If no trial shown so far has it.
        """
        from optuna.artifacts.exceptions import ArtifactNotFound

        if artifact_id not in self._pictured:
            raise ArtifactNotFound(f"no picture {artifact_id}")
        study, number = self._pictured[artifact_id]
        return BytesIO(self._png(study, number, self._store.ended(study)))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuses: pictures are made of what the store knows, and no others kept."""
        raise StoreError("files cannot be added to a metanas store")

    def remove(self, artifact_id: str) -> None:
        """Nothing to remove: nothing is kept."""

    def _of(self, study: str) -> Iterator[tuple[int | None, Note]]:
        results, settings = self._store.results(study), self._store.settings(study)
        several = bool(families_of(settings))
        if results:
            yield None, Note(_verdicts(results[-1]) if several else _verdict(results[-1]))
        found = stored_standings(self._store, study, settings) if several else []
        standings = {standing.trial.number: standing for standing in found}
        records = [record for record in self._store.records(study) if record.state != "running"]
        for record in _shown(records):
            key = str(uuid5(NAMESPACE_URL, f"metanas:{self._store.shown}:{study}:{record.number}"))
            self._pictured[key] = study, record.number
            text = note(record, standings.get(record.number), self._store.shown)
            yield record.number, Note(text, Picture(key, f"trial {record.number}.png"))

    def _draw(self, study: str, number: int, ended: object) -> bytes:  # the last: what it was drawn after
        known = self._store.settings(study).get("signature")  # a study over several families has none
        signature = Signature.from_dict(known) if known else None
        return trial_png(self._store.record(study, number), self._store.records(study), signature)


def _shown(records: Sequence[Record]) -> list[Record]:
    """All of a usual study; of a long one the best, and the last."""
    if len(records) <= _BEST + _LAST:
        return list(records)
    kept = {record.number for record in [*sorted(records, key=_loss)[:_BEST], *records[-_LAST:]]}
    return [record for record in records if record.number in kept]


def _loss(record: Record) -> float:
    if record.score is None or math.isnan(record.score.value):
        return math.inf
    return loss(record)


def _verdict(result: Mapping[str, Any]) -> str:
    return f"{result['verdict']['sentence']}\n\nWinner: trial {result['best']['trial']}."


def _verdicts(result: Mapping[str, Any]) -> str:
    """Of a study over several families."""
    told = [f"**{one['family']}**: {one['own']['verdict']['sentence']}" for one in result["families"]]
    return "\n\n".join([*told, f"Best for all: trial {result['best']['trial']}."])


def note(record: Record, standing: Standing | None = None, store: str = STORE) -> str:
    """All that is worth knowing of a trial, in Markdown; of several families with where it stands."""
    score = "no score"
    if standing:
        score = standing_words(standing)
    elif record.score:
        score = f"{score_words(record.score)} on {record.score.tasks:,} validation tasks"
        score += f" after {record.rung:,} meta-steps"
    words = [f"{root}: {text}" for root, text in in_words(record.candidate).items()]
    if record.parent is not None:
        words.append(f"went on from trial {record.parent}")
    costs = {name: cost for name, cost in vars(record.costs).items() if name in _COSTS and cost is not None}
    words += [_COSTS[name].format(cost) for name, cost in costs.items()]
    listed = "\n".join(f"- {text}" for text in words)
    parts = [f"**{score}** ({record.state}: {record.reason})", listed]
    own = [place.record for place in standing.places] if standing else [record] if record.weights else []
    if own:
        exports = "\n".join(_export(one, store) for one in own)
        parts.append(f"```sh\n{exports}\n```")
    return "\n\n".join(parts) + "\n"


def _export(record: Record, store: str) -> str:
    path = output_path(f"{record.study}_{record.number}", ".metanas")
    words = ["metanas", "export", record.study, "--trial", str(record.number), "-o", str(path)]
    return f"{shlex.join(words)}{consent(record.candidate)[0]}{store_words(store)}"
