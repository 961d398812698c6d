"""What a winner is judged on, and its baselines with it: tasks that chose nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metanas import judging
from metanas.baselines import run_simple, simple
from metanas.budget import Budget
from metanas.finish import winner_of
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
    np.testing.assert_array_equal(found.ours, ours.double())
    for method, rival in zip(simple(evaluator), found.rivals, strict=True):
        alone = run_simple(evaluator.signature, method, evaluator.valid, test)
        assert (rival.name, rival.valid) == (alone.name, alone.valid), (
            "settings are chosen on validation tasks"
        )
        np.testing.assert_array_equal(rival.test, alone.test)
    assert (found.of, found.transductive) == ("groups", True)
