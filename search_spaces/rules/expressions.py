"""Steps of learning as expressions: programs of a few instructions, and formulas that a person reads.

Both are computed by whatever functions they are given: on tensors, on decimals, on symbols.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

from search_spaces.candidate import Value
from search_spaces.choices import Categorical, Choice
from search_spaces.errors import RuleError

SLOTS = 5
EPSILON = "ε"  # what keeps a root from zero, and so a quotient finite
CONSTANTS = ("c1", "c2", "c3")
# gradient, the mean of gradients and that of their squares so far, parameter, step from 1, noise
VARIABLES = ("g", "m", "v", "θ", "k", "ξ")
OPERANDS = (*VARIABLES, *CONSTANTS, "1")
PLAIN = "value"  # an operand as it is

_OF_THE_SUPPORT = frozenset({"g", "m"})
_LONGEST = 2000  # characters of a formula
_DEEPEST = 200  # parts within parts
_HIGHEST = 64  # power


class Functions(Protocol):
    """What an expression is computed with, besides the arithmetic of its values."""

    def number(self, text: str) -> Any: ...
    def power(self, base: Any, exponent: Fraction) -> Any: ...
    def sqrt(self, value: Any) -> Any: ...
    def abs(self, value: Any) -> Any: ...
    def sign(self, value: Any) -> Any: ...
    def tanh(self, value: Any) -> Any: ...
    def exp(self, value: Any) -> Any: ...


class Expression(Protocol):
    """Something to compute, of the variables and constants that it names."""

    @property
    def names(self) -> frozenset[str]: ...
    def __call__(self, values: Mapping[str, Any], functions: Functions) -> Any: ...
    def __hash__(self) -> int: ...


# each is finite for whatever is: a root is of ε² and more, and only roots divide
UNARY: dict[str, Callable[[Functions, Any, Any], Any]] = {
    "sign": lambda f, a, least: f.sign(a),
    "abs": lambda f, a, least: f.abs(a),
    "root": lambda f, a, least: f.sqrt(f.abs(a) + least),
    "tanh": lambda f, a, least: f.tanh(a),
    "decay": lambda f, a, least: f.exp(-f.abs(a)),
}
BINARY: dict[str, Callable[[Functions, Any, Any, Any], Any]] = {
    "add": lambda f, a, b, least: a + b,
    "subtract": lambda f, a, b, least: a - b,
    "multiply": lambda f, a, b, least: a * b,
    "divide": lambda f, a, b, least: a / f.sqrt(b * b + least),
    "divide_root": lambda f, a, b, least: a / f.sqrt(f.abs(b) + least),
}
_OPERATORS: Mapping[str, Callable[..., Any]] = {**UNARY, **BINARY}


@dataclass(frozen=True)
class Program:
    """Instructions of which each may use those before it; the last one's value is the step.

    One in which neither ``g`` nor ``m`` takes part cannot learn: it is taken as a factor of ``g``.

    Attributes:
        slots: Operator and operands of each; ``s1`` is the value of the first. An operand may be a function
            of a value, as in Neural Optimizer Search: ``sign(g)``.

    Example:
        >>> lion = Program((("add", "g", "m"), ("sign", "s1")))
        >>> sorted(lion.names)
        ['g', 'm']
        >>> sorted(Program((("multiply", "g", "decay(θ)"),)).names)
        ['g', 'θ']
    """

    slots: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, choices: Mapping[str, Value]) -> Program:
        """The program that choices of :func:`instructions` say.

        Raises:
            KeyError: If one is missing.
        """
        return cls(tuple(_slot(choices, i) for i in range(1, int(choices["slots"]) + 1)))

    @cached_property
    def names(self) -> frozenset[str]:
        """Variables and constants that the last value is of."""
        found = self._used & {*VARIABLES, *CONSTANTS}
        return found if found & _OF_THE_SUPPORT else found | {"g"}

    @cached_property
    def _used(self) -> frozenset[str]:
        """All that the last value is of, earlier ones too."""
        needed = {f"s{len(self.slots)}"}
        for i in range(len(self.slots), 0, -1):
            needed |= {_named(a)[1] for a in self.slots[i - 1][1:]} if f"s{i}" in needed else set()
        return frozenset(needed)

    def __call__(self, values: Mapping[str, Any], functions: Functions) -> Any:
        """The step, of values by name, :data:`EPSILON` among them."""
        known = {**values, "1": functions.number("1")}
        least = values[EPSILON] * values[EPSILON]
        for i, (operator, *operands) in enumerate(self.slots, 1):
            if f"s{i}" in self._used:
                given = [_taken(functions, known, operand, least) for operand in operands]
                known[f"s{i}"] = _OPERATORS[operator](functions, *given, least)
        last = known[f"s{len(self.slots)}"]
        return last if self._used & _OF_THE_SUPPORT else last * values["g"]


def instructions(most: int = SLOTS) -> Categorical:
    """Choices of a program of up to ``most`` instructions, each of which may use those before it.

    The second operand of two may be a function of a value: half as many instructions, and a function can be
    put where it does little before it is moved to where it does much.
    """

    def slot(i: int) -> Categorical:
        operands = (*OPERANDS, *(f"s{j}" for j in range(1, i)))
        one, other = Categorical(f"a_{i}", operands), Categorical(f"b_{i}", operands)
        of = Categorical(f"of_{i}", (PLAIN, *UNARY))
        branches: dict[Value, tuple[Choice, ...]] = dict.fromkeys(UNARY, (one,))
        branches |= dict.fromkeys(BINARY, (one, of, other))
        return Categorical(f"op_{i}", (*BINARY, *UNARY), branches)

    lengths = tuple(range(1, most + 1))
    return Categorical(
        "slots", lengths, {n: tuple(slot(i) for i in range(1, n + 1)) for n in lengths}, ordered=True
    )


def _slot(choices: Mapping[str, Value], i: int) -> tuple[str, ...]:
    operator, one = str(choices[f"op_{i}"]), str(choices[f"a_{i}"])
    if operator in UNARY:
        return operator, one
    of, other = str(choices.get(f"of_{i}", PLAIN)), str(choices[f"b_{i}"])
    return operator, one, other if of == PLAIN else f"{of}({other})"


def _named(operand: str) -> tuple[str, str]:
    """What is taken of a value, and the value's name."""
    of, _, name = operand.removesuffix(")").rpartition("(")
    return of or PLAIN, name


