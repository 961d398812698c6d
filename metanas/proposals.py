"""What a search asks its controller for, and what it proposes itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from metanas.aims import Aims
from metanas.origins import ENQUEUED, FOLLOWS, NEIGHBOUR, RECIPE
from metanas.seeds import derive
from metanas.smallest import smallest
from search_spaces import Candidate, Record, Space, mutate
from search_spaces.errors import EvaluationError, IllegalCandidateError, SpaceError
from search_spaces.record import INTERRUPTED, PARENT, REFUSED

_ILLEGAL = 1000  # illegal proposals in a row, after which the space has no room left
_TAKEN = 20  # times that other processes take a trial that was asked for, after which they always will
_PATIENCE = 10  # proposals over a limit in a row, after which one comes from within it
_SCORED = 12  # trials, from which on a front is worth going on from
_TRIES = 50
_SAME = "is of the same recipe"  # said of a trial that is refused for another


class Proposals:
    """Trials of a study: the controller's proposals, candidates that go on, neighbours of what is good.

    What is over a limit is refused as what is forbidden: it has no record and is not counted. A controller
    does not know the limits, so where few candidates are within them, a neighbour of one that is is tried
    now and then. It does not know several objectives either: with these, every other trial is a neighbour
    of one on the front, so that all of the front is searched, not only the end of the best score.

    Args:
        study: Optuna's, with the controller.
        space: What is proposed from.
        seed: Of what is proposed here.
        aims: Of the search.

    References:
        Neighbours of the front: the mutations of Deb et al., *NSGA-II*, 2002,
        https://doi.org/10.1109/4235.996017. Differs: parents are drawn uniformly from the first front.
    """

    def __init__(self, study: optuna.Study, space: Space, seed: int, aims: Aims) -> None:
        self.study, self.space, self.aims = study, space, aims
        self._seed, self._drawn = seed, 0

    def next(self, records: Sequence[Record]) -> tuple[Trial, Candidate]:
        """The next trial, with a candidate that is legal and within the limits.

        Args:
            records: Of the study's trials, running ones included.

        Raises:
            EvaluationError: If 1,000 proposals in a row were not.
            SpaceError: If the controller proposes what is no candidate at all.
        """
        goals, refused = self.aims.goals, 0
        scored = [record for record in records if record.score and record.weights]
        if goals.several and len(records) % 2 and len(scored) >= _SCORED:
            self._enqueue(goals.front(scored), records)
        for _ in range(_ILLEGAL):
            if goals.limited and refused == _PATIENCE:
                within = [record for record in records if record.parent is None] or self._smallest()
                self._enqueue(within, records, anyway=True)
                refused = 0
            trial = self.study.ask()
            with suppress(UpdateFinishedTrialError):  # another machine held this process for dead
                if why := self._not_to_begin(trial):
                    self._refuse(trial, why)
                    continue
                try:
                    candidate = self._suggested(trial)
                    self.aims.admit(candidate)
                    return trial, candidate
                except IllegalCandidateError as error:
                    self._refuse(trial, str(error))
                    refused += 1
        raise EvaluationError(f"{_ILLEGAL} proposals in a row were illegal: the space leaves no room")

    def _suggested(self, trial: Trial) -> Candidate:
        """What a trial proposes.

        Raises:
            IllegalCandidateError: If that is no candidate, and who put it into the queue is to blame.
            SpaceError: If the controller is.
        """
        try:
            return self.space.suggest(trial)
        except IllegalCandidateError:
            raise
        except (SpaceError, ValueError) as error:  # the latter is Optuna's, of a category
            if self._given(trial):
                raise IllegalCandidateError(f"no candidate: {error}") from None
            self._refuse(trial, str(error))
            raise SpaceError(f"the controller proposed what is no candidate: {error}") from None

    def again(self, candidate: Candidate, parent: int | None) -> tuple[Trial, Candidate]:
        """A trial of a fixed candidate, that goes on from its parent.

        Raises:
            EvaluationError: If other processes take it each time.
        """
        return self._fixed(candidate, PARENT, parent, f"go on from trial {parent}")

    def following(self, candidate: Candidate, seed: int) -> tuple[Trial, Candidate]:
        """A trial of what another search proposed, where several families are searched together.

        Args:
            candidate: That was proposed there.
            seed: Of the trial there.

        Raises:
            EvaluationError: If other processes take it each time.
        """
        return self._fixed(candidate, FOLLOWS, seed, "follow that of another family")

    def _fixed(
        self, candidate: Candidate, mark: str, value: int | None, what: str
    ) -> tuple[Trial, Candidate]:
        """A trial of a fixed candidate, with an attribute that says whose it is."""
        taken = 0
        while taken < _TAKEN:
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not any(trial.user_attrs.get(mark, ...) == value for trial in waiting):
                self.study.enqueue_trial(dict(candidate), user_attrs={mark: value})
            trial = self.study.ask()
            try:
                if trial.user_attrs.get(mark, ...) == value:
                    found = self.space.suggest(trial)
                    if found == candidate:
                        return trial, found
                if RECIPE in trial.user_attrs:  # it was taken from the queue: the same command has it tried
                    trial.set_user_attr(INTERRUPTED, True)
                taken += not self._put_back(trial)
                self._refuse(trial, f"asked to {what}, and got another candidate")
            except UpdateFinishedTrialError:  # another machine held this process for dead
                taken += 1
        raise EvaluationError(f"other processes took every trial that was to {what}")

    def why(self, trial: Trial) -> str:
        """Why a trial was proposed, in JSON; empty if the controller gives no reasons."""
        if NEIGHBOUR in trial.user_attrs:
            of = trial.user_attrs[NEIGHBOUR]
            return json.dumps({"by": "search", "how": NEIGHBOUR, "of": of if of >= 0 else None})
        if RECIPE in trial.user_attrs:
            return json.dumps({"by": "search", "how": RECIPE, "of": trial.user_attrs[RECIPE]})
        if given := self._given(trial):
            return json.dumps({"by": "user", "how": ENQUEUED, "given": sorted(given)})
        reason = getattr(self.study.sampler, "why", None)
        return str(reason(trial.number)) if reason is not None else ""

    def _enqueue(self, parents: Sequence[Record], records: Sequence[Record], anyway: bool = False) -> None:
        """Has the study ask next for a neighbour of a parent that was not tried, or for any of them."""
        self._drawn += 1
        rng = np.random.default_rng(derive(self._seed, NEIGHBOUR, len(records), self._drawn))
        tried = {record.candidate.id for record in records}
        for left in reversed(range(_TRIES)):
            parent = parents[int(rng.integers(len(parents)))]
            child = self._child(parent.candidate, rng)
            if child.id not in tried or (anyway and not left):
                self.study.enqueue_trial(dict(child), user_attrs={NEIGHBOUR: parent.number})
                return

    def _child(self, parent: Candidate, rng: np.random.Generator) -> Candidate:
        """A neighbour within the limits; the parent itself where there is none."""
        try:
            child = mutate(self.space, parent, rng)
            self.aims.admit(child)
        except SpaceError:  # it is over a limit, or all around the parent is forbidden
            return parent
        return child

    def _smallest(self) -> list[Record]:
        """Where nothing was within the limits yet: what is found there, step by step."""
        found = smallest(self.space, self.aims.goals, self.aims.measure)
        return [Record(self.study.study_name, -1, found)]

    def _put_back(self, trial: Trial) -> bool:
        """Whether a person or a program put the trial into Optuna's queue, where it is again now."""
        fixed = self._given(trial)
        if fixed is None or trial.user_attrs.keys() & {PARENT, FOLLOWS, RECIPE, NEIGHBOUR}:
            return False
        self.study.enqueue_trial(fixed, user_attrs=trial.user_attrs)
        return True

    def _given(self, trial: Trial) -> dict[str, Any] | None:
        """What a trial was enqueued with, if it was."""
        return self.study.get_trials(deepcopy=False)[trial.number].system_attrs.get("fixed_params")

    def _not_to_begin(self, trial: Trial) -> str:
        """Why a trial that was enqueued is not for this process, or for none; empty if it is."""
        if trial.user_attrs.keys() & {PARENT, FOLLOWS}:
            # asked for by a process that goes on with its winner, or was killed before it did
            return "another process goes on with this one"
        if RECIPE not in trial.user_attrs:
            return ""
        # processes that begin a study at the same moment may all enqueue what it starts with
        trials = self.study.get_trials(deepcopy=False)
        first = min(t.number for t in trials if counts(t) and _recipe(t) == _recipe(trial))
        return "" if first == trial.number else f"trial {first} {_SAME}"

    def _refuse(self, trial: Trial, why: str) -> None:
        """Ends a trial that was not begun; it has no row of ours and does not count."""
        trial.set_user_attr(REFUSED, why)
        self.study.tell(trial, state=TrialState.FAIL)


def counts(trial: FrozenTrial) -> bool:
    """Whether a recipe is tried by this trial: not interrupted, nor refused for another of the same."""
    attributes = trial.user_attrs
    refused = str(attributes.get(REFUSED, "")).endswith(_SAME)
    return RECIPE in attributes and INTERRUPTED not in attributes and not refused


def _recipe(trial: Trial | FrozenTrial) -> str | None:
    return trial.user_attrs.get(RECIPE)
