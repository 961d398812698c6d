"""What the trials of a space teach: which choices matter, which work together, what can be left out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial
from scipy import stats

from metanas.report.matters import distribution
from search_spaces import Candidate, Categorical, Choice, Integer, Record, Space, Value
from search_spaces.choices import decode
from search_spaces.record import INTERRUPTED
from search_spaces.space import every

FEWEST = 8  # trials, below which nothing can be said
BEST = 0.1  # part of a study's trials that are its best ones
_EACH = 5  # trials with a value, and without it, below which nothing is said of it
_LEVEL = 0.05  # chance of finding anything where there is nothing, over all that is looked at together
_BINS = 4  # that a range is cut into
_EDGE = 0.1  # part of a range that is its edge
_FREE = 10  # more trials than there are effects, without which nothing is said of any
_APART = (INTERRUPTED, "stopped by")  # reasons of failures that say nothing of the candidate


class Graded(NamedTuple):
    """A trial as it stands in its study.

    Attributes:
        study: Its name.
        candidate: What was tried, as far as the space at hand has it.
        rank: In (0, 1): 1 is the best of its study, failures are the worst.
    """

    study: str
    candidate: Candidate
    rank: float


class Interaction(NamedTuple):
    """Two choices of which one matters differently with the other.

    Attributes:
        choices: The two.
        share: Of the variance of ranks that they explain together, and not one by one.
        p: Of the F test of that, times the number of pairs that were looked at.
    """

    choices: tuple[str, str]
    share: float
    p: float


class Dominated(NamedTuple):
    """A value, or an end of a range, without which nothing seems to be lost.

    Attributes:
        choice: Its name.
        values: The value; of a range, the lower and the upper end of what can be cut off.
        trials: That had it.
        rank: Mean of theirs.
        others: Mean rank of the other trials in which the choice was active.
        p: Of the test that it is worse, times the number of tests.
    """

    choice: str
    values: tuple[Value, ...]
    trials: int
    rank: float
    others: float
    p: float


class Edge(NamedTuple):
    """An end of a range at which the best is: what lies beyond may be better.

    Attributes:
        choice: Its name.
        value: Of the range, its end.
        highest: Whether it is the upper one.
        studies: Whose best trial is there.
        near: Trials there, of ``best``.
        best: The best trials of all studies in which the choice is active.
    """

    choice: str
    value: Value
    highest: bool
    studies: tuple[str, ...]
    near: int
    best: int


def graded(study: str, records: Sequence[Record], space: Space, higher_is_better: bool) -> list[Graded]:
    """The trials of a study that tell something, by how far they got and what they scored there."""
    told = [r for r in records if r.parent is None and (r.valid_curve or _failed(r))]
    sign = 1 if higher_is_better else -1
    reached = [(len(r.valid_curve), sign * r.valid_curve[-1][1]) if r.valid_curve else (0, 0.0) for r in told]
    order = {key: place for place, key in enumerate(sorted(set(reached)))}
    ranks = (stats.rankdata([order[key] for key in reached]) - 0.5) / max(1, len(told))
    scored = [
        (sign * r.score.value, r) for r in records if r.score is not None and not math.isnan(r.score.value)
    ]
    winner = max(scored, key=lambda pair: (pair[0], len(pair[1].valid_curve)))[1] if scored else None
    top = 1 - 0.5 / max(1, len(told))
    rows = [(r, float(rank)) for r, rank in zip(told, ranks, strict=True)]
    if winner is not None:  # it stands in for whom it went on from: they are one candidate
        first = _begun(winner, records)
        rows = [(winner, top) if r is first else (r, rank) for r, rank in rows]
    return [Graded(study, space.shared(r.candidate), rank) for r, rank in rows]


def _begun(record: Record, records: Sequence[Record]) -> Record:
    """The trial that a trial went on from, at last."""
    by_number = {r.number: r for r in records}
    while record.parent is not None and record.parent in by_number:
        record = by_number[record.parent]
    return record


def importance(trials: Sequence[Graded], space: Space) -> dict[str, float]:
    """Shares that sum to 1, the largest first, of being among the better trials; none of too few trials.

    References:
        Watanabe, Bansal, Hutter, *PED-ANOVA*, 2023, https://arxiv.org/abs/2304.10255; for choices that are
        active at times, *Conditional PED-ANOVA*, https://arxiv.org/abs/2601.20800.
    """
    varied = [name for name in space.flat if len({t.candidate.get(name) for t in trials} - {None}) > 1]
    if len(trials) < FEWEST or not varied:
        return {}
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        params = {name: trial.candidate[name] for name in varied if name in trial.candidate}
        distributions = {name: distribution(space.flat[name]) for name in params}
        study.add_trial(create_trial(params=params, distributions=distributions, value=trial.rank))
    # ten trials or more have to be good, but none of the last, which may be all that failed
    worst = min(trial.rank for trial in trials)
    better = sum(trial.rank > worst for trial in trials) / len(trials)
    quantile = min(0.5, max(BEST, 10 / len(trials)), better)
    if quantile < BEST:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few trials make it rough, with paths of files
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def interactions(trials: Sequence[Graded], space: Space) -> list[Interaction]:
    """Pairs of choices that explain more together than one by one, the most first.

    Two-way analyses of variance of ranks on a normal scale; of a range, its quarters are compared.
    """
    y = stats.norm.ppf([trial.rank for trial in trials])
    levels = {name: _levels(choice, trials) for name, choice in space.flat.items()}
    tested = [
        (pair, *found)
        for pair in combinations(levels, 2)
        if (found := _together(levels[pair[0]], levels[pair[1]], y)) is not None
    ]
    clear = [Interaction(pair, share, min(1.0, p * len(tested))) for pair, share, p in tested]
    return sorted((one for one in clear if one.p < _LEVEL), key=lambda one: -one.share)


def dominated(trials: Sequence[Graded], space: Space) -> list[Dominated]:
    """Values whose trials were worse than the others, and of which none was among a study's best.

    Worse than their other choices tell: a controller that left a value by chance, when all was bad, has
    better trials since, which are so for other reasons. Ranks on a normal scale are fitted by the effects
    of all choices, of a range by those of its quarters. Of what has an order, only the ends are looked at:
    the lowest and the highest quarter of a range.
    """
    held = _all_tested(trials, space)
    # all that are looked at count: which of them is none of the best is seen of the results
    found = [one._replace(p=min(1.0, one.p * len(held))) for one, is_best in held if not is_best]
    return [one for one in found if one.p < _LEVEL]


def tested_values(trials: Sequence[Graded], space: Space) -> int:
    """Of how many values there are trials enough to say whether they are dominated."""
    return len(_all_tested(trials, space))


def needed(space: Space) -> int:
    """Trials, about, that it takes to tell each value's effect from those of all other choices."""
    return 1 + sum(_count(choice) - 1 for choice in space.flat.values()) + _FREE


