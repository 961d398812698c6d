"""Recorded searches: tables that hold the result of every configuration of a space on several data sets.

Read with ``numpy.load(path, allow_pickle=False)``; the arrays:

    space    JSON list, one object a dimension: {"name": ..., "choices": [...]}
    configs  (N, D)     index into each dimension's choices, -1 where it is inactive
    tasks    (T,)       names of the data sets
    valid    (T, N)     what a search may see, higher is better; (T, N, R) with one value a rung
    test     (T, N)     what is reported, higher is better
    cost     (T, N)     seconds or another cost
    rungs    (R,)       meta-steps or the like; without them rungs are called by their place

Choices that are all numbers, written as text or not, are in their order. Results that are not finite are
those of configurations that failed. A table may hold a small part of the combinations, as one that was
recorded by random search does.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import crc32

import numpy as np
from arrays import in_one_form, is_number
from conditions import openers

from search_spaces import Candidate, Categorical, Choice, Space, Value
from search_spaces.errors import DataError

_SPARSE = 0.1  # part of all combinations
_ARRAYS = ("space", "configs", "tasks", "valid", "test")


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
    def is_sparse(self) -> bool:
        """Whether it lacks most combinations."""
        return len(self.configs) < _SPARSE * self.space.size

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

    def nearest(self, candidate: Candidate, seen: Collection[int]) -> int:
        """The row that differs least from a candidate, of those not seen.

        A choice that has no order counts 1 where it differs; one that has, by how far. Of several, one by
        chance, which is the same wherever in the file they stand.
        """
        apart = np.zeros(len(self.configs))
        for (name, known), column in zip(self.indices.items(), self.configs.T, strict=True):
            index = known[candidate[name]] if name in candidate else -1
            far = np.abs(column - index) / max(1, len(known) - 1)
            is_ordered = self.space.flat[name].ordered and index >= 0
            apart += np.where((column >= 0) & is_ordered, far, column != index)
        apart[list(seen)] = np.inf
        return self.drawn(np.flatnonzero(apart <= apart.min() + 1e-9), candidate.id)

    def drawn(self, rows: np.ndarray, seed: str) -> int:
        """One of some rows, the same wherever in the file they stand."""
        return int(min(rows, key=lambda row: crc32(seed.encode() + self.configs[row].tobytes())))

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
            if missing := [key for key in _ARRAYS if key not in data]:
                raise DataError(f"it has no array {missing[0]}")
            arrays = {key: np.asarray(data[key]) for key in (*_ARRAYS, "rungs") if key in data}
        return Table(path.stem, *in_one_form(_space(arrays["space"]), arrays))
    except (OSError, EOFError, TypeError, ValueError, AttributeError, BadZipFile, DataError) as error:
        raise DataError(f"{path} is no table of recorded results: {error}") from None


def _space(array: np.ndarray) -> Any:
    text = array.item() if array.ndim == 0 else ""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        raise DataError("space should be a scalar string of JSON") from None


def _choices(dimensions: list[dict[str, Any]], configs: np.ndarray) -> tuple[Choice, ...]:
    """The roots of the tree."""
    opened = openers(configs)

    def choice(column: int) -> Categorical:
        values = tuple(dimensions[column]["choices"])
        below = [(c, opener[1]) for c, opener in enumerate(opened) if opener and opener[0] == column]
        branches = {
            value: tuple(choice(c) for c, by in below if index in by) for index, value in enumerate(values)
        }
        ordered = is_number(dimensions[column]["choices"])
        return Categorical(dimensions[column]["name"], values, branches if below else {}, ordered=ordered)

    return tuple(choice(column) for column, opener in enumerate(opened) if opener is None)
