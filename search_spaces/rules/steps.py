"""Known steps as points of the space of formulas: a search for a better one can begin at them.

``metanas search … --space symbolic --start momentum,adam``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        constants: Their initial values, where the program has any.
        differs: From the paper, if it does.
    """

    title: str
    words: str
    citation: str
    program: Program
    rate: float = 0.01
    constants: Mapping[str, float] = field(default_factory=dict)
    differs: str = ""

    @property
    def choices(self) -> dict[str, Value]:
        """Choices of the rule ``symbolic``; what they do not say is left open."""
        return {"rate": self.rate, **self.constants, **settings(self.program)}

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
    "add-sign": Step(
        "AddSign",
        "twice the gradient where it has the sign of the mean so far, nothing where it has not",
        "Bello, Zoph, Vasudevan, Le, Neural optimizer search with reinforcement learning, 2017, "
        "https://arxiv.org/abs/1709.07417",
        Program((("sign", "g"), ("multiply", "s1", "sign(m)"), ("add", "1", "s2"), ("multiply", "g", "s3"))),
    ),
    "hypentropy": Step(
        "Hypentropy",
        "longer steps for large parameters: between gradient descent and the exponentiated gradient",
        "Ghai, Hazan, Singer, Exponentiated gradient meets gradient descent, 2020, "
        "https://arxiv.org/abs/1902.01903",
        Program((("multiply", "θ", "θ"), ("add", "s1", "c1"), ("multiply", "g", "root(s2)"))),
        0.03,
        {"c1": 0.1},
        "its first-order form: the factor is taken where the step begins",
    ),
    "metaplasticity": Step(
        "Metaplasticity",
        "shorter steps for large parameters, which so are kept",
        "Laborieux, Ernoult, Hirtzlin, Querlioz, Synaptic metaplasticity in binarized neural networks, 2021, "
        "https://arxiv.org/abs/2003.03533",
        Program(
            (
                ("multiply", "c1", "θ"),
                ("tanh", "s1"),
                ("multiply", "s2", "s2"),
                ("subtract", "1", "s3"),
                ("multiply", "g", "s4"),
            )
        ),
        0.02,
        {"c1": 3.0},
        "steps away from zero are shortened, too",
    ),
}
