"""A candidate, and what it is scored on, in words that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces import Candidate, Value
from search_spaces.rules import canonical

FRESH = "fresh tasks"


def fresh(of: str) -> str:
    """What test scores are of: ``"tasks"``, those of so many classes, or ``"groups"`` of them.

    Example:
        >>> fresh("tasks of 6 classes"), fresh("groups")
        ('fresh tasks of 6 classes', 'groups of fresh tasks')
    """
    return f"fresh {of}" if of.startswith("tasks") else f"{of} of {FRESH}"


def trials_in_words(numbers: Iterable[int]) -> str:
    """Their numbers, sorted.

    Example:
        >>> trials_in_words([7, 3]), trials_in_words([7])
        ('trials 3, 7', 'trial 7')
    """
    listed = sorted(numbers)
    return f"trial{'s' if len(listed) > 1 else ''} {', '.join(map(str, listed))}"


def in_words(candidate: Candidate) -> dict[str, str]:
    """The architecture and the rule of a candidate, a short line each.

    Example:
        >>> in_words(Candidate({"architecture": "mlp", "rule": "ridge", "rule.ridge.strength": 0.01}))
        {'architecture': 'mlp', 'rule': 'ridge (strength 0.01)'}
    """
    return {root: _part(candidate, root) for root in ("architecture", "rule") if root in candidate}


def _part(candidate: Candidate, root: str) -> str:
    name = str(candidate[root])
    settings = candidate.part(f"{root}.{name}")
    if root == "rule" and name == "symbolic":  # a program's instructions say little to a person
        settings = canonical.told(settings)
    numbered = sorted((key for key in settings if key.startswith("width_")), key=lambda key: (len(key), key))
    widths = [str(settings.pop(key)) for key in numbered]
    words = [f"widths {'-'.join(widths)}"] if widths else []
    words += [
        f"{key.replace('_', ' ')} {_value(value)}"
        for key, value in settings.items()
        # of a rule, what is not there is left out: a chain has many places
        if (key != "depth" or not widths) and not (root == "rule" and value == "none")
    ]
    short = name.rpartition(":")[2]  # of a model space: its class
    return f"{short} ({', '.join(words)})" if words else short


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def data_in_words(preprocessing: Mapping[str, Any]) -> str | None:
    """What ``metanas adapt`` is given; None for arrays, which only a program has."""
    kind = preprocessing.get("kind")
    if kind == "image":
        return "--support SUPPORT_FOLDER --query QUERY_FOLDER"
    return None if kind == "array" else "--support support.csv --query query.csv"
