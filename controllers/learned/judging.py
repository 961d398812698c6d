"""Judges a snapshot with its policy: replayed searches have both, the snapshot alone, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from controllers.learned.codes import Codes
from controllers.learned.fitting import Told, fit
from controllers.learned.policy import Policy
from controllers.learned.replaying import SEEDS, Gain, Make, Recorded, check_enough, figure, gain_of, replayed
from controllers.learned.snapshot import Snapshot
from search_spaces import Space
from search_spaces.errors import SpaceError

PART = 0.25  # of the candidates that are left, which a search compares: a policy says which
_BEGUN = 6  # evaluations of a search with a snapshot before its policy has a say: Earlier.start
_FOLDS = 5  # of studies: a policy is taught by the others
_DRAWN = 100  # proposals of a policy that are looked at

Teach = Callable[[Space, Sequence[Told]], Policy]


@dataclass(frozen=True)
class Judged:
    """What came of it.

    Attributes:
        snapshot: Of all studies, with its policy, or without it unless that clearly helps and is valid.
        gain: Of such a snapshot, over none.
        policy: Of one with its policy, over the same one without it: of the best among what is evaluated once
            the policy has a say. Before that there is no difference, and often the best was found.
    """

    snapshot: Snapshot
    gain: Gain
    policy: Gain


def taught(space: Space, studies: Sequence[Told]) -> Policy:
    """See :func:`controllers.learned.teaching.taught`."""
    from controllers.learned import teaching  # loads torch

    return teaching.taught(space, studies)


def judged(
    space: Space,
    tables: Sequence[Recorded],
    told: Sequence[Told],
    make: Make = fit,
    teach: Teach = taught,
    together: Mapping[str, str] | None = None,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Judged:
    """Replays each study in three ways, and makes the snapshot that is to be used.

    A live search compares a few hundred of countless candidates. A replayed one compares a quarter of those
    that are left, drawn by the policy, or else uniformly: the one says what there is to choose from, the
    scorer chooses. A policy is taught anew for each of five parts of the studies.

    Args:
        space: That all searches propose from.
        tables: What is replayed.
        told: What studies tell; the one that is replayed is left out, of a policy the part that it is in.
        make: Makes a snapshot of a space from what others tell.
        teach: Makes a policy of that.
        together: By study, the name of what it is a part of: all parts of it are left out with one.
        tell: Told what is done, of how many how many are.

    Raises:
        DataError: If there are fewer than 5 studies to replay, parts of one counted as one.

    References:
        Feurer et al., *Practical transfer learning for Bayesian optimization*, 2018,
        https://arxiv.org/abs/1802.02219, replays one data set left out in this way.
    """
    names = [*(one.name for one in told), *(table.study for table in tables)]
    whole = {name: (together or {}).get(name, name) for name in names}
    check_enough(len({whole[table.study] for table in tables}))
    numbers = {name: number % _FOLDS for number, name in enumerate(dict.fromkeys(whole.values()))}
    fold = {name: numbers[whole[name]] for name in names}
    folds, policies = sorted({fold[table.study] for table in tables}), {}
    for done, number in enumerate(folds):
        tell("policies taught", done, len(folds))
        policies[number] = teach(space, [one for one in told if fold[one.name] != number])
    figures = []
    for done, table in enumerate(tables):
        tell("studies replayed", done, len(tables))
        others = [one for one in told if whole[one.name] != whole[table.study]]
        snapshot = make(space, others)
        both = replace(snapshot, policy=policies[fold[table.study]])
        figures.append([_figures(space, table, one) for one in (None, snapshot, both)])
    tell("fitting to all studies", 0, 1)
    snapshot, policy = make(space, told), teach(space, told)
    of = [whole[table.study] for table in tables]
    # parts of one search are no searches of their own: an interval over them would be too narrow
    wholes = list(dict.fromkeys(of))
    means = [np.mean([f for f, name in zip(figures, of, strict=True) if name == one], 0) for one in wholes]
    return _chosen(space, snapshot, policy, wholes, np.array(means))


def _figures(space: Space, table: Recorded, snapshot: Snapshot | None) -> list[float]:
    """Means over seeds: of the whole search, and of what comes after its beginning."""
    found = [replayed(space, table, seed, snapshot, PART) for seed in range(SEEDS)]
    return [float(np.mean([figure(ranks[begun:]) for ranks in found])) for begun in (0, _BEGUN)]


def _chosen(
    space: Space, snapshot: Snapshot, policy: Policy, studies: Sequence[str], figures: np.ndarray
) -> Judged:
    """With or without the policy, by figures ``(T, 3, 2)`` of nothing, the snapshot alone, and both."""

    def gain(of: np.ndarray, over: np.ndarray) -> Gain:
        return gain_of(dict(zip(studies, (of - over).tolist(), strict=True)), float(over.mean()))

    (nothing, alone, both), (_, alone_after, both_after) = figures.transpose(2, 1, 0)
    whole, adds = replace(snapshot, policy=policy), gain(both_after, alone_after)
    if adds.low <= 0 or not _proposes(space, whole):
        return Judged(snapshot, gain(alone, nothing), adds)
    return Judged(whole, gain(both, nothing), adds)


def _proposes(space: Space, snapshot: Snapshot) -> bool:
    """Whether its policy proposes anything, and nothing but candidates of the space."""
    codes = Codes(space)
    proposer = snapshot.proposer(codes, None)
    assert proposer is not None
    nothing = proposer.after(np.zeros((0, len(codes.columns))), np.zeros(0))
    rows = nothing.sample(np.random.default_rng(0), _DRAWN)
    try:
        for row in rows:
            space.validate(codes.candidate(row))
    except SpaceError:
        return False
    return len(rows) > 0
