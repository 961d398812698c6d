"""Proposals of other networks and rules than the best: of dozens of trials, some look elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from controllers.learned.codes import Codes
from controllers.learned.compared import Score
from controllers.learned.kernel import Data
from controllers.learned.observed import Observed
from controllers.learned.pool import Pool
from controllers.start import roots

_SHARES = np.array([4, 1, 1])  # of six that run at the same time, by the rank of their parts


class Elsewhere:
    """See the module.

    The parts of a candidate are the choices that open others (architecture, rule). What was good first
    draws the trials that follow to its parts, of which the process learns ever more; other parts, which
    were hardly ever trained with settings as good, look as bad as at first. So the parts of the second
    and third best get their share, too.

    Args:
        codes: Of the space.
        data: Makes points of a process of rows ``(N, J)``.

    Attributes:
        compared: Candidates, for the last proposal.
    """

    def __init__(self, codes: Codes, data: Callable[[np.ndarray], Data]) -> None:
        self._codes, self._data = codes, data
        ours = {root.name for root in roots(codes.space)}
        top = {choice.name for choice in codes.space.choices} - ours
        names = [column.choice.name for column in codes.columns]
        self._parts = np.array([name in ours for name in names])
        self._settings = np.array([name in top for name in names])
        self.compared = 0

    def due(self, seen: Observed, running: list[np.ndarray]) -> np.ndarray | None:
        """Parts of which too few run; None, if those are the parts of the best, as always where none runs."""
        ranked = np.argsort(-seen.targets, kind="stable")
        parts = seen.rows[ranked][:, self._parts]
        _, first = np.unique(parts, axis=0, return_index=True)
        best = parts[np.sort(first)[: len(_SHARES)]]
        run = [sum(bool((row[self._parts] == own).all()) for row in running) for own in best]
        lacking = _SHARES[: len(best)] * (len(running) + 1) - _SHARES.sum() * np.array(run)
        rank = int(np.argmax(lacking))
        return best[rank] if rank else None

    def best(
        self,
        score: Score,
        parts: np.ndarray,
        seen: Observed,
        tried: Collection[bytes],
        rng: np.random.Generator,
    ) -> list[np.ndarray]:
        """Rows of some parts with the highest scores; none if all near by was tried.

        Args:
            score: More is better.
            parts: As :meth:`due` gives them.
            seen: Results of the study.
            tried: Rows that are not proposed again.
            rng: Of what is drawn.
        """

        def admits(rows: np.ndarray) -> np.ndarray:
            return np.asarray((rows[:, self._parts] == parts).all(1))

        own = seen.rows[admits(seen.rows)]
        home = seen.rows[int(seen.targets.argmax())]
        moved = np.where(self._settings, home, own)  # trained as the best is
        parents = np.concatenate([own, moved])
        pool = Pool(self._codes, self._data, admits)
        found = pool.best(score, parents, [moved], tried, rng)
        self.compared = pool.compared
        return found
