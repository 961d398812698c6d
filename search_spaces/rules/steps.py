"""Known steps as points of the space of formulas: a search for a better one can begin at them.

``metanas search … --space symbolic --start momentum,adam``
"""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.candidate import Value
from search_spaces.rules import canonical
from search_spaces.rules.expressions import Program, settings


@dataclass(frozen=True)
class Step:
    """A step of an optimizer, as one of a task's learning.

    Attributes:
        title: As its paper calls it.
        words: What is particular to it.
        citation: Authors, title, year, address.
        program: Its instructions; see :class:`search_spaces.rules.expressions.Program`.
        rate: Initial step size, of few steps.
    """

    title: str
    words: str
    citation: str
    program: Program
    rate: float = 0.01

    @property
    def choices(self) -> dict[str, Value]:
        """Choices of the rule ``symbolic``; what they do not say is left open."""
        return {"rate": self.rate, **settings(self.program)}

    @property
    def formula(self) -> str:
        """As people read it."""
        return canonical.text(self.program)


STEPS: dict[str, Step] = {
    "sgd": Step(
        "Gradient step",
        "the gradient",
        "Robbins, Monro, A stochastic approximation method, 1951, https://doi.org/10.1214/aoms/1177729586",
        Program((("multiply", "g", "1"),)),
    ),
    "momentum": Step(
        "Momentum",
        "the mean of the gradients so far",
        "Polyak, Some methods of speeding up the convergence of iteration methods, 1964, "
        "https://doi.org/10.1016/0041-5553(64)90137-5",
        Program((("multiply", "m", "1"),)),
    ),
    "nesterov": Step(
        "Nesterov's momentum",
        "the gradient and the mean of those so far",
        "Nesterov, A method for solving the convex programming problem with convergence rate O(1/k²), 1983; "
        "Dozat, Incorporating Nesterov momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
        Program((("add", "g", "m"),)),
    ),
    "rmsprop": Step(
        "RMSProp",
        "the gradient, over the root of the mean of its squares",
        "Tieleman, Hinton, Lecture 6.5, rmsprop, 2012, "
        "https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        Program((("divide_root", "g", "v"),)),
        0.003,
    ),
    "adam": Step(
        "Adam",
        "momentum, over the root of the mean of squared gradients",
        "Kingma, Ba, Adam: a method for stochastic optimization, 2015, https://arxiv.org/abs/1412.6980",
        Program((("divide_root", "m", "v"),)),
        0.003,
    ),
    "sign-sgd": Step(
        "signSGD",
        "the sign of the gradient",
        "Bernstein, Wang, Azizzadenesheli, Anandkumar, signSGD, 2018, https://arxiv.org/abs/1802.04434",
        Program((("sign", "g"),)),
        0.003,
    ),
    "lion": Step(
        "Lion",
        "the sign of the gradient and the mean of those so far",
        "Chen et al., Symbolic discovery of optimization algorithms, 2023, https://arxiv.org/abs/2302.06675",
        Program((("add", "g", "m"), ("sign", "s1"))),
        0.003,
    ),
}
