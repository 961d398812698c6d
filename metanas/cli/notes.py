"""What Optuna's dashboard shows of our trials: a note and a picture each, made when it asks for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from typing import BinaryIO
from uuid import NAMESPACE_URL, uuid5

from metanas.cli.live import score_words
from metanas.report.trial import trial_png
from metanas.words import in_words
from search_spaces import Record, Signature
from search_spaces.errors import StoreError
from storage import Store
from storage.annotated import Note, Picture

_COSTS = {
    "parameters": "{:,} numbers set by meta-training",
    "multiply_adds": "{:,} multiply-adds to learn one task and answer",
    "adapt_ms": "{:.3g} ms to adapt to a task",
    "seconds": "{:.3g} s of meta-training and scoring",
}
_KEPT = 200  # pictures


class Notes:
    """Notes of a store's studies, and an artifact store (:mod:`optuna.artifacts`) of their pictures.

    A search spends no time on them: notes are written when the dashboard shows a study, again when
    more of its trials have ended; a picture is drawn when it is looked at.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._notes: dict[str, tuple[object, Mapping[int | None, Note]]] = {}
        self._pictured: dict[str, tuple[str, int]] = {}
        self._png = lru_cache(_KEPT)(self._draw)

    def notes(self, study: str) -> Mapping[int | None, Note]:
        """See :class:`storage.annotated.Source`."""
        summary = {summary.name: summary for summary in self._store.studies()}.get(study)
        if summary is None:
            return {}
        ended = summary.complete, summary.pruned, summary.failed
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
        return BytesIO(self._png(*self._pictured[artifact_id]))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuses: pictures are made of what the store knows, and no others kept."""
        raise StoreError("files cannot be added to a metanas store")

    def remove(self, artifact_id: str) -> None:
        """Nothing to remove: nothing is kept."""

    def _of(self, study: str) -> Iterator[tuple[int | None, Note]]:
        results = self._store.results(study)
        if results:
            last = results[-1]
            yield None, Note(f"{last['verdict']['sentence']}\n\nWinner: trial {last['best']['trial']}.")
        for record in self._store.records(study):
            if record.state == "running":
                continue
            key = str(uuid5(NAMESPACE_URL, f"metanas:{self._store.shown}:{study}:{record.number}"))
            self._pictured[key] = study, record.number
            yield record.number, Note(note(record), Picture(key, f"trial {record.number}.png"))

    def _draw(self, study: str, number: int) -> bytes:
        signature = Signature.from_dict(self._store.settings(study)["signature"])
        return trial_png(self._store.record(study, number), self._store.records(study), signature)


def note(record: Record) -> str:
    """All that is worth knowing of a trial, in Markdown."""
    score = "no score"
    if record.score:
        score = f"{score_words(record.score)} on {record.score.tasks:,} validation tasks"
        score += f" after {record.rung:,} meta-steps"
    words = [f"{root}: {text}" for root, text in in_words(record.candidate).items()]
    if record.parent is not None:
        words.append(f"went on from trial {record.parent}")
    costs = {name: cost for name, cost in vars(record.costs).items() if name in _COSTS and cost is not None}
    words += [_COSTS[name].format(cost) for name, cost in costs.items()]
    listed = "\n".join(f"- {text}" for text in words)
    parts = [f"**{score}** ({record.state}: {record.reason})", listed]
    if record.weights:
        number = str(record.number)
        command = ["metanas", "export", record.study, "--trial", number, "-o", f"trial_{number}.metanas"]
        parts.append(f"```sh\n{shlex.join(command)}\n```")
    return "\n\n".join(parts) + "\n"
