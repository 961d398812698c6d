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


def by_cluster(values: Tensor, episodes: Episodes) -> np.ndarray:
    """The mean of each cluster of episodes ``(K,)``; the values ``(T,)`` where they are independent."""
    if "cluster" not in episodes:
        return _numbers(values)
    _, place = episodes["cluster"].to(values.device).unique(return_inverse=True)
    sums = values.new_zeros(int(place.max()) + 1).index_add(0, place, values)
    return _numbers(sums / place.bincount())


def _numbers(values: Tensor) -> np.ndarray:
    return np.asarray(values.double().cpu().numpy())


def classes_of(episodes: Episodes) -> np.ndarray | None:
    """The stored classes ``(T, W)`` that each task is of; None where there are no such."""
    found = episodes.get("classes")
    return None if found is None else np.asarray(found.cpu().numpy())


def half_width(values: np.ndarray, classes: np.ndarray | None = None) -> float:
    """Half of the 95 % interval of the mean of values; infinite where it has none.

    Args:
        values: ``(T,)``, of tasks that are independent of each other but for their classes.
        classes: ``(T, W)`` whole numbers, the classes that each task is of; None: of none that others have.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if len(values) < 2 or not np.isfinite(np.var(values)):
            return math.inf
    if classes is not None and not are_all_the_same(classes):
        freedom = min(len(np.unique(classes)), len(values)) - 1
        return float(stats.t.ppf(0.975, freedom) * math.sqrt(_variance_over_classes(values, classes)))
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def are_all_the_same(classes: np.ndarray) -> bool:
    """Whether every task is of all classes ``(T, W)``, or of all of its part of a mix.

    They do not say how others would differ.
    """
    sets = np.unique(np.sort(classes, 1), axis=0)
    apart = sets.size <= len(np.unique(sets))
    return bool(apart and 2 * len(sets) <= len(classes))


def _variance_over_classes(values: np.ndarray, classes: np.ndarray) -> float:
    r"""Of the mean of values ``(T,)``, if classes ``(T, W)`` were drawn anew, as tasks are.

    A value is taken for a mean of effects of its classes, and its own: :math:`g = \mu + Nb + e`, where rows
    of :math:`N` have :math:`1 / W` at their classes. Variances of :math:`b` and :math:`e` are those that give
    :math:`r'r` and :math:`r'NN'r` of the residuals :math:`r = g - \bar g` their expectations (MINQUE(0)).

    References:
        Searle, Casella and McCulloch, *Variance components*, 1992, chapter 11,
        https://doi.org/10.1002/9780470316856
    """
    many, ways = classes.shape
    _, place = np.unique(classes, return_inverse=True)
    shares = np.zeros((many, place.max() + 1))
    np.add.at(shares, (np.arange(many)[:, None], place.reshape(many, ways)), 1 / ways)
    often, residual = shares.mean(0), values - values.mean()
    centred = shares - often
    products = centred @ centred.T if len(often) > many else centred.T @ centred  # the smaller one
    own, both = np.trace(products), (products**2).sum()
    own_sum, both_sum = residual @ residual, ((centred.T @ residual) ** 2).sum()
    apart = both * (many - 1) - own**2  # 0 where no two tasks have a class in common
    of_class = (both_sum * (many - 1) - own * own_sum) / apart if apart > _TOLERANCE * own**2 else 0.0
    of_class = max(0.0, of_class)
    of_task = max(0.0, (own_sum - of_class * own) / (many - 1))
    return float(of_class * (often**2).sum() + of_task / many)


def summarise(
    signature: Signature,
    values: np.ndarray,
    split: str,
    transductive: bool | None = None,
    classes: np.ndarray | None = None,
) -> Score:
    """The mean over tasks ``(T,)``, with its interval; over their classes ``(T, W)`` too, if told."""
    with np.errstate(over="ignore"):
        value, ci95 = float(np.mean(values)), half_width(values, classes)
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
    if "query_mask" in few:
        single["query_mask"] = few["query_mask"][:, :1]
    alone = engine.predictions(meta, buffers, single)
    mask = few.get("query_mask")
    there = torch.ones_like(together[..., 0], dtype=torch.bool) if mask is None else mask
    counting, first, alone = together[there], together[:, :1][there[:, :1]], alone[there[:, :1]]
    if (first.isfinite() != alone.isfinite()).any():
        return math.inf
    known = counting[counting.isfinite()]
    if not known.numel() or not first.numel():
        return 0.0
    moved = float((first - alone).nan_to_num(0.0, 0.0, 0.0).abs().max())
    return moved / max(float(known.std(correction=0)), 1e-3)
