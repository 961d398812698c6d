"""What a rule is, however it is written: an id that equal expressions share, and a formula that is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from itertools import permutations
from typing import Any

from search_spaces.candidate import Value
from search_spaces.rules.expressions import CONSTANTS, EPSILON, SLOTS, Expression, Program

PARTS = (
    "slots",
    *(f"{kind}_{i}" for i in range(1, SLOTS + 1) for kind in ("op", "a", "of", "b")),
    *CONSTANTS,
)

_DIGITS, _KEPT = 60, 20  # in computing, and of a value: what rounding may change is far beyond these
_NOTHING = Decimal("1e-25")
_SIGNLESS = Decimal("1e-45")  # far above what rounding leaves of zero, far below what decays come to
_POINTS = 60  # where a value is only a sign, each says but one bit
_NEAR = 12  # of them, where all variables are of about one size
_CERTAIN = Decimal(80)  # beyond it tanh is 1 to all digits that are kept
_REMEMBERED = 10_000  # expressions


def identity(expression: Expression) -> str:
    """An id that two expressions share if they are equal for all values of their variables.

    Dead instructions, order, distribution, ``abs(x) sign(x) = x`` and whatever other identity holds make no
    difference, nor does it which constant has which number. It is the hash of exact values at fixed points.

    Example:
        >>> one, other = (Program((("add", a, b), ("sign", "s1"))) for a, b in ("gm", "mg"))
        >>> identity(one) == identity(other)
        True
    """
    return _known(expression)[0]


@lru_cache(maxsize=_REMEMBERED)
def _known(expression: Any) -> tuple[str, list[tuple[str, ...]]]:
    """The id, and the orders in which it is found of constants that matter: several, if these are alike."""
    with localcontext(Context(prec=_DIGITS, traps=[])):  # what has no value says so
        told = _Told(expression)
        values = {order: told(order) for order in permutations(CONSTANTS)}
        others = (tuple(f"another {c}" if c == one else c for c in CONSTANTS) for one in CONSTANTS)
        changed = [told(order) != values[CONSTANTS] for order in others]
    least, matter = min(values.values()), [c for c, does in zip(CONSTANTS, changed, strict=True) if does]
    placed = [dict(zip(order, CONSTANTS, strict=True)) for order, found in values.items() if found == least]
    orders = {tuple(place[label] for label in CONSTANTS if place[label] in matter) for place in placed}
    return hashlib.sha256(least.encode()).hexdigest()[:12], sorted(orders)


@lru_cache(maxsize=_REMEMBERED)
def text(expression: Expression) -> str:
    """The shortest of a few ways in which sympy writes it; :func:`read` reads it back.

    Example:
        >>> text(Program((("multiply", "c1", "g"), ("add", "s1", "s1"))))
        '2*c1*g'
    """
    import sympy  # takes a third of a second

    plain = expression(_symbols(), _Symbolic())
    expanded = sympy.expand(plain)
    ways = (plain, expanded, sympy.factor_terms(expanded))
    shortest = str(min(ways, key=lambda way: (sympy.count_ops(way), len(str(way)))))
    return re.sub(r"\bE\b", "exp(1)", shortest)  # which is no word of a formula


def same(choices: Mapping[str, Value]) -> dict[str, Value]:
    """Choices with the program's replaced by its id and its constants' starts: equal for equal rules."""
    found, orders = _known(Program.of(choices))
    starts = min([float(choices[name]) for name in order] for order in orders)
    return _others(choices) | {"step": found, "constants": " ".join(map(repr, starts))}


def told(choices: Mapping[str, Value]) -> dict[str, Value]:
    """Choices with the program's replaced by its formula, for people."""
    return {"step": text(Program.of(choices))} | _others(choices)


def _others(choices: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in choices.items() if name not in PARTS}


class _Told:
    """All values of an expression as one text, by the numbers that its constants take; each computed once."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._known: dict[tuple[str, ...], str] = {}

    def __call__(self, order: tuple[str, ...]) -> str:
        pairs = zip(CONSTANTS, order, strict=True)
        key = tuple(label for name, label in pairs if name in self._expression.names)
        if key not in self._known:
            self._known[key] = " ".join(_values(self._expression, order))
        return self._known[key]


def _values(expression: Expression, order: tuple[str, ...]) -> Iterator[str]:
    """What it is at each point, if the constants take these numbers of each."""
    for point in range(_POINTS):
        numbers = {name: _number(point, name) for name in (*"gmvθξk", EPSILON)}
        numbers |= {name: abs(_number(point, label)) for name, label in zip(CONSTANTS, order, strict=True)}
        value = expression(numbers, _Exact())
        yield "0" if abs(value) < _NOTHING else f"{+value:.{_KEPT}e}"


@cache
def _number(point: int, name: str) -> Decimal:
    """Of either sign where the variable may be; between 0.1 and 3.1, at later points between 0.05 and 10."""
    drawn = hashlib.sha256(f"{name} {point}".encode()).digest()
    part = Decimal(int.from_bytes(drawn[:8])) / 2**64
    far = Decimal(10) ** (Decimal("2.3") * part - Decimal("1.3"))
    size = part * 3 + Decimal("0.1") if point < _NEAR else far
    if name == "k":
        return Decimal(1 + point % _NEAR)
    return -size if name in "gmθξ" and drawn[8] % 2 else size


class _Exact:
    """On decimals of many digits."""

    def number(self, text: str) -> Decimal:
        return Decimal(text)

    def power(self, base: Decimal, exponent: Fraction) -> Decimal:
        raised = base**exponent.numerator
        return raised if exponent.denominator == 1 else raised ** (1 / Decimal(exponent.denominator))

    def sqrt(self, value: Decimal) -> Decimal:
        return value.sqrt()

    def abs(self, value: Decimal) -> Decimal:
        return abs(value)

    def sign(self, value: Decimal) -> Decimal:
        # what is zero but for rounding has no sign
        return Decimal(0) if abs(value) < _SIGNLESS else Decimal(1).copy_sign(value)

    def tanh(self, value: Decimal) -> Decimal:
        if abs(value) > _CERTAIN:
            return self.sign(value)
        twice = (2 * value).exp()
        return (twice - 1) / (twice + 1)

    def exp(self, value: Decimal) -> Decimal:
        return value.exp()


def _symbols() -> dict[str, Any]:
    import sympy

    real = {name: sympy.Symbol(name, real=True) for name in ("g", "m", "θ", "ξ")}
    positive = {name: sympy.Symbol(name, positive=True) for name in ("k", EPSILON, *CONSTANTS)}
    return {**real, **positive, "v": sympy.Symbol("v", nonnegative=True)}


class _Symbolic:
    """On symbols."""

    def number(self, text: str) -> Any:
        import sympy

        return sympy.Integer(text) if text.isdigit() else sympy.Float(text)

    def power(self, base: Any, exponent: Fraction) -> Any:
        import sympy

        return base ** sympy.Rational(exponent.numerator, exponent.denominator)

    def sqrt(self, value: Any) -> Any:
        import sympy

        return sympy.sqrt(value)

    def abs(self, value: Any) -> Any:
        return abs(value)

    def sign(self, value: Any) -> Any:
        import sympy

        return sympy.sign(value)

    def tanh(self, value: Any) -> Any:
        import sympy

        return sympy.tanh(value)

    def exp(self, value: Any) -> Any:
        import sympy

        return sympy.exp(value)
