"""Which dimensions of a table of recorded results are active only under a value of another."""

from __future__ import annotations

import numpy as np

Opener = tuple[int, set[int]]


def openers(configs: np.ndarray) -> list[Opener | None]:
    """By column, the one that decides whether it is active, and at which indices.

    None for one that always is, and where no single one decides. Who decides hangs on no one that it decides
    on, so that they form a tree.

    Args:
        configs: ``(N, D)`` indices, -1 where a column is inactive.
    """
    columns = range(configs.shape[1])
    found: list[Opener | None] = [None for _ in columns]
    settled = {j for j in columns if (configs[:, j] >= 0).all()}
    while True:
        asked = {j: _opener(configs, j, settled) for j in columns if j not in settled}
        new = {j: opener for j, opener in asked.items() if opener is not None}
        if not new:
            return found
        for j, opener in new.items():
            found[j] = opener
        settled |= new.keys()


def _opener(configs: np.ndarray, column: int, among: set[int]) -> Opener | None:
    """Of several that would do, the one that is active most often: what opened the others, too.

    Of these, the one of the fewest values: one of many decides on much by chance.
    """
    active, known = configs[:, column] >= 0, sorted(among)
    inactive = [(configs[:, other] < 0).sum() for other in known]
    values = [len(np.unique(configs[:, other])) for other in known]
    for place in np.lexsort((values, inactive)).tolist():
        indices, inverse = np.unique(configs[:, known[place]], return_inverse=True)
        share = np.bincount(inverse, active) / np.bincount(inverse)
        if set(share) == {0.0, 1.0} and not (indices[0] < 0 and share[0]):
            return known[place], {int(i) for i, part in zip(indices, share, strict=True) if part}
    return None
