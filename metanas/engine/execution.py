"""How a computation runs: task by task, batched, or traced once and replayed; measured, not guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from metanas.engine.devices import clock, is_out_of_memory
from metanas.engine.lanes import Unwanted
from metanas.engine.tidy import tidy

EXECUTIONS = ("auto", "sequential", "vmap", "replay")
# below this many milliseconds a task, a task on its own cannot win: dispatching it costs as much
_SEQUENTIAL_FLOOR_MS = 0.5
# above this many, where computing takes longer than dispatching, neither batching nor tracing can
_SEQUENTIAL_CEILING_MS = 5.0
# tracing costs about as much as 120 batched steps, and saves about half of each that follows
_TRACE_STEPS = 240

_WARM_UPS = {"vmap": 1, "sequential": 0, "replay": 1}
_TIMED = {"vmap": 3, "sequential": 1, "replay": 3}

Run = Callable[..., Any]


class Replay:
    """Traces a function of tensors once, to a graph of primitive operations, and runs that.

    Backward passes and nested transforms are in the graph, so that a run dispatches nothing but
    the operations themselves. Another input shape is traced anew.
    """

    def __init__(self, function: Run) -> None:
        self._function = function
        self._graphs: dict[tuple[Any, ...], Run] = {}
        self._lock = Lock()  # two threads may meet the same new shape

    def __call__(self, *args: Any) -> Any:
        leaves, spec = pytree.tree_flatten(args)
        # the structure counts too: a mask of the support is not one of as many queries
        key = (spec, *((tuple(leaf.shape), leaf.dtype, leaf.device) for leaf in leaves))
        with self._lock:
            if key not in self._graphs:
                self._graphs[key] = self._trace(leaves, spec)
        with torch.no_grad():
            return self._graphs[key](*leaves)

    def _trace(self, leaves: list[Tensor], spec: Any) -> Run:
        def flat(*flat_leaves: Tensor) -> Any:
            return self._function(*pytree.tree_unflatten(list(flat_leaves), spec))

        graph = make_fx(flat)(*leaves)
        tidy(graph.graph)
        graph.recompile()
        return graph


class Fastest:
    """Does real work with each way of running in turn, then goes on with the fastest.

    Args:
        ways: By name, in the order they are tried; the first is warmed up, since it also pays
            what every way pays once.
        device: Whose clock is read.
        skip: Whether a way is not worth trying: of its name, the milliseconds measured so far,
            and the number of calls to come.
    """

    def __init__(
        self,
        ways: Mapping[str, Run],
        device: torch.device,
        skip: Callable[[str, dict[str, float], int], bool] = lambda name, seen, left: False,
    ) -> None:
        self._ways = dict(ways)
        self._device = device
        self._skip = skip
        self._calls: dict[str, int] = {}
        self.settled = False  # whether the last call knew what is fastest
        self.ms: dict[str, float] = {}  # the least of each way's timed calls: other processes only add

    @property
    def chosen(self) -> str:
        """The fastest way measured so far; the first before any is."""
        return min(self.ms, key=self.ms.__getitem__) if self.ms else next(iter(self._ways))

    def __call__(self, *args: Any, calls_left: int) -> Any:
        while True:
            name = self._next(calls_left)
            self.settled = name is None
            try:
                return self._ways[self.chosen](*args) if name is None else self._measure(name, args)
            except Exception as error:
                # a rule may be beyond batching or tracing: then it is run in one of the ways that are left
                told = is_out_of_memory(error) or isinstance(error, Unwanted)
                if told or not self._drop(name or self.chosen):
                    raise

    def _measure(self, name: str, args: tuple[Any, ...]) -> Any:
        start = clock(self._device)
        result = self._ways[name](*args)
        elapsed = (clock(self._device) - start) * 1e3
        self._calls[name] = self._calls.get(name, 0) + 1
        if self._calls[name] > _WARM_UPS[name]:
            self.ms[name] = min(elapsed, self.ms.get(name, elapsed))
        return result

    def _drop(self, name: str) -> bool:
        """Gives up one way of running; False where it is the last."""
        if len(self._ways) == 1:
            return False
        self._ways.pop(name)
        self.ms.pop(name, None)
        return True

    def _next(self, left: int) -> str | None:
        """What to measure now: what is half measured, else what is worth it; None: nothing."""
        if len(self._ways) == 1:
            return None
        begun = [n for n in self._ways if 0 < self._calls.get(n, 0) < _WARM_UPS[n] + _TIMED[n]]
        fresh = (n for n in self._ways if n not in self._calls and not self._skip(n, self.ms, left))
        return begun[0] if begun else next(fresh, None)


def not_worth_trying(tasks: int, heavy: bool = False) -> Callable[[str, dict[str, float], int], bool]:
    """When a way of running an outer step of that many tasks cannot pay any more.

    Args:
        tasks: Of all candidates.
        heavy: Whether computing takes longer than dispatching, once a task takes long.
    """

    def skip(name: str, seen: dict[str, float], left: int) -> bool:
        if not seen:
            return False
        if heavy and seen.get("sequential", 0.0) > tasks * _SEQUENTIAL_CEILING_MS:
            return True
        if name == "sequential":
            return min(seen.values()) < tasks * _SEQUENTIAL_FLOOR_MS
        return name == "replay" and left < _TRACE_STEPS

    return skip
