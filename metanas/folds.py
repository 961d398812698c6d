"""Few tasks: each of them is a test one once, in a search of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metanas.budget import Budget
from metanas.finish import Winner, finish
from metanas.judging import Comparison, Judgement, compare, joined
from metanas.search import Search

_FIRST = 0.4  # of the time, for the search whose winner is handed back


def search_and_judge(
    search: Search, others: Sequence[Callable[[], Search]], budget: Budget
) -> tuple[Winner, Judgement]:
    """Searches, and scores the winner on tasks that chose nothing.

    With other folds, the whole of it, search and all, is done again for each, with less time: no
    task is scored by a learner, or by a choice between learners, that has seen it. The verdict is
    then on the way of searching; the learner that is handed back is the first fold's.

    Args:
        search: The first.
        others: Each opens the search of another fold; none: the tasks have one split.
        budget: Of everything.
    """
    part = budget.part(_FIRST) if others else budget
    winner, comparison = _one(search, part)
    parts = [comparison]
    for done, open_fold in enumerate(others):
        share = budget.part(1 / (len(others) - done))
        parts.append(_one(open_fold(), share)[1])
    return winner, joined(search.evaluator.signature, parts)


def _one(search: Search, budget: Budget) -> tuple[Winner, Comparison]:
    search.run(budget)
    winner = finish(search, budget)
    return winner, compare(search, winner, budget)
