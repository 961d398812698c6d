"""Fitting thousands of tiny models: one after the other, or on worker processes where it takes long.

Python's libraries spend their time between one small array operation and the next: threads only wait for each
other.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any, Literal

import joblib
import numpy as np

from search_spaces.threads import one_thread

_WORTH = 5.0  # seconds of work, from which on workers pay: each takes seconds to start
_PARTS = 4  # that each worker gets: tasks differ in size

Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Predict = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Kind = Literal["regression", "classification"]


def workers(seconds: float) -> int:
    """How many processes are worth it for work that takes one of them so long."""
    return int(joblib.cpu_count()) if seconds > _WORTH else 1


def scores(kind: Kind, predict: Predict, setting: Any, tasks: Sequence[Task], jobs: int = 1) -> list[Any]:
    """The metric of each task, fitted and predicted with that setting; the same whatever ``jobs``.

    Args:
        kind: Of the tasks.
        predict: Fits and predicts one task, ``(Q, O)``, or several times ``(K, Q, O)``, which then gives K
            numbers a task; sent to the workers by value.
        setting: Of it.
        tasks: Support ``(S, D)``, ``(S, O)`` and queries ``(Q, D)``, ``(Q, O)`` of each.
        jobs: Processes; they stay for the next call.
    """
    if jobs < 2 or len(tasks) < 2:
        return _scores(kind, predict, setting, tasks)
    parts = [list(part) for part in _parts(tasks, _PARTS * jobs)]
    work = (joblib.delayed(_on_worker)(kind, predict, setting, part) for part in parts)
    return [score for part in joblib.Parallel(n_jobs=jobs)(work) for score in part]


def _parts(tasks: Sequence[Task], count: int) -> list[Sequence[Task]]:
    size = -(-len(tasks) // count)
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


def _on_worker(kind: Kind, predict: Predict, setting: Any, tasks: Sequence[Task]) -> list[Any]:
    # Ctrl-C is for the process that the user sees: it ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _scores(kind, predict, setting, tasks)


def _scores(kind: Kind, predict: Predict, setting: Any, tasks: Sequence[Task]) -> list[Any]:
    with one_thread("sklearn.ensemble"):  # tasks are tiny: threads within one cost more than they give
        return [_score(kind, predict, setting, task) for task in tasks]


def _score(kind: Kind, predict: Predict, setting: Any, task: Task) -> Any:
    sx, sy, qx, qy = task
    prediction = predict(setting, sx, sy, qx)
    if kind == "regression":
        return ((prediction - qy) ** 2).mean((-2, -1))
    right = prediction.argmax(-1) == qy.argmax(-1)
    return (right & ~np.isnan(prediction).any(-1)).mean(-1)  # no number is no answer
