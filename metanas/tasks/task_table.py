"""A user's table as tasks: which columns are used, which rows belong together, what the target is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from metanas.tasks import columns as coding
from metanas.tasks.class_folders import group_of
from metanas.tasks.columns import Cells
from metanas.tasks.family import USUAL_SHOTS, Source
from metanas.tasks.headers import is_nameless
from metanas.tasks.row_drawing import LEAST_QUERIES
from metanas.tasks.sheets import Table, read_table
from metanas.tasks.splits import FEW_GROUPS, SLASH
from search_spaces.errors import DataError

_MOST_CLASSES = 100
_TEXT = 0.5  # of a column's known cells: where more of them differ, it is free text or a key
_ROW_NUMBERS = 0.999  # of a column's steps: where so many are 1, it numbers the rows

Kind = Literal["regression", "classification"]


@dataclass(frozen=True, eq=False)
class TaskTable:
    """The rows that are used.

    Attributes:
        table: As it was read.
        kind: By the target's type, or as the user says.
        features: Columns that a learner sees.
        target: The column it predicts.
        task: ``(N,)`` of each row, a place in ``tasks``; −1: not used.
        tasks: Names, sorted; ``GROUP/NAME`` where there is a column of groups.
        small: Of tasks that have too few rows.
        classes: Names, sorted; empty for regression.
        y: ``(N,)`` numbers, or places in ``classes``.
        notes: For the user.
    """

    table: Table
    kind: Kind
    features: tuple[str, ...]
    target: str
    task: np.ndarray
    tasks: tuple[str, ...]
    small: tuple[str, ...]
    classes: tuple[str, ...]
    y: np.ndarray
    notes: tuple[str, ...]

    def prepare(self, train: Sequence[str]) -> Prepared:
        """What a network sees, features and target standardised on the rows of the training tasks."""
        used = self.task >= 0
        trains = set(train)
        seen = np.isin(self.task, [i for i, name in enumerate(self.tasks) if name in trains])
        learned = {name: coding.learn(name, self.table.columns[name][seen]) for name in self.features}
        known = [column for column in learned.values() if column is not None]
        dull = [name for name, column in learned.items() if column is None]
        if not known:
            raise DataError("every feature is the same in all training rows: there is nothing to learn from")
        notes = (f"left out, the same in all training rows: {', '.join(dull)}",) if dull else ()
        x = np.concatenate([self._encoded(column) for column in known], 1)
        target, y = self._target(seen)
        described = {"kind": "columns", "features": known, "target": target}
        return Prepared(x[used], y[used], self.task[used], self.tasks, self.classes, described, notes)

    def _encoded(self, column: dict[str, Any]) -> np.ndarray:
        return coding.encode(column, self.table.columns[column["name"]])

    def _target(self, seen: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        if self.classes:
            return {"name": self.target, "classes": list(self.classes)}, self.y
        mean, std = float(self.y[seen].mean()), float(self.y[seen].std())
        if std <= 1e-9 * max(1.0, abs(mean)):
            raise DataError(
                f"column {self.target!r} is the same in all training rows: there is nothing to learn"
            )
        scaled = np.nan_to_num((self.y - mean) / std)[:, None].astype(np.float32)
        return {"name": self.target, "mean": mean, "std": std}, scaled


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network sees of the rows that are used.

    Attributes:
        x: ``(N, D)`` float32.
        y: ``(N, 1)`` float32 targets, or ``(N,)`` places in ``classes``.
        task: ``(N,)`` of each row, a place in ``tasks``.
        tasks: Names.
        classes: Names; empty for regression.
        preprocessing: Plain data: what turned columns into ``x`` and ``y``, for the learner file.
        notes: For the user.
    """

    x: np.ndarray
    y: np.ndarray
    task: np.ndarray
    tasks: tuple[str, ...]
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]
    notes: tuple[str, ...]


