"""Settings of the outer loop: how a candidate is meta-trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.candidate import Value
from search_spaces.choices import Categorical, Choice, Real
from search_spaces.signature import Signature

_MULTIPLES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Outer:
    """How meta-training samples and steps.

    Attributes:
        learning_rate: Of AdamW on the meta-parameters, at its highest.
        schedule: ``"constant"``, or ``"cosine"`` to a tenth over the trial's rungs.
        weight_decay: Decoupled, per meta-step and unit of learning rate.
        tasks: A meta-batch.
        ways: Classes of a training task; outputs for regression.
        shots: Of a training task; a pair draws a number for each task.
        queries: Of a training task, a class or a task.
        augmentation: One of the family's.
    """

    learning_rate: float
    schedule: str
    weight_decay: float
    tasks: int
    ways: int
    shots: int | tuple[int, int]
    queries: int
    augmentation: str


def choices(
    signature: Signature, train_ways: int | None, examples: int | None, augmentations: Sequence[str]
) -> tuple[Choice, ...]:
    """The outer settings that suit a family.

    Args:
        signature: Of the tasks that are scored.
        train_ways: Training classes there are; None: any number.
        examples: Of the smallest class; None: any number.
        augmentations: Of the family.
    """
    shots = ["same"] + (["double", "mixed"] if _fits(2 * signature.shots, examples) else [])
    return (
        Real("learning_rate", 1e-3, 1e-2, log=True),
        Categorical("schedule", ("constant", "cosine")),
        Real("weight_decay", 1e-6, 1e-2, log=True),
        Categorical("shots", tuple(shots)),
        Categorical("augmentation", tuple(augmentations)),
        *_batch(signature, train_ways, examples),
    )


def _batch(signature: Signature, train_ways: int | None, examples: int | None) -> tuple[Choice, ...]:
    if signature.kind == "regression":
        return Categorical("tasks", (8, 16, 32, 64), ordered=True), Categorical(
            "queries", (10, 20), ordered=True
        )
    most = train_ways or _MULTIPLES[-1] * signature.outputs
    ways = tuple(m * signature.outputs for m in _MULTIPLES if m == 1 or m * signature.outputs <= most)
    queries = tuple(n for n in (3, 5) if _fits(2 * signature.shots + n, examples)) or (1,)
    # classes, not tasks, a meta-batch: as many 40-way tasks as 5-way ones would cost 8 times as much
    classes = tuple(m * signature.outputs for m in (4, 8))
    return (
        Categorical("ways", ways, ordered=True),
        Categorical("classes", classes, ordered=True),
        Categorical("queries", queries, ordered=True),
    )


def build(choices: Mapping[str, Value], signature: Signature) -> Outer:
    """The settings of those choices."""
    ways = int(choices.get("ways", signature.outputs))
    tasks = int(choices["tasks"]) if "tasks" in choices else max(1, int(choices["classes"]) // ways)
    own = signature.shots
    named: dict[str, int | tuple[int, int]] = {"same": own, "double": 2 * own, "mixed": (own, 2 * own)}
    shots = named[str(choices["shots"])]
    rate, decay = float(choices["learning_rate"]), float(choices["weight_decay"])
    schedule, augmentation = str(choices["schedule"]), str(choices["augmentation"])
    return Outer(rate, schedule, decay, tasks, ways, shots, int(choices["queries"]), augmentation)


def _fits(examples: int, most: int | None) -> bool:
    return most is None or examples + 1 <= most
