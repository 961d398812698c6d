"""Trials of a foreign Optuna study, for a study of ours to learn from."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from controllers.interface import candidate_of
from metanas.cli.settings import families_of
from metanas.equal_times import SECONDS
from metanas.report.matters import distribution
from search_spaces import Candidate, Space
from search_spaces.errors import StoreError
from storage import Store, database
from storage.optuna_storage import explaining

_FROM = "imported from"


def import_trials(store: Store, study: str, source: str, name: str | None = None) -> tuple[int, int]:
    """Adds the complete trials of another study that are points of this one's space; none of them twice.

    Args:
        store: Holds the study.
        study: Its name.
        source: Database URL of the other, or an SQLite file.
        name: Of the other; None: the only one there.

    Returns:
        How many were taken, and how many of those complete there are no points of the space.

    Raises:
        StoreError: If either study is not there, they do not optimise in the same direction, or it is of
            several families.
    """
    settings = store.settings(study)
    if families_of(settings):
        raise StoreError(
            f"study {study!r} is of several families: its values are ranks, those of others are not"
        )
    space = Space.from_json(settings["space"])
    with explaining(store.shown):
        ours = optuna.load_study(study_name=study, storage=store.optuna)
    # where trials are compared after equal times, the last rung is left to finals
    last = settings["rungs"][-2 if SECONDS in ours.user_attrs and len(settings["rungs"]) > 1 else -1]
    theirs = _load(source, name)
    if theirs.directions != ours.directions:
        raise StoreError(
            f"study {theirs.study_name!r} optimises in another direction than {study!r}: its values mean "
            "something else"
        )
    mark = f"{theirs.study_name}, trial "
    known = {_told(trial) for trial in ours.get_trials(deepcopy=False)}
    complete = theirs.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    points = [(trial, candidate_of(trial, space)) for trial in complete]
    fitting = [(trial, candidate) for trial, candidate in points if candidate is not None]
    copies = [_copied(trial, found, space, last, f"{mark}{trial.number}") for trial, found in fitting]
    new = [copy for copy in copies if _told(copy) not in known]
    for copy in new:
        ours.add_trial(copy)
    return len(new), len(complete) - len(fitting)


def _told(trial: FrozenTrial) -> tuple[Any, ...]:
    """What an imported trial is known by: two machines may have called their studies alike."""
    return trial.user_attrs.get(_FROM), frozenset(trial.params.items()), tuple(trial.values or ())


def _load(source: str, name: str | None) -> optuna.Study:
    url = database.parse(source)
    database.check_place(url, False)  # Optuna would make an empty one
    try:
        if not database.has_studies(url):
            raise StoreError(f"{database.shown(url)} holds no Optuna studies")
        text = url.render_as_string(hide_password=False)
        storage = optuna.storages.RDBStorage(text, skip_table_creation=True)
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    except StoreError:
        raise
    except Exception as error:  # whatever the database's driver raises
        reason = (str(error).splitlines() or [""])[0]
        raise StoreError(f"cannot read Optuna studies at {database.shown(url)}: {reason}") from error
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        asked = "say which with --name" if name is None else f"no study called {name!r}"
        raise StoreError(f"{asked} (at {database.shown(url)}: {', '.join(names) or 'none'})")
    return optuna.load_study(study_name=name, storage=storage)


def _copied(trial: FrozenTrial, candidate: Candidate, space: Space, rung: int, mark: str) -> FrozenTrial:
    """The trial as one of ours that got to that rung: what it scored is what it came to in the end."""
    params = {name: trial.params[name] for name in candidate if name in trial.params}  # active ones only
    return optuna.trial.create_trial(
        params=params,
        distributions={name: distribution(space.flat[name]) for name in params},  # ours: theirs may be wider
        values=trial.values,
        intermediate_values={rung: trial.values[0]},
        user_attrs={_FROM: mark},
    )
