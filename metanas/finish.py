"""Going on with the best trials: trials of their own that name their parents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metanas.budget import FINISH, Budget
from metanas.engine.lanes import spread
from metanas.evaluator import Job
from metanas.learner.weights import unpack
from metanas.legs import Leg, in_legs
from metanas.search import LiveTrial, Search
from metanas.seeds import derive
from metanas.smallest import PARTS
from metanas.training import Checkpoint
from metanas.words import trials_in_words
from search_spaces import Candidate, Categorical, Record, Space, Value
from search_spaces.errors import EvaluationError
from search_spaces.record import TIMEOUT

_STEPS = 1  # times the last rung, where the budget is in trials
_SHORT = 10.0  # seconds, below which there is no final
_FINAL = 0.5  # part of the time that the final takes; its winner has the rest
_LONG = 60.0  # seconds, from which on there is a second round, between ways to train the winner
_MORE = 3  # of those that reached the last rung, beside the best there
_FIRST_ROUND, _SECOND_ROUND = 0.27, 0.25  # parts of the time left that each of two rounds takes
_SECOND = 2  # of the finalists that are in the second round
_WAYS_TO_TRAIN = 2  # the best of them, beside its own
_LAST = 2  # side by side, where there are threads for them
_LAST_FINAL = 0.4  # part of the time left that the last two share
_DRAWS = 100  # of them, some of which are forbidden or alike


@dataclass(frozen=True)
class Winner:
    """The trial that a search hands back, with its weights."""

    record: Record
    checkpoint: Checkpoint


def winner_of(search: Search) -> Winner:
    """The best trial of the study so far, whichever process ended it.

    Raises:
        EvaluationError: If no trial has a score.
    """
    search.look_around()
    if search.best is None:
        raise EvaluationError(f"study {search.name} has no scored trial yet; let it search longer")
    return loaded(search, search.best)


def finish(search: Search, budget: Budget) -> Winner:
    """Meta-trains the best trials further, and the best of them to the end of the time.

    Where the budget is in seconds, trials of which it is not known yet which is best go on for the same
    time: a network that is slow and learns much a step, and one that is fast and learns little, cannot be
    told apart by meta-steps. Where there is time, the best of these then goes on in several ways, beside the
    next: which outer settings are good shows late (a turned character is a class more, which slows learning
    at first), and they can change under way. The best of all goes on, its learning rate falling to nothing;
    where two are trained side by side, with the one behind it for the first part of that.

    Of several objectives, the ends of the front go on, too: as finalists, or to the end where the budget is
    in trials. So there is a trained learner at each; the one that is handed back has the best score.

    Returns:
        The best trial of the study by validation, which may be none of these.

    References:
        Jaderberg et al., *Population based training*, 2017, https://arxiv.org/abs/1711.09846
    """
    best = winner_of(search)
    if budget.left(FINISH) <= 0:
        return best
    with search.saving():
        rounds = 2 if _LONG <= budget.left(FINISH) < math.inf else 1
        lives = [_going_on(search, parent) for parent in _finalists(search, best, budget)]
        if math.isinf(budget.left(FINISH)):
            for live in lives:
                _to_the_end(search, [live], lambda: math.inf)
            return winner_of(search)
        if rounds == 2:
            lives = _final(search, lives, budget, _FIRST_ROUND, _SECOND)
            lives += _other_ways(search, lives[0])
        keep = min(_LAST, search.evaluator.lanes)
        lives = _final(search, lives, budget, _FINAL if rounds == 1 else _SECOND_ROUND, keep)
        if len(lives) > 1:
            lives = _final(search, lives, budget, _LAST_FINAL)
        _to_the_end(search, lives, lambda: budget.left(FINISH))
    return winner_of(search)


def go_on(search: Search, record: Record, budget: Budget, part: float) -> None:
    """Meta-trains one trial further, for a part of the time left, whether or not it is the best."""
    seconds = part * budget.left(FINISH)
    if seconds > 0:
        with search.saving():
            live = _going_on(search, loaded(search, record))
            _to_the_end(search, [live], _until(budget, budget.spent + seconds))


def _finalists(search: Search, best: Winner, budget: Budget) -> list[Winner]:
    """The best trial, and others of which it is not known yet that they are worse.

    These are the few next ones at the last rung that any reached, if within the interval of the best there;
    where there are none, at each of the others the best, if it got no further: by lack of time, not by
    comparison. Where several are trained side by side one is of another network or rule: by how much these
    gain from training on differs more than what told them apart. Of several objectives, the ends of the front
    are the last.
    """
    left = budget.left(FINISH)
    few = [] if left < _SHORT or math.isinf(left) else _undecided(search)
    if left >= _SHORT and search.aims.goals.several:
        few += search.aims.goals.ends(search.records)
    found = {best.record.candidate.id: best}
    for record in few:
        if record.candidate.id not in found:
            found[record.candidate.id] = loaded(search, record)
    return list(found.values())


def _undecided(search: Search) -> list[Record]:
    last = max((len(r.valid_curve) for r in search.records if r.parent is None), default=1) - 1
    ranked = _ranked(search, last)
    few = _like_the_first(ranked, last)
    if len(few) < _SECOND:
        few += (record for rung in range(last - 1, -1, -1) for record in _short(search, rung))
    if search.evaluator.lanes > 1 and (other := _of_other_parts(ranked, few)):
        few = [*few[:_MORE], other]
    return few


def _short(search: Search, rung: int) -> list[Record]:
    """The best at a rung, if it got no further."""
    return [record for record in _ranked(search, rung)[:1] if len(record.valid_curve) == rung + 1]


def _like_the_first(ranked: list[Record], rung: int) -> list[Record]:
    if not ranked or ranked[0].score is None:
        return []
    first, within = ranked[0].valid_curve[rung][1], ranked[0].score.ci95
    return [r for r in ranked[: 1 + _MORE] if abs(r.valid_curve[rung][1] - first) <= within]


def _of_other_parts(ranked: list[Record], few: list[Record]) -> Record | None:
    """The best of other parts than all of those few have; None if these differ already."""
    known = {_parts(record) for record in few}
    others = (record for record in ranked if _parts(record) not in known)
    return next(others, None) if len(known) == 1 else None


def _parts(record: Record) -> tuple[Value | None, ...]:
    return tuple(record.candidate.get(name) for name in PARTS)


def _ranked(search: Search, rung: int) -> list[Record]:
    """The trials that were scored at a rung, from 0, best first."""
    sign = -1 if search.evaluator.higher_is_better else 1
    scored = [
        (sign * r.valid_curve[rung][1], r.number, r)
        for r in search.records
        if r.parent is None and r.weights and len(r.valid_curve) > rung
    ]
    return [
        record for value, _, record in sorted(scored, key=lambda entry: entry[:2]) if math.isfinite(value)
    ]


def _going_on(search: Search, parent: Winner) -> LiveTrial:
    """A new trial that starts from its parent's weights."""
    live = search.begin(parent.record.candidate, parent.record.number)
    live.checkpoint = replace(parent.checkpoint, seed=live.record.seed)
    return live


