"""What the page of a study says, as plain data: the same for the page and for ``--json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from metanas.goals import Goals, ranked
from metanas.report.matters import importance
from metanas.tally import added, counts, front_rows
from metanas.words import in_words
from search_spaces import Candidate, Record, Signature, Space

_ROWS = 20  # of the leaderboard
_CHOICES, _LEAST = 12, 0.001  # of those that mattered, and how much


@dataclass(frozen=True)
class Study:
    """What a store remembers of a study.

    Attributes:
        name: Of the study.
        settings: That every run of it shares.
        records: Of its trials.
        results: Of its runs that have ended, oldest first; at least one.
        by_shots: Of the last winner on test tasks: labelled examples, score, half of its 95 % interval.
        by_steps: The same for steps of adapting, where its rule takes steps.
        tasks: ``caption`` and ``charts`` (SVG) of tasks that the last winner adapted to.
        left_out: Baselines that the last run could not compare with, and why, a line each.
    """

    name: str
    settings: Mapping[str, Any]
    records: Sequence[Record]
    results: Sequence[Mapping[str, Any]]
    by_shots: Sequence[Sequence[float]] = ()
    by_steps: Sequence[Sequence[float]] = ()
    tasks: Mapping[str, Any] = field(default_factory=dict)
    left_out: Sequence[str] = ()

    @property
    def signature(self) -> Signature:
        return Signature.from_dict(self.settings["signature"])

    @property
    def goals(self) -> Goals:
        return Goals.of(self.settings)

    @property
    def winner(self) -> Record | None:
        """The trial that the last result hands back."""
        number = self.results[-1]["best"]["trial"]
        return next((record for record in self.records if record.number == number), None)


def facts(study: Study) -> dict[str, Any]:
    """Everything that the page shows in figures."""
    settings, signature = study.settings, study.signature
    space = Space.from_json(settings["space"])
    matters = importance(study.records, space, signature.higher_is_better)
    points = {"by_shots": ("shots", study.by_shots), "by_steps": ("steps", study.by_steps)}
    return {
        **study.results[-1],
        **_runs(study),
        **{key: [_point(name, *point) for point in rows] for key, (name, rows) in points.items()},
        "left_out": list(study.left_out),
        "learning_curve": [{"meta_steps": s, "value": v} for s, v in learning_curve(study)],
        "importance": {n: share for n, share in list(matters.items())[:_CHOICES] if share >= _LEAST},
        "leaderboard": leaderboard(study.records),
        "front": front_rows(study.records, study.goals),
        "costs": asdict(study.winner.costs) if study.winner else {},
        "settings": {key: value for key, value in settings.items() if key != "space"},
    }


def _runs(study: Study) -> dict[str, Any]:
    """Trials, and the seconds of the runs that have ended; trials that came since the last of these did."""
    return {
        "trials": counts(study.records),
        "seconds": sum(result["seconds"] for result in study.results),
        "runs": len(study.results),
        "added": added(study.records, study.results[-1]),
    }


def learning_curve(study: Study) -> list[tuple[int, float]]:
    """Meta-steps and validation scores of the last winner, those of the trials that it went on from first.

    A trial that goes on counts its meta-steps from 0, at the weights that its parent kept. Where it went on
    beside its parent, in another way, those that the parent came to meanwhile are counted, too.
    """
    known = {record.number: record for record in study.records}
    record, line = study.winner, list[Record]()
    while record is not None:
        line.insert(0, record)
        record = known.get(record.parent) if record.parent is not None else None
    found, behind = [], 0
    for one in line:
        kept = [(step, value) for step, value in one.valid_curve if one is line[-1] or step <= one.rung]
        found += [(behind + step, value) for step, value in kept]
        behind += one.rung
    return found


def leaderboard(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The best trials by their validation scores."""
    return [_leader(record) for record in ranked(records)[:_ROWS]]


def _leader(record: Record) -> dict[str, Any]:
    return {
        "trial": record.number,
        "parent": record.parent,
        "state": record.state,
        "value": record.score.value if record.score else None,
        "ci95": record.score.ci95 if record.score else None,
        "meta_steps": record.rung,
        "parameters": record.costs.parameters,
        **in_words(record.candidate),
    }


def _point(name: str, count: float, value: float, ci95: float) -> dict[str, Any]:
    return {name: int(count), "value": value, "ci95": ci95}


def candidate_of(study: Study) -> Candidate:
    """The candidate of the last winner."""
    return Candidate(study.results[-1]["best"]["candidate"])
