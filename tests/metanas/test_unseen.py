"""What chooses never sees what judges: which tasks baselines are fitted and tuned on, and finals are of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas import baselines, judging, pooled
from metanas.baselines import simple
from metanas.budget import Budget
from metanas.evaluator import Evaluator, Setting
from metanas.finish import _ranked
from metanas.plan import Plan
from metanas.tasks.families import sinusoid, table
from metanas.tasks.family import Source
from metanas.testing.tables import rows, write
from search_spaces import Candidate, Record, Score, Signature

CPU = torch.device("cpu")
CURVES = Signature("regression", (1,), 1, 5)


def test_baselines_are_tuned_on_the_validation_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = Evaluator(sinusoid.build(Source()), CURVES, Setting(1, 5, 10), CPU, valid_tasks=6)
    test, seen = evaluator.tasks(9, "test"), list[Any]()
    monkeypatch.setattr(judging, "run_simple", lambda signature, method, *tasks: seen.append(tasks))
    search: Any = SimpleNamespace(evaluator=evaluator, rungs=(1,), seed=0)
    plan = Plan(9, simple(evaluator)[:2], ())
    for _, run in judging._runs(search, plan, test, Budget(trials=1)):
        run()
    assert len(seen) == 2
    assert all(valid is evaluator.valid and tasks is test for valid, tasks, _ in seen)


def test_baselines_learn_from_training_tasks_and_know_whose_rows_are_whose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = table.build(Source(write(tmp_path / "t.csv", rows(60)), task="machine", target="wear"))
    signature = family.signature(None, 5)
    evaluator = Evaluator(family, signature, Setting(1, 5, 3), CPU, valid_tasks=6)
    asked, told, drawn = list[str](), list[Any](), evaluator.tasks
    monkeypatch.setattr(evaluator, "tasks", lambda n, split, *more: asked.append(split) or drawn(n, split))
    monkeypatch.setattr(pooled, "methods", lambda signature, known, of, units: told.append((of, units)) or [])
    simple(evaluator)
    baselines.together(evaluator)
    assert set(asked) == {"train"}
    assert told == [(drawn(pooled.TASKS, "train")["cluster"].tolist(), None)], "a table is standardised"


@pytest.mark.parametrize("final", [None, 8])
def test_candidates_are_compared_on_validation_tasks_in_finals_too(final: int | None) -> None:
    family: Any = sinusoid.build(Source())
    asked, sample = list[str](), family.sample
    family.sample = lambda n, split, *more, **known: asked.append(split) or sample(n, split, *more, **known)
    Evaluator(family, CURVES, Setting(1, 5, 10), CPU, valid_tasks=6, final_tasks=final)
    assert set(asked) == {"valid"}


def test_finalists_are_the_best_whichever_way_scores_go() -> None:
    def record(number: int, value: float, metric: str) -> Record:
        score = Score(metric, value, 0.0, 9, "valid")  # type: ignore[arg-type]
        known = {"score": score, "weights": "kept", "valid_curve": ((10, value),)}
        return Record("s", number, Candidate({"rule": "ridge"}), "complete", **known)  # type: ignore[arg-type]

    for metric, order in (("accuracy", [1, 2, 0]), ("mse", [0, 2, 1])):
        found = [record(n, value, metric) for n, value in enumerate((0.1, 0.9, 0.5))]
        search: Any = SimpleNamespace(
            records=found, evaluator=SimpleNamespace(higher_is_better=metric == "accuracy")
        )
        assert [one.number for one in _ranked(search, 0)] == order
