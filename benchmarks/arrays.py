"""What a file of recorded results holds, checked and in one form; :mod:`recorded` says what is in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from conditions import openers

from search_spaces.errors import DataError

INACTIVE = "(inactive)"


class Arrays(NamedTuple):
    """See :class:`recorded.Table`."""

    dimensions: list[dict[str, Any]]
    configs: np.ndarray
    tasks: list[str]
    valid: np.ndarray
    test: np.ndarray
    rungs: list[int]


def in_one_form(space: Any, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Numbers among the choices go up, rungs too; a configuration stands there once, with its first result.

    What is no text, number or truth value is called by its JSON; what is never active is left out. Where no
    single dimension says when another is active, being inactive is one of the values of that. Results that
    are not finite are NaN.

    Args:
        space: Of the file, read.
        arrays: The others, by name.

    Raises:
        DataError: If they do not belong together, or a task has no result; says which.
    """
    dimensions, configs = _dimensions(space), _whole("configs", arrays["configs"])
    _is("configs", configs, (None, len(dimensions)))
    valid, test, rungs = _results(arrays, len(configs))
    for dimension, column in zip(dimensions, configs.T, strict=True):
        if column.min() < -1 or column.max() >= len(dimension["choices"]):
            raise DataError(f"configs should be indices of choices or -1: {dimension['name']} has others")
    distinct = np.sort(np.unique(configs, axis=0, return_index=True)[1])
    used = [j for j in range(len(dimensions)) if (configs[:, j] >= 0).any()]
    if not used:
        raise DataError("no dimension is ever active")
    formed = [_formed(dimensions[j], configs[distinct, j]) for j in used]
    found, columns = [pair[0] for pair in formed], np.stack([pair[1] for pair in formed], 1)
    for j, opener in enumerate(openers(columns)):
        if opener is None and (columns[:, j] < 0).any():
            columns[:, j][columns[:, j] < 0] = len(found[j]["choices"])
            found[j] = {**found[j], "choices": [*found[j]["choices"], INACTIVE]}
    tasks = [_text(task) for task in arrays["tasks"]]
    return Arrays(found, columns, tasks, valid[:, distinct], test[:, distinct], rungs)


def _text(one: Any) -> str:
    return one.decode() if isinstance(one, bytes) else str(one)


def _dimensions(space: Any) -> list[dict[str, Any]]:
    is_list = isinstance(space, list) and all(isinstance(one, dict) for one in space)
    if not (is_list and space and all(isinstance(one.get("name"), str) and one["name"] for one in space)):
        raise DataError("space should be a list of dimensions with a name and choices each")
    names = [one["name"] for one in space]
    if len(set(names)) < len(names):
        raise DataError("space has two dimensions of one name")
    if not all(isinstance(one.get("choices"), list) and one["choices"] for one in space):
        raise DataError("space has a dimension without choices")
    return list(space)


def _results(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Valid ``(T, N, R)``, test ``(T, N)``, and the rungs; none where R is 1 and none is told."""
    tasks = arrays["tasks"]
    _is("tasks", tasks, (None,))
    if len(set(tasks.tolist())) < len(tasks):
        raise DataError("tasks should have different names")
    valid = _finite("valid", arrays["valid"])
    valid = valid[..., None] if valid.ndim == 2 else valid
    _is("valid", valid, (len(tasks), count, None))
    test = _finite("test", arrays["test"])
    test = test[..., -1] if test.ndim == 3 else test
    _is("test", test, (len(tasks), count))
    order, rungs = _rungs(arrays.get("rungs"), valid.shape[-1])
    valid = valid[..., order]
    for task, values in zip(tasks.tolist(), valid[..., -1], strict=True):
        if np.isnan(values).all():
            raise DataError(f"task {task} has no finite result in valid")
    return valid, test, rungs


def _rungs(told: np.ndarray | None, count: int) -> tuple[np.ndarray, list[int]]:
    """In which order they are, and what each is called: by its place, if rungs are no meta-steps."""
    if told is None:
        return np.arange(count), list(range(1, count + 1)) if count > 1 else []
    if told.dtype.kind not in "iuf":
        raise DataError("rungs should be numbers")
    _is("rungs", told, (count,))
    order = np.argsort(told, kind="stable")
    steps = told[order]
    if len(set(steps.tolist())) < count or not all(float(step).is_integer() for step in steps):
        return order, list(range(1, count + 1))
    return order, [int(step) for step in steps]


def _formed(dimension: Mapping[str, Any], column: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    choices = [one if _is_value(one) else json.dumps(one) for one in dimension["choices"]]
    if len(set(choices)) < len(choices):  # as 1 and 1.0, which are equal
        choices = [json.dumps(one) for one in dimension["choices"]]
    if len(set(choices)) < len(choices):
        raise DataError(f"choices of {dimension['name']} should be distinct")
    if is_number(choices):
        order = sorted(range(len(choices)), key=lambda index: float(choices[index]))
        column = np.where(column < 0, -1, np.argsort(order)[column])
        choices = [choices[index] for index in order]
    return {**dimension, "choices": choices}, column


def is_number(choices: list[Any]) -> bool:
    """Whether all are numbers, written as text or not, and so in an order."""
    return all(not isinstance(one, bool) and _is_finite(one) for one in choices)


def _is_finite(one: Any) -> bool:
    try:
        return math.isfinite(float(one))
    except ValueError:
        return False


def _is_value(one: Any) -> bool:
    """Whether a candidate may have it."""
    return isinstance(one, str | bool | int) or (isinstance(one, float) and math.isfinite(one))


def _whole(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iuf" or (array != np.floor(array)).any():
        raise DataError(f"{name} should be whole numbers")
    return array.astype(int)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} should be numbers")
    array = array if array.dtype.kind == "f" else array.astype(float)
    return np.where(np.isfinite(array), array, np.nan)


def _is(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Whether it has that shape; None: any length but 0."""
    fits = array.ndim == len(shape) and all(
        have == (want if want is not None else max(1, have))
        for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        asked = ", ".join("any" if want is None else str(want) for want in shape)
        raise DataError(f"{name} should have the shape ({asked}), not {array.shape}")
