"""Trials that a search begins with: recipes, as candidates of its space."""

from __future__ import annotations

import numpy as np
import optuna

from metanas.aims import Aims
from metanas.origins import RECIPE
from metanas.proposals import counts
from metanas.seeds import derive
from search_spaces import Candidate, Signature, Space
from search_spaces.errors import IllegalCandidateError, UnknownNameError
from search_spaces.rules import points


def check(start: str | None, space: Space, signature: Signature) -> None:
    """Says early what :func:`enqueue` would say.

    Args:
        start: Names of recipes, with commas between.
        space: That they are points of.
        signature: Of the tasks.

    Raises:
        UnknownNameError: If there is no such recipe; the known ones are listed.
        SpaceError: If the space does not have it; names one that does.
    """
    if start is not None and not _names(start):
        raise UnknownNameError("--start names nothing to begin with: see metanas rule recipes")
    for name in _names(start):
        _candidate(name, space, signature, 0)


def enqueue(study: optuna.Study, start: str | None, space: Space, signature: Signature, seed: int) -> None:
    """Has a study try these recipes next, unless it has, or was interrupted: the same command may go on."""
    known = {t.user_attrs[RECIPE] for t in study.get_trials(deepcopy=False) if counts(t)}
    for name in dict.fromkeys(_names(start)):
        if name not in known:
            wanted = dict(_candidate(name, space, signature, seed))
            study.enqueue_trial(wanted, user_attrs={RECIPE: name})


def refused(start: str | None, space: Space, signature: Signature, seed: int, aims: Aims) -> list[str]:
    """Which of these recipes are over a limit, so that :func:`enqueue` is in vain: a line for each."""
    found = []
    for name in dict.fromkeys(_names(start)):
        try:
            aims.admit(_candidate(name, space, signature, seed))
        except IllegalCandidateError as why:
            found.append(f"--start {name} is left out: {why}")
    return found


def _names(start: str | None) -> list[str]:
    return [name.strip() for name in (start or "").split(",") if name.strip()]


def _candidate(name: str, space: Space, signature: Signature, seed: int) -> Candidate:
    rng = np.random.default_rng(derive(seed, "start", name))
    return points.candidate(name, space, signature, rng)