def read_tasks(source: Source) -> TaskTable:
    """Reads the table that the user named, and finds its tasks.

    Raises:
        DataError: If it has no such columns, one task only, or a target that cannot be learned.
    """
    if source.path is None:
        raise DataError("table needs a file: metanas search table FILE.csv --task COLUMN --target COLUMN")
    if source.task is None or source.target is None:
        missing = "--task COLUMN (what tells tasks apart)" if source.task is None else "--target COLUMN"
        raise DataError(f"table needs {missing}: metanas search table FILE --task COLUMN --target COLUMN")
    keys = [name for name in (source.task, source.target, source.group) if name is not None]
    if len(set(keys)) < len(keys) or set(keys) & set(source.features):
        raise DataError("--task, --target, --group and --features should name different columns")
    table = read_table(source.path, keys, source.features or None)
    source.progress("reading the table", 1, 1)
    features, notes = _features(table, source, keys)
    known, kind, more = _kind(table, source)
    classes, y = _target(table, source.target, kind, known)
    names = _names(table, source)
    used, left_out = _large_enough(names, y, kind, source.shots or USUAL_SHOTS[kind])
    tasks = tuple(sorted({name for name, keep in zip(names, used, strict=True) if keep and name is not None}))
    if len(tasks) < 2:
        raise DataError(_too_few(source, names, len(tasks), left_out))
    more += _grouped(source, tasks)
    small = tuple(sorted({name for name in names if name is not None}.difference(tasks)))
    place: dict[str | None, int] = {name: i for i, name in enumerate(tasks)}
    task = np.array([place[name] if keep else -1 for name, keep in zip(names, used, strict=True)])
    return TaskTable(
        table, kind, features, source.target, task, tasks, small, classes, y, (*notes, *more, *left_out)
    )


