"""A transformer that reads the results of a search and predicts others, without being fitted to them.

It is a prior-fitted network (Müller et al., *Transformers Can Do Bayesian Inference*, 2022,
https://arxiv.org/abs/2112.10510; *PFNs4BO*, 2023, https://arxiv.org/abs/2305.17535): one token a candidate,
queries look at results alone, and what it is taught with are searches that are drawn here. Functions are
drawn from the very prior of the learned controller's Gaussian process, kernel parameters and noise included,
on conditional spaces that are drawn, too.

Differs: a normal distribution in place of bins; and what each head looks at decays with the distance of two
candidates, at a rate that is learned, so that it begins as a kernel smoother does and not from nothing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data, Kernel
from search_spaces import Categorical, Choice, Space, Value
from search_spaces.errors import DataError, SpaceError

MOST = 10  # choices, and values of each
INPUT = 2 * MOST * MOST  # columns of a token: of choices without an order, and of those with one
FEWEST_RESULTS, MOST_RESULTS = 8, 50
_CONDITIONAL = 0.25  # part of choices that others open
_SMALLEST = 300  # candidates of a space that is drawn
_UNIFORM, _NEAR = 128, 64  # candidates at which a function is drawn: any, and neighbours of its best
_GREED, _OFF = 3.0, 0.5  # at most, by how much what is expected counts; by how much that is off
_SPACES, _FUNCTIONS, _SPLITS, _QUERIES = 2, 2, 4, 32  # of a step of training
_RATE, _WARM = 1e-3, 0.05  # highest learning rate, and the part of the time that it takes to get there
_EVERY = 10.0  # seconds, of progress


def normal(results: np.ndarray) -> np.ndarray:
    """``(N,)``: ranks on the scale of a standard normal, as the learned controller has them."""
    return np.asarray(ndtri((rankdata(results) - 0.5) / len(results)))


def placed(results: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``(M,)``: where results stand on the scale that those ``(N,)`` have that are known."""
    order = np.argsort(known)
    return np.asarray(np.interp(results, known[order], normal(known)[order]))


def drawn_space(rng: np.random.Generator) -> Space:
    """Three to ten choices of two to ten values, some ordered, some opened by others, some alike."""
    while True:
        count = int(rng.integers(3, MOST + 1))
        kinds = [_kind(rng) for _ in range(int(rng.integers(1, count + 1)))]
        parts = rng.integers(int(rng.integers(1, 4)), size=count).tolist()
        parents = [_parent(j, rng) for j in range(count)]
        space = Space("drawn", _opened(None, parents, parts, [_any(kinds, rng) for _ in range(count)], rng))
        if space.size >= _SMALLEST:
            return space


def _any(kinds: list[tuple[Value, ...]], rng: np.random.Generator) -> tuple[Value, ...]:
    return kinds[int(rng.integers(len(kinds)))]


def _kind(rng: np.random.Generator) -> tuple[Value, ...]:
    count, first = int(rng.integers(2, MOST + 1)), int(rng.integers(1000))
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
    """What is known of a search, and what is asked: ``(N, INPUT)``, ``(N,)``, ``(Q, INPUT)`` and ``(Q,)``."""

    known: np.ndarray
    results: np.ndarray
    asked: np.ndarray
    answers: np.ndarray


@dataclass
class View:
    """Candidates as tokens: choices and values in an order that means nothing, and is drawn.

    Args:
        features: Of at most ten choices of at most ten values.
        rng: That draws the order.

    Raises:
        SpaceError: If there are more.
    """

    features: Features
    rng: np.random.Generator
    _columns: np.ndarray = field(init=False)
    _signs: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        widths = self.features.widths.tolist()
        if len(widths) > MOST or max(widths, default=0) > MOST:
            raise SpaceError(f"an in-context model reads at most {MOST} choices of at most {MOST} values")
        slots, values = self.rng.permutation(MOST), self.rng.permutation(MOST)
        columns, signs = [np.zeros(0, dtype=int)], [np.zeros(0)]
        for slot, width, choice in zip(slots, widths, self.features.choices, strict=False):
            ordered = not isinstance(choice, Categorical) or choice.ordered
            up = not ordered or self.rng.random() < 0.5
            # one order of values for all choices: those that have the same ones stay alike
            places = np.arange(width) * MOST // width if ordered else values[:width]
            columns.append(MOST * (slot + MOST * ordered) + (places if up else places[::-1]))
            signs.append(np.full(width, 1.0 if up else -1.0))
        self._columns, self._signs = np.concatenate(columns), np.concatenate(signs)

    def of(self, x: np.ndarray) -> np.ndarray:
        """``(N, INPUT)`` of features ``(N, F)``; distances stay what they are."""
        found = np.zeros((len(x), INPUT), dtype=np.float32)
        found[:, self._columns] = self.features.centred(x) * self._signs
        return found


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
        answers = placed(found[asked], found[known])
        yield Search(tokens[known], normal(found[known]), tokens[asked], answers)