def edges(trials: Sequence[Graded], space: Space) -> list[Edge]:
    """Ends of ranges where a study's best trial is, and half of all studies' best ones, too."""
    top = [trial for trial in trials if trial.rank >= 1 - BEST]
    first: dict[str, Graded] = {}
    for trial in sorted(top, key=lambda t: -t.rank):
        first.setdefault(trial.study, trial)
    found = []
    for name, choice in space.flat.items():
        for highest, value in enumerate(_ends(choice)):
            if not highest and isinstance(value, int) and value <= 1:
                continue  # of layers, steps or tasks there is no less
            best = [t for t in top if name in t.candidate]
            near = [t for t in best if _is_at(choice, t.candidate[name], bool(highest))]
            studies = tuple(study for study, t in first.items() if t in near)
            if studies and 2 * len(near) >= len(best):
                found.append(Edge(name, value, bool(highest), studies, len(near), len(best)))
    return found


def _failed(record: Record) -> bool:
    return record.state == "failed" and not record.reason.startswith(_APART)


def _levels(choice: Choice, trials: Sequence[Graded]) -> np.ndarray:
    """``(N,)``: the number of the value, or of the quarter of the range; -1 where it is inactive."""
    name = choice.name
    return np.array([_level(choice, t.candidate[name]) if name in t.candidate else -1 for t in trials])


def _count(choice: Choice) -> int:
    """How many levels there are."""
    if isinstance(choice, Categorical):
        return len(choice.values)
    return 1 if choice.high == choice.low else _BINS


def _level(choice: Choice, value: Value) -> int:
    if isinstance(choice, Categorical):
        return choice.values.index(value)
    return min(int(choice.encode(value)[0] * _BINS), _BINS - 1)


