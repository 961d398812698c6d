"""Families of one-dimensional functions: drawn functions, evaluated at drawn points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from metanas.tasks.family import Limits, Shots, Source, Split, ends
from search_spaces import Signature
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.task import Episodes

Function = Callable[[Tensor], Tensor]
# (uniform draws on demand, variant) → a function of x (T, N) for T tasks
Draw = Callable[[Callable[[float, float], Tensor], str | None], Function]
VARIANTS = ("amplitude", "frequency", "noise", "half")
NOISE = 0.3  # standard deviation of the targets' noise in the variant "noise"


class Curves:
    """y = f(x) with f drawn anew for every task, x uniform on ``domain``.

    The splits are disjoint because a continuous draw never comes twice. Variants: ``amplitude`` and
    ``frequency`` beyond the training range, ``noise`` on the support targets, ``half``: support from
    the lower half of the domain, queries from all of it.

    Args:
        name: Of the family.
        draw: Draws T functions.
        domain: Ends of the interval that x is drawn from.
    """

    kind: Literal["regression", "classification"] = "regression"
    variants: tuple[str, ...] = VARIANTS
    augmentations: tuple[str, ...] = ("none",)
    notes: tuple[str, ...] = ()
    limits = Limits()

    def __init__(self, name: str, draw: Draw, domain: tuple[float, float] = (-5.0, 5.0)) -> None:
        self.name = name
        self.domain = domain
        self.preprocessing: dict[str, Any] = {"kind": "table", "features": ["x"], "targets": ["y"]}
        self._draw = draw

    def signature(self, ways: int | None, shots: int) -> Signature:
        if ways not in (None, 1):
            raise DataError(f"{self.name} is regression: it has no classes, leave --ways out")
        return Signature("regression", (1,), 1, shots)

    def sample(
        self,
        n_tasks: int,
        split: Split,
        generator: torch.Generator,
        *,
        shots: Shots,
        ways: int,
        queries: int,
        variant: str | None = None,
        augmentation: str = "none",
    ) -> Episodes:
        if variant is not None and variant not in VARIANTS:
            raise UnknownNameError(f"{self.name} has no variant {variant!r} (known: {', '.join(VARIANTS)})")
        low, high = ends(shots)

        def uniform(start: float, end: float, columns: int = 1) -> Tensor:
            unit = torch.rand(n_tasks, columns, generator=generator, device=generator.device)
            return start + (end - start) * unit

        function = self._draw(uniform, variant)
        start, end = self.domain
        middle = (start + end) / 2 if variant == "half" else end
        support_x, query_x = uniform(start, middle, high), uniform(start, end, queries)
        support_y = function(support_x)
        if variant == "noise":
            noise = torch.randn(support_y.shape, generator=generator, device=generator.device)
            support_y = support_y + NOISE * noise
        episodes: Episodes = {
            "support_x": support_x[..., None],
            "support_y": support_y[..., None],
            "query_x": query_x[..., None],
            "query_y": function(query_x)[..., None],
        }
        if not isinstance(shots, int):
            count = torch.randint(low, high + 1, (n_tasks, 1), generator=generator, device=generator.device)
            episodes["support_mask"] = torch.arange(high, device=generator.device) < count
        return episodes

    def check(self, ways: int, shots: Shots, queries: int) -> None:
        """Functions can be asked for any number of examples."""

    def to(self, device: torch.device) -> None:
        """Nothing to move: tasks are drawn on the generator's device."""

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "domain": list(self.domain)}


def refuse_path(name: str, source: Source) -> None:
    """Refuses data given to a family that makes its own.

    Raises:
        DataError: If the source names any.
    """
    if source.path or source.test_path or source.splits or source.has_columns or source.resizes:
        hint = (
            "leave path, columns and --image-size out (for yours: metanas search table FILE, or images PATH)"
        )
        raise DataError(f"{name} makes its own tasks: {hint}")
