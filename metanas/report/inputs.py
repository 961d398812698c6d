"""What the picture is drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from metanas.goals import Goals
from metanas.words import FRESH
from search_spaces import Record, Score, Signature

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Example:
    """One adapted task, of rows that count only: nothing of it stands behind a mask.

    Attributes:
        support_x: ``(S, *x)``.
        support_y: ``(S, O)``: targets, one-hot for classification.
        query_x: ``(Q, *x)``.
        query_y: ``(Q, O)``.
        prediction: ``(Q, O)``: targets, or logits for classification.
    """

    support_x: Array
    support_y: Array
    query_x: Array
    query_y: Array
    prediction: Array

    @property
    def true(self) -> Array:
        """The class of each query ``(Q,)``."""
        return np.asarray(self.query_y.argmax(1))

    @property
    def taken(self) -> Array:
        """The class that each query was taken for ``(Q,)``."""
        return np.asarray(np.nan_to_num(self.prediction, nan=-math.inf).argmax(1))

    @classmethod
    def of(cls, episodes: Mapping[str, Any], predictions: npt.ArrayLike, task: int) -> Example:
        """One task of a batch, without the rows that its masks leave out.

        Args:
            episodes: ``support_x (T, S, *x)`` and so on, masks where there are some; anything that
                NumPy reads, tensors on the CPU too.
            predictions: ``(T, Q, O)``.
            task: Its index, < T.
        """
        arrays = {name: np.asarray(values[task]) for name, values in episodes.items()}
        support = arrays.get("support_mask", np.ones(len(arrays["support_x"]), bool))
        query = arrays.get("query_mask", np.ones(len(arrays["query_x"]), bool))
        return cls(
            arrays["support_x"][support],
            arrays["support_y"][support],
            arrays["query_x"][query],
            arrays["query_y"][query],
            np.asarray(predictions)[task][query],
        )


@dataclass(frozen=True)
class Summary:
    """What a study came to.

    Attributes:
        study: Its name.
        family: Whose tasks.
        signature: Of those tasks.
        winner: The trial that is handed back; None: the one with the best validation score.
        test: The winner's score on fresh test tasks; None if there is none yet.
        baselines: Scores on the same tasks by name, first the one that the verdict is against.
        sentence: The verdict for a person.
        goals: What was searched for.
        of: What test scores are of, in words.
    """

    study: str
    family: str
    signature: Signature
    winner: Record | None = None
    test: Score | None = None
    baselines: Mapping[str, Score] = field(default_factory=dict)
    sentence: str = ""
    goals: Goals = field(default_factory=Goals)
    of: str = FRESH


def winner_of(summary: Summary, records: Sequence[Record]) -> Record | None:
    """The summary's winner, else the record with the best finite validation score, if any has one."""
    if summary.winner is not None:
        return summary.winner
    sign = -1 if summary.signature.higher_is_better else 1
    scored = [(record.score.value, record) for record in records if record.score]
    ranked = [(sign * value, record.number, record) for value, record in scored if math.isfinite(value)]
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None
