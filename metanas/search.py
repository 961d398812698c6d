"""The one search loop: asks for candidates, takes them up the rungs, remembers and tells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from metanas.aims import Aims
from metanas.budget import FINISH, SEARCH, Budget
from metanas.equal_times import FirstRung, first_rung
from metanas.evaluator import Evaluates, Evaluator, Job, Outcome
from metanas.legs import Pace
from metanas.memory import Memory
from metanas.origins import PROPOSED
from metanas.proposals import Proposals
from metanas.seeds import derive
from metanas.standings import Standing, best_of, supersedes
from metanas.training import Checkpoint, Schedule, scheduled
from metanas.undisturbed import undisturbed
from metanas.words import in_words, trials_in_words
from search_spaces import Candidate, Record, Space, State
from search_spaces.errors import EvaluationError
from search_spaces.record import INTERRUPTED

_BATCH = 6  # candidates asked for at once: those of one shape run together, the best of them goes on first
# the first of them are compared with each other alone: twice as many, or three where there is little time
_FIRST_BATCH, _FEWEST, _SHORT = 12, 3, 15.0
_HOPELESS = 60  # trials that all failed, after which the next will too
SECONDS = "seconds"  # of a trial, for controllers: only where repeating exactly is not promised
INTERVAL = "ci95"  # of a trial's score, for controllers
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
# of the budget that one trial may take to a rung, first rung and later ones
_FIRST_SHARE, _LATER_SHARE = 0.02, 0.05
_MIN_SHARE = 1.5  # seconds
_ENOUGH = 0.5  # part of a rung's time, without which going on to it tells nothing
_ENDLESS = 10**9  # meta-steps, where time says when to stop
_PATIENT_PART = 0.5  # of the time to the end of training, for one trial where all were too slow


@dataclass(frozen=True)
class Moment:
    """What a search is at, for whoever watches.

    Attributes:
        doing: In words.
        ended: The trial that just ended, if one did.
        best: The best trial of the study so far.
        counts: Trials of the study by state.
        family: Whose study it is, where several are searched together; "": that of all.
        standings: Of that trial and of the best, by number, where several families are searched together.
    """

    doing: str
    ended: Record | None
    best: Record | None
    counts: Mapping[State, int]
    family: str = ""
    standings: Mapping[int, Standing] = field(default_factory=dict)


Listener = Callable[[Moment], None]


@dataclass
class LiveTrial:
    """A trial that is running."""

    trial: Trial
    record: Record
    checkpoint: Checkpoint | None = None
    best: Checkpoint | None = None


E = TypeVar("E", bound=Evaluates)


class Searching(Generic[E]):
    """One study being searched; see ``Search``, that of one family, and :class:`metanas.joint.Joint`.

    Args:
        name: Of the study.
        space: What is proposed from.
        study: Optuna's study, with its sampler (the controller) and pruner; reconciled with ``memory``.
        memory: Keeps every result.
        evaluator: Trains and scores.
        rungs: In meta-steps, rising.
        seed: Of every trial.
        listen: Told of everything that happens.
        versions: Of the packages at work, for the records.
        by_time: Whether, where the first budget of the study is in seconds, trials are compared after equal
            times instead of equal meta-steps: for families whose networks differ much in what one costs.
        aims: Limits and objectives that candidates are held to; None: a good score alone.
    """

    def __init__(
        self,
        name: str,
        space: Space,
        study: optuna.Study,
        memory: Memory,
        evaluator: E,
        rungs: tuple[int, ...],
        seed: int,
        listen: Listener = lambda moment: None,
        versions: Mapping[str, str] | None = None,
        by_time: bool = False,
        aims: Aims | None = None,
    ) -> None:
        self.name, self.space, self.study, self.memory = name, space, study, memory
        self.evaluator, self.rungs, self.seed = evaluator, rungs, seed
        self._listen, self._versions, self._by_time = listen, dict(versions or {}), by_time
        self.aims = aims or Aims()
        self._proposals = Proposals(study, space, seed, self.aims)
        self.records: list[Record] = memory.records(name)
        self.running: list[LiveTrial] = []
        self._clocked = False
        self._first: FirstRung | None = None  # where trials are compared after equal times
        self.paces: dict[str, Pace] = {}  # of candidates by id

    @property
    def best(self) -> Record | None:
        """The trial with the best validation score."""
        return best_of(self.records)

    def look_around(self) -> None:
        """Takes in what other processes that search the same study have ended since this one last looked."""
        known = {record.number for record in self.records if record.state != "running"}
        ended = [r for r in self.memory.records(self.name) if r.state != "running" and r.number not in known]
        news = {record.number for record in ended}  # some ran when this one began
        self.records = [record for record in self.records if record.number not in news] + ended

    def run(self, budget: Budget) -> None:
        """Searches until the budget's part for searching is spent.

        Raises:
            EvaluationError: If nothing of the study could be scored.
        """
        begun, seconds = 0, 0.0
        self._clocked = budget.trials is None
        if self._by_time:
            self._first = first_rung(self.study, self.records, self.rungs[0], budget)
        with self.saving():
            while (size := self._batch_size(budget, begun, seconds)) > 0:
                if begun >= _HOPELESS and self.best is None:
                    break
                start = budget.spent
                self._climb([self.begin() for _ in range(size)], budget)
                begun, seconds = begun + size, seconds + budget.spent - start
            self._patiently(budget)
        if self.best is None:
            raise EvaluationError(
                f"none of {len(self.records)} trials could be scored; {self._commonest_reason()}"
            )

    def begin(self, fixed: Candidate | None = None, parent: int | None = None) -> LiveTrial:
        """Starts a trial: the controller's proposal, or a fixed candidate that goes on from a parent."""
        with undisturbed():
            if fixed is None:
                known = [*self.records, *(live.record for live in self.running)]
                trial, candidate = self._proposals.next(known)
            else:
                trial, candidate = self._proposals.again(fixed, parent)
            live = self._begun(trial, candidate, derive(self.seed, "trial", trial.number), parent)
            if fixed is None and (reason := self._proposals.why(trial)):
                self.memory.log(self.name, PROPOSED, reason, trial.number)
            return live

    def follow(self, candidate: Candidate, seed: int) -> LiveTrial:
        """Starts a trial of what another search proposed, with that one's seed."""
        with undisturbed():
            return self._begun(*self._proposals.following(candidate, seed), seed, None)

    def _begun(self, trial: Trial, candidate: Candidate, seed: int, parent: int | None) -> LiveTrial:
        for key, value in in_words(candidate).items():
            trial.set_user_attr(key, value)
        number, versions = trial.number, self._versions
        record = Record(self.name, number, candidate, seed=seed, parent=parent, versions=versions)
        self.memory.start(record)
        self.running.append(LiveTrial(trial, record))
        return self.running[-1]

    def advance(self, live: LiveTrial, outcome: Outcome) -> None:
        """Takes in what became of a trial at a rung; ends it if it cannot go on."""
        costs = replace(live.record.costs, seconds=live.record.costs.seconds + outcome.seconds)
        live.record = replace(live.record, costs=costs)
        if outcome.ms:
            self.paces[live.record.candidate.id] = Pace(outcome.ms, outcome.scoring)
        if outcome.checkpoint is None or outcome.score is None:
            scored = live.record.score is not None
            self.end(live, "pruned" if scored else "failed", f"{outcome.ended}: {outcome.reason}")
            return
        step, score = outcome.checkpoint.step, outcome.score
        curve = (*live.record.valid_curve, (step, score.value))
        live.checkpoint = outcome.checkpoint
        live.record = replace(live.record, valid_curve=curve, curve=outcome.checkpoint.curve)
        if live.record.score is None or supersedes(score, live.record.score):
            live.record, live.best = replace(live.record, score=score, rung=step), outcome.checkpoint
        with undisturbed(), suppress(UpdateFinishedTrialError):  # by who took this process for dead
            self.memory.touch(self.name, live.record.number)
            live.trial.report(score.value, self._reached(live))

    def _reached(self, live: LiveTrial) -> int:
        """What the pruner knows a rung by: its meta-steps, also where it is equal times that are compared."""
        entries, step = len(live.record.valid_curve), live.record.valid_curve[-1][0]
        timed = self._by_time and live.record.parent is None and entries <= len(self.rungs)
        return self.rungs[entries - 1] if timed else step

    def end(self, live: LiveTrial, state: State, reason: str) -> Record:
        """Writes our row, then tells Optuna: a crash between the two is mended at the next start."""
        ended = replace(live.record, state=state, reason=reason)
        record = self.aims.settled(self.evaluator.ended(ended, live.best, self.memory))
        value = record.score.value if state == "complete" and record.score else None
        with undisturbed(), suppress(UpdateFinishedTrialError):  # by who took this process for dead
            self.memory.finish(record)
            self.running.remove(live)
            self.records.append(record)
            if self._clocked:
                live.trial.set_user_attr(SECONDS, record.costs.seconds)
            if record.score is not None and math.isfinite(record.score.ci95):
                live.trial.set_user_attr(INTERVAL, record.score.ci95)
            self.study.tell(live.trial, value, _STATES[state], skip_if_finished=True)
        self.tell(f"trial {record.number} {state}", record)
        return record

    def tell(self, doing: str, ended: Record | None = None) -> None:
        """Tells whoever watches."""
        states: tuple[State, ...] = ("complete", "pruned", "failed")
        counts = {state: sum(record.state == state for record in self.records) for state in states}
        self._listen(Moment(doing, ended, self.best, counts))

    @contextmanager
    def saving(self) -> Iterator[None]:
        """A context in which an interruption ends what is running with what it has."""
        try:
            yield
        except BaseException as error:
            kind = type(error)
            self.close("interrupted" if kind is KeyboardInterrupt else f"stopped by {kind.__name__}")
            raise

    def close(self, why: str) -> None:
        """Ends every running trial with what it has; what the store refuses is mended when it is opened."""
        for live in list(self.running):
            lost = suppress(Exception)  # one is raised already: the other trials are kept, whatever comes
            with lost:
                if live.record.score is None:  # which says nothing of the candidate
                    live.trial.set_user_attr(INTERRUPTED, True)
            with lost:
                self.end(live, "pruned" if live.record.score else "failed", why)

    def _batch_size(self, budget: Budget, begun: int, seconds: float) -> int:
        size = _BATCH if budget.trials is None else min(_BATCH, budget.trials - begun)
        left = budget.left(SEARCH)
        if math.isinf(left):
            return size
        if begun == 0:  # whatever the budget, so that there is something to hand back
            short = left < _SHORT * self.evaluator.parts
            size = min(size, _FEWEST) if short else _FIRST_BATCH if budget.trials is None else size
            if self._first is None or not self._first.is_long:
                return size
            fit = int(left * self.evaluator.lanes / self._equal_share(self.rungs[0]))
            return min(size, max(fit, int(self.best is None)))
        return min(size, int(left * begun / seconds)) if seconds > 0 else size

    def _climb(self, lives: list[LiveTrial], budget: Budget) -> None:
        for rung in self._climbed(budget):
            lives = self._to_rung(lives, rung, budget)
        for live in lives:
            self.end(live, "complete", self._at(self._climbed(budget)[-1], budget))

    def _climbed(self, budget: Budget) -> tuple[int, ...]:
        """The rungs; by the clock, where finals follow, all but the last: there the few best get as far."""
        finals = self._timed and budget.seconds is not None and self.evaluator.parts == 1 < len(self.rungs)
        return self.rungs[:-1] if finals else self.rungs

    @property
    def _timed(self) -> bool:
        return self._first is not None

    def _at(self, rung: int, budget: Budget) -> str:
        return f"rung {self.rungs.index(rung) + 1} of {len(self._climbed(budget))}"

    def _to_rung(self, lives: list[LiveTrial], rung: int, budget: Budget) -> list[LiveTrial]:
        """Trains to the rung; those that the pruner lets go on."""
        at, timed = self._at(rung, budget), self._timed
        lives = self._with_time_for(lives, rung, budget) if timed else lives
        self.tell(f"{at}, {_trials(lives)}")
        for here in _by_step(lives):
            until = _ENDLESS if timed else rung
            rate = self._rate(rung, timed)
            jobs = [Job(live.record.candidate, live.record.seed, live.checkpoint) for live in here]
            allowed = partial(self._equal_share, rung) if timed else partial(self._share, rung, budget)
            with closing(self.evaluator.evaluate(jobs, until, rate, allowed, patient=timed)) as outcomes:
                for index, outcome in outcomes:
                    self.advance(here[index], outcome)
                    self.tell(f"{at}, {_trials(lives)}")
        reached = [live for live in lives if live in self.running]
        if rung == self._climbed(budget)[-1]:
            return reached
        factor = self.rungs[1] // self.rungs[0]  # not at the last rung: there is a second one
        up = self.evaluator.higher_is_better
        reached, stopped = self.aims.compared(reached, self.records, factor, up)
        # by the clock the best of those that are stopped go on where threads would be idle: it costs nothing
        spare = (len(stopped) - len(reached)) % self.evaluator.lanes if timed else 0
        for live in stopped[spare:]:
            self.end(live, "pruned", at)
        return [live for live in reached if live in self.running]

    def _patiently(self, budget: Budget) -> None:
        """Where all were too slow for their first rung, scores what the fastest of them comes to."""
        slow = [r for r in self.records if r.timed_out and r.candidate.id in self.paces]
        if self.best is not None or not slow or math.isinf(budget.left()):
            return
        parent = min(slow, key=lambda record: self.paces[record.candidate.id].ms)
        self.tell(f"no trial reached its first rung in time: going on with {parent.number}, the fastest")
        live = self.begin(parent.candidate, parent.number)
        job = Job(live.record.candidate, live.record.seed)
        seconds = max(self._least, _PATIENT_PART * budget.left(FINISH))
        rate = scheduled(self.rungs[-1])
        for _, outcome in self.evaluator.evaluate([job], self.rungs[0], rate, lambda: seconds, patient=True):
            self.advance(live, outcome)
        if live in self.running:
            self.end(live, "complete", f"went on from trial {parent.number}, too slow for its first rung")

    def _rate(self, rung: int, timed: bool) -> Schedule:
        """Learning rates to the last rung: where time says when that is, by the pace to the one before."""
        if not timed or rung == self.rungs[0]:  # of time, a ninth of the whole: nearly the full rates
            return scheduled(_ENDLESS if timed else self.rungs[-1])
        return scheduled(self.rungs[-1], self.rungs[-1] / self.rungs[self.rungs.index(rung) - 1])

    def _equal_share(self, rung: int) -> float:
        """Seconds that every trial gets to a rung, from the one before."""
        assert self._first is not None
        before = max((r for r in self.rungs if r < rung), default=0)
        return max(self._least, self._first.seconds * (rung - before) / self.rungs[0])

    def _with_time_for(self, lives: list[LiveTrial], rung: int, budget: Budget) -> list[LiveTrial]:
        """Those that there is time to take to the rung; ends the others, unless it is the first one.

        One round there always is, unless the study began with more time: who is stopped is not compared.
        """
        if rung == self.rungs[0] or math.isinf(budget.left(SEARCH)):
            return lives
        rounds = int(budget.left(SEARCH) / self._equal_share(rung) + 1 - _ENOUGH)
        least = 0 if self._first is not None and self._first.is_long else 1
        room = max(least, rounds) * self.evaluator.lanes
        going, late = lives[:room], lives[room:]
        for live in late:
            self.end(live, "pruned", f"no time left for rung {self.rungs.index(rung) + 1}")
        return going

    @property
    def _least(self) -> float:
        """Seconds that every trial may take to a rung."""
        return _MIN_SHARE * self.evaluator.parts

    def _share(self, rung: int, budget: Budget) -> float:
        """Seconds that a trial may take to a rung."""
        if budget.seconds is None:
            return math.inf
        share = _FIRST_SHARE if rung == self.rungs[0] else _LATER_SHARE
        return max(
            self._least, min(share * budget.seconds, budget.left(SEARCH) + _FIRST_SHARE * budget.seconds)
        )

    def _commonest_reason(self) -> str:
        reasons = Counter(record.reason for record in self.records if record.state == "failed")
        return f"most often: {reasons.most_common(1)[0][0]}" if reasons else "the budget was too small"


Search = Searching[Evaluator]
"""A study of one family."""


def _by_step(lives: Iterable[LiveTrial]) -> list[list[LiveTrial]]:
    """In groups of those that are at the same meta-step, in their order."""
    found: dict[int, list[LiveTrial]] = {}
    for live in lives:
        found.setdefault(live.checkpoint.step if live.checkpoint else 0, []).append(live)
    return list(found.values())


def _trials(lives: list[LiveTrial]) -> str:
    return trials_in_words(live.record.number for live in lives)
