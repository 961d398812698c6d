"""Scores: per task, their mean with its interval, and whether a learner peeks at the other queries."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from metanas.engine import Engine
from metanas.engine.program import at, count
from search_spaces import Score, Signature
from search_spaces.task import Episodes

_PROBES = 8  # tasks on which transduction is measured
_TOLERANCE = 1e-3  # of the predictions' spread: rounding differs with the size of a batch


def task_scores(signature: Signature, prediction: Tensor, episodes: Episodes) -> Tensor:
    """The metric of each task.

    Args:
        signature: Of the tasks.
        prediction: ``(T, Q, O)`` targets or logits.
        episodes: ``(T, …)``.

    Returns:
        ``(T,)``: mean squared error, or accuracy as a fraction.
    """
    y = episodes["query_y"]
    if signature.kind == "regression":
        rows = ((prediction - y) ** 2).mean(-1)
    else:
        rows = (prediction.argmax(-1) == y.argmax(-1)).to(prediction.dtype)
        # what diverged predicts no class, not the first
        rows = torch.where(prediction.isfinite().all(-1), rows, torch.nan)
    mask = episodes.get("query_mask")
    if mask is None:
        return rows.mean(1)
    return torch.where(mask, rows, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def by_cluster(values: Tensor, episodes: Episodes) -> Tensor:
    """The mean of each cluster of episodes ``(K,)``; the values ``(T,)`` where they are independent."""
    if "cluster" not in episodes:
        return values
    _, place = episodes["cluster"].to(values.device).unique(return_inverse=True)
    sums = values.new_zeros(int(place.max()) + 1).index_add(0, place, values)
    means: Tensor = sums / place.bincount()
    return means


def half_width(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean of independent values ``(T,)``; infinite where it has none."""
    with np.errstate(over="ignore", invalid="ignore"):
        if len(values) < 2 or not np.isfinite(np.var(values)):
            return math.inf
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def summarise(
    signature: Signature, values: np.ndarray, split: str, transductive: bool | None = None
) -> Score:
    """The mean over tasks ``(T,)``, with its interval."""
    with np.errstate(over="ignore"):
        value, ci95 = float(np.mean(values)), half_width(values)
    return Score(signature.metric, value, ci95, len(values), split, transductive)


def is_transductive(engine: Engine, meta: Tensor, buffers: Tensor, episodes: Episodes) -> bool:
    """Measures whether a prediction changes when the other queries are taken away; see :func:`leak`."""
    return leak(engine, meta, buffers, episodes) > _TOLERANCE


def leak(engine: Engine, meta: Tensor, buffers: Tensor, episodes: Episodes) -> float:
    """How far a prediction moves when the other queries are taken away, relative to their spread.

    Args:
        engine: Of the learner.
        meta: ``(P,)``.
        buffers: ``(B,)``.
        episodes: ``(T, …)``; the first few tasks are used.
    """
    few = at(episodes, slice(0, min(_PROBES, count(episodes))))
    together = engine.predictions(meta, buffers, few)
    single: Episodes = {**few, "query_x": few["query_x"][:, :1]}
    alone = engine.predictions(meta, buffers, single)
    spread = float(together.std(correction=0))
    return float((together[:, :1] - alone).abs().max()) / max(spread, 1e-3)
