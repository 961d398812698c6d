"""Wires a search over several families: a study of each, and one over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import optuna
import torch

from metanas.cli import starting
from metanas.cli.aiming import check_limits, goals_of, joint_aims, refuse_objectives
from metanas.cli.memory import proposer
from metanas.cli.settings import joint_settings, refuse_others, study_name
from metanas.cli.wiring import (
    Plan,
    Request,
    as_begun,
    begin,
    check_space,
    checked,
    known_settings,
    load_family,
    notes_of,
    opened,
    plan_of,
    setting_of,
)
from metanas.equal_times import SECONDS
from metanas.evaluator import Setting
from metanas.joint import Joint, JointSearch, standings_of
from metanas.search import Listener, Moment
from metanas.seeds import derive
from metanas.tasks.family import Family
from metanas.versions import versions
from search_spaces import Signature
from search_spaces.errors import MetanasError
from search_spaces.shared import Shared, share
from storage import Store, explaining

T = TypeVar("T")


@dataclass(frozen=True)
class _Part:
    """One of the families, ready to be searched."""

    request: Request
    family: Family
    setting: Setting
    signature: Signature


def open_joint(
    name: str, requests: Mapping[str, Request], listen: Listener, tell: Callable[[str], None]
) -> tuple[JointSearch, Store, list[Callable[[], JointSearch]]]:
    """Everything ready to run: checked before a store is made or a candidate trained.

    Args:
        name: Of the study.
        requests: For each family, by name; alike in all that is the search's.
        listen: Told of everything that happens.
        tell: Told what the user should know of the data.

    Returns:
        The search, its store, and what opens the searches of other folds, where tasks are few.

    Raises:
        MetanasError: Whatever is wrong with the requests.
    """
    common = next(iter(requests.values()))
    device = checked(replace(common, study=name))
    refuse_objectives(goals_of(common))
    parts = _parts(requests)
    shared, *_ = _plans(parts, {})
    sized = [(part.family, part.signature, part.setting) for part in parts.values()]
    check_limits(common, sized, shared.space, device, shared.of)
    if device.type == "cpu" and all(len(part.signature.input_shape) == 1 for part in parts.values()):
        torch.set_num_threads(1)  # the tensors are too small for two threads to share
    store = Store.open(common.store)
    try:
        with explaining(store.shown):
            found = _joint(name, parts, device, store, listen)
    except BaseException:
        store.close()
        raise
    for family, part in parts.items():
        for note in notes_of(part.family, part.setting):
            tell(f"{family}: {note}")
    for note in starting.refused(common.start, found.space, _of_classes(parts), found.seed, found.aims):
        tell(note)
    return found, store, _folds(name, parts, device, store, listen)


def _parts(requests: Mapping[str, Request]) -> dict[str, _Part]:
    families = {name: _named(name, load_family, one.family, one.source) for name, one in requests.items()}
    classes = any(family.kind == "classification" for family in families.values())
    found = {}
    for name, family in families.items():
        ours = family.kind == "classification" or not classes
        request = requests[name] if ours else replace(requests[name], ways=None)  # ways are for the others
        found[name] = _Part(request, family, *_named(name, setting_of, family, request))
    return found


def _named(name: str, call: Callable[..., T], *arguments: Any) -> T:
    """Calls; what goes wrong is said of that family."""
    try:
        return call(*arguments)
    except MetanasError as error:
        raise type(error)(f"{name}: {error}") from None


def _plans(parts: Mapping[str, _Part], begun: Mapping[str, Any]) -> tuple[Shared, tuple[int, ...], bool]:
    """The space, the rungs, and whether it goes by time: as for images, where one of the families is such."""
    usual = {
        name: as_begun(plan_of(part.request, part.family, part.signature), begun, part.request)
        for name, part in parts.items()
    }
    for name, part in parts.items():
        check_space(usual[name].space, part.signature, part.request)
    shared = share({name: plan.space for name, plan in usual.items()})
    rungs = min(plan.rungs for plan in usual.values())
    return shared, rungs, any(plan.by_time for plan in usual.values())


def _joint(
    name: str,
    parts: Mapping[str, _Part],
    device: torch.device,
    store: Store,
    listen: Listener,
    first_fold: str = "",
) -> JointSearch:
    """The search over all families, each with a study of its own; they go on if the store has them."""
    common, known = next(iter(parts.values())).request, known_settings(store, name)
    first = known or known_settings(store, first_fold)
    shared, rungs, by_time = _plans(parts, first)
    seed = int(first.get("seed", 0)) if common.seed is None else common.seed
    goals = goals_of(common, first)
    settings = joint_settings(list(parts), shared.space, rungs, seed, goals)
    if known:
        refuse_others(name, known, settings)
    families = {}
    for (family, part), space in zip(parts.items(), shared.own, strict=True):
        plan, request = Plan(space, rungs, by_time), replace(part.request, seed=seed, start=None)
        told = partial(_of_family, listen, family)
        own = study_name(name, family)
        families[family] = begin(request, part.family, own, part.setting, device, store, told, plan)
        # it proposes nothing, it follows
        families[family].study.sampler = optuna.samplers.RandomSampler(derive(seed, family) % 2**32)
    study, records = opened(store, name, settings, "rank", False, rungs)
    starting.enqueue(study, common.start, shared.space, _of_classes(parts), seed)
    seeded = derive(seed, "controller", len(records), *store.company(name))
    study.sampler, learned = proposer(common.controller, shared.space, store, name, seeded, dear=by_time)
    made_by = versions() | learned

    def told_all(moment: Moment) -> None:
        listen(_of_all(found, moment))

    found = JointSearch(
        name,
        shared.space,
        study,
        store,
        Joint(shared, families),
        rungs,
        seed,
        told_all,
        made_by,
        by_time or SECONDS in study.user_attrs,  # it goes on as it began
        joint_aims(goals, shared, [search.aims for search in families.values()]),
    )
    return found


def _of_classes(parts: Mapping[str, _Part]) -> Signature:
    """The signature that recipes are written for: of classes, where a family has them, for its head."""
    found = [part.signature for part in parts.values()]
    return next((signature for signature in found if signature.kind == "classification"), found[0])


def _of_family(listen: Listener, family: str, moment: Moment) -> None:
    """Tells of a family's own trials; of those that follow one of all families that one tells."""
    if moment.ended is None or moment.ended.parent is not None:
        listen(replace(moment, doing=f"{family}: {moment.doing}", family=family))


def _of_all(search: JointSearch, moment: Moment) -> Moment:
    """With the best by exact ranks, and where it and the trial that just ended stand."""
    found = standings_of(search)
    best = found[0].trial if found else None
    shown = {record.number for record in (best, moment.ended) if record}
    return replace(moment, best=best, standings={s.trial.number: s for s in found if s.trial.number in shown})


def _folds(
    name: str, parts: Mapping[str, _Part], device: torch.device, store: Store, listen: Listener
) -> list[Callable[[], JointSearch]]:
    """Opens the search of each other fold, where a family has them; the others take part as they are."""
    count = max(len(getattr(part.family, "folds", ())) for part in parts.values())

    def open_fold(number: int) -> JointSearch:
        def told(moment: Moment) -> None:
            listen(replace(moment, doing=f"fold {number} of {count + 1}: {moment.doing}", ended=None))

        here = {family: replace(part, family=_fold(part.family, number)) for family, part in parts.items()}
        return _joint(f"{name} fold {number}", here, device, store, told, name)

    return [partial(open_fold, number) for number in range(2, count + 2)]


def _fold(family: Family, number: int) -> Family:
    folds: Sequence[Family] = getattr(family, "folds", ())
    return folds[number - 2] if number - 2 < len(folds) else family
