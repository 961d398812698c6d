"""Whether earlier studies agree: how far each is told by the others says how far to believe them here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from controllers.learned.scales import Scales

_DOUBT = 20  # results, as many as the usual trust counts for
_CLOSE = 0.3  # correlation of what one study expects with what another saw, from which on they are alike
_LEAST = 0.02
_TINY = 1e-12
_FOLLOWED = 0.3  # slope, from which on a search begins with what they rank high


class Agreement(NamedTuple):
    """See :func:`agreement`.

    Attributes:
        slope: By how much results of a study go up with what the others expect: 1 if these are right, 0 if
            they know nothing of it; the usual trust, as long as there are no two to compare.
        alike: In (0, 1]: how near single studies are to each other; 1 is as near as they usually are.
        is_known: Whether there were two to compare.
    """

    slope: float
    alike: float
    is_known: bool

    @property
    def is_followed(self) -> bool:
        """Whether a search begins with what the studies rank high."""
        return self.slope >= _FOLLOWED

    @property
    def trust(self) -> float:
        """The median of the kernel's."""
        return max(self.slope, _LEAST)


USUAL = Agreement(Scales().trust, 1.0, False)


def agreement(seen: Sequence[np.ndarray], expected: Sequence[np.ndarray], near: np.ndarray) -> Agreement:
    """How well studies tell each other's results, which is known before this search has any of its own.

    A regression of all results, less their mean in each study, on the mean of what the other studies expect,
    drawn to the usual trust. A store whose choices mean something else from study to study thus starts with
    next to no trust.

    Args:
        seen: By study ``(N,)`` results, standardised.
        expected: By study ``(N, S)`` what each study expects of the same candidates.
        near: ``(S,)``: how much each study counts here; what those say that count little says little.
    """
    if len(seen) < 2:
        return USUAL
    near = near / near.max()
    slope, alike = (_DOUBT * np.array([usual, 1.0]) for usual in (USUAL.slope, _CLOSE))
    for j, (y, z) in enumerate(zip(seen, expected, strict=True)):
        others = np.delete(np.arange(len(seen)), j)
        together = z[:, others] @ (near[others] / max(float(near[others].sum()), _TINY))
        y, together = y - y.mean(), together - together.mean()
        counts = near[j] * near[others]
        slope += counts.max() * np.array([together @ y, together @ together])
        found = np.array([_correlation(z[:, i], y) for i in others])
        alike += len(y) * np.array([counts @ np.maximum(found, 0), counts.sum()])
    return Agreement(
        float(slope[0] / slope[1]), float(np.clip(alike[0] / alike[1] / _CLOSE, _LEAST, 1.0)), True
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.sqrt((a @ a) * (b @ b))), _TINY))
