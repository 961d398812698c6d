"""Examples whose features are columns of several kinds: numbers, categories, dates; missing or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metanas.learner.arrays import as_numbers, finite, is_none, is_real
from metanas.tasks.columns import Cells, encode, is_column, is_missing, is_target, plain, width
from search_spaces import Signature
from search_spaces.errors import DataError


@dataclass(frozen=True)
class Records:
    """Rows of named columns, as the training table's were.

    Examples are a mapping of names to columns (or a pandas DataFrame), or rows ``(n, features)`` whose
    entries stand in the order of ``features``; missing ones are None or NaN.

    Attributes:
        features: What each column holds, as :func:`metanas.tasks.columns.learn` found it.
    """

    features: Sequence[Mapping[str, Any]]

    def rows(self, x: Any, what: str) -> Tensor:
        """``(n, D)`` float32: what the network sees, so that a slice of it is rows too."""
        x = by_column(x, [known["name"] for known in self.features], what)
        columns = self._by_name(x, what) if hasattr(x, "keys") else self._by_place(x, what)
        sizes = {len(column) for column in columns}
        if len(sizes) > 1:
            raise DataError(f"{what}: columns should be equally long, not {sorted(sizes)}")
        try:
            parts = [encode(known, column) for known, column in zip(self.features, columns, strict=True)]
        except DataError as error:
            raise DataError(f"{what}: {error}") from None
        return torch.from_numpy(np.concatenate(parts, 1))

    def tensor(self, rows: Tensor, first: int, what: str) -> Tensor:
        return finite(rows, first, f"{what} x")

    def _by_name(self, x: Any, what: str) -> list[Cells]:
        check_named(x, [known["name"] for known in self.features], what)
        return [_column(x[known["name"]], known["name"], what) for known in self.features]

    def _by_place(self, x: Any, what: str) -> list[Cells]:
        numbers = all(known["kind"] == "number" for known in self.features)
        wide = len(self.features)
        found = as_numbers(x, what) if numbers and not isinstance(x, list) else _objects(x, wide, what)
        if isinstance(found, Tensor):
            found = found.cpu().numpy()
        if found.ndim == 1 and len(self.features) == 1:
            found = found[:, None]
        if found.ndim != 2 or found.shape[1] != len(self.features):
            names = ", ".join(known["name"] for known in self.features)
            raise DataError(
                f"{what} x should have the shape (n, {len(self.features)}): {names}; not {tuple(found.shape)}"
            )
        return [
            _column(column, known["name"], what) if column.dtype == object else column.astype(np.float64)
            for known, column in zip(self.features, found.T, strict=True)
        ]


def fits(signature: Signature, preprocessing: Mapping[str, Any]) -> bool:
    """Whether a learner file's columns are well-formed, and as wide as its signature says."""
    features, target = preprocessing.get("features"), preprocessing.get("target")
    if not isinstance(features, list) or not all(map(is_column, features)):
        return False
    names = [known["name"] for known in features]
    if not all(name.isprintable() for name in names) or not _is_named(target):
        return False
    if len(set(names)) < len(names) or signature.input_shape != (sum(map(width, features)),):
        return False
    if signature.kind == "regression":
        return signature.outputs == 1 and is_target(target)
    return isinstance(target, dict) and not target.keys() - {"name", "classes"} and _are_classes(target)


def _are_classes(target: Mapping[str, Any]) -> bool:
    classes = target.get("classes", [])
    return isinstance(classes, list) and all(isinstance(name, str) for name in classes)


def _is_named(target: object) -> bool:
    name = target.get("name") if isinstance(target, dict) else None
    return isinstance(name, str) and name.isprintable()


def _objects(x: Any, wide: int, what: str) -> np.ndarray:
    """``(n, features)``; of no rows, as wide as they would be."""
    if isinstance(x, Tensor):
        x = x.cpu().numpy()
    try:
        rows = [[row] if row is None or np.isscalar(row) else list(row) for row in x]
        found = np.empty((len(rows), len(rows[0]) if rows else wide), dtype=object)
        for i, row in enumerate(rows):
            found[i, :] = row
    except (TypeError, ValueError):
        raise DataError(f"{what}: rows should have the same number of entries each") from None
    return found


def by_column(x: Any, names: Sequence[str], what: str) -> Any:
    """Rows that have names each (mappings, Series), as columns; anything else as it is.

    Raises:
        DataError: If some rows lack a name that others have.
    """
    x = list(x) if isinstance(x, (tuple, Iterator)) else x
    if isinstance(x, list):  # named tuples, as of a data frame's itertuples()
        x = [row._asdict() if hasattr(row, "_asdict") else row for row in x]
    if not isinstance(x, list) or not x or not all(hasattr(row, "keys") for row in x):
        return x
    first = list(x[0].keys())
    if not any(isinstance(name, str) for name in first):  # Series that are numbered, not named
        return [list(row) for row in x]
    known = [set(row.keys()) for row in x]
    for name in names:
        lacking = [row for row, keys in enumerate(known) if name not in keys]
        if 0 < len(lacking) < len(x):
            raise DataError(f"{what}: row {lacking[0]} (counted from 0) lacks {name!r}: None is for missing")
    shared = [name for name in first if all(name in keys for keys in known)]
    return {name: [row[name] for row in x] for name in shared}


def check_named(x: Any, names: Sequence[str], what: str) -> None:
    """Refuses columns of which one is not there."""
    if missing := [name for name in names if name not in x]:
        has = ", ".join(map(str, x.keys() if hasattr(x, "keys") else x.columns))
        raise DataError(f"{what} lacks the column {missing[0]!r} (it has {has})")


def listed(column: Any, name: str, what: str) -> list[Any]:
    """The values of a column, one a row."""
    if hasattr(column, "columns"):  # of a data frame that has two of that name
        raise DataError(f"{what} has the column {name!r} twice: give each its own name")
    # a mapping's own values may be in any order: pandas' to_dict() gives such, to_dict("list") does not
    if isinstance(column, (str, bytes, Mapping, Set)) or not hasattr(column, "__iter__"):
        raise DataError(f"{what}: column {name!r} should be a list of values, one a row, not {column!r:.40}")
    return list(column.detach().tolist() if isinstance(column, Tensor) else column)


def _column(values: Any, name: str, what: str) -> Cells:
    found = listed(values, name, what)
    try:
        return cells(found)
    except OverflowError:
        said = f"column {name!r} holds a whole number that is too large: empty it"
        raise DataError(f"{what}: {said}") from None


def cells(values: list[Any]) -> Cells:
    """A column as training rows are: numbers as float64 where all are, else text."""
    plainly = [None if _is_missing(value) else value for value in values]
    if all(value is None or _is_real(value) for value in plainly):
        return np.array([np.nan if value is None else float(value) for value in plainly], dtype=np.float64)
    found = np.full(len(values), None, dtype=object)
    for row, value in enumerate(plainly):
        if value is not None:
            found[row] = _text(value)
    return found


def _text(value: Any) -> str:
    if _is_real(value):
        return plain(float(value))
    return str(value.isoformat() if hasattr(value, "isoformat") else value).strip()


def _is_real(value: Any) -> bool:
    return is_real(value) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    return is_none(value) or (isinstance(value, str) and is_missing(value))
