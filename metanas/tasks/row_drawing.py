"""Draws support and queries from the rows of tasks that differ in size: numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metanas.tasks.family import ends
from search_spaces.errors import DataError

if TYPE_CHECKING:
    from metanas.tasks.family import Shots
    from metanas.tasks.task_table import Prepared

LEAST_QUERIES = 2  # rows of a task, or of a class of it, beside the shots
_ROOM = 2**24  # random numbers held at once


class Draw(NamedTuple):
    """What is asked for.

    Attributes:
        tasks: T.
        shots: Of a task, or of a class of it; of a pair, each task draws its own.
        ways: W, classes a task; 1 for regression.
        queries: As for shots.
        in_turn: Whether tasks come one after the other, rather than by chance.
    """

    tasks: int
    shots: Shots
    ways: int
    queries: int
    in_turn: bool


class Drawn(NamedTuple):
    """What came: rows and masks are ordered shot by shot, class by class within a shot.

    Attributes:
        task: ``(T,)``, a place among the tasks of the split.
        classes: ``(T, W)`` of each task, rising; None for regression.
        support: ``(T, shots · W)`` rows.
        query: ``(T, queries · W)`` rows.
        support_mask: Of the support; None where every row counts.
        query_mask: Of the queries.
    """

    task: Tensor
    classes: Tensor | None
    support: Tensor
    query: Tensor
    support_mask: Tensor | None
    query_mask: Tensor | None


@dataclass(frozen=True)
class Rows:
    """Where the rows of K tasks lie, class by class; regression has one class.

    Attributes:
        order: ``(N,)`` rows, task after task and class after class.
        first: ``(K, C)`` where each class of a task begins in ``order``.
        count: ``(K, C)`` how many rows it has.
        most: Of the largest, kept apart so that no device has to be asked.
        least: Of those that are drawn from, the smallest.
        task: ``(K,)`` places among the tasks of the split.
        regression: Whether there are no classes.
    """

    order: Tensor
    first: Tensor
    count: Tensor
    most: int
    least: int
    task: Tensor
    regression: bool

    @classmethod
    def of(cls, data: Prepared, tasks: Sequence[str]) -> Rows:
        """Of these tasks of a table."""
        kinds = max(1, len(data.classes))
        of_table = {name: i for i, name in enumerate(data.tasks)}
        place = np.full(len(data.tasks), -1)
        place[[of_table[name] for name in tasks]] = np.arange(len(tasks))
        cell = place[data.task] * kinds + (data.y.astype(np.int64) if data.classes else 0)
        kept = np.flatnonzero(place[data.task] >= 0)
        order = kept[np.argsort(cell[kept], kind="stable")]
        count = np.bincount(cell[kept], minlength=len(tasks) * kinds)
        first = (np.cumsum(count) - count).reshape(len(tasks), kinds)
        return cls(
            order=torch.from_numpy(order),
            first=torch.from_numpy(first),
            count=torch.from_numpy(count.reshape(len(tasks), kinds)),
            most=int(count.max(initial=0)),
            least=0,
            task=torch.arange(len(tasks)),
            regression=not data.classes,
        )

    @property
    def largest(self) -> int:
        """Rows of the largest task; with classes, of the second largest class of any task."""
        ranked = self.count.sort(1, descending=True).values
        return int(ranked[:, 0 if self.regression else 1].max())

    @property
    def ways(self) -> int:
        """Classes of the task that has most, of rows enough for one shot."""
        return int((self.count > LEAST_QUERIES).sum(1).max())

    def to(self, device: torch.device) -> Rows:
        return replace(
            self,
            order=self.order.to(device),
            first=self.first.to(device),
            count=self.count.to(device),
            task=self.task.to(device),
        )

    def fitting(self, ways: int, shots: int, split: str) -> Rows:
        """Those tasks that have enough classes of enough rows.

        Raises:
            DataError: If there is none.
        """
        enough = self.count >= shots + LEAST_QUERIES
        kept = (enough.sum(1) >= ways).nonzero()[:, 0]
        if not len(kept):
            each = "rows" if self.regression else f"rows of {ways} classes"
            raise DataError(
                f"no {split} task has {shots} shots and {LEAST_QUERIES} {each} beside them: fewer --shots"
                + ("" if self.regression else " or --ways")
            )
        count = torch.where(enough, self.count, 0)[kept]
        least = int(count[count > 0].min())
        return Rows(self.order, self.first[kept], count, self.most, least, self.task[kept], self.regression)


def draw(rows: Rows, asked: Draw, generator: torch.Generator) -> Drawn:
    """Draws tasks, their classes and their rows; no row comes twice in a task.

    Args:
        rows: Tasks that fit, see :meth:`Rows.fitting`; on the generator's device.
        asked: What is asked for.
        generator: The only source of randomness.
    """
    device, (low, high) = generator.device, ends(asked.shots)
    rows = rows.to(device)
    at = _tasks(len(rows.task), asked, generator)  # (T,)
    classes = _classes(rows.count[at] > 0, asked.ways, generator)  # (T, W)
    first, count = (values[at].gather(1, classes) for values in (rows.first, rows.count))  # (T, W)
    picked = _picked(rows, first, count, high + asked.queries, generator)  # (T, W, E)
    shots = torch.randint(low, high + 1, (asked.tasks, 1), generator=generator, device=device)
    shots = torch.minimum(shots, count - LEAST_QUERIES)  # (T, W)
    support, counts = picked[..., :high], torch.arange(high, device=device) < shots[..., None]
    query = shots[..., None] + torch.arange(asked.queries, device=device)  # (T, W, Q)
    fewer, short = low < high or rows.least < high + LEAST_QUERIES, rows.least < high + asked.queries
    return Drawn(
        rows.task[at],
        None if rows.regression else classes,
        _flat(support),
        _flat(picked.gather(2, query.clamp(max=picked.shape[2] - 1))),
        _flat(counts) if fewer else None,
        _flat(query < count[..., None]) if short else None,
    )


def _tasks(have: int, asked: Draw, generator: torch.Generator) -> Tensor:
    if asked.in_turn:
        return torch.arange(asked.tasks, device=generator.device) % have
    return torch.randint(have, (asked.tasks,), generator=generator, device=generator.device)


def _classes(there: Tensor, ways: int, generator: torch.Generator) -> Tensor:
    """Of each task's classes that are there ``(T, C)``, so many ``(T, ways)``."""
    numbers = torch.rand(there.shape, generator=generator, device=there.device)
    return torch.where(there, numbers, -1.0).topk(ways).indices.sort(1).values


