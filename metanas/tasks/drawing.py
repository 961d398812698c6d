"""Draws which classes and which of their examples make up a task: numbers only, whatever the examples are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_ROOM = 2**24  # random numbers held at once


@dataclass(frozen=True)
class Classes:
    """K classes whose examples lie one class after the other in some table.

    Attributes:
        first: ``(K,)`` int64: row of each class's first example.
        count: ``(K,)`` int64: examples of each class.
        most: Of the largest class; kept apart so that no device has to be asked.
    """

    first: Tensor
    count: Tensor
    most: int

    def to(self, device: torch.device) -> Classes:
        return Classes(self.first.to(device), self.count.to(device), self.most)


def draw(
    classes: Classes, n_tasks: int, ways: int, examples: int, generator: torch.Generator, turns: int = 1
) -> tuple[Tensor, Tensor]:
    """Draws tasks: classes without replacement within a task, examples without within a class.

    Args:
        classes: K of them, on the generator's device, each of at least ``examples`` examples.
        n_tasks: T.
        ways: W, classes a task.
        examples: E, examples a class.
        generator: The only source of randomness.
        turns: Each class counts as so many classes, which are told apart by the second result.

    Returns:
        Rows of the table ``(T, E, W)`` and the turn of each class, in [0, turns), ``(T, W)``; int64.
    """
    device = generator.device
    k = len(classes.first)
    drawn = torch.rand(n_tasks, k * turns, generator=generator, device=device).topk(ways).indices  # (T, W)
    chosen = (drawn % k).flatten()  # (T·W,)
    parts = chosen.split(max(1, _ROOM // classes.most))  # one, unless classes are huge
    rows = (
        torch.cat([_some_of_each(classes, part, examples, generator) for part in parts])
        .view(n_tasks, ways, examples)
        .transpose(1, 2)
    )  # (T, E, W)
    return rows, drawn // k


def draw_counts(low: int, high: int, n_tasks: int, ways: int, generator: torch.Generator) -> Tensor:
    """A number of shots in [low, high] for each task, as a mask.

    Returns:
        ``(T, high · ways)`` booleans, for rows that are ordered shot by shot.
    """
    device = generator.device
    shots = torch.randint(low, high + 1, (n_tasks, 1), generator=generator, device=device)
    return torch.arange(high * ways, device=device) < shots * ways


def _some_of_each(classes: Classes, chosen: Tensor, examples: int, generator: torch.Generator) -> Tensor:
    """``(B,)`` classes → ``(B, E)`` rows: of random numbers, one an example, where the E smallest lie."""
    device = generator.device
    numbers = torch.rand(len(chosen), classes.most, generator=generator, device=device)
    numbers.masked_fill_(torch.arange(classes.most, device=device) >= classes.count[chosen, None], 2.0)
    return numbers.topk(examples, largest=False).indices + classes.first[chosen, None]
