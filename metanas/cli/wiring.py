"""Wires the parts together from what the user asked for: the only place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import optuna
import torch

from controllers.pruning import ladder, successive_halving
from metanas.aims import Aims
from metanas.cli import starting
from metanas.cli.aiming import check_limits, goals_of
from metanas.cli.memory import CONTROLLERS, proposer
from metanas.cli.settings import refuse_deleted, refuse_others, settings
from metanas.engine import EXECUTIONS, keep_freed_memory, resolve_device, trains_in_half
from metanas.equal_times import SECONDS
from metanas.evaluator import Evaluator, Setting
from metanas.learner.building import program_of
from metanas.learner.inputs import check_inputs
from metanas.search import Listener, Moment, Search
from metanas.seeds import derive
from metanas.sizing import Sizes
from metanas.tasks import fingerprints, own
from metanas.tasks.family import USUAL_SHOTS, Family, Source
from metanas.tasks.mixed import Mixed
from metanas.tasks.table_tasks import Tables
from metanas.versions import versions
from search_spaces import Record, Signature, Space, catalogue, named, plugins
from search_spaces.errors import BudgetError, DataError, DeviceError, StoreError
from search_spaces.fingerprint import Fingerprint
from storage import Store, explaining, reconcile
from storage.text import check_name

FAMILIES = ("metanas.tasks.families", "metanas.families")
_MEMBERS = sorted({*Family.__annotations__, *(n for n in vars(Family) if not n.startswith("_"))})
_RUNG = {"tables": 100, "images": 60}
_RUNGS = 3
_QUERIES = {"regression": 50, "classification": 15}
_VALID_TASKS = {"regression": 500, "classification": 250}
_FINAL_TASKS = {"regression": None, "classification": 500}


@dataclass(frozen=True)
class Request:
    """What the user asked ``metanas search`` for; None is the usual."""

    family: str
    source: Source
    study: str
    store: str
    seed: int | None
    controller: str
    space: str
    architecture: tuple[str, ...]
    ways: int | None
    shots: int | None
    queries: int | None
    device: str
    execution: str
    precision: str
    rung: int | None
    start: str | None = None  # recipes, with commas between
    objective: str | None = None  # objectives, with commas between
    max_params: int | None = None
    max_latency: str | None = None
    trials: int | None = None

    @property
    def timed(self) -> bool:
        """Whether the budget is in seconds alone."""
        return self.trials is None


@dataclass(frozen=True)
class Plan:
    """How a study is searched.

    Attributes:
        space: What is proposed from.
        rungs: In meta-steps, rising.
        by_time: Whether trials may be compared after equal times, see :class:`Searching`.
    """

    space: Space
    rungs: tuple[int, ...]
    by_time: bool


def load_family(name: str, source: Source) -> Family:
    """The family of that name over the user's data; ``module:Class`` is one of the user's own.

    Raises:
        UnknownNameError: If there is none; the known ones are listed.
        DataError: If the data cannot be used.
    """
    if ":" in name:
        return own.load(name, source)
    built: Family = plugins.load(*FAMILIES, name).build(source)
    if lacking := [member for member in _MEMBERS if not hasattr(built, member)]:
        raise DataError(f"family {name} has no {', no '.join(lacking)}: see metanas family check {name}")
    return built


def open_search(
    request: Request,
    listen: Listener,
    tell: Callable[[str], None],
    mixed: Mapping[str, Request] | None = None,
) -> tuple[Search, Store, list[Callable[[], Search]]]:
    """Everything ready to run: checked before a store is made or a candidate trained.

    Args:
        request: What the user asked for.
        listen: Told of everything that happens.
        tell: Told what the user should know of the data.
        mixed: Requests for several families, by name, that are searched as if they were one.

    Returns:
        The search, its store, and what opens the searches of other folds, where tasks are few.

    Raises:
        MetanasError: Whatever is wrong with the request.
    """
    device = checked(request)
    family = _mix(mixed) if mixed else load_family(request.family, request.source)
    setting, signature = setting_of(family, request)
    space = plan_of(request, family, signature).space
    check_space(space, signature, request)
    check_limits(request, [(family, signature, setting)], space, device)
    if len(signature.input_shape) == 1 and device.type == "cpu":
        torch.set_num_threads(1)  # the tensors are too small for two threads to share
    store = Store.open(request.store)
    try:
        with explaining(store.shown):
            found = begin(request, family, request.study, setting, device, store, listen)
    except BaseException:
        store.close()
        raise
    left_out = starting.refused(request.start, found.space, signature, found.seed, found.aims)
    for note in (*notes_of(family, setting), *left_out):  # here, since what is refused is one line
        tell(note)
    return found, store, _folds(request, family, setting, device, store, listen)


def notes_of(family: Family, setting: Setting) -> tuple[str, ...]:
    """What a family says of itself, and of its tasks where they are of that size."""
    return family.told(setting.ways, setting.shots) if isinstance(family, Tables) else family.notes


def checked(request: Request) -> torch.device:
    """Checks what can be checked before data is read; the device."""
    check_name(request.study)
    device = resolve_device(request.device)
    keep_freed_memory()
    if request.execution not in EXECUTIONS:
        raise DeviceError(f"--execution should be one of {', '.join(EXECUTIONS)}, not {request.execution!r}")
    trains_in_half(request.precision, device, ())  # refuses unknown ones
    goals_of(request)  # refuses what makes no sense
    plugins.load(*CONTROLLERS, request.controller)
    return device


def check_space(space: Space, signature: Signature, request: Request) -> None:
    """Checks that candidates of the space can be built, and that the controller can be.

    Raises:
        MetanasError: What is wrong with a model space of the user's, or is not installed.
    """
    named.check(space, signature, request.architecture)
    if request.space.endswith(".toml"):
        catalogue.check(space, signature, request.architecture)
    starting.check(request.start, space, signature)
    plugins.load(*CONTROLLERS, request.controller).build(space, 0)
    for candidate in catalogue.of_others(space):  # as a learner file is read, which comes at the end
        program_of(candidate, signature, request.architecture)


def _mix(requests: Mapping[str, Request]) -> Family:
    return Mixed({name: load_family(one.family, one.source) for name, one in requests.items()})


def _folds(
    request: Request,
    family: Family,
    setting: Setting,
    device: torch.device,
    store: Store,
    listen: Listener,
) -> list[Callable[[], Search]]:
    """Opens the search of each other fold, where the family has them; studies of their own."""
    others: Sequence[Family] = getattr(family, "folds", ())

    def opener(number: int, fold: Family) -> Callable[[], Search]:
        def told(moment: Moment) -> None:
            listen(replace(moment, doing=f"fold {number} of {len(others) + 1}: {moment.doing}", ended=None))

        name = f"{request.study} fold {number}"
        return lambda: begin(request, fold, name, setting, device, store, told)

    return [opener(number, fold) for number, fold in enumerate(others, 2)]


def begin(
    request: Request,
    family: Family,
    name: str,
    setting: Setting,
    device: torch.device,
    store: Store,
    listen: Listener,
    plan: Plan | None = None,
) -> Search:
    """A search of one study, which goes on if the store has it.

    Args:
        request: What the user asked for.
        family: Whose tasks; of one fold, where there are several.
        name: Of the study.
        setting: How tasks are scored.
        device: Where.
        store: Keeps every result.
        listen: Told of everything that happens.
        plan: How it is searched; None: as is usual for the family.
    """
    signature = family.signature(request.ways, setting.shots)
    plan = plan or plan_of(request, family, signature)
    family.to(device)
    known = known_settings(store, name)
    # the user's seed, limits and objectives, else those of the study, if it is there, or of its first fold
    first = known or known_settings(store, request.study)
    seed = int(first.get("seed", 0)) if request.seed is None else request.seed
    code, goals = named.code(request.architecture), goals_of(request, first)
    plan = as_begun(plan, first, request)
    shared = settings(family, signature, setting, plan.space, plan.rungs, seed, code, goals)
    if known:
        refuse_others(name, known, shared)
    evaluator = _evaluator(family, signature, setting, device, request, seed)
    study, records = opened(store, name, shared, signature.metric, signature.higher_is_better, plan.rungs)
    starting.enqueue(study, request.start, plan.space, signature, seed)
    near = remembered(store, name, family, signature)
    seeded = derive(seed, "controller", len(records), *store.company(name))
    study.sampler, told = proposer(
        request.controller, plan.space, store, name, seeded, near, plan.by_time, request.timed
    )
    made_by, aims = versions() | told, Aims(goals, Sizes(evaluator, goals.timed, records))
    timed = plan.by_time or SECONDS in study.user_attrs  # it goes on as it began
    return Search(name, plan.space, study, store, evaluator, plan.rungs, seed, listen, made_by, timed, aims)


def known_settings(store: Store, name: str) -> dict[str, Any]:
    """The settings of a study, if the store has it."""
    return {summary.name: summary.settings for summary in store.studies()}.get(name, {})


def remembered(store: Store, name: str, family: Family, signature: Signature) -> Fingerprint:
    """The fingerprint of a study's family: measured once for the same data and setting."""
    key = fingerprints.key(family, signature)
    found = store.fingerprint(key) or fingerprints.fingerprint(family, signature)
    store.save_fingerprint(name, key, found)
    return found


