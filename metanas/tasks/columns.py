"""Columns of a user's table as numbers: what each holds, learned from training rows, applied to any.

What is learned is plain data that goes into the learner file, so that a new task is read as the
training tasks were.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from search_spaces.errors import DataError

KINDS = ("number", "date", "category")
_MOST = 1e300  # that a number of a file may be
MOST_VALUES = 50  # of a category; rarer ones count as unknown
_MOSTLY = 0.9  # of a column's cells: where so many are numbers, the others are mistakes
_DAY = 86400.0
LEAVE_OUT = "empty it, or leave the column out with --features"
# those that pandas takes for missing in training tables, and more
_NAMELESS = {
    "", "na", "n/a", "#n/a", "#n/a n/a", "#na", "nan", "-nan", "null", "none", "<na>", "?",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
}  # fmt: skip
_TRUTHS = {"true": "True", "1": "True", "false": "False", "0": "False"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")

Cells = np.ndarray  # (N,) float64, NaN where missing; or objects: text, None where missing
Column = Mapping[str, Any]  # name, kind, and what was learned of it


def is_missing(text: str) -> bool:
    """Whether a cell says that nothing is known."""
    return text.strip().lower() in _NAMELESS


def typed(name: str, texts: Sequence[str | None], place: Any = None, way_out: str = LEAVE_OUT) -> Cells:
    """Cells of text as numbers or dates where they all are, else as text.

    Args:
        name: Of the column, for messages.
        texts: ``(N,)``; None where missing.
        place: Of a row's number, how it is named in messages; None: ``row 3 (counted from 0)``.
        way_out: What can be done beside mending a cell, for messages.

    Raises:
        DataError: If nearly all cells are numbers, or dates: names one that is not.
    """
    known = [
        (row, text.strip()) for row, text in enumerate(texts) if text is not None and not is_missing(text)
    ]
    numbers = {row: value for row, text in known if (value := as_number(text)) is not None}
    if len(numbers) == len(known):
        return _filled(len(texts), numbers)
    for what, others in (("numbers", [row for row, text in known if row not in numbers]), _no_dates(known)):
        if others and len(known) - len(others) >= _MOSTLY * len(known):
            row, text = next(pair for pair in known if pair[0] == others[0])
            said = f"column {name!r} is {text[:40]!r}, where nearly all others are {what}"
            raise DataError(f"{_where(place, row)}: {said}: mend it, {way_out}")
    found = np.full(len(texts), None, dtype=object)
    for row, text in known:
        found[row] = text
    return found


def _no_dates(known: Sequence[tuple[int, str]]) -> tuple[str, list[int]]:
    return "dates as in 2024-01-31", [row for row, text in known if as_days(text) is None]


def as_number(text: str) -> float | None:
    """A finite number, or None where the text is none."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def number(text: str) -> float | None:
    """A number, or NaN of an infinite one, of which no learner makes anything."""
    infinite = text.lower().lstrip("+-") in ("inf", "infinity")
    return math.nan if infinite else as_number(text)


def as_days(text: str) -> float | None:
    """Days since 1970 of an ISO 8601 date, or None where the text is none."""
    if not _DATE.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() / _DAY


def learn(name: str, cells: Cells) -> dict[str, Any] | None:
    """What a column of training rows holds; None where it holds the same everywhere.

    Returns:
        ``name``, ``kind`` and, of numbers and dates, ``mean``, ``std`` and whether any is ``missing``;
        of categories, their ``values``, the commonest first.
    """
    if cells.dtype != object:
        return _number(name, "number", cells)
    texts = [text for text in cells if text is not None]
    days = [as_days(text) for text in texts]
    if texts and all(day is not None for day in days):
        return _number(name, "date", _days(name, cells))
    values = [value for value, _ in sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))]
    if not values or (len(values) == 1 and len(texts) == len(cells)):
        return None
    return {"name": name, "kind": "category", "values": values[:MOST_VALUES]}


def width(column: Column) -> int:
    """How many numbers a network sees of it."""
    return len(column["values"]) if column["kind"] == "category" else 1 + bool(column["missing"])


def encode(column: Column, cells: Cells) -> np.ndarray:
    """What a network sees of a column.

    Args:
        column: As :func:`learn` gave it.
        cells: ``(N,)`` of any rows.

    Returns:
        ``(N, width)`` float32: numbers standardised, missing ones 0 and told by a second number where
        training rows lacked some; categories one-hot, all 0 where missing or never seen.

    Raises:
        DataError: If text stands where numbers or dates are expected.
    """
    if column["kind"] == "category":
        place = {value: i for i, value in enumerate(column["values"])}
        found = np.zeros((len(cells), len(place)), dtype=np.float32)
        for row, text in enumerate(_spelt(_as_texts(cells), column["values"])):
            if text in place:
                found[row, place[text]] = 1.0
        return found
    values = (_days if column["kind"] == "date" else _numbers)(column["name"], cells)
    scaled = (values - column["mean"]) / column["std"]
    parts = [np.nan_to_num(scaled, nan=0.0)]
    if column["missing"]:
        parts.append(np.isnan(values).astype(np.float64))
    with np.errstate(over="ignore"):  # said below
        found = np.stack(parts, 1).astype(np.float32)
    if not np.isfinite(found).all():
        value = values[~np.isfinite(found).all(1)][0]
        raise DataError(f"column {column['name']!r} has {value:.3g}, too far from all others: empty it")
    return found


