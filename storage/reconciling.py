"""Our rows and Optuna's trials, brought to agree after a process was killed between writing the two."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from search_spaces.record import INTERRUPTED
from storage import owner, studies, trials
from storage.models import now
from storage.optuna_storage import explaining
from storage.store import Store

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_ZONES = timedelta(hours=26)  # that two clocks on the wall can be apart


def reconcile(store: Store, study: optuna.Study) -> list[int]:
    """Mends what a killed process left half done; done whenever a study is opened.

    Our row is written first, so it says what became of a trial. A trial that Optuna still has
    running is told what our finished row says; where the process that ran it is gone, our row
    becomes ``"failed"`` with the reason ``"interrupted"`` and Optuna is told that it failed. So
    does a running row of ours that Optuna does not know. What a living process is at is left
    alone. Every trial mended is logged.

    A trial that was asked for and killed before it was started has no row of ours, and gets
    none: its candidate was never known. Only Optuna is told, and the log.

    Args:
        store: Of ours; has a study of the same name.
        study: Optuna's, from ``store.optuna``.

    Returns:
        Numbers of the trials mended, ascending.

    Raises:
        StoreError: If the database cannot be read or written, or our study is missing.
    """
    with explaining(store.shown):
        # Ours first: a trial started while we look is then one that Optuna has.
        with store.session() as session:
            ours = trials.running(session, study.study_name)
        theirs = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
        open_there = [number for number, trial in theirs.items() if not trial.state.is_finished()]
        return [n for n in sorted({*ours, *open_there}) if _mend(store, study, n, theirs.get(n))]


def _mend(store: Store, study: optuna.Study, number: int, theirs: FrozenTrial | None) -> bool:
    name = study.study_name
    with store.session() as session:
        ours = trials.standing(session, name, number)
    waits = theirs is not None and theirs.state.name == "RUNNING"
    if ours is None:
        mended = waits and _abandoned(store, name, theirs) and _told_interrupted(store, study, number)
        why = "it was never started here, and Optuna had it running"
    elif ours.state == "running":
        mended = _interrupt(store, name, number, ours, known=theirs is not None)
        if mended and waits:
            _told_interrupted(store, study, number)
        why = f"{INTERRUPTED}: process {ours.owner} is gone" if theirs else "Optuna has no such trial"
    else:
        mended = waits and not _about_to_tell(ours) and _told(store, study, number, ours)
        why = f"it is {ours.state} here, and Optuna had it running"
    if mended:
        store.log(name, "reconciled", why, number)
    return mended


def _told(store: Store, study: optuna.Study, number: int, ours: trials.Standing) -> bool:
    # who interrupted it may have come no further than our row
    if ours.reason == INTERRUPTED:
        return _told_interrupted(store, study, number)
    return _tell(study, number, ours.state, ours.value)


def _interrupt(store: Store, study: str, number: int, ours: trials.Standing, *, known: bool) -> bool:
    if known and owner.alive(ours.owner, ours.seen, now()):
        return False
    with store.session(writes=True) as session:
        return trials.interrupt(session, study, number, ours.touched)


def _about_to_tell(ours: trials.Standing) -> bool:
    # Between its two writes a living process must not be overtaken: Optuna takes one answer only.
    return ours.owner != owner.me() and owner.alive(ours.owner, ours.seen, now())


def _abandoned(store: Store, study: str, theirs: FrozenTrial | None) -> bool:
    """Whether nobody will start a trial that was asked for: Optuna does not say who asked."""
    with store.session() as session:
        if not studies.others_at_work(session, study):
            return True
    begun = theirs.datetime_start if theirs is not None else None
    # Optuna's times are local, of whoever asked, and without a zone: of another zone they are a day off.
    return begun is None or now() - begun.astimezone(UTC) > owner.SILENCE + _ZONES


def _told_interrupted(store: Store, study: optuna.Study, number: int) -> bool:
    """Tells Optuna that a trial failed, and controllers that this says nothing of its candidate."""
    from optuna.exceptions import UpdateFinishedTrialError

    known = store.optuna
    trial = known.get_trial_id_from_study_id_trial_number(
        known.get_study_id_from_name(study.study_name), number
    )
    with suppress(UpdateFinishedTrialError):
        known.set_trial_user_attr(trial, INTERRUPTED, True)
    return _tell(study, number, "failed", None)


def _tell(study: optuna.Study, number: int, state: str, value: float | None) -> bool:
    """Tells Optuna how a trial ended; False if somebody else just did."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    told = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(state, TrialState.FAIL)
    if told is TrialState.COMPLETE and (value is None or math.isnan(value)):
        told = TrialState.FAIL  # Optuna takes no NaN
    try:
        study.tell(number, value if told is TrialState.COMPLETE else None, told, skip_if_finished=True)
    except UpdateFinishedTrialError:
        return False
    return True