def _evaluator(
    family: Family, signature: Signature, setting: Setting, device: torch.device, request: Request, seed: int
) -> Evaluator:
    return Evaluator(
        family,
        signature,
        setting,
        device,
        execution=request.execution,
        precision=request.precision,
        seed=seed,
        trusted=request.architecture,
        valid_tasks=_VALID_TASKS[family.kind],
        final_tasks=_FINAL_TASKS[family.kind],
    )


def setting_of(family: Family, request: Request) -> tuple[Setting, Signature]:
    """How a family's tasks are scored, and what they are like.

    Raises:
        MetanasError: If it has no such tasks.
    """
    shots = request.shots if request.shots is not None else USUAL_SHOTS[family.kind]
    queries = request.queries if request.queries is not None else _usual_queries(family, shots)
    least = {"--shots": (shots, 1), "--queries": (queries, 1)}
    if request.ways is not None and family.kind == "classification":
        least["--ways"] = (request.ways, 2)
    for name, (value, low) in least.items():
        if value < low:
            raise BudgetError(f"{name} should be at least {low}, not {value}")
    signature = family.signature(request.ways, shots)
    for fold in (family, *getattr(family, "folds", ())):
        fold.check(signature.outputs, shots, queries)
        check_inputs(fold.name, fold.signature(request.ways, shots), fold.preprocessing)
    return Setting(signature.outputs, shots, queries), signature