def _function(kernel: Kernel, parameters: np.ndarray, x: np.ndarray, seed: np.ndarray) -> np.ndarray:
    data = Data.whole(x)
    covariance = kernel.between(data, kernel.placed(data, parameters))
    jitter = 1e-5 * np.trace(covariance) / len(x) * np.eye(len(x))
    return np.asarray(np.linalg.cholesky(covariance + jitter) @ seed)


class InContext(nn.Module):
    """See the module.

    Args:
        width: Of a token.
        layers: Of the transformer.
        heads: Of each layer.
    """

    def __init__(self, width: int = 64, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.candidate, self.result = nn.Linear(INPUT, width), nn.Linear(1, width)
        self.unknown = nn.Parameter(torch.zeros(width))
        # silu: torch's fast path, which it takes for relu and gelu alone, knows no mask of numbers
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, 0.0, F.silu, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))
        self.near = nn.Parameter(torch.linspace(-1.0, 2.0, heads))  # logarithms of rates of decay

    def forward(self, known: Tensor, results: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Means and variances ``(B, Q)``; of ``(B, N, INPUT)``, ``(B, N)`` and ``(B, Q, INPUT)``."""
        count, both = results.shape[1], torch.cat([known, asked], 1)
        told = torch.cat([self.result(results[..., None]), self.unknown.expand(*asked.shape[:2], -1)], 1)
        found = self.layers(math.sqrt(INPUT) * self.candidate(both) + told, mask=self._mask(both, count))
        mean, log = self.out(found[:, count:]).unbind(-1)
        return mean, F.softplus(log) + 1e-3

    def _mask(self, both: Tensor, count: int) -> Tensor:
        """``(B * heads, L, L)``: less of what is far away, and nothing of other queries."""
        near = -torch.cdist(both, both).square()[:, None] * self.near.exp()[:, None, None]
        other = torch.ones(both.shape[1], both.shape[1], dtype=torch.bool).fill_diagonal_(False)
        other[:, :count] = False
        return near.masked_fill(other, -math.inf).flatten(0, 1)

    @torch.no_grad()
    def predict(
        self, features: Features, known: np.ndarray, results: np.ndarray, asked: np.ndarray, views: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances ``(M,)`` of results of candidates by features, over some views of them."""
        means, variances = [], []
        for seed in range(views):
            view = View(features, np.random.default_rng(seed))
            context, told = torch.from_numpy(view.of(known)), torch.tensor(results, dtype=torch.float32)
            parts = [
                self(context[None], told[None], part[None])
                for part in torch.from_numpy(view.of(asked)).split(128)
            ]
            mean, variance = (torch.cat(one, 1)[0].double().numpy() for one in zip(*parts, strict=True))
            means.append(mean)
            variances.append(variance)
        return np.mean(means, 0), np.mean(variances, 0) + np.var(means, 0)


def batch(rng: np.random.Generator) -> list[Tensor]:
    """Simulated searches, all with as many results: by part of :class:`Search`, ``(B, ...)``."""
    count = int(np.exp(rng.uniform(math.log(FEWEST_RESULTS), math.log(MOST_RESULTS + 1))))
    found: list[Search] = []
    for _ in range(_SPACES):
        space = drawn_space(rng)
        for _ in range(_FUNCTIONS):
            found += simulated(space, count, rng)
    return [torch.from_numpy(np.array(part, dtype=np.float32)) for part in zip(*found, strict=True)]


def save(model: InContext, taught: dict[str, float], path: Path) -> None:
    """Writes a model as safetensors, and beside it what it took to teach it."""
    save_file(model.state_dict(), path, {"taught": json.dumps(taught)})


def load(path: Path) -> tuple[InContext, dict[str, float]]:
    """What :func:`save` wrote.

    Raises:
        DataError: If it is no such file.
    """
    model = InContext()
    try:
        with safe_open(path, "pt") as file:
            taught = json.loads(file.metadata()["taught"])
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} is no model that in_context.py saved: {first}") from None
    return model, taught


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
