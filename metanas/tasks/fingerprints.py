"""Measures what a family is like: statistics of sampled tasks, and what a few cheap learners make of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from metanas.seeds import generator
from metanas.tasks.family import Family
from search_spaces import Signature
from search_spaces.errors import DataError
from search_spaces.fingerprint import Fingerprint
from search_spaces.task import Episodes

_VERSION = 1  # of what is measured: another one makes the old ones stale
_TASKS = 48
_MOST = 256  # features that are looked at, evenly spaced
_QUERIES = {"regression": 10, "classification": 3}
_RIDGE = 0.1

Probe = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def key(family: Family, signature: Signature) -> str:
    """Of a family's fingerprint: the same as long as its data and its setting are."""
    told = [_VERSION, family.facts(), signature.to_dict()]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def fingerprint(family: Family, signature: Signature) -> Fingerprint:
    """Of the training tasks; the same for the same data, in well under a second.

    Args:
        family: Whose tasks.
        signature: Of its tasks as they are scored.
    """
    drawn = _drawn(family, signature)
    tasks = [] if drawn is None else [_task(drawn, i) for i in range(len(drawn["support_x"]))]
    usable = [task for task in tasks if len(task[0]) and len(task[2])]
    if not usable:
        return Fingerprint(family.name, signature, {})
    measures = _regression(usable) if signature.kind == "regression" else _classification(usable)
    finite = {name: float(np.clip(v, -1, 1)) for name, v in measures.items() if np.isfinite(v)}
    return Fingerprint(family.name, signature, finite)


Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # support (S, F), (S, O), query (Q, F), (Q, O)


def _drawn(family: Family, signature: Signature) -> Episodes | None:
    for queries in (_QUERIES[signature.kind], 1):
        with suppress(DataError):  # a class or a task has not that many examples
            return family.sample(
                _TASKS,
                "train",
                generator(torch.device("cpu"), 0, "fingerprint"),
                shots=signature.shots,
                ways=signature.outputs,
                queries=queries,
            )
    return None


def _task(drawn: Episodes, i: int) -> Task:
    data: Mapping[str, Any] = drawn
    found = []
    for part in ("support", "query"):
        x, y = (data[f"{part}_{name}"][i].double().flatten(1).cpu().numpy() for name in ("x", "y"))
        mask = data.get(f"{part}_mask")
        there = np.ones(len(x), bool) if mask is None else mask[i].cpu().numpy().astype(bool)
        columns = np.unique(np.linspace(0, x.shape[1] - 1, _MOST).astype(int))
        found += [np.nan_to_num(x[there][:, columns]), np.nan_to_num(y[there])]
    return found[0], found[1], found[2], found[3]


def _regression(tasks: list[Task]) -> dict[str, float]:
    every, targets = (np.concatenate([task[i] for task in tasks]) for i in (0, 1))
    middle, scale = targets.mean(0), targets.std(0) + 1e-12
    scaled = [(sx, (sy - middle) / scale, qx, (qy - middle) / scale) for sx, sy, qx, qy in tasks]
    all_y = np.concatenate([task[1] for task in scaled])
    pooled = _ridge_fit(every, all_y)

    def skill(probe: Probe) -> float:
        """The part of all variance that the probe explains on queries."""
        misses = [((probe(sx, sy, qx) - qy) ** 2).mean() for sx, sy, qx, qy in scaled]
        whole = np.mean([(qy**2).mean() for *_, qy in scaled])
        return float(1 - np.mean(misses) / (whole + 1e-12))

    means = np.stack([task[1].mean(0) for task in scaled])
    return {
        **_inputs(every),
        "variance between tasks": float(np.clip(means.var(0).mean(), 0, 1)),
        "skewness of targets": float(np.abs((all_y**3).mean(0)).mean() / 3),
        "skill of the task's mean": skill(lambda sx, sy, qx: np.tile(sy.mean(0), (len(qx), 1))),
        "skill of the nearest example": skill(_nearest),
        "skill of ridge": skill(_ridge),
        "skill of a kernel": skill(_kernel),
        "skill of one linear model": skill(lambda sx, sy, qx: pooled(qx)),
    }


def _classification(tasks: list[Task]) -> dict[str, float]:
    every = np.concatenate([task[0] for task in tasks])
    chance = 1 / tasks[0][1].shape[1]

    def skill(probe: Probe) -> float:
        """The part of the way from chance to perfect."""
        right = [(probe(sx, sy, qx).argmax(1) == qy.argmax(1)).mean() for sx, sy, qx, qy in tasks]
        return float((np.mean(right) - chance) / (1 - chance))

    return {
        **_inputs(every),
        "skill of the nearest class mean": skill(_centroid),
        "skill of the nearest example": skill(_nearest),
        "skill of ridge": skill(_ridge),
        "skill of a kernel": skill(_kernel),
    }


def _inputs(x: np.ndarray) -> dict[str, float]:
    """Of the inputs ``(N, F)`` of all tasks."""
    centred = (x - x.mean(0)) / (x.std(0) + 1e-12)
    power = np.linalg.eigvalsh(centred.T @ centred).clip(0)
    dimension = power.sum() ** 2 / ((power**2).sum() + 1e-12)
    commonest = np.mean([np.unique(column, return_counts=True)[1].max() / len(x) for column in x.T])
    return {
        "spread over dimensions": float(np.log(max(dimension, 1)) / np.log(max(x.shape[1], 2))),
        "share of each input's commonest value": float(commonest),
    }


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found: np.ndarray = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return found.clip(0)


def _nearest(sx: np.ndarray, sy: np.ndarray, qx: np.ndarray) -> np.ndarray:
    found: np.ndarray = sy[_squared(qx, sx).argmin(1)]
    return found


def _centroid(sx: np.ndarray, sy: np.ndarray, qx: np.ndarray) -> np.ndarray:
    means = sy.T @ sx / (sy.sum(0)[:, None] + 1e-12)
    return -_squared(qx, means)


def _ridge_fit(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Ridge regression with an intercept, in whichever of its two forms is the smaller."""
    middle, scale, level = x.mean(0), x.std(0) + 1e-3, y.mean(0)
    u = (x - middle) / scale / np.sqrt(x.shape[1])
    if len(u) <= u.shape[1]:
        weights = u.T @ np.linalg.solve(u @ u.T + _RIDGE * np.eye(len(u)), y - level)
    else:
        weights = np.linalg.solve(u.T @ u + _RIDGE * np.eye(u.shape[1]), u.T @ (y - level))
    return lambda qx: (qx - middle) / scale / np.sqrt(x.shape[1]) @ weights + level


def _ridge(sx: np.ndarray, sy: np.ndarray, qx: np.ndarray) -> np.ndarray:
    return _ridge_fit(sx, sy)(qx)


def _kernel(sx: np.ndarray, sy: np.ndarray, qx: np.ndarray) -> np.ndarray:
    """A Gaussian process with one length: the median distance of the support set."""
    within = _squared(sx, sx)
    length = np.median(within[within > 0]) if (within > 0).any() else 1.0
    level = sy.mean(0)
    kernel = np.exp(-within / length) + 0.1 * np.eye(len(sx))
    found: np.ndarray = np.exp(-_squared(qx, sx) / length) @ np.linalg.solve(kernel, sy - level) + level
    return found