def _usual_queries(family: Family, shots: int) -> int:
    """The usual number; fewer where the smallest class has not that many."""
    usual, most = _QUERIES[family.kind], family.limits.examples
    return usual if most is None else max(1, min(usual, most - shots))


def plan_of(request: Request, family: Family, signature: Signature) -> Plan:
    """How a study of that family is usually searched.

    Raises:
        MetanasError: If there is no such space.
    """
    images = len(signature.input_shape) == 3
    space = catalogue.space(
        request.space,
        signature,
        architectures=request.architecture,
        train_ways=(family.limits.ways or {}).get("train"),
        examples=family.limits.examples,
        augmentations=family.augmentations,
    )
    rungs = ladder(request.rung or _RUNG["images" if images else "tables"], _RUNGS)
    # what a meta-step costs differs fiftyfold between networks for images
    return Plan(space, rungs, images and request.rung is None)


def as_begun(plan: Plan, begun: Mapping[str, Any], request: Request) -> Plan:
    """A plan for a study with those settings, whatever was installed since; of a new one as it is."""
    if "space" not in begun:
        return plan
    space = catalogue.as_begun(plan.space, Space.from_json(begun["space"]), request.architecture)
    return replace(plan, space=space)


def opened(
    store: Store,
    name: str,
    shared: Mapping[str, Any],
    metric: str,
    higher_is_better: bool,
    rungs: tuple[int, ...],
) -> tuple[optuna.Study, list[Record]]:
    """A study, made or gone on with, and its trials so far, whatever became of who ran them.

    Raises:
        StoreError: If it has other settings, or Optuna has lost trials of it.
    """
    _save_study(store, name, shared)
    study = optuna_study(store, name, metric, higher_is_better, rungs)
    reconcile(store, study)
    records = store.records(name)
    refuse_deleted(study, records)
    return study, records


def optuna_study(
    store: Store, name: str, metric: str, higher_is_better: bool, rungs: tuple[int, ...]
) -> optuna.Study:
    """Optuna's side of a study."""
    direction: Literal["maximize", "minimize"] = "maximize" if higher_is_better else "minimize"
    study = optuna.create_study(
        study_name=name,
        storage=store.optuna,
        direction=direction,
        pruner=successive_halving(rungs),
        load_if_exists=True,
    )
    study.set_metric_names([f"validation {metric}"])
    return study


def _save_study(store: Store, name: str, shared: Mapping[str, Any]) -> None:
    """Makes a study, or sees to it that it has these very settings.

    Raises:
        StoreError: If it has others, in words: they may have come since the store was asked.
    """
    try:
        store.save_study(name, shared)
    except StoreError:
        refuse_others(name, known_settings(store, name), shared)
        raise
