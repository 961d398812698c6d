"""Which trial is better, and over several families how they stand: by ranks, for scores share no scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metanas.goals import loss
from search_spaces import Record, Score


@dataclass(frozen=True)
class Place:
    """Where a trial stands on one family.

    Attributes:
        family: As the study calls it.
        record: The trial in that family's own study, with its score there.
        rank: From 1, the best; those of one score share the mean of theirs.
        of: Trials that are ranked.
    """

    family: str
    record: Record
    rank: float
    of: int

    @property
    def score(self) -> Score:
        assert self.record.score is not None  # else it has no place
        return self.record.score


@dataclass(frozen=True)
class Standing:
    """Where a trial stands on all families.

    Attributes:
        trial: Its record in the study over all of them.
        places: On each, in the study's order.
    """

    trial: Record
    places: tuple[Place, ...]

    @property
    def rank(self) -> float:
        """The mean of its ranks."""
        return float(np.mean([place.rank for place in self.places]))

    @property
    def worst(self) -> Place:
        """Where it stands worst."""
        return max(self.places, key=lambda place: place.rank)


def better(a: Score, b: Score) -> bool:
    """Whether the first score is better than the second."""
    return a.value > b.value if a.metric == "accuracy" else a.value < b.value


def supersedes(new: Score, old: Score) -> bool:
    """Whether a trial's later score is the one that counts: of ranks, which are among ever more, the last."""
    return new.metric == "rank" or better(new, old)


def best_of(records: Iterable[Record]) -> Record | None:
    """The record with the best validation score, whatever its rung; None if none has one."""
    found: Record | None = None
    for record in records:
        if (
            record.score
            and record.weights
            and (found is None or not found.score or better(record.score, found.score))
        ):
            found = record
    return found


def standings(trials: Sequence[Record], families: Mapping[str, Sequence[Record]]) -> list[Standing]:
    """The trials that were scored on every family, by mean rank; in a tie the better worst case is first.

    A score is that of the weights that are kept, whatever rung they are from, as in a search of one
    family: a trial that was stopped early ranks by what it came to.

    Args:
        trials: Of the study over all families.
        families: By name, the trials of the family's own study; one of them follows a trial of the
            study where their seeds are equal.
    """
    own = {name: _following(records) for name, records in families.items()}
    ranked = [trial for trial in trials if all(trial.seed in records for records in own.values())]
    places = [_places(name, [own[name][trial.seed] for trial in ranked]) for name in families]
    found = [Standing(trial, row) for trial, row in zip(ranked, zip(*places, strict=True), strict=True)]
    return sorted(found, key=lambda one: (one.rank, one.worst.rank, one.trial.number))


def position(score: Score, others: Sequence[float]) -> float:
    """The part of the others that are better than a score, ties counted half; itself is one of them.

    Example:
        >>> position(Score("mse", 2.0, 0.0, 1, "valid"), [1.0, 2.0, 3.0, 4.0])
        0.375
    """
    array = np.array(others)
    better = (array > score.value) if score.metric == "accuracy" else (array < score.value)
    return float((better.sum() + (array == score.value).sum() / 2) / len(array))


def _following(records: Sequence[Record]) -> dict[int, Record]:
    """Those that follow a trial of the study over all families, by its seed, if they were scored."""
    return {r.seed: r for r in records if r.parent is None and r.score is not None and r.weights}


def _places(family: str, records: Sequence[Record]) -> list[Place]:
    from scipy.stats import rankdata  # takes most of a second to load

    ranks = rankdata([loss(record) for record in records])
    return [Place(family, r, float(rank), len(records)) for r, rank in zip(records, ranks, strict=True)]
