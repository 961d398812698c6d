"""From a candidate that somebody else wrote down to its program, without taking memory for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from metanas.engine import Layout, Program
from search_spaces import Candidate, Categorical, Choice, Signature, Space, catalogue, plugins, prefixed
from search_spaces.errors import RuleError, SpaceError, UnknownNameError
from search_spaces.named import architecture
from search_spaces.widening import admitting


def program_of(candidate: Candidate, signature: Signature, trusted: Collection[str] = ()) -> Program:
    """The program of a candidate, of which only names and shapes are made.

    Every value is checked against the choices of its architecture and rule first, as wide as a space file
    can make them, so that none of them can be out of range: what is left to bound is the signature, see
    ``manifest.py``.

    Args:
        candidate: What to build.
        signature: Of its tasks.
        trusted: Model spaces that may be imported, see :mod:`search_spaces.named`.

    Raises:
        SpaceError: If a choice of its parts is missing, unknown or out of its range.
        RuleError: If its parts do not suit the tasks, or one is not trusted.
        UnknownNameError: If there is no such architecture or rule.
    """
    try:
        network = architecture(_name(candidate, "architecture"), trusted)
        method = plugins.load(*catalogue.RULES, _name(candidate, "rule"))
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}; if it is of a package of somebody's, install that") from None
    parts = (
        _part("architecture", network, candidate, signature),
        _part("rule", method, candidate, signature),
    )
    roots = tuple(part.name for part in parts)
    own = {name: value for name, value in candidate.items() if name.partition(".")[0] in roots}
    Space("what this metanas can build", admitting(parts, own)).validate(Candidate(own))
    rule = catalogue.build(candidate, signature, trusted)
    try:
        with torch.device("meta"):  # tensors that have a shape and no memory
            meta, buffers = rule.init(torch.Generator())
    except (ArithmeticError, RuntimeError, ValueError) as error:
        # what no range says: a step size may be negative where it is learned, and not where it is fixed
        which = f"rule {candidate['rule']} on {candidate['architecture']}"
        raise SpaceError(f"{which} does not start with these numbers ({error})") from None
    return Program(rule, Layout.of(meta), Layout.of(buffers))


def _name(candidate: Candidate, root: str) -> str:
    name = candidate.get(root)
    if not isinstance(name, str):
        raise SpaceError(f"candidate lacks {root}, or names none")
    return name


def _part(root: str, part: Any, candidate: Candidate, signature: Signature) -> Choice:
    """The choices of the architecture or rule that the candidate names."""
    name = str(candidate[root])
    if hasattr(part, "suits") and not part.suits(signature):  # as in a search: it may say nothing of it
        raise RuleError(f"{root} {name} does not suit {signature.kind} with inputs {signature.input_shape}")
    return Categorical(root, (name,), {name: prefixed(f"{root}.{name}", part.choices(signature))})
