"""One search to replay: which controller, on which task of a table, told what of the others."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from kept import Kept, name_of
from optuna.samplers import BaseSampler
from recorded import Table
from replay import Replay, portfolio, records, replay, table_at

from controllers.evolution import Evolution
from search_spaces import Space, plugins

CONTROLLERS = ("controllers", "metanas.controllers")
_START = 10  # candidates of earlier studies that a NAME-warm begins with


def _optuna_tpe(space: Space, seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def _optuna_gp(space: Space, seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed)


def _evolution(population: int, space: Space, seed: int) -> BaseSampler:
    return Evolution(space, seed, population)


PEERS: dict[str, Any] = {
    "optuna-tpe": _optuna_tpe,
    "optuna-gp": _optuna_gp,
    "evolution-20": partial(_evolution, 20),
    "evolution-50": partial(_evolution, 50),
}


@dataclass(frozen=True)
class Job:
    """One search to replay; ``earlier`` are indices of the tasks that the store knows."""

    path: str
    task: int
    controller: str
    seed: int
    evaluations: int
    earlier: tuple[int, ...]
    shuffled: bool


def build(name: str) -> Any:
    """What makes the sampler of that name from a space and a seed."""
    return PEERS[name] if name in PEERS else plugins.load(*CONTROLLERS, name).build


def recorder(table: Table, seed: int) -> BaseSampler:
    """The search that a store's records come from."""
    return Evolution(table.space, seed)


def run(job: Job, kept: Kept) -> Replay:
    """Replays one search, or takes it from what is kept."""
    name = _name(job) if kept.folder else ""
    found = kept.read(name)
    if found is None:
        found = _replayed(job)
        kept.put(name, found)
    return found


def is_kept(job: Job, kept: Kept) -> bool:
    """Whether a search need not be replayed."""
    return kept.folder is not None and kept.read(_name(job)) is not None


def _replayed(job: Job) -> Replay:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = table_at(job.path)
    made, start, options = build(_bare(job.controller)), [], {}
    known = [records(job.path, task, job.seed, job.shuffled, recorder) for task in _store(job)]
    if job.controller.endswith("-warm"):
        start = portfolio(known, _START)
    elif known:
        options = {"records": [record for study in known for record in study]}
    sampler = made(table.space, job.seed, **options)
    return replay(table, job.task, sampler, job.evaluations, job.seed, start)


def _bare(controller: str) -> str:
    return controller.removesuffix("-warm").removesuffix("-cold")


def _store(job: Job) -> tuple[int, ...]:
    """The tasks whose records the search begins with or learns from."""
    bare = _bare(job.controller)
    learns = job.controller == bare and "records" in inspect.signature(build(bare)).parameters
    return job.earlier if job.controller.endswith("-warm") or learns else ()


def _name(job: Job) -> str:
    """What a cold search gives is the same whatever the store has."""
    store, bare = _store(job), _bare(job.controller)
    asked = asdict(replace(job, earlier=store, shuffled=job.shuffled and bool(store)))
    del asked["path"]
    if not job.controller.endswith("-warm"):
        asked["controller"] = bare
    return name_of(asked, Path(job.path), bare)
