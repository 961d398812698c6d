"""Wires the parts together from what the user asked for: the only place that knows them all."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch

from controllers.pruning import ladder, successive_halving
from metanas.engine import resolve_device
from metanas.evaluator import Evaluator, Setting
from metanas.search import Listener, Search
from metanas.seeds import derive
from metanas.tasks.family import Family, Source
from search_spaces import Signature, Space, catalogue, plugins
from search_spaces.errors import BudgetError, DataError
from storage import Store, reconcile

FAMILIES = ("metanas.tasks.families", "metanas.families")
CONTROLLERS = ("controllers", "metanas.controllers")
_PACKAGES = ("metanas", "torch", "optuna", "numpy", "sqlalchemy")
_RUNG = {"tables": 200, "images": 30}
_RUNGS = 3
_QUERIES = {"regression": 50, "classification": 15}
_SHOTS = {"regression": 5, "classification": 1}
_VALID_TASKS = {"regression": 500, "classification": 250}


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
    ways: int | None
    shots: int | None
    queries: int | None
    device: str
    execution: str
    rung: int | None


def load_family(name: str, source: Source) -> Family:
    """The family of that name over the user's data.

    Raises:
        UnknownNameError: If there is none; the known ones are listed.
        DataError: If the data cannot be used.
    """
    built: Family = plugins.load(*FAMILIES, name).build(source)
    return built


def open_search(request: Request, listen: Listener, tell: Callable[[str], None]) -> tuple[Search, Store]:
    """Everything ready to run: checked before a store is made or a candidate trained.

    Raises:
        MetanasError: Whatever is wrong with the request.
    """
    device = resolve_device(request.device)
    controller = plugins.load(*CONTROLLERS, request.controller)
    family = load_family(request.family, request.source)
    for note in family.notes:
        tell(note)
    setting, signature = _setting(family, request)
    space = _space(request, family, signature)
    family.to(device)
    store = Store.open(request.store)
    seed = _seed(store, request)
    evaluator = Evaluator(
        family,
        signature,
        setting,
        device,
        execution=request.execution,
        seed=seed,
        valid_tasks=_VALID_TASKS[family.kind],
    )
    kind = "images" if len(signature.input_shape) == 3 else "tables"
    rungs = ladder(request.rung or _RUNG[kind], _RUNGS)
    if kind == "tables" and device.type == "cpu":
        torch.set_num_threads(1)  # the tensors are too small for two threads to share
    store.save_study(request.study, _settings(family, signature, setting, space, rungs, seed))
    study = _optuna_study(store, request.study, signature, rungs)
    reconcile(store, study)
    study.sampler = controller.build(space, derive(seed, "controller", len(store.records(request.study))))
    return Search(request.study, space, study, store, evaluator, rungs, seed, listen, versions()), store


def versions() -> dict[str, str]:
    """Of the packages that results depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def quiet_optuna() -> None:
    """Optuna's own messages are for its developers; ours say the same in our words."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    logging.getLogger("alembic").setLevel(logging.ERROR)


def output_path(name: str, ending: str) -> Path:
    """``STUDY.ending`` in this folder; characters that a file name cannot have become underscores."""
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name)
    return Path(f"{safe}{ending}")


def check_writable(path: Path) -> None:
    """Checks that a file can be written there.

    Raises:
        DataError: If it could not.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise DataError(f"cannot write {path}: go to a folder that you may write to")


def _setting(family: Family, request: Request) -> tuple[Setting, Signature]:
    shots = request.shots if request.shots is not None else _SHOTS[family.kind]
    queries = request.queries if request.queries is not None else _usual_queries(family, shots)
    least = {"--shots": (shots, 1), "--queries": (queries, 1)}
    if request.ways is not None and family.kind == "classification":
        least["--ways"] = (request.ways, 2)
    for name, (value, low) in least.items():
        if value < low:
            raise BudgetError(f"{name} should be at least {low}, not {value}")
    signature = family.signature(request.ways, shots)
    family.check(signature.outputs, shots, queries)
    return Setting(signature.outputs, shots, queries), signature


def _usual_queries(family: Family, shots: int) -> int:
    """The usual number; fewer where the smallest class has not that many."""
    usual, most = _QUERIES[family.kind], family.limits.examples
    return usual if most is None else max(1, min(usual, most - shots))


def _space(request: Request, family: Family, signature: Signature) -> Space:
    ways = (family.limits.ways or {}).get("train")
    augmentations = family.augmentations
    return catalogue.space(
        request.space,
        signature,
        train_ways=ways,
        examples=family.limits.examples,
        augmentations=augmentations,
    )


def _seed(store: Store, request: Request) -> int:
    """The user's seed, else that of the study if it is there already, else 0."""
    if request.seed is not None:
        return request.seed
    known = {summary.name: summary.settings for summary in store.studies()}
    return int(known.get(request.study, {}).get("seed", 0))


def _settings(
    family: Family, signature: Signature, setting: Setting, space: Space, rungs: tuple[int, ...], seed: int
) -> Mapping[str, Any]:
    """What every run of a study must share, else its trials could not be compared."""
    return {
        "family": family.facts(),
        "signature": signature.to_dict(),
        "ways": setting.ways,
        "shots": setting.shots,
        "queries": setting.queries,
        "seed": seed,
        "space": space.to_json(),
        "rungs": list(rungs),
        "preprocessing": family.preprocessing,
    }


def _optuna_study(store: Store, name: str, signature: Signature, rungs: tuple[int, ...]) -> Any:
    import optuna

    direction: Literal["maximize", "minimize"] = "maximize" if signature.higher_is_better else "minimize"
    study = optuna.create_study(
        study_name=name,
        storage=store.optuna,
        direction=direction,
        pruner=successive_halving(rungs),
        load_if_exists=True,
    )
    study.set_metric_names([f"validation {signature.metric}"])
    return study
