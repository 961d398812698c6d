"""Baselines with the usual settings of their papers, as somebody who searches nothing would take them."""

from __future__ import annotations

from typing import Any

from metanas import pooled
from metanas.classifier import Features, Labelled
from metanas.evaluator import Evaluator
from metanas.tasks.family import Limits
from metanas.trained import FineTuned, MetaLearner, Trained
from search_spaces import Candidate, Signature


def hand_set(evaluator: Evaluator) -> list[Trained]:
    """Meta-learners, and networks that never learned to learn.

    Where the family has fewer classes or examples than a paper's training tasks, they take what there is.
    MAML has, of images, Omniglot's rule on MiniImagenet's network (32 filters and pooling; Omniglot's had 64
    and strides) with 16 tasks a meta-step, half of Omniglot's; of numbers, five steps, where its sinusoid was
    trained with one.

    Args:
        evaluator: Of the tasks that are scored.

    References:
        Finn, Abbeel, Levine, *MAML*, 2017, https://arxiv.org/abs/1703.03400
        Snell, Swersky, Zemel, *Prototypical Networks*, 2017, https://arxiv.org/abs/1703.05175
    """
    signature, family = evaluator.signature, evaluator.family
    # both papers count turned characters as classes of their own
    turned = {"outer.augmentation": "rotations" if "rotations" in family.augmentations else "none"}
    if signature.kind == "regression":
        maml = _network(signature, "none", 40) | _maml(signature, family.limits)
        return [MetaLearner("MAML", Candidate(maml | turned)), *_fine_tuned(evaluator)]
    maml = _network(signature, "support", 32) | _maml(signature, family.limits)
    prototypes = _network(signature, "running", 64) | _prototypes(signature, family.limits)
    return [
        MetaLearner("MAML", Candidate(maml | turned)),
        MetaLearner("Prototypical networks", Candidate(prototypes | turned)),
        *_fine_tuned(evaluator),
        *_features(evaluator),
    ]


def _fine_tuned(evaluator: Evaluator) -> list[Trained]:
    """For tasks whose targets mean the same in each."""
    signature, limits = evaluator.signature, evaluator.family.limits
    if signature.kind == "classification" and not pooled.suits(signature, evaluator.valid, evaluator.family):
        return []
    network = _network(signature, "none", 64)
    rule = _maml(signature, limits) | {"rule.gradient.order": 1, "outer.augmentation": "none"}
    return [FineTuned("pooled network, fine-tuned", Candidate(network | rule))]


def _features(evaluator: Evaluator) -> list[Trained]:
    """For images whose training classes are known."""
    if len(evaluator.signature.input_shape) != 3 or not isinstance(evaluator.family, Labelled):
        return []
    # turned characters as classes of their own would be four times as many to tell apart: in the time that
    # there is, features are the worse for it
    return [Features(Candidate(_network(evaluator.signature, "running", 64)), "none")]


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
        twice = limits.examples is None or 2 * signature.shots < limits.examples
        return rule | _outer(tasks=25, queries=10, shots="double" if twice else "same")
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