def _together(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Share of variance and p value of what two choices do together; None: too few trials tell."""
    both = (a >= 0) & (b >= 0)
    one, other, target = (values[both] for values in (a, b, y))
    total = float(((target - target.mean()) ** 2).sum()) if len(target) else 0.0
    alone, rank = _unexplained(np.concatenate([_switches(one), _switches(other)], 1), target)
    pairs, full = _unexplained(_switches(one * (int(other.max(initial=0)) + 1) + other), target)
    effects, free = full - rank, len(target) - full
    if effects < 1 or free < _FREE or not 0 < pairs < total:
        return None
    noise = pairs / free
    share = max(0.0, (alone - pairs - effects * noise) / total)
    return share, float(stats.f.sf((alone - pairs) / effects / noise, effects, free))


def _switches(levels: np.ndarray) -> np.ndarray:
    return np.asarray(levels[:, None] == np.unique(levels)).astype(float)


def _unexplained(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Squares that a linear fit leaves, and its number of effects."""
    if not len(y):
        return 0.0, 0
    fit, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    return float(((y - x @ fit) ** 2).sum()), int(rank)


def _all_tested(trials: Sequence[Graded], space: Space) -> list[tuple[Dominated, bool]]:
    levels = {name: _levels(choice, trials) for name, choice in space.flat.items()}
    return [pair for choice in space.flat.values() for pair in _tested(choice, trials, levels)]


def _tested(
    choice: Choice, trials: Sequence[Graded], levels: Mapping[str, np.ndarray]
) -> Iterator[tuple[Dominated, bool]]:
    """Values of which enough trials tell, and whether any of these is among the best."""
    active = levels[choice.name] >= 0
    own, ranks = levels[choice.name][active], np.array([trial.rank for trial in trials])[active]
    inside = {c.name for c in every([choice])}  # what a value opens is a part of what it does
    others = [_switches(known[active])[:, 1:] for name, known in levels.items() if name not in inside]
    beside = np.concatenate([np.ones((len(own), 1)), *others], 1)
    for level, values in _removable(choice).items():
        has = own == level
        if min(has.sum(), (~has).sum()) < _EACH:
            continue
        if (p := _worse(beside, has, stats.norm.ppf(ranks))) is not None:
            means, best = (float(ranks[has].mean()), float(ranks[~has].mean())), float(ranks[has].max())
            yield Dominated(choice.name, values, int(has.sum()), *means, p), best >= 1 - BEST


def _worse(beside: np.ndarray, has: np.ndarray, y: np.ndarray) -> float | None:
    """The p value of a linear effect that is below 0, beside others; None: too few trials tell it."""
    both = np.stack([has.astype(float), y], 1)
    fit, _, rank, _ = np.linalg.lstsq(beside, both, rcond=None)
    own, left = (both - beside @ fit).T
    square, free = float(own @ own), len(y) - int(rank) - 1
    if free < _FREE or square < 1e-9:
        return None
    effect = float(own @ left) / square
    noise = max(float(left @ left) - effect**2 * square, 1e-12) / free
    return float(stats.t.cdf(effect * math.sqrt(square / noise), free))


def _removable(choice: Choice) -> Mapping[int, tuple[Value, ...]]:
    """By level, the values that it stands for."""
    if isinstance(choice, Categorical):
        values = dict(enumerate(choice.values))
        ends = {0, len(values) - 1} if choice.ordered else values.keys()
        return {level: (value,) for level, value in values.items() if level in ends and len(values) > 1}
    if choice.high - choice.low < (_BINS if isinstance(choice, Integer) else 1e-12):
        return {}
    first, last = (decode(choice, part) for part in (1 / _BINS, 1 - 1 / _BINS))
    if isinstance(choice, Integer):  # the last of the lowest quarter, the first of the highest
        first, last = math.ceil(first) - 1, math.ceil(last)
    return {0: (choice.low, first), _BINS - 1: (last, choice.high)}


def _ends(choice: Choice) -> tuple[Value, ...]:
    """The lowest and the highest value of what has an order and more than two values."""
    if isinstance(choice, Categorical):
        return (choice.values[0], choice.values[-1]) if choice.ordered and len(choice.values) > 2 else ()
    few = isinstance(choice, Integer) and choice.high - choice.low < 2
    return () if few or choice.high == choice.low else (choice.low, choice.high)


def _is_at(choice: Choice, value: Value, highest: bool) -> bool:
    if isinstance(choice, Categorical):
        return value == choice.values[-1 if highest else 0]
    place = choice.encode(value)[0]
    return place >= 1 - _EDGE if highest else place <= _EDGE
