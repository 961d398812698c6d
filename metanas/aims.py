"""What a search's goals mean for its candidates: who is admitted, and who goes on from a rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from optuna.trial import Trial

from metanas import pareto
from metanas.goals import Goals, signed
from metanas.sizing import Measure
from search_spaces import Candidate, Costs, Record
from search_spaces.errors import IllegalCandidateError


class Running(Protocol):
    """A running trial, as far as it is compared with others; see :class:`metanas.search.LiveTrial`."""

    trial: Trial
    record: Record


R = TypeVar("R", bound=Running)


def _unknown(candidate: Candidate) -> Costs:
    return Costs()


class Aims:
    """Holds candidates to the goals of a search.

    Optuna's study and the controller know the score alone, whatever the objectives are: Optuna's pruners
    refuse studies of several objectives, ``Trial.report`` raises there, and a controller would have to be
    written for them. What several objectives change is ours, and little: who goes on from a rung, see
    :meth:`compared`; where half of the proposals come from, see :class:`metanas.proposals.Proposals`; and
    that the ends of the front are in the finals, too. So every controller and every rung serves both.

    Args:
        goals: Of the search.
        measure: What a candidate's learner will cost; None: it does not matter.
    """

    def __init__(self, goals: Goals | None = None, measure: Measure | None = None) -> None:
        self.goals, self.measure = goals or Goals(), measure or _unknown

    def admit(self, candidate: Candidate) -> None:
        """Checks, before it is trained, that a candidate is within the limits.

        Raises:
            IllegalCandidateError: If it is not.
        """
        if self.goals.limited and (why := self.goals.over(self.measure(candidate))):
            raise IllegalCandidateError(why)

    def settled(self, record: Record) -> Record:
        """A trial that has ended, with the costs by which it was admitted and compared."""
        if not (self.goals.limited or self.goals.several):
            return record
        found = self.measure(record.candidate)
        known = {n: v for n in ("parameters", "adapt_ms") if (v := getattr(found, n)) is not None}
        return replace(record, costs=replace(record.costs, **known))

    def compared(
        self, lives: list[R], ended: Sequence[Record], factor: int, higher_is_better: bool
    ) -> tuple[list[R], list[R]]:
        """Trials that reached a rung, the best first, and those of them that are stopped there.

        By the score alone it is Optuna's pruner that decides. Of several objectives, all trials that were
        scored at the rung so far are sorted by fronts, see :func:`metanas.pareto.order`, and of them the
        first of ``factor`` parts goes on: the best score there always, then the other ends of the front.

        Args:
            lives: All at the same rung.
            ended: Trials of the study.
            factor: Of so many trials one goes on.
            higher_is_better: Of scores.
        """
        if self.goals.several and lives:
            return self._by_front(lives, ended, factor)
        # best first: Optuna's successive halving compares a trial with those that came before it
        sign = -1 if higher_is_better else 1
        ranked = sorted(lives, key=lambda live: sign * live.record.valid_curve[-1][1])
        return ranked, [live for live in ranked if live.trial.should_prune()]

    def _by_front(self, lives: list[R], ended: Sequence[Record], factor: int) -> tuple[list[R], list[R]]:
        rung = len(lives[0].record.valid_curve) - 1
        before = [r for r in ended if r.parent is None and len(r.valid_curve) > rung]
        here = [replace(live.record, costs=self.measure(live.record.candidate)) for live in lives]
        rows = [self.goals.losses(signed(r, r.valid_curve[rung][1]), r.costs) for r in here + before]
        order = pareto.order(rows)
        kept = set(order[: max(1, len(order) // factor)])
        places = [i for i in order if i < len(lives)]
        return [lives[i] for i in places], [lives[i] for i in places if i not in kept]
