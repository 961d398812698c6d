"""Learning by steps that an expression says: one that a search found, or that a person wrote."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from search_spaces import Categorical, Choice, Integer, Real, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.errors import RuleError
from search_spaces.rules import canonical, formulas, keys
from search_spaces.rules.canonical import same
from search_spaces.rules.descent import HEADS, ORDERS, SCOPES, Descent
from search_spaces.rules.expressions import CONSTANTS, EPSILON, Expression, Program, instructions, read
from search_spaces.rules.interface import Rule, sub
from search_spaces.rules.transforms import Named, Point, State, Transform, chain
from search_spaces.task import Tensors

__all__ = ["FORMULA", "build", "choices", "conflicts", "formula", "learned", "same", "step", "suits"]

FORMULA = (
    "d: an expression of g = ∇θ L(θ; support), m and v, the means of g and of g² so far, θ, the step k,",
    "noise ξ and constants, of up to five instructions; ε = 0.001",
    "θ ← θ − α d, as often as there are steps, α and the constants learned; prediction f(x; θ)",
)
LEAST = 1e-3  # ε: the denominators of a step are no smaller
_LOSSES = ("last", "every")
_MEMORIES = {"m": 0.9, "v": 0.99}  # Adam's, of few steps
_NEXT = 0x1F123BB5159A55E5 >> 4  # between the keys of two steps
_WORDS = {
    "m": "m: mean of g so far, its memory learned",
    "v": "v: mean of g² so far, its memory learned",
    "ξ": "ξ: standard normal noise in meta-training, 0 when a learner adapts",
    EPSILON: f"{EPSILON} = {LEAST}",
}


def suits(signature: Signature) -> bool:
    """Any kind of task."""
    return True


def choices(signature: Signature) -> tuple[Choice, ...]:
    """Steps, the head (classification), the outer loss, what is adapted, and the program of a step."""
    heads = (Categorical("head", HEADS),) if signature.kind == "classification" else ()
    return (
        Integer("steps", 1, 10),
        *heads,
        Categorical("loss", _LOSSES),
        Categorical("order", ORDERS),
        Categorical("scope", SCOPES),
        Real("rate", 1e-3, 1.0, log=True),
        *(Real(name, 1e-3, 10.0, log=True) for name in CONSTANTS),
        instructions(),
    )


def conflicts(signature: Signature) -> tuple[tuple[dict[str, tuple[Value, ...]], str], ...]:
    """Settings that cannot work together, and why."""
    if signature.kind == "regression":
        return ()
    alike = "a shared head that is not adapted gives every class the same score"
    return (({"head": ("shared",), "scope": ("body", "context")}, alike),)


def build(choices: Mapping[str, Value], network: Network, signature: Signature) -> Rule:
    r"""Steps that an expression says, of gradient, its moments, parameter, step, noise and constants.

    .. math:: \theta_{k+1} = \theta_k - \alpha\, d(g, m, v, \theta, k, \xi, c)

    The expression is a program of up to five instructions. Every one is finite for finite values: only
    roots divide, of ε² and more. Constants are positive; they and α are learned through their logarithms.

    References:
        Bello, Zoph, Vasudevan, Le, *Neural optimizer search with reinforcement learning*, 2017,
        https://arxiv.org/abs/1709.07417
        Chen et al., *Symbolic discovery of optimization algorithms* (Lion), 2023,
        https://arxiv.org/abs/2302.06675
    """
    constants = {name: float(choices[name]) for name in CONSTANTS}
    transform = chain(symbolic=step(Program.of(choices), float(choices["rate"]), constants))
    order, loss, scope = (str(choices[name]) for name in ("order", "loss", "scope"))
    steps, head = int(choices["steps"]), str(choices.get("head", "rows"))
    return Descent(network, signature, transform, steps, order, loss, scope, head)


def step(
    expression: Expression,
    rate: float,
    constants: Mapping[str, float],
    memories: Mapping[str, float] = _MEMORIES,
    *,
    frozen: bool = False,
) -> Transform:
    """Makes of a gradient the step that an expression says, times a step size.

    Args:
        expression: A program, or a formula that was read.
        rate: Initial step size, > 0.
        constants: Their initial values, > 0; those that the expression names.
        memories: Initial parts of ``m`` and ``v`` that stay from one step to the next, in (0, 1).
        frozen: Whether all of these stay as they are; else they are meta-trained.

    Raises:
        RuleError: If no gradient takes part, or a constant has no value.
    """
    names = expression.names
    if not names & {"g", "m"}:
        raise RuleError("neither g nor m takes part in the formula: such a step learns nothing of a task")
    if missing := sorted(names & set(CONSTANTS) - constants.keys()):
        raise RuleError(f"the formula has {missing[0]}, which has no value")
    first = {"rate": math.log(rate)} | {c: math.log(constants[c]) for c in sorted(names & set(CONSTANTS))}
    first |= {name: math.log(part / (1 - part)) for name, part in memories.items() if name in names}

    def init(params: Tensors, generator: torch.Generator) -> tuple[Named, Named]:
        own = {name: torch.tensor(value) for name, value in first.items()}
        return ({}, own) if frozen else (own, {})

    def start(own: Tensors, params: Tensors, key: Tensor | None) -> State:
        means = {name: torch.zeros_like(_joined(params)) for name in ("m", "v") if name in names}
        return means | ({"ξ": key} if "ξ" in names else {})

    def update(own: Tensors, state: State, gradients: Tensors, point: Point) -> tuple[Named, State]:
        gradient = _joined(gradients)  # a formula is the same for every entry: one vector, few operations
        state, known = _remembered(own, state, gradient, point.step + 1)
        known |= {"g": gradient, **_shared(own, names, point)}
        if "ξ" in names:
            known["ξ"] = _noise(state["ξ"], gradient, point.step)
        if "θ" in names:
            known["θ"] = _joined({name: point.params[name] for name in gradients})
        value: Tensor = expression(known, TENSORS)
        return _parted(own["rate"].exp() * value, gradients), state

    return Transform(update, init, start)


def formula(choices: Mapping[str, Value]) -> tuple[str, ...]:
    """The lines of a setting of the rule."""
    words = {name: str(value) for name, value in choices.items()}
    program, last = Program.of(choices), int(choices["steps"])
    shown = canonical.text(program)
    names = read(shown).names  # fewer than the program's, where some cancel
    starts = [f"α learned from {float(choices['rate']):.3g} on"]
    starts += [f"{name} learned from {float(choices[name]):.3g} on" for name in CONSTANTS if name in names]
    return (
        formulas.adapted(words),
        "; ".join(["g = ∇L(θ; support)", *(told for name, told in _WORDS.items() if name in names)]),
        f"d = {shown}",
        f"θ ← θ − α d for k = 1{f' … {last}' if last > 1 else ''}, {', '.join(starts)}",
        formulas.outer(words),
        f"rule {canonical.identity(program)}, whatever way it is written in",
    )


def learned(meta: Tensors) -> dict[str, float]:
    """What meta-training made of a rule's figures, by their names in its formula.

    Args:
        meta: Meta-parameters of a learner by name, among others those of the rule, ``()`` each.

    Returns:
        ``rate`` (α), constants, and the parts of ``m`` and ``v`` that stay from step to step.
    """
    own = sub(meta, "symbolic")
    ordered = sorted(own, key=lambda name: (name != "rate", name))
    return {n: float(own[n].sigmoid() if n in _MEMORIES else own[n].exp()) for n in ordered}


def _shared(own: Tensors, names: frozenset[str], point: Point) -> dict[str, Tensor]:
    """What is the same for all parameters."""
    like = own["rate"]
    numbers = {"k": float(point.step + 1), EPSILON: LEAST}
    told = {n: torch.full((), value, dtype=like.dtype, device=like.device) for n, value in numbers.items()}
    return told | {name: own[name].exp() for name in CONSTANTS if name in names}


def _joined(values: Tensors) -> Tensor:
    """Tensors of any shapes as one ``(P,)``."""
    return torch.cat([value.reshape(-1) for value in values.values()])


def _parted(values: Tensor, like: Tensors) -> Named:
    """The same the other way round."""
    parts = values.split([value.numel() for value in like.values()])
    return {name: part.reshape(like[name].shape) for name, part in zip(like, parts, strict=True)}


def _remembered(
    own: Tensors, state: State, gradient: Tensor, done: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The means after ``done`` gradients: as they are kept, and without the pull of their start at zero."""
    kept, known = dict(state), dict[str, Any]()
    for name, power in (("m", 1), ("v", 2)):
        if name in state:
            part = own[name].sigmoid()
            kept[name] = part * state[name] + (1 - part) * gradient**power
            known[name] = kept[name] / (1 - part**done)
    return kept, known


