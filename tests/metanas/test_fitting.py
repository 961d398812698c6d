"""Tiny models fitted on worker processes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from metanas.fitting import Task, scores, workers


def _tasks(count: int) -> list[Task]:
    rng = np.random.default_rng(0)
    return [tuple(rng.normal(size=(n, d)) for n, d in ((5, 3), (5, 1), (7, 3), (7, 1))) for _ in range(count)]  # type: ignore[misc]


def test_worker_processes_change_no_score_and_keep_the_order() -> None:
    offset = 0.5  # of a function that no module has, as fitted models come

    def predict(setting: float, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.asarray(q @ np.linalg.lstsq(x, y, rcond=None)[0] * setting + offset)

    tasks = _tasks(30)
    alone = scores("regression", predict, 0.9, tasks)
    assert len(set(alone)) == 30
    assert scores("regression", predict, 0.9, tasks, jobs=2) == alone


def test_the_work_is_done_elsewhere() -> None:
    def predict(_: Any, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.full((len(q), 1), float(os.getpid()))

    tasks = [(x, y, q, 0 * t) for x, y, q, t in _tasks(8)]
    found = np.sqrt(scores("regression", predict, None, tasks, jobs=2))
    assert os.getpid() not in set(found.round().astype(int))


def test_what_fails_there_fails_here() -> None:
    def predict(_: Any, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("of one task")

    with pytest.raises(ZeroDivisionError, match="of one task"):
        scores("regression", predict, None, _tasks(4), jobs=2)


def test_what_is_no_number_is_no_class() -> None:
    """It would count as the first one."""
    first, second = np.eye(2)
    answers = np.array([[np.nan, np.nan], [0.9, np.nan], [0.9, 0.1], [0.1, 0.9]])
    task = np.zeros((4, 1)), np.zeros((4, 2)), np.zeros((4, 1)), np.array([first, first, first, second])
    assert scores("classification", lambda *_: answers, None, [task]) == [0.5]


def test_little_work_is_done_here() -> None:
    assert workers(0.5) == 1
