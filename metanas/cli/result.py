"""The result of a search as plain data: the last line of ``--json``, and what the store keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metanas.cli.live import score_json
from metanas.tally import counts, front_rows
from metanas.words import in_words
from search_spaces import Score

if TYPE_CHECKING:
    from metanas.finish import Winner
    from metanas.judging import Judgement
    from metanas.search import Search


def result_json(
    search: Search, winner: Winner, judgement: Judgement, saved: dict[str, str]
) -> dict[str, Any]:
    """The result of a search of one family; of several objectives, their ``front``, too."""
    learner = learner_json(winner, judgement)
    front = front_rows(search.records, search.aims.goals)
    best = {key: learner.pop(key) for key in ("trial", "candidate", "architecture", "rule", "valid")}
    return {
        "study": search.name,
        "trials": counts(search.records),
        "seconds": 0.0,  # set when everything is written
        "best": best,
        **learner,
        "looks": judgement.looks,
        "folds": judgement.folds,
        "saved": saved,
    } | ({"front": front} if front else {})


def learner_json(winner: Winner, judgement: Judgement) -> dict[str, Any]:
    """A learner, and what it came to on test tasks."""
    record, verdict, test = winner.record, judgement.verdict, judgement.test
    return {
        "trial": record.number,
        "candidate": dict(record.candidate),
        **in_words(record.candidate),
        "valid": score_json(record.score),
        "test": {
            **(score_json(test) or {}),
            "tasks": test.tasks,
            "of": judgement.of,
            "transductive": test.transductive,
            **({"folds": judgement.folds} if judgement.folds > 1 else {}),
        },
        "baselines": [_baseline_json(n, s, judgement.over) for n, s in judgement.baselines.items()],
        **({"left_out": list(judgement.left_out)} if judgement.left_out else {}),
        "verdict": {
            "outcome": verdict.outcome,
            "against": verdict.against,
            "difference": verdict.difference,
            "ci95": verdict.ci95,
            "sentence": verdict.sentence,
        },
    }


def _baseline_json(name: str, score: Score, over: Mapping[str, str]) -> dict[str, Any]:
    limit = {"over": over[name]} if name in over else {}
    return {"name": name, "value": score.value, "ci95": score.ci95, **limit}


def baseline_name(baseline: Mapping[str, Any]) -> str:
    """What people are told that a baseline of a result is: its name, and which limit it is over, if it is."""
    over = baseline.get("over")
    return f"{baseline['name']} ({over})" if over else str(baseline["name"])