def _noise(key: Tensor | None, like: Tensor, step: int) -> Tensor:
    """Standard normal numbers of a step ``(P,)``, or zeros where nothing is drawn."""
    if key is None:
        return torch.zeros_like(like)
    drawn = keys.uniform(key + _NEXT * step, like.numel(), like)
    return math.sqrt(2) * torch.erfinv(2 * drawn - 1)


class _Tensors:
    """On tensors, and on the plain numbers that a formula holds."""

    def number(self, text: str) -> float:
        return float(text)

    def power(self, base: Any, exponent: Fraction) -> Any:
        return base ** (exponent.numerator if exponent.denominator == 1 else float(exponent))

    def sqrt(self, value: Any) -> Any:
        return _of(torch.sqrt, math.sqrt, value)

    def abs(self, value: Any) -> Any:
        return abs(value)

    def sign(self, value: Any) -> Any:
        return _of(torch.sign, lambda number: math.copysign(1.0, number) if number else 0.0, value)

    def tanh(self, value: Any) -> Any:
        return _of(torch.tanh, math.tanh, value)

    def exp(self, value: Any) -> Any:
        return _of(torch.exp, math.exp, value)


TENSORS = _Tensors()


def _of(ours: Callable[[Tensor], Tensor], plain: Callable[[float], float], value: Any) -> Any:
    return ours(value) if isinstance(value, Tensor) else plain(value)
