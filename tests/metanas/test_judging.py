"""What a winner is judged on, and its baselines with it: tasks that chose nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metanas import judging
from metanas.baselines import run_simple, simple
from metanas.budget import Budget
from metanas.finish import winner_of
from metanas.verdict import Rival
from search_spaces import Signature
from tests.metanas.scripted import make


def test_all_are_scored_on_the_test_tasks_of_this_look_and_tuned_on_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "hand_set", lambda *_: [])
    monkeypatch.setattr(judging, "TEST_TASKS", 30)
    search = make(lambda number, at: 0.5)
    evaluator = search.evaluator
    evaluator.family.independent = "groups"  # type: ignore[attr-defined]
    monkeypatch.setattr(evaluator, "transductive", lambda *_: True)
    search.run(Budget(trials=1))
    winner = winner_of(search)
    found = judging.compare(search, winner, Budget(trials=1))
    test = evaluator.tasks(30, "test", look=search.memory.look("s"))
    assert all(torch.equal(found.episodes[name], test[name]) for name in test)  # type: ignore[literal-required]
    ours = evaluator.task_scores(winner.record.candidate, winner.checkpoint, test)
    np.testing.assert_array_equal(found.ours, ours)
    for method, rival in zip(simple(evaluator), found.rivals, strict=True):
        alone = run_simple(evaluator.signature, method, evaluator.valid, test)
        assert (rival.name, rival.valid) == (alone.name, alone.valid), (
            "settings are chosen on validation tasks"
        )
        np.testing.assert_array_equal(rival.test, alone.test)
    assert (found.of, found.transductive) == ("groups", True)


def test_over_folds_errors_are_in_one_unit() -> None:
    """Each fold standardises targets by its own training tasks: the same error is another number there."""

    def part(unit: float) -> judging.Comparison:
        ours, rival = np.full(6, 2.0 / unit**2), Rival("ridge", 8.0 / unit**2, np.full(6, 8.0 / unit**2))
        episodes: Any = {}
        return judging.Comparison(ours, [rival], False, 1, episodes, unit=unit)

    found = judging.joined(Signature("regression", (1,), 1, 5), [part(2.0), part(1.0), part(4.0)])
    assert found.test.value == pytest.approx(0.5)
    assert found.test.ci95 == pytest.approx(0.0)
    assert found.baselines["ridge"].value == pytest.approx(2.0)
    assert "0.5 against 2 on 18 fresh tasks" in found.verdict.sentence