def _features(table: Table, source: Source, keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a learner sees, and what is said of those that it does not."""
    if source.features:
        return tuple(source.features), ()
    others = [name for name in table.columns if name not in keys]
    begins = _begins(table, keys[0])
    numbering = [name for name in others if _numbers_rows(name, table.columns[name], begins)]
    texts = [name for name in others if _is_text(table.columns[name])]
    kept = tuple(name for name in others if name not in numbering and name not in texts)
    notes = []
    if numbering:
        notes.append(
            f"left out, only number the rows: {', '.join(numbering)} (--features takes them all the same)"
        )
    if texts:
        notes.append(f"left out, nearly every cell is another text: {', '.join(texts)}")
    if not kept:
        raise DataError(f"{table.path} has no column to learn from beside {', '.join(keys)}: name --features")
    return kept, tuple(notes)


def _begins(table: Table, task: str) -> np.ndarray:
    """``(rows - 1,)``: whether a row is of another task than the one before it."""
    names = np.array(table.texts(task), dtype=object)
    return np.asarray(names[1:] != names[:-1], dtype=bool)


def _numbers_rows(name: str, cells: Cells, begins: np.ndarray) -> bool:
    """Whether a column counts the rows, also of a table that was shuffled or, if nameless, filtered since.

    What counts anew in each task, as hours of a machine do, says where in its task a row stands.
    """
    if cells.dtype == object or len(cells) < 3 or np.isnan(cells).any():
        return False
    steps = np.diff(cells)
    if begins.any() and not is_nameless(name) and (steps[begins] <= 0).all():
        return False
    shuffled = np.array_equal(np.sort(cells) - cells.min(), np.arange(len(cells)))
    filtered = is_nameless(name) and bool((steps >= 1).all()) and bool((steps % 1 == 0).all())
    return bool((steps == 1).mean() >= _ROW_NUMBERS) or shuffled or filtered


def _is_text(cells: Cells) -> bool:
    if cells.dtype != object:
        return False
    known = [text for text in cells if text is not None]
    dates = known and all(coding.as_days(text) is not None for text in known[:100])
    return not dates and len(set(known)) > max(coding.MOST_VALUES, _TEXT * len(known))


def _kind(table: Table, source: Source) -> tuple[np.ndarray, Kind, tuple[str, ...]]:
    """Rows whose target is known, and what the tasks are."""
    assert source.target is not None
    texts = table.columns[source.target]
    known = np.array([text is not None for text in texts])
    if not known.any():
        raise DataError(f"column {source.target!r} is empty in every row: there is nothing to learn")
    notes: tuple[str, ...] = ()
    if not known.all():
        notes = (f"left out {int((~known).sum()):,} rows without {source.target}",)
    for column in filter(None, (source.task, source.group)):
        if nameless := sum(text is None for text in table.columns[column]):
            notes = (*notes, f"left out {nameless:,} rows without {column}")
    if source.kind is not None:
        return known, source.kind, notes
    distinct = {text for text in texts if text is not None}
    numeric = all(coding.as_number(text) is not None for text in distinct)
    # 0.0 and 1.0 are what is written of these where a cell was empty
    if numeric and len(distinct) <= 2 and {coding.as_number(text) for text in distinct} <= {0, 1}:
        said = f"{source.target} is 0 or 1: classes (--kind regression takes them as numbers)"
        return known, "classification", (*notes, said)
    if not numeric:
        _refuse_mixture(table, source.target, texts)
    return known, "regression" if numeric else "classification", notes


def _refuse_mixture(table: Table, name: str, texts: Cells) -> None:
    """A number that was mistyped does not turn regression into classification."""
    coding.typed(name, list(texts), table.place, "empty it or leave the row out")


def _target(table: Table, name: str, kind: Kind, known: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    texts = table.columns[name]
    if len({text for text in texts if text is not None}) < 2:
        raise DataError(f"column {name!r} is the same in every row: there is nothing to learn")
    if kind == "classification":
        classes = tuple(sorted({text for text in texts if text is not None}))
        if len(classes) > _MOST_CLASSES:
            many = f"{len(classes):,} different values: too many for classes"
            raise DataError(f"column {name!r} has {many}; {_hint(classes)}")
        place = {value: i for i, value in enumerate(classes)}
        return classes, np.array([place.get(text, -1) for text in texts], dtype=np.int64)
    values = np.full(len(texts), np.nan)
    for row in np.flatnonzero(known):
        value = coding.as_number(texts[row])
        if value is None:
            raise DataError(f"{table.place(int(row))}: column {name!r} is {texts[row][:40]!r}, not a number")
        values[row] = value
    return (), values


def _hint(classes: Sequence[str]) -> str:
    """What so many different values may be."""
    if all(coding.as_number(text.replace(",", ".")) is not None for text in classes):
        return f"numbers are written with a decimal point, not as {classes[0]!r}"
    return "is it the right column, or --kind regression?"


def _names(table: Table, source: Source) -> list[str | None]:
    """Each row's task, ``GROUP/NAME`` where there are groups; None where it is not known."""
    assert source.task is not None
    plain = [None if text is None else text.replace("/", SLASH) for text in table.columns[source.task]]
    if source.group is None:
        return plain
    groups = [None if text is None else text.replace("/", SLASH) for text in table.columns[source.group]]
    return [
        None if name is None or group is None else f"{group}/{name}"
        for name, group in zip(plain, groups, strict=True)
    ]


def _grouped(source: Source, tasks: Sequence[str]) -> tuple[str, ...]:
    """What is said of groups.

    Raises:
        DataError: If there are too few to keep each of them in one split, and no list says which.
    """
    if source.group is None:
        return ()
    groups = {group_of(name) for name in tasks}
    if len(groups) < FEW_GROUPS and source.splits is None:
        raise DataError(
            f"column {source.group!r} has {len(groups)} groups of large tasks: {FEW_GROUPS} are needed, "
            "one each to learn from, to choose by and to judge by; leave --group out, or give --splits"
        )
    within = Counter(name.rpartition("/")[2] for name in tasks)
    if not (several := sum(count > 1 for count in within.values())):
        return ()
    told = f"{several:,} values of {source.task} are in several values of {source.group}"
    return (f"{told}: each pair is a task of its own",)


def _large_enough(
    names: Sequence[str | None], y: np.ndarray, kind: Kind, shots: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows of the tasks that have shots and queries enough, and what is said of the others."""
    known = np.array([name is not None for name in names])
    known &= (y >= 0) if kind == "classification" else ~np.isnan(y)
    least = shots + LEAST_QUERIES
    rows = np.flatnonzero(known).tolist()
    if kind == "regression":
        sizes = Counter(names[row] for row in rows)
        fit = {name for name, size in sizes.items() if size >= least}
    else:
        cells = Counter((names[row], int(y[row])) for row in rows)
        sizes = Counter(names[row] for row in rows)
        ways = Counter(name for (name, _), size in cells.items() if size >= least)
        fit = {name for name, count in ways.items() if count >= 2}
    few = len(sizes) - len(fit)
    used = known & np.array([name in fit for name in names])
    said = () if not few else (_small(few, len(sizes), shots, kind),)
    return used, said


def _small(few: int, of: int, shots: int, kind: Kind) -> str:
    each = "" if kind == "regression" else " of two classes"
    return f"left out {few:,} of {of:,} tasks: fewer than {shots} shots + {LEAST_QUERIES} queries{each}"


def _too_few(source: Source, names: Sequence[str | None], fit: int, notes: Sequence[str]) -> str:
    distinct = len({name for name in names if name is not None})
    if distinct == 0:
        return f"column {source.task!r} is empty in every row: nothing tells tasks apart"
    if distinct == 1:
        return (
            f"column {source.task!r} has {distinct} value: every row is of one task, and learning to learn "
            "takes many; is it the right column?"
        )
    return f"{fit} of {distinct} tasks are large enough ({'; '.join(notes)}): fewer --shots, or more rows"