def _other_ways(search: Search, live: LiveTrial) -> list[LiveTrial]:
    """The same network and rule, from the same weights, with other outer settings."""
    if live.checkpoint is None:
        return []
    found = []
    for candidate in _unlike(search.space, live.record.candidate, derive(live.record.seed, "other ways")):
        other = search.begin(candidate, live.record.number)
        weights = live.checkpoint.average, live.checkpoint.buffers
        other.checkpoint = Checkpoint.resume(*weights, other.record.seed, search.evaluator.device)
        found.append(other)
    return found


def _unlike(space: Space, own: Candidate, seed: int) -> list[Candidate]:
    """With other outer settings: of many draws a few that differ in most choices from own and each other."""
    rng, kept, left = np.random.default_rng(seed), [own], {}
    for _ in range(_DRAWS):
        drawn = space.sample(rng)
        outer = {n: v for n, v in drawn.items() if n in own and n.startswith("outer.")}
        other = Candidate(dict(own) | outer)
        if space.objection(other) is None and other.id != own.id:
            left[other.id] = other
    while left and len(kept) <= _WAYS_TO_TRAIN:
        kept.append(left.pop(max(left, key=lambda id: min(_differing(space, left[id], k) for k in kept))))
    return kept[1:]


def _differing(space: Space, one: Candidate, other: Candidate) -> int:
    """How many of the choices between a few values are different."""
    return sum(isinstance(space.flat[name], Categorical) and one[name] != other[name] for name in one)


