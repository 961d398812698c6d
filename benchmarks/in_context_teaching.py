"""Teaches an in-context model to read searches: with searches of functions that are drawn here.

Functions are drawn from the very prior of the learned controller's Gaussian process, kernel parameters and
noise included, on conditional spaces that are drawn, too. What is asked is what candidates come to without
noise, on the scale of the results that are known; nothing of any recorded search is in it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from in_context_model import CHOICES, FEWEST, MOST, VALUES, InContext, View
from safetensors.torch import save_file
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data, Kernel
from search_spaces import Categorical, Choice, Space, Value

_CONDITIONAL = 0.25  # part of choices that others open
_SMALLEST = 300  # candidates of a space that is drawn
_UNIFORM, _NEAR = 160, 96  # candidates at which a function is drawn: any, and neighbours of its best
_GREED, _OFF = 3.0, 0.5  # at most, by how much what is expected counts; by how much that is off
_SPACES, _FUNCTIONS, _SPLITS, _QUERIES = 2, 2, 4, 32  # of a step of training
_RATE, _WARM = 1e-3, 0.05  # highest learning rate, and the part of the time that it takes to get there
_FARTHEST = 2.0  # usual deviations beyond all that is known, at which nothing is told apart
_QUANTILE, _TINY = 1.28, 1e-9  # of a standard normal, 9 of 10 are below; no width is 0
_EVERY = 10.0  # seconds, of progress


def normal(results: np.ndarray) -> np.ndarray:
    """``(N,)``: ranks on the scale of a standard normal, as the learned controller has them."""
    return np.asarray(ndtri((rankdata(results) - 0.5) / len(results)))


def placed(results: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``(M,)``: where results stand on the scale of those ``(N,)`` that are known, and somewhat beyond."""
    order = np.argsort(known)
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    above = (results - known.max()) * _QUANTILE / max(high - middle, _TINY)
    below = (known.min() - results) * _QUANTILE / max(middle - low, _TINY)
    beyond = np.clip(above, 0, _FARTHEST) - np.clip(below, 0, _FARTHEST)
    return np.asarray(np.interp(results, known[order], normal(known)[order]) + beyond)


def drawn_space(rng: np.random.Generator) -> Space:
    """Three to 32 choices of two to ten values, some ordered, some opened by others, some alike."""
    while True:
        count = int(np.exp(rng.uniform(math.log(3), math.log(CHOICES + 1))))
        kinds = [_kind(rng) for _ in range(int(rng.integers(1, count + 1)))]
        parts = rng.integers(int(rng.integers(1, 4)), size=count).tolist()
        parents = [_parent(j, rng) for j in range(count)]
        space = Space("drawn", _opened(None, parents, parts, [_any(kinds, rng) for _ in range(count)], rng))
        if space.size >= _SMALLEST:
            return space


def _any(kinds: list[tuple[Value, ...]], rng: np.random.Generator) -> tuple[Value, ...]:
    return kinds[int(rng.integers(len(kinds)))]


def _kind(rng: np.random.Generator) -> tuple[Value, ...]:
    count, first = int(rng.integers(2, VALUES + 1)), int(rng.integers(1000))
    numbers = range(first, first + count)
    return tuple(numbers) if rng.random() < 0.5 else tuple(map(str, numbers))


def _parent(j: int, rng: np.random.Generator) -> int | None:
    return int(rng.integers(j)) if j and rng.random() < _CONDITIONAL else None


def _opened(
    by: int | None,
    parents: list[int | None],
    parts: list[int],
    values: list[tuple[Value, ...]],
    rng: np.random.Generator,
) -> tuple[Choice, ...]:
    """The choices that one opens; those at the root, if it is None."""
    found = []
    for j in (j for j, parent in enumerate(parents) if parent == by):
        below = _opened(j, parents, parts, values, rng)
        opening = values[j][: int(rng.integers(1, len(values[j])))]
        branches = dict.fromkeys(opening, below) if below else {}
        name, ordered = f"part{parts[j]}.choice{j}", not isinstance(values[j][0], str)
        found.append(Categorical(name, values[j], branches, ordered=ordered))
    return tuple(found)


class Search(NamedTuple):
    """What is known of a search, and what is asked: ``(N, WIDTH)``, ``(N,)``, ``(Q, WIDTH)`` and ``(Q,)``."""

    known: np.ndarray
    results: np.ndarray
    asked: np.ndarray
    answers: np.ndarray


