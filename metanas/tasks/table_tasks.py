"""Tasks of a table: each holds the rows of one value of the task column."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from metanas.tasks.class_folders import group_of
from metanas.tasks.family import Limits, Shots, Split, ends
from metanas.tasks.row_drawing import LEAST_QUERIES, Draw, Rows, draw
from metanas.tasks.splits import Division, by_chance, dealt, has_groups, units
from metanas.tasks.task_table import TaskTable
from search_spaces import Signature
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.task import Episodes

SPLITS: tuple[Split, ...] = get_args(Split)
_FOLDS = 5


class Tables:
    """Tasks over the rows of a table, as a :class:`metanas.tasks.family.Family`.

    Support and queries are drawn from the rows of a task anew each time. Tasks differ in size: where
    one has fewer rows than are asked for, those that are missing lie behind a mask. Training draws
    tasks with equal probability; validation and test take one after the other, so that each comes
    equally often, and ``cluster`` says which one (or which group) an episode is of.

    Args:
        table: The rows that are used.
        division: Task name → split; tasks without one are never drawn.

    Attributes:
        members: Split → names of its tasks, in the order that they come in.
        folds: The same table divided in other ways, where tasks are few, see :func:`crossed`.
        independent: What scores are of, and intervals over: ``"tasks"`` or ``"groups"`` of them.

    Raises:
        DataError: If the training tasks hold nothing to learn from.
    """

    name = "table"
    variants: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ("none",)

    def __init__(self, table: TaskTable, division: Division) -> None:
        self.kind: Literal["regression", "classification"] = table.kind
        named = {s: tuple(n for n in table.tasks if division.splits.get(n) == s) for s in SPLITS}
        # training draws by chance, the others one after the other
        self.members = {s: names if s == "train" else _in_turn(names) for s, names in named.items()}
        data = table.prepare(self.members["train"])
        self.notes = table.notes + data.notes + division.notes
        self.preprocessing = data.preprocessing
        self.folds: tuple[Tables, ...] = ()
        self._table, self._division = table, division
        self._x, self._y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        self._rows = {split: Rows.of(data, self.members[split]) for split in SPLITS}
        self._clusters = {split: _clusters(self.members[split]) for split in SPLITS}
        self.independent = "groups" if any(map(group_of, table.tasks)) else "tasks"
        # what the largest task of each split has: those that have fewer say so by a mask
        ways: dict[str, int] | None = None
        if table.classes:
            ways = {split: rows.ways for split, rows in self._rows.items()}
        examples = min(rows.largest for rows in self._rows.values()) - LEAST_QUERIES + 1
        self.limits = Limits(ways, examples)

    @property
    def tasks(self) -> int:
        """How many there are in all."""
        return sum(map(len, self.members.values()))

    def signature(self, ways: int | None, shots: int) -> Signature:
        if self.kind == "regression":
            if ways not in (None, 1):
                raise DataError("the target is a number: it has no classes, leave --ways out")
            return Signature("regression", (self._x.shape[1],), 1, shots)
        most = len(self._table.classes)
        if ways is not None and ways > most:
            raise DataError(f"{ways} ways are more than the {most} classes of the target: take fewer")
        return Signature("classification", (self._x.shape[1],), ways or min(5, most), shots)

    def check(self, ways: int, shots: Shots, queries: int) -> None:
        """Says early what :meth:`sample` would say.

        Raises:
            DataError: If a split has no task with that many rows.
        """
        _, high = ends(shots)
        if high < 1 or queries < 1:
            raise DataError(f"a task needs at least 1 shot and 1 query, not {shots} and {queries}")
        for split in SPLITS:
            self._rows[split].fitting(ways, ends(shots)[0], split)

    def told(self, ways: int, shots: int) -> tuple[str, ...]:
        """Notes for the user; last, how many tasks have too few classes to be drawn."""
        fit = sum(len(self._rows[split].fitting(ways, shots, split).task) for split in SPLITS)
        if fit == self.tasks:
            return self.notes
        each = f"{ways} classes of {shots} shots + {LEAST_QUERIES} queries"
        fewer = f" (--ways {ways - 1} takes more of them)" if ways > 2 else ""
        said = f"left out {self.tasks - fit:,} of {self.tasks:,} tasks: fewer than {each}{fewer}"
        return (*self.notes, said)

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
        if variant is not None or augmentation != "none":
            raise UnknownNameError(f"table has no variant or augmentation {variant or augmentation!r}")
        low, _ = ends(shots)
        rows = self._rows[split].fitting(ways, low, split)
        asked = Draw(n_tasks, shots, ways, queries, split != "train")
        drawn = draw(rows, asked, generator)
        classes = None if drawn.classes is None else drawn.classes.to(self._x.device)
        episodes: Episodes = {
            "support_x": self._take(self._x, drawn.support),
            "support_y": self._targets(drawn.support, classes),
            "query_x": self._take(self._x, drawn.query),
            "query_y": self._targets(drawn.query, classes),
            "cluster": self._clusters[split][drawn.task.cpu()].to(generator.device),
        }
        for name, mask in (("support_mask", drawn.support_mask), ("query_mask", drawn.query_mask)):
            if mask is not None:
                episodes[name] = mask  # type: ignore[literal-required]
        return _on(episodes, generator.device)

    def to(self, device: torch.device) -> None:
        self._x, self._y = self._x.to(device), self._y.to(device)
        self._rows = {split: rows.to(device) for split, rows in self._rows.items()}

    def facts(self) -> dict[str, Any]:
        members = {split: sorted(names) for split, names in self.members.items()}
        division = json.dumps(members, sort_keys=True).encode()
        return {
            "name": self.name,
            "content": self._table.table.digest,
            "target": self._table.target,
            "features": list(self._table.features),
            "unit": self._division.unit,
            "division": hashlib.sha256(division).hexdigest(),
            "tasks": {split: len(names) for split, names in self.members.items()},
            "rows": {split: int(self._rows[split].count.sum()) for split in SPLITS},
        }

    def _take(self, values: Tensor, rows: Tensor) -> Tensor:
        return values[rows.to(values.device)]

    def _targets(self, rows: Tensor, classes: Tensor | None) -> Tensor:
        """``(T, E, 1)`` numbers, or one-hot rows ``(T, E, W)`` over each task's classes ``(T, W)``."""
        found = self._take(self._y, rows)
        return found if classes is None else (found[..., None] == classes[:, None]).to(torch.float32)


