"""What a user would have done without us: simple methods, tuned on the validation tasks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from metanas import foundation, per_task, pooled
from metanas.engine.program import at, count
from metanas.evaluator import Evaluator
from metanas.fitting import scores, workers
from metanas.scoring import by_cluster
from metanas.sizing import median_ms
from metanas.units import Arrays, Units
from metanas.verdict import Rival
from search_spaces import Costs, Signature
from search_spaces.task import Episodes
from search_spaces.threads import one_thread

TUNING_TASKS = 100  # validation tasks that settings are chosen on
_PREPARED = 100  # tasks at a time: of all rows of a thousand, side by side, memory would not hold the columns
_PROBE = 64  # tasks that tell how long a method takes
_EACH = 10  # fits that as many take as there are settings, where they are done at once
_FEW, _LONG = 8, 0.1  # tasks that tell how slow a method is; seconds, from which on it is


@dataclass(frozen=True)
class Simple:
    """A method that needs no meta-training.

    Attributes:
        name: Of it.
        settings: Of which the best on validation tasks is used.
        predict: Fits and predicts one task.
        prepare: Done to many tasks at once, before.
        alone: Whether it stays in this process: its model is large, or has threads of its own.
        parameters: Numbers that it has from other tasks, next to none; None: they are not counted.
        each: Predicts with each of some settings, much sooner than one after the other; None: no such way.
    """

    name: str
    settings: tuple[Any, ...]
    predict: pooled.Predict
    prepare: pooled.Prepare = list
    alone: bool = False
    parameters: int | None = 0
    each: pooled.Each | None = None

    def tuning(self, tasks: int) -> int:
        """Fits that choosing a setting takes, on so many tasks."""
        return 0 if len(self.settings) < 2 else tasks * (_EACH if self.each else len(self.settings))


def simple(evaluator: Evaluator) -> list[Simple]:
    """The simple methods that suit the tasks, of each task alone."""
    signature, seen = evaluator.signature, evaluator.tasks(TUNING_TASKS, "train")
    more = per_task.of_rows(signature) if pooled.are_rows(evaluator.valid) else []
    mean = seen["support_y"].double().mean((0, 1)).cpu().numpy()
    if (units := _units(evaluator, seen)) is None:
        return [Simple(*m) for m in (*per_task.usual(signature, mean), *more)]
    methods = (*per_task.usual(signature, units.targets(mean)), *more)
    return [Simple(*per_task.standardised(m, units)) for m in methods]


def _units(evaluator: Evaluator, training: Episodes) -> Units | None:
    """Of a family whose numbers are not standardised; None of the others."""
    if not getattr(evaluator.family, "in_its_own_units", False):
        return None
    x, y = (training[name].double().flatten(0, 1).cpu().numpy() for name in ("support_x", "support_y"))
    return Units.of(evaluator.signature, x.reshape(len(x), -1), y)


def together(evaluator: Evaluator) -> tuple[list[Simple], list[str]]:
    """For tables: models of all rows, methods that need an extra, and what is said of those that fail."""
    if not pooled.are_rows(evaluator.valid):
        return [], []
    found, whys = [], []
    try:
        if pooled.suits(evaluator.signature, evaluator.valid, evaluator.family):
            training = evaluator.tasks(pooled.TASKS, "train")
            of, units = training["cluster"].tolist(), _units(evaluator, training)
            for m in pooled.methods(evaluator.signature, list(_tasks(training)), of, units):
                found.append(Simple(m.name, m.settings, m.predict, m.prepare, parameters=None, each=m.each))
    except Exception as error:  # whatever a library makes of data that nobody thought of
        whys.append(failed("pooled model", error))
    methods, why = foundation.tabpfn(evaluator.signature)
    found += [Simple(*m, alone=True, parameters=None) for m in methods]
    return found, [*whys, why] if why else whys


def failed(name: str, error: Exception) -> str:
    """What is said of a baseline that could not be run."""
    return f"baseline {name} failed ({type(error).__name__}: {str(error)[:100]})"


def run_simple(
    signature: Signature, method: Simple, valid: Episodes, test: Episodes, rounds: int | None = None
) -> Rival:
    """Tunes a method on a part of the validation tasks, then runs it on all of them and on the test tasks.

    Args:
        signature: Of the tasks.
        method: To run.
        valid: Validation tasks.
        test: Test tasks.
        rounds: Of methods that are slow, how many episodes of each task (or group) it is run on; None: all.
    """
    if rounds is not None:
        valid, test = (at(episodes, slice(0, first(episodes, rounds))) for episodes in (valid, test))
    ready = _prepared(method, valid)
    few, those = ready[:TUNING_TASKS], at(valid, slice(0, TUNING_TASKS))
    sign = 1 if signature.higher_is_better else -1

    fits = method.tuning(len(few)) + count(valid) + count(test)
    jobs = 1 if method.alone else workers(fits * pace(signature, method, at(valid, slice(0, _PROBE))))

    def tried(setting: Any) -> list[float]:
        try:
            return scores(signature.kind, method.predict, setting, few, jobs)
        except np.linalg.LinAlgError:  # the others may do
            return [-sign * np.inf] * len(few)

    def tuned() -> Any:
        if method.each is not None:
            values = np.array(scores(signature.kind, method.each, method.settings, few, jobs)).T
        else:
            values = np.array([tried(setting) for setting in method.settings])
        means = [sign * _of_clusters(row, those).mean() for row in values]
        known = np.nan_to_num(means, nan=-np.inf)
        return method.settings[int(known.argmax())]

    best = tuned() if len(method.settings) > 1 else method.settings[0]

    def on(episodes: Episodes) -> np.ndarray:
        return _scores(signature, method, best, _prepared(method, episodes), episodes, jobs)

    def costs() -> Costs:
        return Costs(parameters=method.parameters, adapt_ms=_adapt_ms(method, best, valid))

    here = _scores(signature, method, best, ready, valid, jobs)
    return Rival(method.name, float(here.mean()), on(test), on, costs)


def _adapt_ms(method: Simple, setting: Any, episodes: Episodes) -> float | None:
    """Milliseconds to fit one task and answer one query, the median of some runs."""
    if method.prepare is not list:
        return None  # models of all tasks are asked together, of which the setting takes one
    x, y, q, _ = next(_tasks(at(episodes, slice(0, 1))))

    def answer() -> None:
        method.predict(setting, x, y, q[:1])

    with one_thread("sklearn.ensemble"):
        answer()  # the first time pays what comes but once
        return median_ms(answer, torch.device("cpu"))


def first(episodes: Episodes, rounds: int) -> int | None:
    """How many episodes there are until each task (or group) has come so often; None where all are others."""
    if "cluster" not in episodes:
        return None
    seen: Counter[int] = Counter()
    many = len(episodes["cluster"].unique())
    for taken, cluster in enumerate(episodes["cluster"].tolist(), 1):
        seen[cluster] += 1
        if len(seen) == many and min(seen.values()) >= rounds:
            return taken
    return count(episodes)


def pace(signature: Signature, method: Simple, tasks: Episodes) -> float:
    """Seconds that a method takes for one task; where it is slow, few of those given tell."""

    def run(here: Episodes) -> None:
        ready = _prepared(method, here)
        try:
            _scores(signature, method, method.settings[0], ready, here)
        except np.linalg.LinAlgError:  # it may be the weakest regulariser: another setting does
            _scores(signature, method, method.settings[-1], ready, here)

    few = at(tasks, slice(0, _FEW))
    taken = timed(lambda: run(few)) / count(few)
    # the first time pays what comes but once
    return taken if taken * count(few) > _LONG else timed(lambda: run(tasks)) / count(tasks)


def timed(run: Callable[[], object]) -> float:
    """How long something takes, in seconds."""
    start = time.monotonic()
    run()
    return time.monotonic() - start


def _prepared(method: Simple, episodes: Episodes) -> list[Arrays]:
    tasks = list(_tasks(episodes))
    parts = (tasks[start : start + _PREPARED] for start in range(0, len(tasks), _PREPARED))
    with one_thread("sklearn.ensemble"):
        return [one for part in parts for one in method.prepare(part)]


def _scores(
    signature: Signature,
    method: Simple,
    setting: Any,
    tasks: list[Arrays],
    episodes: Episodes,
    jobs: int = 1,
) -> np.ndarray:
    """Of prepared tasks, which are those episodes: of each, or of each cluster of them."""
    return _of_clusters(np.array(scores(signature.kind, method.predict, setting, tasks, jobs)), episodes)


def _of_clusters(values: np.ndarray, episodes: Episodes) -> np.ndarray:
    return by_cluster(torch.from_numpy(values.astype(np.float64)), episodes)


def _tasks(episodes: Episodes) -> Iterator[Arrays]:
    """Each task's support and query as flat arrays, masked rows left out."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in episodes.items()}  # type: ignore[attr-defined]
    for t in range(count(episodes)):
        support = arrays["support_mask"][t] if "support_mask" in arrays else slice(None)
        query = arrays["query_mask"][t] if "query_mask" in arrays else slice(None)
        rows = (("support_x", support), ("support_y", support), ("query_x", query), ("query_y", query))
        sx, sy, qx, qy = (arrays[name][t][keep].astype(np.float64) for name, keep in rows)
        yield sx.reshape(len(sx), -1), sy, qx.reshape(len(qx), -1), qy
