"""Studies that nobody trained for: records with planted scores, for a store that is to learn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from search_spaces import Candidate, Record, Score, Signature, Space, State

RUNGS = (10, 30)  # meta-steps


class Remembers(Protocol):
    """The part of a store that is needed."""

    def save_study(self, name: str, settings: Mapping[str, Any]) -> None: ...
    def start(self, record: Record) -> None: ...
    def finish(self, record: Record) -> None: ...


def records(
    study: str,
    space: Space,
    error: Callable[[Candidate], float],
    rng: np.random.Generator,
    count: int = 40,
    noise: float = 0.3,
) -> list[Record]:
    """Trials of candidates drawn uniformly; the third that were best at the first rung went on to the second.

    Args:
        study: Its name.
        space: What is drawn from.
        error: Of a candidate, less is better, on a logarithmic scale: the study's score is e to its power.
        rng: Of all draws.
        count: Trials.
        noise: Standard deviation of what a score is off, on that scale.
    """
    candidates = [space.sample(rng) for _ in range(count)]
    values = np.exp([[error(c) + noise * rng.normal() for _ in RUNGS] for c in candidates])
    on = values[:, 0] <= np.quantile(values[:, 0], 1 / 3)
    found = []
    for number, (candidate, row) in enumerate(zip(candidates, values.tolist(), strict=True)):
        curve = tuple(zip(RUNGS, row, strict=True))[: 1 + int(on[number])]
        score = Score("mse", curve[-1][1], 0.0, 10, "valid")
        state: State = "complete" if on[number] else "pruned"
        one = Record(study, number, candidate, score=score, rung=curve[-1][0], valid_curve=curve)
        found.append(replace(one, state=state))
    return found


def remember(
    store: Remembers, study: str, space: Space, found: Sequence[Record], family: str | None = None
) -> None:
    """Writes a simulated study of regression tasks, of a family of its own unless one is named."""
    settings = {
        "family": {"name": family or study},
        "signature": Signature("regression", (1,), 1, 5).to_dict(),
        "seed": 0,
        "space": space.to_json(),
        "rungs": list(RUNGS),
    }
    store.save_study(study, settings)
    for record in found:
        store.start(replace(record, state="running", score=None))
        store.finish(record)