def _taken(functions: Functions, known: Mapping[str, Any], operand: str, least: Any) -> Any:
    of, name = _named(operand)
    return known[name] if of == PLAIN else UNARY[of](functions, known[name], least)


def settings(program: Program) -> dict[str, Value]:
    """The choices of :func:`instructions` that say a program."""
    found: dict[str, Value] = {"slots": len(program.slots)}
    for i, (operator, one, *others) in enumerate(program.slots, 1):
        found |= {f"op_{i}": operator, f"a_{i}": one}
        for other in others:
            found[f"of_{i}"], found[f"b_{i}"] = _named(other)
    return found


@dataclass(frozen=True)
class Formula:
    """An expression that was written out, see :func:`read`."""

    text: str
    names: frozenset[str]
    _tree: ast.expr

    def __call__(self, values: Mapping[str, Any], functions: Functions) -> Any:
        """Its value, of values by name."""
        return _computed(self._tree, values, functions)


_CALLED: dict[str, Callable[[Functions, Any], Any]] = {
    "sqrt": lambda f, x: f.sqrt(x),
    "Abs": lambda f, x: f.abs(x),
    "abs": lambda f, x: f.abs(x),
    "sign": lambda f, x: f.sign(x),
    "tanh": lambda f, x: f.tanh(x),
    "exp": lambda f, x: f.exp(x),
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def read(text: str) -> Formula:
    """Reads a formula: sums, products, quotients, powers and functions of the vocabulary; runs nothing of it.

    Example:
        >>> sorted(read("c1*θ + m/sqrt(v + ε**2)").names)
        ['c1', 'm', 'v', 'ε', 'θ']

    Raises:
        RuleError: If the text says anything else.
    """
    try:
        if len(text) > _LONGEST:
            raise RuleError(f"a formula has up to {_LONGEST:,} characters, this one {len(text):,}")
        tree = ast.parse(text.strip(), mode="eval").body
        return Formula(text, frozenset(_checked(tree)), tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = getattr(error, "msg", error)  # without the line, of which there is one
        raise RuleError(f"{text[:80]!r} is no formula: {why}") from None


def _checked(node: ast.expr, depth: int = 0) -> set[str]:
    """The names in it, all of the vocabulary."""
    if depth > _DEEPEST:
        raise RuleError(f"a formula has up to {_DEEPEST} parts within parts, this one more")
    match node:
        case ast.Name(id=name) if name in (*VARIABLES, *CONSTANTS, EPSILON):
            return {name}
        case ast.Constant(value=value) if type(value) in (int, float):
            return set()
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _checked(inner, depth + 1)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            _exponent(exponent)
            return _checked(base, depth + 1)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
            return _checked(left, depth + 1) | _checked(right, depth + 1)
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _CALLED:
            return _checked(inner, depth + 1)
    words = f"{', '.join((*VARIABLES, *CONSTANTS, EPSILON))}, numbers, + - * / ** and {', '.join(_CALLED)}"
    raise RuleError(f"{ast.unparse(node)[:80]!r} is not of a formula's words: {words}")


def _computed(node: ast.expr, values: Mapping[str, Any], functions: Functions) -> Any:
    """Of a tree that was checked."""
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return functions.number(repr(value))
        case ast.UnaryOp(operand=inner):
            return -_computed(inner, values, functions)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return functions.power(_computed(base, values, functions), _exponent(exponent))
        case ast.BinOp(left=left, op=operator, right=right):
            sides = (_computed(side, values, functions) for side in (left, right))
            return _ARITHMETIC[type(operator)](*sides)
        case ast.Call(func=ast.Name(id=name), args=[inner]):
            return _CALLED[name](functions, _computed(inner, values, functions))
    raise AssertionError(ast.dump(node))


def _exponent(node: ast.expr) -> Fraction:
    """A whole number or a fraction of two."""
    match node:
        case ast.Constant(value=int(value)) if abs(value) <= _HIGHEST:
            return Fraction(value)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_exponent(inner)
        case ast.BinOp(
            left=ast.Constant(value=int(above)), op=ast.Div(), right=ast.Constant(value=int(below))
        ):
            if below and abs(above) <= _HIGHEST:
                return Fraction(above, below)
        case ast.BinOp(left=ast.UnaryOp(op=ast.USub(), operand=inner), op=ast.Div(), right=below):
            return -_exponent(ast.BinOp(inner, ast.Div(), below))  # as -3/2 is read
    raise RuleError(f"{ast.unparse(node)[:80]!r} is no power: a whole number or fraction up to {_HIGHEST}")
