"""Objectives and limits of a search: from what the user said, and what the study was begun with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch

from metanas.aims import Aims
from metanas.evaluator import Evaluator, Setting
from metanas.goals import Goals, parse_latency, parse_objectives
from metanas.joint import largest
from metanas.sizing import Measure, Sizes
from metanas.smallest import smallest
from metanas.tasks.family import Family
from search_spaces import Candidate, Signature, Space
from search_spaces.errors import BudgetError
from search_spaces.shared import Shared


class Asks(Protocol):
    """The part of a request that is about goals."""

    @property
    def objective(self) -> str | None: ...
    @property
    def max_params(self) -> int | None: ...
    @property
    def max_latency(self) -> str | None: ...
    @property
    def architecture(self) -> tuple[str, ...]: ...


def goals_of(request: Asks, known: Mapping[str, Any] | None = None) -> Goals:
    """What the user asked for; else what the study has, if it is there already.

    Args:
        request: Of the user.
        known: Settings of the study.

    Raises:
        MetanasError: If it makes no sense.
    """
    begun = Goals.of(known or {})
    objectives = begun.objectives if request.objective is None else parse_objectives(request.objective)
    params = begun.max_params if request.max_params is None else request.max_params
    latency = begun.max_latency if request.max_latency is None else parse_latency(request.max_latency)
    return Goals(objectives, params, latency)


def refuse_objectives(goals: Goals) -> None:
    """Refuses several objectives where a candidate is for several families.

    Raises:
        BudgetError: If there are several.
    """
    if goals.several:
        raise BudgetError(
            "several objectives are for one family: leave --objective out, search each alone, or --mix them"
        )


def check_limits(
    request: Asks,
    families: Iterable[tuple[Family, Signature, Setting]],
    space: Space,
    device: torch.device,
    of: Callable[[Candidate, int], Candidate] = lambda candidate, place: candidate,
) -> None:
    """Checks that the space has something within the limits, before anything is written.

    Args:
        request: Of the user.
        families: That are searched.
        space: What is proposed from.
        device: Where.
        of: A candidate as that of a family, by place.

    Raises:
        BudgetError: If it has not; says how small it gets.
    """
    goals = goals_of(request)
    if not goals.limited:
        return
    sizes: list[Measure] = []
    for family, signature, setting in families:
        family.to(device)
        evaluator = Evaluator(family, signature, setting, device, trusted=request.architecture, valid_tasks=1)
        sizes.append(Sizes(evaluator, goals.timed))
    smallest(space, goals, lambda c: largest([size(of(c, i)) for i, size in enumerate(sizes)]))


def joint_aims(goals: Goals, shared: Shared, families: Iterable[Aims]) -> Aims:
    """The limits of a search over several families: each family's learner is to be within them."""
    each = [aims.measure for aims in families]
    return Aims(goals, lambda c: largest([measure(shared.of(c, i)) for i, measure in enumerate(each)]))
