"""The named joint spaces, one recipe each, and what a candidate of them builds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import files, outer, plugins
from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice, Integer, Real, prefixed
from search_spaces.errors import RuleError, SpaceError, UnknownNameError
from search_spaces.named import ARCHITECTURES as ARCHITECTURES
from search_spaces.named import architecture, is_own, narrowed
from search_spaces.signature import Signature
from search_spaces.space import Forbidden, Space, every, still

if TYPE_CHECKING:
    from search_spaces.rules.interface import Rule

RULES = ("search_spaces.rules", "metanas.rules")

_PARTS = {"architecture": ARCHITECTURES, "rule": RULES}

Recipe = Callable[[Signature], tuple[list[str], list[str]]]

# not in the default space, whose choices stay what they are, so that a search with a seed repeats: it has
# the best known points of `chain` as `gradient`; `gradient-methods` and --start have the rest
_WIDER = ("chain", "symbolic")
_REMEMBERED = 10_000  # candidates
_CHECKED = 100  # candidates that tell whether those of a space can be built


def everything(signature: Signature) -> tuple[list[str], list[str]]:
    """Every architecture with every rule that suits the tasks, but those that have a space of their own."""
    return _suiting(ARCHITECTURES, signature), _usual(signature)


def gradient_only(signature: Signature) -> tuple[list[str], list[str]]:
    """Every architecture, learning by gradient steps."""
    return _suiting(ARCHITECTURES, signature), ["gradient"]


def closed_form_only(signature: Signature) -> tuple[list[str], list[str]]:
    """Every architecture, with every rule but gradient steps: nothing to tune at adapt time."""
    return _suiting(ARCHITECTURES, signature), [r for r in _usual(signature) if r != "gradient"]


def gradient_methods(signature: Signature) -> tuple[list[str], list[str]]:
    """Every architecture, learning by steps that are composed: MAML's kin as named points of one space."""
    return _suiting(ARCHITECTURES, signature), ["chain"]


def symbolic(signature: Signature) -> tuple[list[str], list[str]]:
    """Every architecture, learning by steps that are written as formulas, which are searched for."""
    return _suiting(ARCHITECTURES, signature), ["symbolic"]


SPACES: dict[str, Recipe] = {
    "default": everything,
    "gradient": gradient_only,
    "closed-form": closed_form_only,
    "gradient-methods": gradient_methods,
    "symbolic": symbolic,
}


def space(
    name: str,
    signature: Signature,
    *,
    architectures: Sequence[str] = (),
    train_ways: int | None = None,
    examples: int | None = None,
    augmentations: Sequence[str] = ("none",),
) -> Space:
    """The joint space of that name for a family's tasks.

    Args:
        name: Of a recipe in ``SPACES``, or the path of a ``.toml`` that starts from one.
        signature: Of the tasks that are scored.
        architectures: That the user wants, and trusts: of the space's, or model spaces; none: the space's.
        train_ways: Training classes there are; None: any number.
        examples: Of the smallest class; None: any number.
        augmentations: Of the family.

    Raises:
        UnknownNameError: If there is no such recipe or architecture.
        SpaceError: If the file is wrong; names line and allowed values.
    """
    limits: dict[str, Any] = {"train_ways": train_ways, "examples": examples, "augmentations": augmentations}
    wanted = {kind: architecture(kind, architectures) for kind in architectures}
    own = {kind: part for kind, part in wanted.items() if is_own(kind)}
    return narrowed(_whole(name, signature, own, **limits), wanted)


def _whole(name: str, signature: Signature, own: dict[str, Any], **limits: Any) -> Space:
    """The space of that name, and the user's own architectures beside its."""
    if name.endswith(".toml"):
        file = files.read(Path(name))
        if file.start not in SPACES:
            raise file.wrong("from", f"no space called {file.start!r} (known: {', '.join(SPACES)})")
        found = file.applied(_whole(file.start, signature, own, **limits))
        # of the values that the file gives, which may be others
        return replace(found, forbidden=still(_forbidden(found.choices, signature), found.choices))
    if name not in SPACES:
        raise UnknownNameError(f"no space called {name!r} (known: {', '.join(SPACES)}, or a .toml file)")
    architectures, rules = SPACES[name](signature)
    choices = (
        _part("architecture", {kind: architecture(kind) for kind in architectures} | own, signature),
        _part("rule", {kind: plugins.load(*RULES, kind) for kind in rules}, signature),
        *prefixed("outer", outer.choices(signature, **limits)),
    )
    return Space(name, choices, _forbidden(choices, signature))


