"""What a policy proposes in a search: candidates drawn choice by choice, given what the search has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from controllers.learned import network
from controllers.learned.categories import Categories
from controllers.learned.codes import Codes
from controllers.learned.network import Context, Weights
from controllers.learned.policy import Policy, translated

BEST = 4  # results that sum up a search
_ROUNDS = 4  # of drawing, where much of what is drawn is forbidden


class Proposer:
    """A policy over any space: that of the search, whichever it learned from.

    Args:
        policy: Of a snapshot.
        home: The categories that it learned on.
        codes: Of the space of the search.
        coordinates: Of the family of tasks; none: nothing is known of it.
    """

    def __init__(
        self, policy: Policy, home: Categories, codes: Codes, coordinates: Mapping[str, float]
    ) -> None:
        self._ours = Categories(codes)
        arrays = translated(policy, home, self._ours)
        self._weights = Weights.of(arrays, self._ours.exists, torch.float64)
        self._family = torch.as_tensor(policy.family(coordinates))

    def after(self, rows: np.ndarray, targets: np.ndarray) -> Proposals:
        """What it proposes after results: codes ``(N, J)`` and targets ``(N,)``, more is better."""
        best = self._ours.of(rows[np.argsort(-targets, kind="stable")[:BEST]])
        mean = best.mean(0) if len(best) else np.zeros(self._ours.exists.shape)
        found = torch.tensor(float(len(rows)), dtype=torch.float64)
        c = network.context(self._weights, self._family, torch.as_tensor(mean), found)
        return Proposals(self._ours, self._weights, c)


@dataclass(frozen=True)
class Proposals:
    """A distribution over the candidates of a space; see :meth:`Proposer.after`."""

    categories: Categories
    weights: Weights
    context: Context

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """``(N,)``: of rows of codes, as far as categories tell them apart, forbidden ones included."""
        found = torch.as_tensor(self.categories.of(rows))
        before = network.before(self.weights, found)
        p = network.probabilities(self.weights, before, self.context)
        return np.asarray(network.log_probabilities(p, found).numpy())

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``(count, J)`` rows that are not forbidden; fewer, where next to all is."""
        codes = self.categories.codes
        found = np.zeros((0, len(codes.columns)))
        for _ in range(_ROUNDS):
            if len(found) < count:
                rows = self._drawn(rng, count)
                found = np.concatenate([found, rows[codes.legal(rows)]])
        return found[:count]

    def _drawn(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """One choice after the other; one that is not active says nothing to those behind it."""
        codes, numbers = self.categories.codes, {place: j for j, place in enumerate(self.categories.places)}
        rows = np.empty((count, len(codes.columns)))
        before = torch.zeros(count, self.context.units.shape[-1], dtype=torch.float64)
        for place, column in enumerate(codes.columns):
            active, j = codes.active(rows, place), numbers.get(place)
            if j is None:
                rows[:, place] = np.where(active, column.draw(rng, count), np.nan)
                continue
            p = network.of_one(self.weights, j, before, self.context).numpy()
            chosen = (p.cumsum(1) < rng.random((count, 1))).sum(1).clip(max=self.categories.counts[j] - 1)
            rows[:, place] = np.where(active, self.categories.drawn(j, chosen, rng), np.nan)
            said = self.weights.value[j, torch.as_tensor(chosen)]
            before = before + said * torch.as_tensor(active)[:, None]
        return rows
