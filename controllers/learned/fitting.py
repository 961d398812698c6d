"""Makes a snapshot of recorded studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from controllers.learned.codes import Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.process import Process
from controllers.learned.recorded import costs_of_records, of_records
from controllers.learned.snapshot import Snapshot, closed
from search_spaces import Record, Space
from search_spaces.errors import DataError
from search_spaces.fingerprint import Fingerprint

FEWEST = 8  # scored trials of a study, without which it says nothing
_MOST = 128  # of a study's trials that its kernel is fitted to: the best half, and others
_STEPS = 40  # of that
_PENALTIES = tuple(10.0**power for power in range(5))


class Sums(NamedTuple):
    """All that a linear fit needs of a study: X'X ``(F, F)``, X'y ``(F,)`` and y'y."""

    gram: np.ndarray
    cross: np.ndarray
    square: float


class Told(NamedTuple):
    """What a study tells, so that any of several can be left out without reading it again.

    Attributes:
        name: Of the study.
        records: How many of them tell something.
        lengths: ``(B,)`` logarithms of w, as its results have them.
        scales: ``(9,)`` the same of the kernel's other parameters.
        results: Of its standardised results by centred features.
        costs: Of the logarithms of its seconds, less their mean.
        rows: ``(N, J)`` codes of its candidates.
        targets: ``(N,)`` their results, ranks on the scale of a standard normal, more is better.
        family: What its family of tasks is like, by coordinate; nothing, if that is not known.
    """

    name: str
    records: int
    lengths: np.ndarray
    scales: np.ndarray
    results: Sums
    costs: Sums
    rows: np.ndarray
    targets: np.ndarray
    family: Mapping[str, float]


def telling(space: Space, records: Sequence[Record]) -> list[Record]:
    """Records of any study as a space sees them: those that have half of their choices in common with it."""
    shared = [replace(record, candidate=space.shared(record.candidate)) for record in records]
    pairs = zip(shared, records, strict=True)
    return [new for new, old in pairs if 2 * len(new.candidate) >= max(1, len(old.candidate))]


def told(
    space: Space,
    studies: Mapping[str, Sequence[Record]],
    families: Mapping[str, Fingerprint] | None = None,
) -> list[Told]:
    """What each study tells of a space; those with fewer than 8 scored trials tell nothing.

    Args:
        space: Of which they tell.
        studies: Records by name.
        families: By study, what its family of tasks is like, as far as that is known.
    """
    codes = Codes(space)
    features = Features(codes)
    found = []
    for name, records in studies.items():
        here = telling(space, records)
        one = of_records(here, codes)
        if len(one.targets) < FEWEST:
            continue
        x = features.of(one.rows)
        used = np.union1d(np.argsort(-one.targets, kind="stable")[: _MOST // 2], np.arange(_MOST // 2))
        used = used[used < len(x)]
        process = Process(features)
        data = Data.whole(x[used])._replace(missing=one.missing[used], noise=one.noise[used])
        process.fit(data, one.targets[used], _STEPS)
        blocks = len(features.blocks)
        lengths, scales = process.parameters[:blocks], process.parameters[blocks:]
        costs = costs_of_records(here)
        known, centred = np.isfinite(costs), features.centred(x)
        sums = _sums(centred, one.targets), _sums(centred[known], costs[known])
        family = (families or {}).get(name)
        coordinates = {} if family is None else family.coordinates
        found.append(Told(name, len(x), lengths, scales, *sums, one.rows, one.targets, coordinates))
    return found


def fit(space: Space, studies: Sequence[Told]) -> Snapshot:
    """A snapshot of what studies tell.

    The medians of the kernel's parameters are the means of the logarithms of those found in each study. What
    is expected of a candidate, and its cost, are ridge regressions on its features over all studies; the
    penalty is the one that predicts best the study that is left out.

    Raises:
        DataError: If there are fewer than two.
    """
    if len(studies) < 2:
        raise DataError(
            f"a snapshot is made of two studies or more with {FEWEST} scored trials, there is {len(studies)}"
        )
    choices = tuple(closed(choice) for choice in Features(Codes(space)).choices)
    return Snapshot(
        Space(space.name, choices),
        np.mean([study.lengths for study in studies], 0),
        np.mean([study.scales for study in studies], 0),
        _ridge([study.results for study in studies]),
        _ridge([study.costs for study in studies]),
        {
            "space": space.name,
            "studies": [study.name for study in studies],
            "records": sum(study.records for study in studies),
        },
    )


def _sums(x: np.ndarray, y: np.ndarray) -> Sums:
    return Sums(x.T @ x, x.T @ y, float(y @ y))


def _ridge(studies: Sequence[Sums]) -> np.ndarray:
    """``(F,)`` weights; zeros where nothing predicts a study that was left out better than zeros do."""
    gram, cross = sum(s.gram for s in studies), sum(s.cross for s in studies)
    unit = np.eye(len(np.atleast_1d(cross)))

    def weights(penalty: float, without: Sums | None = None) -> np.ndarray:
        g, c = (gram, cross) if without is None else (gram - without.gram, cross - without.cross)
        return np.asarray(np.linalg.solve(g + penalty * unit, c))

    def error(penalty: float) -> float:
        left = [(s, weights(penalty, s)) for s in studies]
        return sum(s.square - 2 * float(w @ s.cross) + float(w @ s.gram @ w) for s, w in left)

    best = min(_PENALTIES, key=error)
    return weights(best) if error(best) < sum(s.square for s in studies) else np.zeros(len(unit))
