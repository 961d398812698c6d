"""What a search leaves: the learner file and the picture; and any trial as a learner file, later."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from metanas.engine import Program
from metanas.engine.program import at
from metanas.finish import Winner
from metanas.judging import Judgement, held_against
from metanas.learner import Manifest, save
from metanas.learner.weights import unpack
from metanas.report import Example, Summary, draw, draw_front, task_caption, task_charts
from metanas.search import Search
from metanas.standings import best_of
from search_spaces import Record, Signature, catalogue
from search_spaces.errors import DataError, StoreError

TASKS = "tasks drawn"  # what the store's log calls them, beside their hash
_EXAMPLES = {"regression": 3, "classification": 1}  # tasks that are drawn


class Stored(Protocol):
    """The part of a store that an export needs."""

    def settings(self, name: str) -> dict[str, Any]: ...
    def records(self, study: str) -> list[Record]: ...
    def record(self, study: str, number: int) -> Record: ...
    def get(self, sha: str) -> bytes: ...
    def results(self, study: str) -> list[dict[str, Any]]: ...


def save_learner(path: Path, search: Search, winner: Winner, result: dict[str, Any]) -> None:
    """Writes the winner as a learner file.

    Args:
        path: Of the file.
        search: That found it.
        winner: Of the search.
        result: Of the search, as the store keeps it; its scores go into the file.
    """
    evaluator = search.evaluator
    setting = vars(evaluator.setting)
    settings = {"family": evaluator.family.facts(), "preprocessing": evaluator.family.preprocessing}
    manifest = _manifest(winner.record, evaluator.signature, setting, settings, result)
    save(path, manifest, winner.checkpoint.average, winner.checkpoint.buffers, evaluator.trusted)


def save_picture(path: Path, search: Search, winner: Winner, judgement: Judgement) -> None:
    """Draws what happened: the search, and test tasks that the winner adapted to.

    Raises:
        DataError: If the file cannot be written.
    """
    evaluator, record = search.evaluator, winner.record
    few = at(judgement.episodes, slice(0, _EXAMPLES[evaluator.signature.kind]))
    engine = evaluator.engine(record.candidate)
    prediction = engine.predictions(winner.checkpoint.average, winner.checkpoint.buffers, few).cpu()
    episodes = {name: tensor.cpu() for name, tensor in few.items()}  # type: ignore[attr-defined]
    examples = [Example.of(episodes, prediction, i) for i in range(len(prediction))]
    summary = _summary(search, record, judgement)
    with _written(path):
        draw(path, search.records, summary, examples)
    charts = task_charts(evaluator.signature, examples)  # the page is made without the tasks
    drawn = {"caption": task_caption(evaluator.signature, len(charts)), "charts": charts}
    search.memory.log(search.name, TASKS, search.memory.put(json.dumps(drawn).encode(), TASKS))


def save_front(path: Path, search: Search, winner: Winner, judgement: Judgement) -> None:
    """Draws score against the other objectives, where there are some, and what is on their front.

    Raises:
        DataError: If the file cannot be written.
    """
    with _written(path):
        draw_front(path, search.records, _summary(search, winner.record, judgement))


def _summary(search: Search, record: Record, judgement: Judgement) -> Summary:
    against = judgement.verdict.against  # over folds it need not be the best by the mean over them
    baselines = judgement.baselines | {against: held_against(search.evaluator.signature, judgement)}
    baselines = {against: baselines[against]} | baselines
    return Summary(
        search.name,
        search.evaluator.family.name,
        search.evaluator.signature,
        record,
        judgement.test,
        baselines,
        judgement.verdict.sentence,
        search.aims.goals,
        judgement.of,
    )


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None


def export_trial(
    store: Stored, study: str, number: int | None, path: Path, architectures: Collection[str] = ()
) -> Record:
    """Writes a trial of a study as a learner file.

    Args:
        store: That remembers it.
        study: Its name.
        number: Of the trial; None: the best by validation.
        path: Of the file.
        architectures: Model spaces that may be imported, see :mod:`search_spaces.named`.

    Raises:
        RuleError: If the network is a model space that is not among them.
        StoreError: If there is no such study or trial, or its weights were not kept.
    """
    settings = store.settings(study)
    record = best_of(store.records(study)) if number is None else store.record(study, number)
    if record is None or record.weights is None:
        none = "no trial has a score and weights"
        if record is not None:
            none = f"trial {record.number} ({record.state}: {record.reason}) has no weights"
        raise StoreError(f"study {study}: {none} to export; see metanas leaderboard {study}")
    signature = Signature.from_dict(settings["signature"])
    program = Program.of(catalogue.build(record.candidate, signature, architectures))
    weights = unpack(program, store.get(record.weights))
    setting = {name: settings[name] for name in ("ways", "shots", "queries")}
    judged = [result for result in store.results(study) if result["best"]["trial"] == record.number]
    manifest = _manifest(record, signature, setting, settings, judged[-1] if judged else {})
    save(path, manifest, *weights, architectures)
    return record


def _manifest(
    record: Record,
    signature: Signature,
    setting: dict[str, int],
    settings: dict[str, Any],
    result: dict[str, Any],
) -> Manifest:
    known = {key: result[key] for key in ("test", "baselines", "verdict") if key in result}
    provenance = {
        "study": record.study,
        "trial": record.number,
        "seed": record.seed,
        "versions": record.versions,
        "family": settings["family"],
        "date": datetime.now(UTC).date().isoformat(),
    }
    scorecard = {"valid": record.score} | known
    preprocessing, costs = settings["preprocessing"], vars(record.costs)
    return Manifest(record.candidate, signature, preprocessing, setting, scorecard, costs, provenance)
