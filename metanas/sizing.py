"""What a candidate's learner will cost: known before it is trained."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas.engine import Program
from metanas.engine.devices import clock
from metanas.engine.program import at
from search_spaces import Candidate, Costs, Record, catalogue
from search_spaces.task import Task

if TYPE_CHECKING:
    from metanas.evaluator import Evaluator

Measure = Callable[[Candidate], Costs]

_RUNS = 3
_PARTS = ("architecture", "rule")


class Sizes:
    """Counts the parameters of candidates, and takes their time on a task if asked to.

    What a trained learner takes does not depend on what it has learned, so it is measured before, with
    initial weights. Candidates that differ in real numbers alone, or in how they are trained, share one
    figure, and a trial keeps the one that it was admitted with: else a learner near a limit would be
    within it at one measurement and over it at the next.

    Args:
        evaluator: Whose tasks and device.
        timed: Whether to take times; they take as long as four tasks.
        known: Trials whose costs are known already.
    """

    def __init__(self, evaluator: Evaluator, timed: bool = False, known: Iterable[Record] = ()) -> None:
        self._evaluator, self._timed = evaluator, timed
        self._lock = threading.Lock()
        self._known = {
            _key(record.candidate): record.costs
            for record in known
            if record.costs.parameters is not None and (record.costs.adapt_ms is not None or not timed)
        }

    def __call__(self, candidate: Candidate) -> Costs:
        """Parameters, and milliseconds if they are taken; None where it cannot be built or run."""
        key = _key(candidate)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._measured(candidate)
            return self._known[key]

    def _measured(self, candidate: Candidate) -> Costs:
        evaluator = self._evaluator
        try:
            program = Program.of(catalogue.build(candidate, evaluator.signature, evaluator.trusted))
            meta, buffers = (part.to(evaluator.valid["support_x"]) for part in program.init(0))
        except Exception:  # whatever it is: training says what is wrong with it
            return Costs()
        return Costs(parameters=program.meta.size, adapt_ms=self._ms(program, meta, buffers))

    def _ms(self, program: Program, meta: Tensor, buffers: Tensor) -> float | None:
        if not self._timed:
            return None
        task = at(self._evaluator.valid, 0)
        try:
            adapt_ms(program, meta, buffers, task, 1)  # the first one also loads and allocates
            return adapt_ms(program, meta, buffers, task)
        except Exception:  # as above
            return None


def adapt_ms(program: Program, meta: Tensor, buffers: Tensor, task: Task, runs: int = _RUNS) -> float:
    """Milliseconds to adapt to one task and answer one query, the median of some runs."""
    one: Task = {**task, "query_x": task["query_x"][:1]}

    def answer() -> None:
        with torch.no_grad():
            program.adapt_predict(meta, buffers, one)

    return median_ms(answer, meta.device, runs)


def median_ms(answer: Callable[[], object], device: torch.device, runs: int = _RUNS) -> float:
    """Milliseconds that something takes on a device, the median of some runs."""
    times = sorted(_seconds(answer, device) for _ in range(runs))
    return 1e3 * times[len(times) // 2]


def _seconds(answer: Callable[[], object], device: torch.device) -> float:
    start = clock(device)
    answer()
    return clock(device) - start


def _key(candidate: Candidate) -> str:
    """What candidates share that cost the same."""
    shape = catalogue.shape_of(candidate)
    return Candidate({name: value for name, value in shape.items() if name.startswith(_PARTS)}).id