def _picked(rows: Rows, first: Tensor, count: Tensor, examples: int, generator: torch.Generator) -> Tensor:
    """``(T, W, examples)`` rows of the table; the first ``count`` of them are different ones."""
    cells = torch.stack([first.flatten(), count.flatten()], 1)  # (T·W, 2)
    parts = cells.split(max(1, _ROOM // max(1, rows.most)))
    places = torch.cat([_some(part, rows.most, examples, generator) for part in parts])
    return rows.order[places].view(*first.shape, examples)


def _some(cells: Tensor, most: int, examples: int, generator: torch.Generator) -> Tensor:
    """``(B, 2)`` beginnings and counts → ``(B, examples)`` places, those beyond the count the first again."""
    first, count = cells[:, :1], cells[:, 1:]
    numbers = torch.rand(len(cells), most, generator=generator, device=cells.device)
    numbers.masked_fill_(torch.arange(most, device=cells.device) >= count, 2.0)
    taken = min(examples, most)
    places = first + numbers.topk(taken, largest=False).indices
    beyond = torch.arange(taken, device=cells.device) >= count
    places = torch.where(beyond, first, places)
    return torch.nn.functional.pad(places, (0, examples - taken)) if taken < examples else places


def _flat(values: Tensor) -> Tensor:
    """``(T, W, E)`` → ``(T, E · W)``, example by example."""
    return values.transpose(1, 2).flatten(1)
