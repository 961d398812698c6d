"""What a user would have done without us: simple methods a task, and hand-set meta-learners."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from metanas import per_task, pooled
from metanas.engine.program import at, count
from metanas.evaluator import Evaluator, Job
from metanas.legs import in_legs
from metanas.scoring import by_cluster
from metanas.seeds import derive
from metanas.tasks.family import Family, Limits
from metanas.verdict import Rival
from search_spaces import Candidate, Signature
from search_spaces.errors import EvaluationError
from search_spaces.task import Episodes

_TUNING_TASKS = 100  # validation tasks that settings are chosen on


@dataclass(frozen=True)
class Simple:
    """A method that needs no meta-training.

    Attributes:
        name: Of it.
        settings: Of which the best on validation tasks is used.
        predict: Fits and predicts one task.
        prepare: Done to many tasks at once, before.
    """

    name: str
    settings: tuple[Any, ...]
    predict: pooled.Predict
    prepare: pooled.Prepare = list


def simple(evaluator: Evaluator) -> list[Simple]:
    """The simple methods that suit the tasks: of each task alone and, for tables, of all rows at once."""
    signature, seen = evaluator.signature, evaluator.tasks(_TUNING_TASKS, "train")["support_y"]
    usual = per_task.usual(signature, seen.double().mean((0, 1)).cpu().numpy())
    if not pooled.suits(signature, evaluator.valid, evaluator.family):
        return [Simple(*m) for m in usual]
    training = list(_tasks(evaluator.tasks(pooled.TASKS, "train")))
    together = [Simple(m.name, m.settings, m.predict, m.prepare) for m in pooled.methods(signature, training)]
    return [*(Simple(*m) for m in (*usual, *per_task.of_rows(signature))), *together]


def run_simple(evaluator: Evaluator, method: Simple, test: Episodes) -> Rival:
    """Tunes a method on a part of the validation tasks, then runs it on all of them and on the test tasks."""
    sign = 1 if evaluator.signature.higher_is_better else -1
    few = at(evaluator.valid, slice(0, _TUNING_TASKS))

    def scores(setting: Any, episodes: Episodes) -> np.ndarray:
        return _scores(evaluator.signature, method, setting, episodes)

    several = len(method.settings) > 1
    best = max(method.settings, key=lambda s: sign * scores(s, few).mean() if several else 0.0)
    return Rival(method.name, float(scores(best, evaluator.valid).mean()), scores(best, test))


def pace(evaluator: Evaluator, method: Simple, tasks: Episodes) -> float:
    """Seconds that a method takes for one task."""
    start = time.monotonic()
    _scores(evaluator.signature, method, method.settings[0], tasks)
    return (time.monotonic() - start) / count(tasks)


def hand_set(signature: Signature, family: Family) -> dict[str, Candidate]:
    """Meta-learners with the settings of their papers, as somebody who searches nothing would take them.

    Where the family has fewer classes or examples than a paper's training tasks, they take what there is.

    Args:
        signature: Of the tasks that are scored.
        family: Whose they are.

    References:
        Finn, Abbeel, Levine, *MAML*, 2017, https://arxiv.org/abs/1703.03400
        Snell, Swersky, Zemel, *Prototypical Networks*, 2017, https://arxiv.org/abs/1703.05175
    """
    # both papers count turned characters as classes of their own
    turned = {"outer.augmentation": "rotations" if "rotations" in family.augmentations else "none"}
    if signature.kind == "regression":
        return {"MAML": Candidate(_network(signature, "none", 40) | _maml(signature, family.limits) | turned)}
    return {
        "MAML": Candidate(_network(signature, "support", 32) | _maml(signature, family.limits) | turned),
        "Prototypical networks": Candidate(
            _network(signature, "running", 64) | _prototypes(signature, family.limits) | turned
        ),
    }


def run_hand_set(
    evaluator: Evaluator,
    name: str,
    candidate: Candidate,
    test: Episodes,
    steps: int,
    left: Callable[[], float],
    seed: int,
) -> Rival:
    """Meta-trains a hand-set candidate with a budget of its own; the best of its legs by validation.

    Raises:
        EvaluationError: Where it could not be scored at all; says why.
    """
    sign = 1 if evaluator.signature.higher_is_better else -1
    outcomes = [leg.outcome for leg in in_legs(evaluator, Job(candidate, derive(seed, name)), steps, left)]
    scored = [o for o in outcomes if o.score is not None and o.checkpoint is not None]
    if not scored:
        reason = f"{outcomes[-1].ended}: {outcomes[-1].reason}" if outcomes else "no time was left for it"
        raise EvaluationError(f"baseline {name} could not be scored ({reason})")
    best = max(scored, key=lambda o: sign * o.score.value)  # type: ignore[union-attr]
    assert best.score is not None
    assert best.checkpoint is not None
    return Rival(
        name, best.score.value, evaluator.task_scores(candidate, best.checkpoint, test).double().cpu().numpy()
    )


def _network(signature: Signature, norm: str, width: int) -> dict[str, Any]:
    if len(signature.input_shape) == 3:
        conv = {
            "depth": 4,
            "width": width,
            "kernel": 3,
            "activation": "relu",
            "norm": norm,
            "residual": False,
        }
        settings = {f"architecture.conv.{name}": value for name, value in conv.items()}
        return {"architecture": "conv", "architecture.conv.downsample": "pool"} | settings
    mlp = {"depth": 2, "width_1": width, "width_2": width, "activation": "relu", "norm": norm}
    return {"architecture": "mlp"} | {f"architecture.mlp.{name}": value for name, value in mlp.items()}


def _maml(signature: Signature, limits: Limits) -> dict[str, Any]:
    regression = signature.kind == "regression"
    steps = 5 if regression else 1
    gradient: dict[str, Any] = {"steps": steps, "order": 2, "step_size": "fixed", "scope": "all"}
    rule: dict[str, Any] = {f"rule.gradient.{name}": value for name, value in gradient.items()}
    rule |= {"rule": "gradient", "rule.gradient.rate": 0.01 if regression else 0.4}
    if regression:
        return rule | _outer(tasks=25, queries=10, shots="double")
    return (
        rule
        | {"rule.gradient.head": "rows"}
        | _outer(ways=signature.outputs, classes=16 * signature.outputs, queries=_queries(signature, limits))
    )


def _prototypes(signature: Signature, limits: Limits) -> dict[str, Any]:
    rule = {"rule": "prototype", "rule.prototype.distance": "euclid"}
    most, usual = (limits.ways or {}).get("train"), 4 * signature.outputs
    ways = usual if most is None else min(usual, most)
    return rule | _outer(ways=ways, classes=8 * signature.outputs, queries=_queries(signature, limits))


def _queries(signature: Signature, limits: Limits) -> int:
    return 5 if limits.examples is None else max(1, min(5, limits.examples - signature.shots))


def _outer(shots: str = "same", **values: Any) -> dict[str, Any]:
    fixed = {"learning_rate": 1e-3, "schedule": "constant", "weight_decay": 0.0, "shots": shots}
    return {f"outer.{name}": value for name, value in (fixed | values).items()}


def _scores(signature: Signature, method: Simple, setting: Any, episodes: Episodes) -> np.ndarray:
    # tasks are tiny: threads within one cost more than they give
    with threadpool_limits(1):
        tasks = method.prepare(list(_tasks(episodes)))
        found = [_score(signature, method, setting, task) for task in tasks]
    return by_cluster(torch.tensor(found, dtype=torch.float64), episodes).numpy()


def _score(signature: Signature, method: Simple, setting: Any, task: pooled.Arrays) -> float:
    sx, sy, qx, qy = task
    prediction = method.predict(setting, sx, sy, qx)
    if signature.kind == "regression":
        return float(((prediction - qy) ** 2).mean())
    return float((prediction.argmax(-1) == qy.argmax(-1)).mean())


def _tasks(episodes: Episodes) -> Iterator[pooled.Arrays]:
    """Each task's support and query as flat arrays, masked rows left out."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in episodes.items()}  # type: ignore[attr-defined]
    for t in range(count(episodes)):
        support = arrays["support_mask"][t] if "support_mask" in arrays else slice(None)
        query = arrays["query_mask"][t] if "query_mask" in arrays else slice(None)
        rows = (("support_x", support), ("support_y", support), ("query_x", query), ("query_y", query))
        sx, sy, qx, qy = (arrays[name][t][keep].astype(np.float64) for name, keep in rows)
        yield sx.reshape(len(sx), -1), sy, qx.reshape(len(qx), -1), qy
