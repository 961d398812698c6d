"""The tensors of tasks, as rules and engine pass them on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]


class Task(TypedDict):
    """One task: what may be learned from, and what is scored; a batch of them is :class:`Episodes`.

    Targets are real numbers (regression) or one-hot rows (classification), so that
    ``support_y.shape[-1]`` is the number of outputs or of ways. A mask is absent where every row
    counts; what stands behind a False changes nothing.

    Attributes:
        support_x: ``(S, *x)``.
        support_y: ``(S, O)``.
        query_x: ``(Q, *x)``.
        query_y: ``(Q, O)``.
        support_mask: ``(S,)`` booleans.
        query_mask: ``(Q,)`` booleans.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    support_mask: NotRequired[Tensor]
    query_mask: NotRequired[Tensor]


class Episodes(Task):
    """A batch of tasks: every tensor of :class:`Task` with a leading axis of tasks ``(T, …)``.

    Attributes:
        cluster: ``(T,)`` whole numbers, where episodes are not independent: those of one number are
            of one task, or of one group of tasks. Intervals are taken over these.
        classes: ``(T, W)`` whole numbers, where classes are drawn from stored ones: which of these a task
            is of. Intervals of test scores are over them, too: those of one class are alike.
    """

    cluster: NotRequired[Tensor]
    classes: NotRequired[Tensor]