def build(candidate: Candidate, signature: Signature, trusted: Collection[str] = ()) -> Rule:
    """The rule of a candidate over its network: everything that adapts and predicts.

    Args:
        candidate: What to build.
        signature: Of the tasks.
        trusted: Model spaces that may be imported, see :mod:`search_spaces.named`.

    Raises:
        SpaceError: If the candidate lacks a choice of its parts.
        RuleError: If its parts do not suit the tasks, or one is not trusted.
    """
    try:
        kind, name = str(candidate["architecture"]), str(candidate["rule"])
        part, rule = architecture(kind, trusted), plugins.load(*RULES, name)
        network = part.build(candidate.part(f"architecture.{kind}"), signature)
        built: Rule = rule.build(candidate.part(f"rule.{name}"), network, signature)
        return built
    except KeyError as error:
        raise SpaceError(f"candidate lacks {error.args[0]!r}: {candidate}") from None


def check(space: Space, signature: Signature, trusted: Collection[str] = ()) -> int:
    """Draws candidates of a space and builds them; how many.

    Raises:
        SpaceError: If one cannot be built; says why.
    """
    import torch  # takes a second, and listing spaces does not need it

    rng = np.random.default_rng(0)
    for _ in range(_CHECKED):
        candidate = space.sample(rng)
        try:
            build(candidate, signature, trusted).init(torch.Generator().manual_seed(0))
        except RuleError as error:
            raise SpaceError(f"space {space.name}: {error}") from None
        except (ArithmeticError, RuntimeError, ValueError) as error:
            raise SpaceError(f"space {space.name}: no rule starts with {_odd(candidate)} ({error})") from None
        if settings(candidate, signature).learning_rate <= 0:
            raise SpaceError(f"space {space.name}: outer.learning_rate should be above 0")
    return _CHECKED


def _odd(candidate: Candidate) -> str:
    """Its numbers that are not above 0, which are what a file may give and no built-in space does."""
    numbers = {name: value for name, value in candidate.items() if type(value) in (int, float)}
    odd = [f"{name} = {value:g}" for name, value in numbers.items() if float(value) <= 0]
    return ", ".join(odd) or ", ".join(f"{name} = {value:g}" for name, value in numbers.items())


def settings(candidate: Candidate, signature: Signature) -> outer.Outer:
    """The outer settings of a candidate.

    Raises:
        SpaceError: If one is missing.
    """
    try:
        return outer.build(candidate.part("outer"), signature)
    except KeyError as error:
        raise SpaceError(f"candidate lacks outer.{error.args[0]}: {candidate}") from None


def shape_of(candidate: Candidate) -> Candidate:
    """What decides the shape of a candidate's computation: candidates equal in it run as one batch.

    Reals of a rule only set values, and a schedule only learning rates: both are inputs of the computation.
    A network's are its own affair: they may scale a width, or stand in what is computed.
    """
    values: dict[str, Value] = {
        name: value
        for name, value in candidate.items()
        if not (isinstance(value, float) and not name.startswith("architecture."))
        and name != "outer.schedule"
    }
    return Candidate(values)


@lru_cache(maxsize=_REMEMBERED)
def identity(candidate: Candidate) -> str:
    """An id that candidates share which differ in nothing but how they write their rule.

    Rules that can be written in several ways say what of their choices counts: ``same(choices)``.
    """
    if "rule" not in candidate:  # of a space that is not one of ours; a look for plug-ins takes milliseconds
        return candidate.id
    rule = str(candidate["rule"])
    try:
        same = getattr(plugins.load(*RULES, rule), "same", None)
    except UnknownNameError:
        same = None
    if same is None:
        return candidate.id
    prefix = f"rule.{rule}."
    others = {name: value for name, value in candidate.items() if not name.startswith(prefix)}
    own = same(candidate.part(f"rule.{rule}"))
    return Candidate({**others, **{prefix + name: value for name, value in own.items()}}).id


def formula(candidate: Candidate) -> tuple[str, ...]:
    """The rule of a candidate as formulas, one a line: at its settings, if it has many; none if unknown."""
    name = str(candidate["rule"])
    module = plugins.load(*RULES, name)
    if hasattr(module, "formula"):
        return tuple(module.formula(candidate.part(f"rule.{name}")))
    return tuple(getattr(module, "FORMULA", ()))


def learned(candidate: Candidate, meta: Mapping[str, Any]) -> dict[str, float]:
    """What meta-training made of the figures in a candidate's formula, if its rule tells.

    Args:
        candidate: Whose rule it is.
        meta: Meta-parameters of its learner, tensors by name.
    """
    rule = plugins.load(*RULES, str(candidate["rule"]))
    return dict(rule.learned(meta)) if hasattr(rule, "learned") else {}


def _usual(signature: Signature) -> list[str]:
    return [name for name in _suiting(RULES, signature) if name not in _WIDER]


