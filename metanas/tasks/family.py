"""What a task family is: a distribution over tasks with disjoint splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from search_spaces import Signature
from search_spaces.task import Episodes

Split = Literal["train", "valid", "test"]
Shots = int | tuple[int, int]
USUAL_SHOTS = {"regression": 5, "classification": 1}  # where the user names no number
FEWEST_TASKS = 10  # test tasks, below which an interval says too little
Progress = Callable[[str, int, int], None]  # what is being done, done, of


def ends(shots: Shots) -> tuple[int, int]:
    """The fewest and the most."""
    return (shots, shots) if isinstance(shots, int) else shots


def silent(what: str, done: int, total: int) -> None:
    """A progress callback that shows nothing."""


@dataclass(frozen=True)
class Source:
    """Where a family finds its data, as the user said it; a family ignores what it has no use for.

    Attributes:
        path: A file or folder; None for families that make their own data.
        test_path: Data of which every class or task is a test one.
        splits: A file that says which class or task belongs to which split.
        task: Column that tells the tasks of a table apart.
        target: Column to predict.
        features: Columns to learn from; none: all others.
        group: Column of what tasks belong to, which lies in one split whole.
        kind: Of a table's tasks; None: by the target's type.
        shots: At scoring, as asked; None: the usual.
        image_size: Height and width, in pixels, that images are resized to.
        cache: Folder for decoded data.
        progress: Told of anything that takes longer than a moment.
    """

    path: Path | None = None
    test_path: Path | None = None
    splits: Path | None = None
    task: str | None = None
    target: str | None = None
    features: tuple[str, ...] = ()
    group: str | None = None
    kind: Literal["regression", "classification"] | None = None
    shots: int | None = None
    image_size: int = 28
    cache: Path | None = None
    progress: Progress = field(default=silent, repr=False)

    @property
    def has_columns(self) -> bool:
        """Whether anything is said that only a table has."""
        return bool(self.task or self.target or self.features or self.group or self.kind)

    @property
    def resizes(self) -> bool:
        """Whether images are wanted in another size than the usual one."""
        return self.image_size != Source.image_size


@dataclass(frozen=True)
class Limits:
    """How much a family can give to one episode; None: as much as is asked for.

    Attributes:
        ways: Classes of each split.
        examples: Of the smallest class, support and query together; of the largest task, where
            tasks that have fewer say so by a mask.
    """

    ways: dict[str, int] | None = None
    examples: int | None = None


class Family(Protocol):
    """A distribution over tasks.

    Attributes:
        name: As the user calls it.
        kind: ``"regression"`` or ``"classification"``.
        variants: Names of its shifted (out-of-distribution) variants.
        limits: How much it can give to one episode.
        augmentations: Names of what training may do to its tasks; ``"none"`` is always one.
        notes: What the user should know of the data: what was left out, and why.
        preprocessing: Plain data: what turned the user's examples into tensors, for the learner file; one
            of the kinds of :func:`metanas.learner.inputs.inputs_of`, such as ``{"kind": "array"}``.
    """

    name: str
    kind: Literal["regression", "classification"]
    variants: tuple[str, ...]
    limits: Limits
    augmentations: tuple[str, ...]
    notes: tuple[str, ...]
    preprocessing: dict[str, Any]

    def signature(self, ways: int | None, shots: int) -> Signature:
        """Of its tasks at those ways and shots; ``ways=None`` is the family's usual number."""
        ...

    def sample(
        self,
        n_tasks: int,
        split: Split,
        generator: torch.Generator,
        *,
        shots: Shots,
        ways: int,
        queries: int,
        variant: str | None = None,
        augmentation: str = "none",
    ) -> Episodes:
        """Draws tasks, on the generator's device; the same generator state gives the same tasks.

        Args:
            n_tasks: T.
            split: Whose classes or tasks are drawn; those of different splits are disjoint.
            generator: The only source of randomness.
            shots: Labelled examples a task (regression) or a class; a pair ``(low, high)`` draws a
                number for each task and pads to ``high`` behind a mask.
            ways: Classes a task; outputs for regression.
            queries: Examples scored, a task (regression) or a class.
            variant: Name of a shifted variant, or None for the family itself.
            augmentation: One of ``augmentations``.

        Returns:
            Tensors ``support_x (T, S, *x)``, ``support_y (T, S, O)``, ``query_x (T, Q, *x)``,
            ``query_y (T, Q, O)``; ``support_mask (T, S)`` if ``shots`` is a pair.
            S is shots × ways and Q queries × ways for classification, one-hot targets.

        Raises:
            DataError: If the family cannot give that many ways, shots and queries.
        """
        ...

    def check(self, ways: int, shots: Shots, queries: int) -> None:
        """Says early, for every split, what :meth:`sample` would say.

        Raises:
            DataError: If it cannot give such tasks.
        """
        ...

    def to(self, device: torch.device) -> None:
        """Moves what it holds to the device, once."""
        ...

    def facts(self) -> dict[str, Any]:
        """Plain data that tells this family from another: name, content hash, sizes of its splits."""
        ...
