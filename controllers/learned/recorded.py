"""Other studies' records, as results on the scale that a search's own have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np

from controllers.learned.codes import Codes
from controllers.learned.observed import Observed, relative, results
from search_spaces import Candidate, Record


def _is_slow(record: Record) -> bool:
    """Whether it took too long to get a score; what went on from another got its score there."""
    return record.score is None and record.parent is None and record.timed_out


def scored(records: Sequence[Record]) -> list[Record]:
    """Those that say anything: they have a score, and go on from no other."""
    return [r for r in records if r.score is not None and r.parent is None]


def by_rung(records: Sequence[Record]) -> list[Mapping[int, float]]:
    """Of each of the scored records of a study its scores, by the meta-steps of the study's rungs.

    Where trials are compared after equal times, each is at a meta-step of its own at a rung, which counts as
    the median of theirs.
    """
    curves = [r.valid_curve or ((r.rung, r.score.value),) for r in records if r.score is not None]
    rungs: list[int] = []
    for there in zip_longest(*curves):
        steps = [entry[0] for entry in there if entry is not None]
        rungs.append(max(int(np.median(steps)), rungs[-1] + 1 if rungs else 0))
    return [{rung: value for rung, (_, value) in zip(rungs, curve, strict=False)} for curve in curves]


def costs_of_records(records: Sequence[Record]) -> np.ndarray:
    """``(N,)``: what the scored ones of a study cost, see :func:`relative`."""
    taken = scored(records)
    return relative([r.costs.seconds for r in taken], [max(scores) for scores in by_rung(taken)])


def of_records(records: Sequence[Record], codes: Codes, timed: bool = False) -> Observed:
    """What another study has seen, as far as it says anything about this space.

    Args:
        records: Of one study.
        codes: Of the space.
        timed: Whether candidates are wanted that come far in little time; then those that took too long for
            the other search are its worst, with no result.
    """
    taken = scored(records)
    up = bool(taken) and taken[0].score is not None and taken[0].score.metric == "accuracy"
    told = by_rung(taken)
    intervals = [r.score.ci95 for r in taken if r.score is not None]
    costs = costs_of_records(records) if timed else np.zeros(0)
    slow = [r for r in records if timed and _is_slow(r)]
    if slow and taken:
        taken, told = taken + slow, told + [{}] * len(slow)
        intervals, costs = intervals + [math.nan] * len(slow), np.append(costs, [math.nan] * len(slow))
    found = results(told, up, intervals, costs)
    candidates: list[Candidate] = [r.candidate for r in taken]
    return Observed(codes.rows(candidates), *found, [r.number for r in taken])
