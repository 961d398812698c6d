"""From a user's targets to tensors, and from predictions back to what the user speaks of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metanas.learner.arrays import as_float, as_numbers, finite, is_none
from metanas.tasks.columns import spelt
from search_spaces import Signature
from search_spaces.errors import DataError

SINGLE = 7  # digits of single precision
_FAR = 1e10  # standard deviations off, beyond which double precision has no more digits either


@dataclass(frozen=True)
class Reals:
    """Targets of regression.

    Attributes:
        flat: Whether they came as ``(n,)``, and so go back.
        mean: Of the training targets, where the network sees them standardised.
        std: Likewise.
    """

    flat: bool
    mean: float = 0.0
    std: float = 1.0

    def answer(self, outputs: Tensor, like: Any) -> np.ndarray | Tensor:
        """``(Q, O)`` to ``(Q,)`` or ``(Q, O)``, a tensor if ``like`` is one."""
        if (self.mean, self.std) != (0.0, 1.0):  # single precision has no room for times, years, ids
            outputs = outputs.double() * self.std + self.mean
        return same_kind(outputs[:, 0] if self.flat else outputs, like)

    @property
    def digits(self) -> int:
        """Significant ones of an answer: those of single precision are of what it is off the mean."""
        off = min(abs(self.mean) / self.std, _FAR)
        return SINGLE + math.ceil(math.log10(max(1.0, off)))


@dataclass(frozen=True, eq=False)
class Classes:
    """Labels of classification.

    Attributes:
        labels: ``(ways,)``, each once: as the classes of the training table, else sorted.
    """

    labels: np.ndarray
    digits: int = SINGLE  # of a probability

    def unknown(self, known: Sequence[str]) -> list[Any]:
        """Labels that are none of the training table's; where it had no names, none are."""
        names = set(map(spelt, known))
        return [label for label in self.labels if names and spelt(label) not in names]

    def answer(self, outputs: Tensor, like: Any) -> np.ndarray | Tensor:
        """Logits ``(Q, ways)`` to labels ``(Q,)``: a tensor if ``like`` is one and they are numbers."""
        chosen: np.ndarray = self.labels[outputs.argmax(-1).numpy()]
        if isinstance(like, Tensor) and chosen.dtype.kind in "biuf":
            return torch.from_numpy(chosen).to(like.device)
        return chosen


def encode(
    signature: Signature,
    y: Any,
    rows: int,
    mean: float = 0.0,
    std: float = 1.0,
    classes: Sequence[str] = (),
) -> tuple[Reals | Classes, Tensor]:
    """Targets as a rule wants them.

    Args:
        signature: Of the learner's tasks.
        y: ``(S,)`` labels or numbers, or ``(S, O)`` numbers.
        rows: S, of the examples.
        mean: That the network sees numbers without.
        std: That it sees them in units of.
        classes: Names that the training tasks had, in the order of their rows in a head; none: unknown.

    Returns:
        How to answer, and ``(S, O)`` float32: numbers, or one-hot rows.

    Raises:
        DataError: If they are not of that shape and length, are missing, or are all of one class.
    """
    found: tuple[Reals | Classes, Tensor] = (
        _reals(y, signature.outputs, mean, std) if signature.kind == "regression" else _classes(y, classes)
    )
    if len(found[1]) != rows:
        raise DataError(f"support has {rows} rows of x and {len(found[1])} of y: one target an example")
    return found


def same_kind(x: Tensor, like: Any) -> np.ndarray | Tensor:
    """A CPU tensor as it is on the device of ``like``, or as an array if ``like`` is no tensor."""
    if not isinstance(like, Tensor):
        return x.numpy()
    return (x.float() if like.device.type == "mps" else x).to(like.device)  # which has no double precision


def _reals(y: Any, outputs: int, mean: float, std: float) -> tuple[Reals, Tensor]:
    found = as_numbers(y, "support y")
    flat = found.ndim == 1 and outputs == 1
    shape = tuple(found.shape)
    if not flat and (found.ndim != 2 or shape[1] != outputs):
        want = f"(n, {outputs})" + (" or (n,)" if outputs == 1 else "")
        raise DataError(f"support y should have the shape {want}, not {shape}")
    # before single precision takes the digits of targets that are far from 0: times, years, ids
    wide = found.cpu().double() if isinstance(found, Tensor) else found.astype(np.float64)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        scaled = (wide - mean) / std
    return Reals(flat, mean, std), finite(as_float(scaled[:, None] if flat else scaled), 0, "support y")


def _classes(y: Any, known: Sequence[str]) -> tuple[Classes, Tensor]:
    values = _labels(y)
    try:
        distinct = set(values)
    except TypeError:
        raise DataError("support y should hold one label an example, such as text or whole numbers") from None
    if len(distinct) < 2:
        only = f", all of class {str(next(iter(distinct)))[:40]!r}" if distinct else ""
        raise DataError(
            f"support has {len(values)} examples{only}: a task needs examples of at least two classes"
        )
    ordered = _ordered(distinct, known)
    at = {label: i for i, label in enumerate(ordered)}
    one_hot = torch.eye(len(ordered), dtype=torch.float32, device="cpu")[[at[value] for value in values]]
    return Classes(_array(ordered, y)), one_hot


def _labels(y: Any) -> list[Any]:
    """One plain label an example."""
    if isinstance(y, (str, bytes)):
        raise DataError("support y should be a list of labels, one an example, not one text")
    found = y.to_numpy() if hasattr(y, "columns") else y  # a data frame goes by its columns otherwise
    found = found.detach().cpu().numpy() if isinstance(found, Tensor) else found
    if isinstance(found, (Mapping, Set)) or not hasattr(found, "__iter__"):  # of which row, nobody knows
        raise DataError(f"support y should be a list of labels, one an example, not {found!r:.40}")
    if isinstance(found, np.ndarray):
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 1:
            raise DataError(f"support y should have the shape (n,): one label an example, not {found.shape}")
        found = found.tolist()
    values = [value.item() if isinstance(value, (np.generic, Tensor)) else value for value in found]
    for row, value in enumerate(values):
        if is_none(value) or (isinstance(value, str) and not value.strip()):
            raise DataError(
                f"support y: row {row} (counted from 0) has no label: give it one or leave it out"
            )
    return values


def _ordered(labels: set[Any], known: Sequence[str]) -> list[Any]:
    """As training had them, where a class is a row of the head: 10 was text, and came before 9."""
    place = {spelt(name): i for i, name in enumerate(known)}
    if all(spelt(label) in place for label in labels):
        return sorted(_sorted(labels), key=lambda label: place[spelt(label)])
    return _sorted(labels)


def _sorted(labels: set[Any]) -> list[Any]:
    try:
        return sorted(labels)
    except TypeError:  # labels of several types have no order of their own
        return sorted(labels, key=lambda label: (type(label).__name__, str(label)))


def _array(labels: list[Any], y: Any) -> np.ndarray:
    """The labels in the type that they came in."""
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    if isinstance(y, np.ndarray) and y.dtype != object:
        return np.array(labels, dtype=y.dtype)
    alike = len({type(label) for label in labels}) == 1 and isinstance(labels[0], (str, bool, int, float))
    if alike and not isinstance(y, np.ndarray):
        return np.array(labels)
    found = np.empty(len(labels), dtype=object)
    found[:] = labels
    return found