def _suiting(kind: tuple[str, str], signature: Signature) -> list[str]:
    found = ((name, plugins.load(*kind, name)) for name in plugins.names(*kind))
    # a part of a third party that says nothing of what it suits is taken to suit anything
    return [name for name, part in found if not hasattr(part, "suits") or part.suits(signature)]


def _part(root: str, parts: Mapping[str, Any], signature: Signature) -> Choice:
    branches: dict[Value, tuple[Choice, ...]] = {
        name: prefixed(f"{root}.{name}", _choices(root, name, part, signature))
        for name, part in parts.items()
    }
    return Categorical(root, tuple(parts), branches)


def _choices(root: str, name: str, part: Any, signature: Signature) -> tuple[Choice, ...]:
    """Of an architecture or a rule, as far as they can be searched.

    Raises:
        SpaceError: If they cannot.
    """
    found = part.choices(signature)
    found = tuple(found) if isinstance(found, list) else found
    if not isinstance(found, tuple) or not all(isinstance(c, Categorical | Integer | Real) for c in found):
        raise SpaceError(f"{root} {name}: choices(signature) should be a tuple of choices, not {found!r}")
    for choice in every(found) if root == "rule" else ():
        if isinstance(choice, Categorical) and any(isinstance(value, float) for value in choice.values):
            raise SpaceError(
                f"rule {name}: {choice.name} lists real numbers, which only set initial values, so that "
                "candidates that differ in these share one computation: list whole numbers or names"
            )
    return found


def of_others(space: Space) -> list[Candidate]:
    """Candidates of a space, one of each architecture and rule of a third party's."""
    rng, found = np.random.default_rng(0), []
    for root, (package, _) in _PARTS.items():
        for name in getattr(space.flat.get(root), "values", ()):
            if not is_own(str(name)) and not plugins.is_ours(package, str(name)):
                drawn = space.legal(partial(_of, space, root, name, rng))
                found.append(drawn)
    return found


def as_begun(space: Space, begun: Space, asked: Collection[str] = ()) -> Space:
    """A space without third parties' parts that were installed since a study of it was begun.

    Args:
        space: As it is now.
        begun: As it was.
        asked: Architectures that the user names now.
    """
    for root, (package, _) in _PARTS.items():
        now, then = space.flat.get(root), begun.flat.get(root)
        if isinstance(now, Categorical) and isinstance(then, Categorical):
            known = {*then.values, *asked}
            kept = tuple(v for v in now.values if v in known or plugins.is_ours(package, str(v)))
            branches = {value: below for value, below in now.branches.items() if value in kept}
            space = space.having(replace(now, values=kept, branches=branches))
            rules = tuple(f for f in space.forbidden if root not in f.when or set(f.when[root]) & set(kept))
            space = replace(space, forbidden=rules)
    return space


def _of(space: Space, root: str, name: Value, rng: np.random.Generator) -> Candidate:
    return space.walk(lambda choice: name if choice.name == root else choice.draw(rng))


def _forbidden(choices: tuple[Choice, ...], signature: Signature) -> tuple[Forbidden, ...]:
    """Pairs across parts, and within them, that cannot work."""
    flat = Space("all", choices).flat
    found = []
    head, scope, ways = "rule.gradient.head", "rule.gradient.scope", flat.get("outer.ways")
    if head in flat:
        why = "a shared head that is not adapted gives every class the same score"
        found.append(Forbidden({head: ("shared",), scope: ("body",)}, why))
    found += _of_rules(choices[1], signature)
    others = [v for v in ways.values if v != signature.outputs] if isinstance(ways, Categorical) else []
    for head in ("rule.gradient.head", "rule.chain.head", "rule.symbolic.head"):
        if head in flat and others:
            why = "a head of one learned row a class cannot train on another number of classes"
            found.append(Forbidden({head: ("rows",), "outer.ways": tuple(others)}, why))
    return tuple(found)


def _of_rules(rules: Choice, signature: Signature) -> list[Forbidden]:
    """What rules say of their own settings, where they say something: ``conflicts(signature)``."""
    found = []
    for name in rules.values if isinstance(rules, Categorical) else ():
        module = plugins.load(*RULES, str(name))
        for when, why in getattr(module, "conflicts", lambda signature: ())(signature):
            own = {_spelt(str(name), key): values for key, values in when.items()}
            if not any(key.startswith("rule.") for key in own):  # of whoever has this rule, alone
                own = {"rule": (name,)} | own
            found.append(Forbidden(own, why))
    return found


def _spelt(rule: str, key: str) -> str:
    return key if key.startswith("outer.") else f"rule.{rule}.{key}"
