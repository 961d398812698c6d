"""Numbers as users have them, to tensors that a network can take."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search_spaces.errors import DataError


def as_numbers(x: Any, what: str) -> np.ndarray | Tensor:
    """Real numbers, of any shape.

    Raises:
        DataError: If they are text, complex or ragged.
    """
    if isinstance(x, Tensor):
        if x.is_complex():
            raise DataError(f"{what}: complex numbers where real ones are expected")
        return x.detach().to_dense()
    try:
        found = np.asarray(_unmasked(x))
    except (ValueError, TypeError, RuntimeError):
        raise DataError(f"{what}: rows should have the same number of entries each") from None
    if found.dtype.kind in "fiub":
        return found
    if found.dtype.kind in "mM":
        raise DataError(
            f"{what}: times where numbers are expected: say in which unit, as in x / np.timedelta64(1, 's')"
        )
    if found.dtype.kind in "US":  # NumPy makes text of all, where any is
        found = np.asarray(x, dtype=object)
    for place, value in np.ndenumerate(found):
        if not is_real(value):
            row = f"row {place[0]} (counted from 0): " if place else ""
            raise DataError(f"{what}: {row}{str(value)[:40]!r} is not a number")
    try:
        return found.astype(np.float64)
    except OverflowError:
        raise DataError(f"{what}: holds a whole number that is too large") from None


def is_real(value: Any) -> bool:
    """Whether a value is a number: of a span of time, nobody knows in which unit."""
    return isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, np.timedelta64)


def _unmasked(x: Any) -> Any:
    """What a mask hides is not there, whatever number stands behind it."""
    if isinstance(x, (list, tuple)):
        return [_unmasked(row) for row in x] if any(isinstance(r, np.ma.MaskedArray) for r in x) else x
    is_masked = isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x)
    return x.astype(np.float64).filled(np.nan) if is_masked else x


def is_none(value: Any) -> bool:
    """Whether a program says so that it knows nothing: None, NaN, pandas' NA and NaT, what is masked."""
    if value is None or value is np.ma.masked:
        return True
    try:
        return bool(value != value)  # NaN and pandas' NaT differ from themselves
    except (TypeError, ArithmeticError):  # pandas' NA does not say, nor does a signalling NaN
        return True
    except ValueError:  # an array, which is no value
        return False


def as_float(x: np.ndarray | Tensor) -> Tensor:
    """A copy in float32 on the CPU."""
    if isinstance(x, Tensor):
        return x.to("cpu", torch.float32, copy=True)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        return torch.from_numpy(np.array(x, dtype=np.float32, order="C"))


def finite(x: Tensor, first: int, what: str) -> Tensor:
    """``(N, …)`` as it is.

    Raises:
        DataError: If a row is not finite.
    """
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bool(bad.any()):
        row = first + int(bad.nonzero()[0])
        raise DataError(
            f"{what}: row {row} (counted from 0) holds NaN or an infinite number: mend it or leave it out"
        )
    return x