def _on(episodes: Episodes, device: torch.device) -> Episodes:
    return {name: tensor.to(device) for name, tensor in episodes.items()}  # type: ignore[return-value, attr-defined]


def _in_turn(names: Sequence[str]) -> tuple[str, ...]:
    """One of each group after the other: the first few, which may be all that is drawn, are a sample."""
    of_groups: dict[str, list[str]] = {}
    for name in sorted(names, key=by_chance):
        of_groups.setdefault(group_of(name) or name, []).append(name)
    return tuple(name for turn in zip_longest(*of_groups.values()) for name in turn if name is not None)


def _clusters(names: Sequence[str]) -> Tensor:
    """What each task of a split belongs to: its group where there are groups, else itself."""
    of = [group_of(name) or name for name in names]
    place = {name: i for i, name in enumerate(sorted(set(of)))}
    return torch.tensor([place[name] for name in of], dtype=torch.int64)


def crossed(table: TaskTable) -> Tables:
    """The table divided in several ways, so that each task is a test one once; groups stay whole.

    Returns:
        The first; the others are its ``folds``.

    Raises:
        DataError: If there are fewer than three tasks.
    """
    unit, whole = "group" if has_groups(table.tasks) else "class", units(table.tasks)
    parts = [part for part in dealt(table.tasks, _FOLDS, unit) if part]
    if len(parts) < len(SPLITS):
        raise DataError(
            f"{table.table.path} has {len(table.tasks)} tasks: at least {len(SPLITS)} are needed, one each "
            "to learn from, to choose by and to judge by, and many more to learn well"
        )
    if unit == "group":  # the learner of the first fold is handed back: it learns from the largest group
        largest = max(whole.values(), key=len)[0]
        at = next(i for i, part in enumerate(parts) if largest in part)
        parts = parts[at + 1 :] + parts[: at + 1]
    few = f"{len(whole)} groups" if unit == "group" else f"{len(whole)} tasks"
    said = f"{few} are few: each is a test one once, in {len(parts)} searches"
    first, *others = (
        Tables(table, Division(_fold(parts, i), unit, (said,) if i == 0 else ())) for i in range(len(parts))
    )
    first.folds = tuple(others)
    return first


def _fold(parts: Sequence[Sequence[str]], i: int) -> dict[str, Split]:
    """One part for test, the next for validation."""
    others: dict[int, Split] = {i: "test", (i + 1) % len(parts): "valid"}
    return {name: others.get(j, "train") for j, names in enumerate(parts) for name in names}
