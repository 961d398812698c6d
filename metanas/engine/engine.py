"""The engine: outer gradients and scores of a program, in whatever way is fastest and fits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metanas.engine.devices import is_out_of_memory
from metanas.engine.execution import EXECUTIONS, Fastest, Replay, not_worth_trying
from metanas.engine.lanes import images_on_a_cpu, lanes, pieces, spread, wanted
from metanas.engine.program import Program, Step, at, count, sequential, vmapped
from search_spaces.errors import DeviceError, NoRoomError
from search_spaces.rules.closed_form import ClosedForm
from search_spaces.task import Episodes

# input numbers, or weights, of one scoring chunk: 16 MB, activations and steps about 50 times that
_SCORE_ELEMENTS = 4_000_000


class Engine:
    """Runs the programs of one shape on one device.

    Args:
        program: What is run.
        device: Where.
        execution: One of ``EXECUTIONS``; ``auto`` measures and chooses.

    Raises:
        DeviceError: If ``execution`` is none of them.
    """

    def __init__(self, program: Program, device: torch.device, execution: str = "auto") -> None:
        if execution not in EXECUTIONS:
            raise DeviceError(f"--execution should be one of {', '.join(EXECUTIONS)}, not {execution!r}")
        self.program = program
        self.device = device
        self.chunk: int | None = None  # tasks at once in training; None: all
        self._execution = execution
        self._steps: dict[tuple[int, int], Fastest] = {}
        self._scores: dict[str, Fastest] = {}

    @property
    def lanes(self) -> int:
        """Threads that may share the tasks of a call from this thread."""
        return lanes(self.device, self.program.rule.signature.input_shape)

    @property
    def _heavy(self) -> bool:
        return images_on_a_cpu(self.device, self.program.rule.signature.input_shape)

    @property
    def chosen(self) -> str:
        """The way of running that training settled on last."""
        return list(self._steps.values())[-1].chosen if self._steps else self._execution

    def gradients(
        self,
        meta: Tensor,
        buffers: Tensor,
        episodes: Episodes,
        keys: Tensor,
        progress: Tensor,
        calls_left: int = 1,
    ) -> Step:
        """Outer gradients of C candidates over T tasks each, in chunks that fit.

        Args:
            meta: ``(C, P)``.
            buffers: ``(C, B)``.
            episodes: Tensors ``(C, T, …)``.
            keys: ``(C, T)`` int64.
            progress: ``()`` in [0, 1].
            calls_left: Steps to come: what a slow start may cost.

        Returns:
            Gradients ``(C, P)``, losses ``(C,)``, observed buffers ``(C, B)``.

        Raises:
            NoRoomError: If not even one task fits in memory.
        """
        tasks = keys.shape[1]
        while True:
            parts = pieces(tasks, self.lanes, self.chunk or tasks)

            def run(piece: slice) -> tuple[int, Step]:
                here = _tasks(episodes, piece), keys[:, piece]
                step = self._step(len(meta), here[1].shape[1])
                return here[1].shape[1], step(meta, buffers, *here, progress, calls_left=calls_left)

            try:
                return _average(spread(run, parts, self.lanes if self._settled(len(meta), parts) else 1))
            except Exception as error:
                self.chunk = _halved(error, _size(parts[0]), self.device)

    def predictions(self, meta: Tensor, buffers: Tensor, episodes: Episodes) -> Tensor:
        """Predictions ``(T, Q, O)`` of one candidate on tasks ``(T, …)``, in chunks that fit.

        Raises:
            NoRoomError: If not even one task fits in memory.
        """
        total = count(episodes)
        inputs = episodes["support_x"][0].numel() + episodes["query_x"][0].numel()
        # adapted weights are each task's own, and kept for some steps
        own = 0 if isinstance(self.program.rule, ClosedForm) else meta.numel()
        size = max(1, inputs, own)
        chunk = max(1, min(total, _SCORE_ELEMENTS // size))
        scored = self._score("predictions")
        while True:
            parts = pieces(total, self.lanes, chunk)
            run = partial(_predicted, scored, meta, buffers, episodes, len(parts))
            try:
                return torch.cat(spread(run, parts, self.lanes if scored.settled else 1))
            except Exception as error:
                chunk = _halved(error, chunk, self.device)

    def _settled(self, candidates: int, parts: list[slice]) -> bool:
        """Whether it is known how to run all parts: what is still measured runs alone."""
        return all(self._step(candidates, size).settled for size in {_size(part) for part in parts})

    def _step(self, candidates: int, tasks: int) -> Fastest:
        key = (candidates, tasks)
        if key not in self._steps:
            batched = vmapped(self.program)
            ways: dict[str, Callable[..., Any]] = {
                "vmap": batched,
                "sequential": sequential(self.program),
                "replay": Replay(batched),
            }
            skip = not_worth_trying(candidates * tasks, self._heavy)
            self._steps[key] = Fastest(self._allowed(ways), self.device, skip)
        return self._steps[key]

    def _score(self, name: str) -> Fastest:
        if name not in self._scores:
            one = self.program.adapt_predict
            batched = torch.func.vmap(one, in_dims=(None, None, 0))

            def by_task(meta: Tensor, buffers: Tensor, episodes: Episodes) -> Tensor:
                return torch.stack([one(meta, buffers, at(episodes, t)) for t in wanted(count(episodes))])

            ways: dict[str, Callable[..., Any]] = {"vmap": batched, "sequential": by_task}
            # scoring is never traced: it runs a few times only
            kept = self._allowed(ways) or {"vmap": batched}
            self._scores[name] = Fastest(kept, self.device, lambda way, seen, left: left < 4)
        return self._scores[name]

    def _allowed(self, ways: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
        order = sorted(ways, key=lambda name: name != "sequential") if self._heavy else list(ways)
        return {name: ways[name] for name in order if self._execution in ("auto", name)}


def _halved(error: Exception, chunk: int, device: torch.device) -> int:
    """Tasks at once, after so many had no room; other errors are raised again."""
    if not is_out_of_memory(error):
        raise error
    if chunk == 1:
        raise NoRoomError("out of memory: one task does not fit") from error
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return (chunk + 1) // 2


def _predicted(
    scored: Fastest, meta: Tensor, buffers: Tensor, episodes: Episodes, calls: int, piece: slice
) -> Tensor:
    with torch.no_grad():  # which every thread is told for itself
        predictions: Tensor = scored(meta, buffers, at(episodes, piece), calls_left=calls)
        return predictions


def _size(piece: slice) -> int:
    return int(piece.stop - piece.start)


def _tasks(episodes: Episodes, piece: slice) -> Episodes:
    return {name: tensor[:, piece] for name, tensor in episodes.items()}  # type: ignore[return-value, index]


def _average(parts: list[tuple[int, Step]]) -> Step:
    if len(parts) == 1:
        return parts[0][1]
    total = sum(weight for weight, _ in parts)
    sums = [sum(weight * step[i] for weight, step in parts) / total for i in range(3)]
    return sums[0], sums[1], sums[2]  # type: ignore[return-value]
