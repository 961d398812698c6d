"""Recorded searches: tables that hold the result of every configuration of a space on several data sets.

Read with ``numpy.load(path, allow_pickle=False)``; the arrays:

    space    JSON list, one object a dimension: {"name": ..., "choices": [...]}
    configs  (N, D)     index into each dimension's choices, -1 where it is inactive
    tasks    (T,)       names of the data sets
    valid    (T, N)     what a search may see, higher is better; (T, N, R) with one value a rung
    test     (T, N)     what is reported, higher is better
    cost     (T, N)     seconds or another cost
    rungs    (R,)       only where there are some
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from search_spaces import Candidate, Categorical, Choice, Space, Value
from search_spaces.errors import DataError


@dataclass(frozen=True)
class Table:
    """One file of recorded results."""

    name: str
    dimensions: list[dict[str, Any]]
    configs: np.ndarray
    tasks: list[str]
    valid: np.ndarray  # (T, N, R)
    test: np.ndarray  # (T, N)
    rungs: list[int]  # none where R is 1

    @cached_property
    def space(self) -> Space:
        """The dimensions as choices; one that is inactive at times opens under what decides that."""
        return Space(self.name, _choices(self.dimensions, self.configs))

    @cached_property
    def rows(self) -> dict[tuple[int, ...], int]:
        """The row of each configuration."""
        return {tuple(config): row for row, config in enumerate(self.configs.tolist())}

    @cached_property
    def indices(self) -> dict[str, dict[Value, int]]:
        """By dimension, the index of each of its choices."""
        return {d["name"]: {value: i for i, value in enumerate(d["choices"])} for d in self.dimensions}

    def row(self, candidate: Candidate) -> int | None:
        """Where the candidate stands; None if the table lacks it."""
        key = (known[candidate[name]] if name in candidate else -1 for name, known in self.indices.items())
        return self.rows.get(tuple(key))

    def candidate(self, row: int) -> Candidate:
        """The candidate of a row."""
        pairs = zip(self.dimensions, self.configs[row].tolist(), strict=True)
        return Candidate({d["name"]: d["choices"][index] for d, index in pairs if index >= 0})


def read(path: Path) -> Table:
    """Reads a table.

    Raises:
        DataError: If it is none.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            valid, test, configs = (np.asarray(data[key]) for key in ("valid", "test", "configs"))
            dimensions, tasks = json.loads(str(data["space"])), [str(task) for task in data["tasks"]]
            rungs = [int(rung) for rung in data["rungs"]] if "rungs" in data else []
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} is no table of recorded results: {error}") from None
    return Table(path.stem, dimensions, configs, tasks, np.atleast_3d(valid), test, rungs)


def _choices(dimensions: list[dict[str, Any]], configs: np.ndarray) -> tuple[Choice, ...]:
    """The roots of the tree."""
    opened = [_opener(column, configs) for column in range(len(dimensions))]

    def choice(column: int) -> Categorical:
        values = tuple(dimensions[column]["choices"])
        below = [(c, opener[1]) for c, opener in enumerate(opened) if opener and opener[0] == column]
        branches = {
            value: tuple(choice(c) for c, by in below if index in by) for index, value in enumerate(values)
        }
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return Categorical(dimensions[column]["name"], values, branches if below else {}, ordered=numbers)

    return tuple(choice(column) for column, opener in enumerate(opened) if opener is None)


def _opener(column: int, configs: np.ndarray) -> tuple[int, set[int]] | None:
    """The column that decides whether this one is active, and at which indices; None: it always is.

    Of several that would do, the one that is active most often: what opened the others, too.
    """
    active = configs[:, column] >= 0
    if active.all():
        return None
    for other in np.argsort((configs < 0).sum(0), kind="stable").tolist():
        indices, inverse = np.unique(configs[:, other], return_inverse=True)
        share = np.bincount(inverse, active) / np.bincount(inverse)
        if other != column and set(share) == {0.0, 1.0} and not (indices[0] < 0 and share[0]):
            return other, {int(index) for index, part in zip(indices, share, strict=True) if part}
    raise DataError(f"no single dimension says when dimension {column} of the table is active")
