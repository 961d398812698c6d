"""One search over several families: what trains and scores its candidates on each of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from metanas.evaluator import Job, Keeps, Outcome
from metanas.search import LiveTrial, Search, Searching
from metanas.standings import Standing, position, standings
from metanas.training import Checkpoint, Schedule
from search_spaces import Costs, Record, Score, State
from search_spaces.errors import EvaluationError
from search_spaces.shared import Shared


class Joint:
    r"""Meta-trains each candidate on each family alone, and scores it on each; an evaluator of a search.

    What it comes to on a family is a trial of that family's own study, with score, curves, costs and
    weights there, and the seed of the trial that it follows. So each family has an ordinary study of
    all that was tried on it; the study over all of them adds how these scores go together:

    .. math:: \frac{1}{F} \sum_f \frac{|\{s \in S_f: s \text{ better than } s_f\}| + \frac{1}{2} |\{s \in
        S_f: s = s_f\}|}{|S_f|}

    with :math:`S_f` the scores of family f so far, of every trial at every rung, this batch included.
    It lies between 0 (best on each) and 1 and has no unit, so that no family outweighs another by its
    scale. It is fixed once told, as Optuna needs it: how the trial stood when it was scored. Values of
    different times are about equally spread, so that a pruner which lets the best third go on does that
    by mean ranks as they are; but an early trial stands among fewer and on the whole weaker ones, and
    so a little too well. Which trial is the best in the end is decided by exact mean ranks over all
    trials, see :func:`metanas.standings.standings`.

    A candidate that cannot be trained on one of the families ends there, for all of them; where it was
    scored before, that family's study keeps it.

    Args:
        shared: The space, and what its candidates are to each family.
        families: By name, the search of each family's study, in the order of ``shared``.
    """

    higher_is_better = False

    def __init__(self, shared: Shared, families: Mapping[str, Search]) -> None:
        self.shared, self.families = shared, dict(families)
        self._lives: dict[int, dict[str, LiveTrial]] = {}  # by the seed of the trial they follow

    @property
    def parts(self) -> int:
        """Families that a candidate is trained on."""
        return len(self.families)

    @property
    def lanes(self) -> int:
        """Candidates that are trained side by side on every family."""
        return min(search.evaluator.lanes for search in self.families.values())

    def evaluate(
        self,
        jobs: Sequence[Job],
        until: int,
        schedule: Schedule,
        seconds: Callable[[], float],
        *,
        patient: bool = False,
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Takes every job to a rung on each family, for an equal part of its time; scores it on each.

        Arguments and results are those of :meth:`metanas.evaluator.Evaluator.evaluate`. A checkpoint
        only says how far a job is, on the family where it is least far: where it is on each of them is
        known from its seed.
        """

        def part() -> float:
            return seconds() / self.parts

        found = {
            name: self._on(place, name, jobs, until, schedule, part, patient)
            for place, name in enumerate(self.families)
        }
        for index, job in enumerate(jobs):
            yield index, self._together(job, {name: outcomes[index] for name, outcomes in found.items()})

    def ended(self, record: Record, best: Checkpoint | None, memory: Keeps) -> Record:
        """Ends the trial in every family's study; its weights are a list of those there."""
        lives = self._lives.get(record.seed, {})
        ended = {name: self._end(self.families[name], live, record) for name, live in lives.items()}
        self._lives.pop(record.seed, None)  # not before: whoever was interrupted ends the others, too
        if best is None:
            return record
        weights = json.dumps({name: one.weights for name, one in ended.items()}, sort_keys=True)
        costs = largest([one.costs for one in ended.values()], record.costs.seconds)
        return replace(record, weights=memory.put(weights.encode(), "weights of families"), costs=costs)

    def _on(
        self,
        place: int,
        name: str,
        jobs: Sequence[Job],
        until: int,
        schedule: Schedule,
        seconds: Callable[[], float],
        patient: bool,
    ) -> dict[int, Outcome]:
        """What becomes of the jobs on one family."""
        search = self.families[name]
        lives = [self._live(place, name, job) for job in jobs]
        own = [Job(live.record.candidate, live.record.seed, live.checkpoint) for live in lives]
        outcomes = {}
        with closing(search.evaluator.evaluate(own, until, schedule, seconds, patient=patient)) as found:
            for index, outcome in found:
                search.advance(lives[index], outcome)
                outcomes[index] = outcome
        return outcomes

    def _live(self, place: int, name: str, job: Job) -> LiveTrial:
        """The trial of the family's study that follows the job's; begun if need be."""
        lives = self._lives.setdefault(job.seed, {})
        if name not in lives:
            lives[name] = self.families[name].follow(self.shared.of(job.candidate, place), job.seed)
        return lives[name]

    def _together(self, job: Job, outcomes: Mapping[str, Outcome]) -> Outcome:
        seconds, ms = (
            sum(times) for times in zip(*((o.seconds, o.ms) for o in outcomes.values()), strict=True)
        )
        for name, outcome in outcomes.items():
            if outcome.score is None:
                return Outcome(job, outcome.ended, f"on {name}: {outcome.reason}", seconds=seconds, ms=ms)
        scores = {name: outcome.score for name, outcome in outcomes.items() if outcome.score}
        mean = float(np.mean([position(score, self._scores(name)) for name, score in scores.items()]))
        tasks = sum(score.tasks for score in scores.values())
        reached = [outcome.checkpoint for outcome in outcomes.values() if outcome.checkpoint]
        behind = replace(min(reached, key=lambda checkpoint: checkpoint.step), curve=())
        score = Score("rank", mean, math.nan, tasks, "valid")
        return Outcome(job, "scored", "", behind, score, seconds, ms)

    def _scores(self, name: str) -> list[float]:
        """All scores on a family so far, of what was tried on all of them."""
        search = self.families[name]
        records = [*search.records, *(live.record for live in search.running)]
        return [value for r in records if r.parent is None for _, value in r.valid_curve]

    def _end(self, search: Search, live: LiveTrial, record: Record) -> Record:
        if live not in search.running:  # it could not go on here
            return next(r for r in reversed(search.records) if r.number == live.record.number)
        stopped: State = "pruned" if live.record.score else "failed"
        return search.end(live, "complete" if record.state == "complete" else stopped, record.reason)


JointSearch = Searching[Joint]
"""A study over several families."""


def standings_of(search: JointSearch) -> list[Standing]:
    """The trials of a study over several families, the best first."""
    families = search.evaluator.families
    return standings(search.records, {name: one.records for name, one in families.items()})


def best_for_all(search: JointSearch) -> Standing:
    """The trial that is best for all families, whichever process ended it.

    Raises:
        EvaluationError: If none was scored on each of them.
    """
    search.look_around()
    for one in search.evaluator.families.values():
        one.look_around()
    found = standings_of(search)
    if not found:
        raise EvaluationError(
            f"study {search.name} has no trial that was scored on every family; search longer"
        )
    return found[0]


def largest(costs: Sequence[Costs], seconds: float = 0.0) -> Costs:
    """What the dearest learner costs; the seconds are those of all of them."""

    def most(values: list[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    names = ("peak_memory", "parameters", "multiply_adds", "adapt_ms")
    return Costs(seconds, **{name: most([getattr(one, name) for one in costs]) for name in names})  # type: ignore[arg-type]
