"""Families of one's own that draw from stored tasks, or classes: which of these a draw is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metanas.tasks.family import FEWEST_TASKS, Split

ADVICE = (
    "the same rows come in several of its test tasks, which count as independent: if it draws from stored "
    "{what}, return last which of them each draw is of, whole numbers {shape}, or intervals are too narrow"
)
_LARGEST = 2**53  # up to which a number that was a float is the one that was meant


def numbers(found: Any, shapes: Sequence[tuple[int, ...]]) -> Tensor | None:
    """The stored task of each draw ``(T,)``, or its classes ``(T, W)``, of what a user's ``sample`` returned.

    Returns:
        As int64; None if it is not whole numbers of one of those shapes.
    """
    try:
        given = np.asarray(found)
        if given.dtype.kind not in "iuf" or given.shape not in shapes:
            return None
        with np.errstate(invalid="ignore"):
            whole = given.astype(np.int64)
    except Exception:
        return None
    return torch.from_numpy(whole) if (whole == given).all() and (abs(whole) <= _LARGEST).all() else None


def too_few(which: Tensor) -> str:
    """What a user is told where there are too few stored test tasks for a verdict, by some draws ``(T,)``."""
    many = len(which.unique())
    return f"{many} stored test tasks, of which a verdict takes {FEWEST_TASKS}" if many < FEWEST_TASKS else ""


def shared(parts: Mapping[Split, Tensor]) -> str:
    """What two splits have in common, in words; nothing where each has tasks of its own.

    Args:
        parts: By split, the stored tasks (or classes) of some draws.
    """
    for one, other in combinations(parts, 2):
        if both := sorted({*parts[one].flatten().tolist()} & {*parts[other].flatten().tolist()}):
            what = "task" if parts[one].ndim == 1 else "class"
            return f"draws stored {what} {both[0]} for {one} and for {other}"
    return ""


def comes_again(rows: Tensor, telling: Tensor) -> bool:
    """Whether a row of one draw is met in another, which is no chance: what tells is no whole number.

    Args:
        rows: ``(T, E, ·)``, features and targets.
        telling: ``(T, E, ·)``, targets where these are drawn, else features.
    """
    telling = ~(telling == telling.round()).all(-1)  # (T, E)
    draws = torch.arange(len(rows))[:, None].expand(rows.shape[:2])[telling]
    kinds, kind = rows[telling].unique(dim=0, return_inverse=True)
    pairs = torch.stack([kind, draws], 1).unique(dim=0)
    return bool(len(kinds) and int(pairs[:, 0].bincount().max()) > 1)