def simulated(space: Space, count: int, rng: np.random.Generator) -> Iterator[Search]:
    """Searches of one function on a space, with so many results: the better, the more often.

    As a search does, they choose by what they expect, and do not know by how much a result will be off.
    """
    codes = Codes(space)
    features = Features(codes)
    kernel = Kernel(features, np.zeros(0))
    parameters = kernel.medians + kernel.deviations * rng.normal(size=len(kernel.medians))
    rows, seed = codes.uniform(rng, _UNIFORM), rng.normal(size=_UNIFORM + _NEAR)
    first = _function(kernel, parameters, features.of(rows), seed[:_UNIFORM])
    best = np.repeat(rows[np.argsort(-first)[: _NEAR // 8]], 8, 0)
    x = features.of(np.concatenate([rows, codes.neighbours(best, rng, 1)]))
    # with the same draw the function stays what it was where it is known
    function = _function(kernel, parameters, x, seed)
    found = function + rng.normal(size=len(x)) * np.sqrt(kernel.noise(Data.whole(x), parameters))
    for _ in range(_SPLITS):
        expected = function + function.std() * rng.normal(scale=_OFF, size=len(x))
        keys = rng.uniform(0, _GREED) * expected / function.std() + rng.gumbel(size=len(x))
        order = np.argsort(-keys)  # drawn without repetition, by the exponential of what is expected
        known = order[:count]
        asked, tokens = rng.choice(order[count:], _QUERIES, replace=False), View(features, rng).of(x)
        answers = placed(function[asked], found[known])
        yield Search(tokens[known], normal(found[known]), tokens[asked], answers)


def _function(kernel: Kernel, parameters: np.ndarray, x: np.ndarray, seed: np.ndarray) -> np.ndarray:
    data = Data.whole(x)
    covariance = kernel.between(data, kernel.placed(data, parameters))
    jitter = 1e-5 * np.trace(covariance) / len(x) * np.eye(len(x))
    return np.asarray(np.linalg.cholesky(covariance + jitter) @ seed)


def batch(rng: np.random.Generator) -> list[Tensor]:
    """Simulated searches, all with as many results: by part of :class:`Search`, ``(B, ...)``."""
    count = int(np.exp(rng.uniform(math.log(FEWEST), math.log(MOST + 1))))
    found: list[Search] = []
    for _ in range(_SPACES):
        space = drawn_space(rng)
        for _ in range(_FUNCTIONS):
            found += simulated(space, count, rng)
    return [torch.from_numpy(np.array(part, dtype=np.float32)) for part in zip(*found, strict=True)]


def save(model: InContext, taught: dict[str, float], path: Path) -> None:
    """Writes a model as safetensors, and beside it what it took to teach it."""
    save_file(model.state_dict(), path, {"taught": json.dumps(taught)})


def train(
    model: InContext, minutes: float, seed: int, say: Callable[[str], None] = print
) -> dict[str, float]:
    """Teaches a model for so many minutes of processor time; an interrupt ends that sooner.

    Returns:
        What it took: minutes, steps, searches, and the mean loss of the last tenth of the steps.
    """
    rng, losses = np.random.default_rng(seed), [math.nan]
    optimizer = torch.optim.AdamW(model.parameters(), _RATE, weight_decay=1e-4)
    begin, said, size = time.process_time(), time.monotonic(), 0
    try:
        while (part := (time.process_time() - begin) / (60 * minutes)) < 1:
            for group in optimizer.param_groups:
                group["lr"] = _RATE * min(part / _WARM, 1) * (1 + math.cos(math.pi * part)) / 2 + 1e-6
            losses.append(_step(model, optimizer, batch(rng)))
            size += _SPACES * _FUNCTIONS * _SPLITS
            if time.monotonic() - said > _EVERY:
                said = time.monotonic()
                latest = np.mean(losses[1:][-100:])
                say(
                    f"{part * minutes:.1f} of {minutes:g} min of training, {size} searches, loss {latest:.3f}"
                )
    except KeyboardInterrupt:
        say("interrupted: goes on with what was learned so far")
    last = losses[-max(1, len(losses) // 10) :]
    taken = (time.process_time() - begin) / 60
    return {"minutes": taken, "steps": len(losses) - 1, "searches": size, "loss": float(np.mean(last))}


def _step(model: InContext, optimizer: torch.optim.Optimizer, searches: list[Tensor]) -> float:
    known, results, asked, answers = searches
    loss = F.gaussian_nll_loss(*_first(model(known, results, asked), answers), full=True)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _first(predicted: tuple[Tensor, Tensor], answers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return predicted[0], answers, predicted[1]