def unseen(column: Column, cells: Cells) -> list[str]:
    """The texts of a category that training rows did not have, or hardly ever: all the same to a learner."""
    if column["kind"] != "category":
        return []
    texts = _spelt(_as_texts(cells), column["values"])
    return sorted({text for text in texts if text is not None} - set(column["values"]))


def is_column(value: object) -> bool:
    """Whether plain data from a file describes a column, so that :func:`encode` can take it."""
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("name"), str)
        or value.get("kind") not in KINDS
    ):
        return False
    if value["kind"] == "category":
        values = value.get("values")
        return (
            isinstance(values, list)
            and 0 < len(values) <= MOST_VALUES
            and all(isinstance(v, str) for v in values)
        )
    return _is_scale(value) and isinstance(value.get("missing"), bool)


def is_target(value: object) -> bool:
    """Whether plain data from a file describes a numeric target."""
    return isinstance(value, dict) and isinstance(value.get("name"), str) and _is_scale(value)


def _is_scale(value: Mapping[str, Any]) -> bool:
    mean, std = value.get("mean", ""), value.get("std", "")
    if not all(type(v) in (int, float) and -_MOST < v < _MOST for v in (mean, std)):  # NaN is not
        return False
    return bool(std > 0)


def _number(name: str, kind: str, values: np.ndarray) -> dict[str, Any] | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    missing = len(known) < len(values)
    mean, std = float(known.mean()), float(known.std())
    if std <= 1e-9 * max(1.0, abs(mean)):  # the same everywhere, up to rounding
        if not missing:
            return None
        std = 1.0
    return {"name": name, "kind": kind, "mean": mean, "std": std, "missing": missing}


def _numbers(name: str, cells: Cells) -> np.ndarray:
    if cells.dtype != object:
        return np.where(np.isinf(cells), math.nan, cells)  # as of a training table
    for row, text in enumerate(cells):
        if text is not None and number(text) is None:
            raise DataError(f"row {row} (counted from 0): column {name!r} is {text[:40]!r}, not a number")
    return np.array([math.nan if text is None else number(text) for text in cells], dtype=np.float64)


def _days(name: str, cells: Cells) -> np.ndarray:
    if cells.dtype != object:  # all are missing, or numbers: of what, nobody knows
        cells = np.array([None if math.isnan(value) else plain(value) for value in cells], dtype=object)
    days = [math.nan if text is None else as_days(text) for text in cells]
    for row, (day, text) in enumerate(zip(days, cells, strict=True)):
        if day is None:
            said = f"column {name!r} is {text[:40]!r}, not a date as in 2024-01-31"
            raise DataError(f"row {row} (counted from 0): {said}")
    return np.array(days, dtype=np.float64)


def _spelt(texts: list[str | None], values: Sequence[str]) -> list[str | None]:
    """As the training rows spell it, however a file or a program does: truth values, and 1.0, which is 1."""
    if {"True", "False"}.issuperset(values):
        return [_TRUTHS.get(text.lower(), text) if text is not None else None for text in texts]
    own = {spelt(value): value for value in reversed(values)}
    own |= {value: value for value in values}
    return [None if text is None else own.get(text, own.get(spelt(text), text)) for text in texts]


def spelt(label: object) -> str:
    """1.0, which is written of 1 where a column has empty cells, is that class, too."""
    whole, point, rest = str(label).rpartition(".")
    return whole if point and whole.lstrip("-").isdigit() and not rest.strip("0") else str(label)


def _as_texts(cells: Cells) -> list[str | None]:
    """Categories that were written as numbers are the same as text: 1.0 is 1."""
    if cells.dtype == object:
        return list(cells)
    return [None if math.isnan(value) else plain(value) for value in cells]


def plain(value: float) -> str:
    """A number as a person would write it: whole ones without a point."""
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(float(value))


def _filled(size: int, numbers: Mapping[int, float]) -> np.ndarray:
    found = np.full(size, math.nan)
    found[list(numbers)] = list(numbers.values())
    return found


def _where(place: Any, row: int) -> str:
    return f"row {row} (counted from 0)" if place is None else str(place(row))