def _final(
    search: Search, lives: list[LiveTrial], budget: Budget, share: float, keep: int = 1
) -> list[LiveTrial]:
    """Gives every finalist the same part of that share of the time; ends all but the best."""
    if len(lives) == 1:
        return lives
    rounds = list(_batched(lives, search.evaluator.lanes))
    seconds = share * budget.left(FINISH) / len(rounds)
    for here in rounds:
        search.tell(f"final between {len(lives)}: going on with {_parents(here)}")
        # each comes to rest: at a full learning rate some would be judged in mid-stride
        _legs(search, here, search.rungs[-1], _until(budget, budget.spent + seconds))
    sign = -1 if search.evaluator.higher_is_better else 1
    left = [live for live in lives if live in search.running and live.record.score]
    left.sort(key=lambda live: sign * live.record.score.value)  # type: ignore[union-attr]
    _end_unscored(search, lives)
    for live in left[keep:]:
        search.end(live, "pruned", f"in the final, after {seconds:.0f} s from trial {live.record.parent}")
    return left[:keep] or [_going_on(search, winner_of(search))]


def _to_the_end(search: Search, lives: list[LiveTrial], left: Callable[[], float]) -> None:
    search.tell(f"going on with {_parents(lives)}")
    _legs(search, lives, _STEPS * search.rungs[-1], left)
    for live in lives:
        if live in search.running and live.record.score is not None:
            search.end(live, "complete", f"went on from trial {live.record.parent}")
    _end_unscored(search, lives)


def _end_unscored(search: Search, lives: Sequence[LiveTrial]) -> None:
    """Ends those for which the time was less than a meta-step takes."""
    for live in lives:
        if live in search.running and live.record.score is None:
            search.end(live, "failed", f"{TIMEOUT}: no time for a meta-step")


def _legs(search: Search, lives: Sequence[LiveTrial], steps: int, left: Callable[[], float]) -> None:
    """Takes trials, side by side, through legs of a falling learning rate to the end of steps or time."""
    going = [(live, _legs_of(search, live, steps, left)) for live in lives]
    while going:
        taken = spread(lambda pair: next(pair[1], None), going, len(going))
        for (live, _), leg in zip(going, taken, strict=True):
            if leg is not None:
                search.advance(live, leg.outcome)
                done = f"meta-step {leg.step:,} of {leg.total:,}"
                search.tell(f"going on with trial {live.record.parent}: {done}")
        going = [pair for pair, leg in zip(going, taken, strict=True) if leg is not None]


def _legs_of(search: Search, live: LiveTrial, steps: int, left: Callable[[], float]) -> Iterator[Leg]:
    job = Job(live.record.candidate, live.record.seed, live.checkpoint, final=True)
    return in_legs(search.evaluator, job, steps, left, search.paces.get(live.record.candidate.id))


def _batched(lives: list[LiveTrial], size: int) -> Iterator[list[LiveTrial]]:
    return (lives[start : start + size] for start in range(0, len(lives), size))


def _parents(lives: list[LiveTrial]) -> str:
    return trials_in_words({live.record.parent for live in lives if live.record.parent is not None})


def _until(budget: Budget, end: float) -> Callable[[], float]:
    """Seconds to that moment of the budget."""
    return lambda: max(0.0, end - budget.spent)


def loaded(search: Search, record: Record) -> Winner:
    """A trial with its weights.

    Raises:
        EvaluationError: If these were not kept.
    """
    if record.weights is None:
        raise EvaluationError(f"trial {record.number} of study {search.name} has no weights to go on from")
    program = search.evaluator.engine(record.candidate).program
    weights = unpack(program, search.memory.get(record.weights))
    return Winner(record, Checkpoint.resume(*weights, record.seed, search.evaluator.device))
