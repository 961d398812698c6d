"""What a rule is: pure functions of tensors, for one task; the engine batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.architectures.interface import Network
from search_spaces.rules.losses import clean, task_loss
from search_spaces.signature import Signature
from search_spaces.task import Task, Tensors


@dataclass(frozen=True)
class Rule(ABC):
    """How a support set turns meta-learned parameters into a predictor.

    Every method is a pure function of its tensors, for ONE task, so that it can be batched,
    differentiated and traced. Reals among a rule's choices only set initial values; whatever else
    they are must be a tensor of ``meta`` (learned) or ``buffers`` (not), never a constant of the
    computation: candidates that differ in reals alone share one computation.
    """

    network: Network
    signature: Signature

    @property
    def fixed_ways(self) -> bool:
        """Whether it can learn tasks of as many classes as its signature has, and of no other number.

        Training has 1, 2, 4 or 8 times as many, where a kind of rule does not rule that out: see
        ``conflicts(signature)`` in CONTRIBUTING.md.
        """
        return False

    @abstractmethod
    def init(self, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Initial ``meta`` (meta-trained) and ``buffers`` (kept by training, not by gradients).

        It looks at no value of a tensor: learner files are read with tensors that have but a shape.
        """

    @abstractmethod
    def adapt(
        self, meta: Tensors, buffers: Tensors, x: Tensor, y: Tensor, mask: Tensor | None, key: Tensor
    ) -> dict[str, Tensor]:
        """Learns from a support set; no query example ever reaches it.

        Args:
            meta: Meta-trained parameters.
            buffers: The other tensors of the learner.
            x: ``(S, *x)`` support examples.
            y: ``(S, O)`` targets: real, or one-hot.
            mask: ``(S,)`` rows that count; None: all.
            key: ``()`` int64, the seed of whatever is random in the rule.

        Returns:
            What ``predict`` needs of the task, as tensors by name.
        """

    @abstractmethod
    def predict(self, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
        """``(Q, *x)`` queries to ``(Q, O)`` predictions: targets, or logits of the classes."""

    def outer_loss(
        self, meta: Tensors, buffers: Tensors, task: Task, key: Tensor, progress: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What meta-training minimises: the query loss after ``adapt``, unless a rule says otherwise.

        Args:
            meta: Meta-trained parameters.
            buffers: The other tensors of the learner.
            task: Of the training split.
            key: As for ``adapt``.
            progress: ``()``, the part of meta-training that is done, in [0, 1].

        Returns:
            The loss ``()``, and statistics that training folds into the buffers of the same name.
        """
        mask = task.get("support_mask")
        adapted = self.adapt(meta, buffers, task["support_x"], task["support_y"], mask, key)
        query = clean(task["query_x"], task.get("query_mask"))
        return self.query_loss(self.predict(meta, buffers, adapted, query), task), {}

    def query_loss(self, prediction: Tensor, task: Task) -> Tensor:
        """Mean loss over the queries that count."""
        return task_loss(self.signature.kind, prediction, task["query_y"], task.get("query_mask"))


def sub(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors under ``prefix.``, by their names without it."""
    start = prefix + "."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def under(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors by their names with ``prefix.`` before them."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}
