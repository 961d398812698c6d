"""What a controller is told of what the store remembers: other studies' records, and the snapshot in use."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, cast

from optuna.samplers import BaseSampler

from controllers.learned import Snapshot
from metanas.cli.settings import families_of, study_name
from metanas.versions import SNAPSHOT
from search_spaces import Space, plugins
from search_spaces.errors import DataError, StoreError
from search_spaces.fingerprint import Fingerprint
from storage import Store
from storage.studies import divisions

CONTROLLERS = ("controllers", "metanas.controllers")


def proposer(
    name: str,
    space: Space,
    store: Store,
    study: str,
    seed: int,
    near: Fingerprint | None = None,
    dear: bool = False,
    timed: bool = False,
) -> tuple[BaseSampler, dict[str, str]]:
    """What proposes; told what the store knows of other studies, if it can learn from that.

    Args:
        name: Of the controller.
        space: What is proposed from.
        store: That remembers.
        study: That is searched.
        seed: Of the controller.
        near: What its family is like; None: it is of several, and no records are told.
        dear: Whether trials take so long that a search makes but dozens of them.
        timed: Whether the budget is in seconds alone.

    Returns:
        The controller, and what trials record of it beside the versions of packages.
    """
    build = plugins.load(*CONTROLLERS, name).build
    takes = inspect.signature(build).parameters
    told: dict[str, Any] = {}
    if near is not None and "records" in takes:
        told["records"] = store.records(space, near, besides=unfit(store, study), slow=timed)
    if near is not None and "distances" in takes:
        told["distances"] = {other: near.distance(found) for other, found in store.fingerprints().items()}
    snapshot = _snapshot(store, study) if SNAPSHOT in takes else None
    if snapshot is not None:
        told[SNAPSHOT] = snapshot
    if "fingerprint" in takes:
        told["fingerprint"] = near
    told |= {key: value for key, value in (("dear", dear), ("timed", timed)) if key in takes}
    made: BaseSampler = build(space, seed, **told)
    if not plugins.is_ours(CONTROLLERS[0], name):
        made = cast(BaseSampler, plugins.Theirs(made, f"controller {name}"))
    return made, {} if snapshot is None else {SNAPSHOT: snapshot.sha}


def unfit(store: Store, name: str) -> set[str]:
    """Studies that must not tell this one anything: itself, and those that divided the same data otherwise.

    What these were scored on may be what this one is tested on.
    """
    settings = {summary.name: summary.settings for summary in store.studies()}
    ours = dict(_divisions(settings, name))
    other = {
        study
        for study in settings
        if any(ours.get(content, division) != division for content, division in _divisions(settings, study))
    }
    return other | {name}


def _divisions(settings: Mapping[str, Mapping[str, Any]], study: str) -> Iterator[tuple[str, str]]:
    """Of each of a study's data sets, hashes of what it holds and of how it is divided."""
    known = settings.get(study, {})
    own = (settings.get(study_name(study, family), {}) for family in families_of(known))
    for one in (known, *own):
        yield from divisions(one.get("family", {}))


def _snapshot(store: Store, study: str) -> Snapshot | None:
    """The one in use, unless it learned from a study that must not tell this one anything.

    Raises:
        StoreError: If it cannot be read, as after an upgrade.
    """
    found = store.used_snapshot()
    if found is None:
        return None
    try:
        snapshot = Snapshot.from_bytes(found[1])
    except DataError as error:
        raise StoreError(
            f"the snapshot in use cannot be used: {error}; metanas controller train makes a new one, "
            "metanas controller use none goes without"
        ) from None
    learned_from = set(snapshot.fitted.get("studies", ()))
    return None if learned_from & (unfit(store, study) - {study}) else snapshot
