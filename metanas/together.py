"""A search over several families to its end: one candidate for all of them, and the best for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metanas.budget import Budget
from metanas.finish import Winner, finish, go_on, loaded
from metanas.joint import JointSearch, best_for_all
from metanas.judging import Comparison, Judgement, beside, compare, joined
from metanas.search import Search
from metanas.standings import Place, Standing, best_of
from search_spaces import Record

_FIRST = 0.4  # of the time, for the search whose winners are handed back, where tasks are few
_FOR_ALL = 0.4  # of the time for further training on a family, for the candidate that is best for all


@dataclass(frozen=True)
class Found:
    """What a learner came to on a family's test tasks.

    Attributes:
        winner: The learner.
        judgement: Of it.
    """

    winner: Winner
    judgement: Judgement


@dataclass(frozen=True)
class OnFamily:
    """What a search came to on one of its families.

    Attributes:
        name: Of the family.
        search: Of its own study.
        for_all: The candidate that is best for all families, meta-trained on this one.
        own: The best learner for this family alone; the same one where none is better.
    """

    name: str
    search: Search
    for_all: Found
    own: Found


@dataclass(frozen=True)
class _Compared:
    """Both learners of a family with their rivals, of one division of its tasks."""

    for_all: Winner
    own: Winner
    of_all: Comparison
    of_own: Comparison


def search_and_judge_each(
    search: JointSearch, others: Sequence[Callable[[], JointSearch]], budget: Budget
) -> tuple[Standing, list[OnFamily]]:
    """Searches over several families, and scores what is best on tasks that chose nothing.

    Where a family has few tasks, the whole of it is done again for each other fold, as in
    :func:`metanas.folds.search_and_judge`; families of many tasks take part, and are judged once.

    Args:
        search: Over all families.
        others: Each opens the search of another fold; none: the tasks of each have one split.
        budget: Of everything.

    Returns:
        Where the best candidate for all stands, and what the search came to on each family.
    """
    part = budget.part(_FIRST) if others else budget
    best, first = _one(search, list(search.evaluator.families), part)
    compared = {name: [one] for name, one in first.items()}
    for done, open_fold in enumerate(others):
        fold, share = open_fold(), budget.part(1 / (len(others) - done))
        for name, one in _one(fold, _folded(fold, search), share)[1].items():
            compared[name].append(one)
    families = search.evaluator.families
    return best, [_on_family(name, families[name], parts) for name, parts in compared.items()]


def _folded(fold: JointSearch, first: JointSearch) -> list[str]:
    """The families of which this fold has other tasks."""
    before = first.evaluator.families
    return [
        n for n, s in fold.evaluator.families.items() if s.evaluator.family is not before[n].evaluator.family
    ]


def _one(search: JointSearch, names: Sequence[str], budget: Budget) -> tuple[Standing, dict[str, _Compared]]:
    search.run(budget)
    best = best_for_all(search)
    places = {place.family: place for place in best.places}
    told = ", ".join(f"{place.rank:g} of {place.of} on {place.family}" for place in best.places)
    search.tell(f"best for all is trial {best.trial.number}: {told}")
    found = {}
    for done, name in enumerate(names):
        share = budget.rest(1 / (len(names) - done))
        found[name] = _compared(search.evaluator.families[name], places[name], share)
    return best, found


def _compared(search: Search, place: Place, budget: Budget) -> _Compared:
    """Trains both learners of a family further, and scores them on the same test tasks."""
    candidate = place.record.candidate
    if (
        search.best is None or search.best.candidate != candidate
    ):  # else it goes on as the best for this family
        go_on(search, _best_with(search, place.record), budget, _FOR_ALL)
    own = finish(search, budget)
    for_all = own if own.record.candidate == candidate else loaded(search, _best_with(search, place.record))
    of_own = compare(search, own, budget)
    return _Compared(for_all, own, of_own if for_all is own else beside(search, for_all, of_own), of_own)


def _best_with(search: Search, record: Record) -> Record:
    """The best trial of the same candidate: one that went on from the record, if that helped."""
    return best_of(one for one in search.records if one.candidate == record.candidate) or record


def _on_family(name: str, search: Search, parts: Sequence[_Compared]) -> OnFamily:
    signature, first = search.evaluator.signature, parts[0]
    own = Found(first.own, joined(signature, [part.of_own for part in parts]))
    for_all = Found(first.for_all, joined(signature, [part.of_all for part in parts]))
    return OnFamily(name, search, for_all, own)
