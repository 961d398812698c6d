"""The engine: what does not fit at once is run in chunks, and nobody can tell from the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metanas.engine import EXECUTIONS, Engine, Program
from metanas.engine import engine as engines
from metanas.testing.asserting import close
from metanas.testing.rules import draw, several, start
from search_spaces import Signature
from search_spaces.architectures import mlp
from search_spaces.errors import DeviceError, NoRoomError
from search_spaces.rules import gradient, ridge
from search_spaces.task import Episodes

CPU = torch.device("cpu")
CURVES = Signature("regression", (2,), 2, 3)
TASKS = 7
PROGRESS = torch.tensor(0.5, dtype=torch.float64)


def program_of(norm: str = "running", kind: Any = ridge) -> Program:
    network = mlp.build({"depth": 1, "width_1": 6, "activation": "tanh", "norm": norm}, CURVES)
    inner = {"steps": 1, "order": 2, "step_size": "layer", "rate": 0.1, "scope": "all"}
    return Program.of(kind.build({"strength": 0.1, **inner}, network, CURVES))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Makes more tasks at a time than so many run out of memory; gives the sizes that were tried."""

    def limit(most: int) -> list[int]:
        tried: list[int] = []

        def check(tasks: int) -> None:
            tried.append(tasks)
            if tasks > most:
                raise torch.OutOfMemoryError(f"CUDA out of memory with {tasks} tasks.")

        plain, vmap = engines.vmapped, torch.func.vmap

        def vmapped(program: Program) -> Any:
            step = plain(program)

            def limited(meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, *rest: Any) -> Any:
                check(keys.shape[1])
                return step(meta, buffers, episodes, keys, *rest)

            return limited

        def scoring(function: Any, **options: Any) -> Any:
            batched = vmap(function, **options)

            def limited(meta: Tensor, buffers: Tensor, episodes: Episodes) -> Any:
                check(len(episodes["support_x"]))
                return batched(meta, buffers, episodes)

            return limited if function.__name__ == "adapt_predict" else batched

        monkeypatch.setattr(engines, "vmapped", vmapped)
        monkeypatch.setattr(torch.func, "vmap", scoring)
        return tried

    return limit


def run(engine: Engine, candidates: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    meta, buffers, episodes, keys = several(engine.program.rule, candidates, TASKS)
    return engine.gradients(meta, buffers, episodes, keys, PROGRESS)


@pytest.mark.parametrize("execution", ["vmap", "replay"])
@pytest.mark.parametrize("candidates", [1, 3])
def test_chunks_halve_until_they_fit_and_change_nothing(
    room: Callable[[int], list[int]], execution: str, candidates: int
) -> None:
    wanted = run(Engine(program_of(), CPU, "sequential"), candidates)
    tried = room(2)
    engine = Engine(program_of(), CPU, execution)
    found = run(engine, candidates)
    sizes = [size for i, size in enumerate(tried) if i == 0 or size != tried[i - 1]]
    assert sizes == [7, 4, 2, 1], "halves, then the odd one out"
    for a, b in zip(found, wanted, strict=True):
        close(a, b, 1e-9)
    assert engine.chunk == 2
    tried.clear()
    run(engine, candidates)
    assert max(tried, default=0) <= 2, "what does not fit is not tried again"


@pytest.mark.parametrize("kind", [ridge, gradient])
@pytest.mark.parametrize("chunk", [1, 3, 6, 7, 100])
def test_chunked_is_unchunked(kind: Any, chunk: int) -> None:
    program = program_of(kind=kind)
    wanted = run(Engine(program, CPU, "vmap"))
    engine = Engine(program, CPU, "vmap")
    engine.chunk = chunk
    for a, b in zip(run(engine), wanted, strict=True):
        close(a, b, 1e-9)


def test_what_never_fits_says_so(room: Callable[[int], list[int]]) -> None:
    tried = room(0)
    with pytest.raises(NoRoomError, match="one task does not fit"):
        run(Engine(program_of(), CPU, "vmap"))
    assert tried == [7, 4, 2, 1]
    tried.clear()
    meta, buffers = start(program_of().rule)
    with pytest.raises(NoRoomError, match="one task does not fit"):
        Engine(program_of(), CPU, "vmap").predictions(meta, buffers, batch())
    assert tried == [7, 4, 2, 1]


def test_scoring_halves_too(room: Callable[[int], list[int]]) -> None:
    meta, buffers = start(program_of().rule)
    wanted = Engine(program_of(), CPU, "sequential").predictions(meta, buffers, batch())
    tried = room(3)
    found = Engine(program_of(), CPU, "vmap").predictions(meta, buffers, batch())
    assert tried == [7, 4, 2, 2, 2, 1]
    close(found, wanted, 1e-9)


def batch() -> Episodes:
    drawn = [draw(CURVES, seed=t) for t in range(TASKS)]
    return {name: torch.stack([task[name] for task in drawn]) for name in drawn[0]}


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("norm", ["running", "support"])
@pytest.mark.parametrize("kind", [ridge, gradient])
def test_every_way_of_scoring_predicts_the_same(
    execution: str, norm: str, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_SCORE_ELEMENTS", 30)  # two tasks at a time
    program = program_of(norm, kind)
    meta, buffers = start(program.rule)
    engine = Engine(program, CPU, execution)
    found = engine.predictions(meta, buffers, batch())
    assert not found.requires_grad
    tasks = [{name: tensor[t] for name, tensor in batch().items()} for t in range(TASKS)]
    wanted = torch.stack([program.adapt_predict(meta, buffers, task) for task in tasks])
    close(found, wanted, 1e-9)


def test_fewer_tasks_are_scored_at_once_where_each_has_many_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapted ones are each task's own: of a large network a thousand tasks would take gigabytes."""
    seen: list[int] = []
    split = engines.pieces
    monkeypatch.setattr(engines, "pieces", lambda n, lanes, size: seen.append(size) or split(n, lanes, size))
    for kind in (gradient, ridge):
        program = program_of(kind=kind)
        meta, buffers = start(program.rule)
        monkeypatch.setattr(engines, "_SCORE_ELEMENTS", 2 * meta.numel())
        Engine(program, CPU, "vmap").predictions(meta, buffers, batch())
    assert seen[0] == 2
    assert seen[1] > 2, "in closed form a task has next to none of its own"


@pytest.mark.parametrize("norm", ["running", "support", "layer"])
@pytest.mark.parametrize("kind", [ridge, gradient])
def test_no_query_reaches_adapting(norm: str, kind: Any) -> None:
    """Queries of NaNs leave what was learned from the support set, to the last bit, as it was."""
    program = program_of(norm, kind)
    meta, buffers = start(program.rule)
    seen: list[dict[str, Tensor]] = []

    class Watched(type(program.rule)):
        def adapt(self, *args: Any) -> dict[str, Tensor]:
            seen.append(super().adapt(*args))
            return seen[-1]

    rule = program.rule
    watched = Program(
        Watched(**{name: getattr(rule, name) for name in rule.__dataclass_fields__}), *layouts(program)
    )
    plain = batch()
    blank: Episodes = {
        **plain,
        "query_x": torch.full_like(plain["query_x"], torch.nan),
        "query_y": torch.full_like(plain["query_y"], torch.nan),
    }
    for episodes in (plain, blank):
        Engine(watched, CPU, "sequential").predictions(meta, buffers, episodes)
    assert len(seen) == 2 * TASKS
    for first, second in zip(seen[:TASKS], seen[TASKS:], strict=True):
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def layouts(program: Program) -> tuple[Any, Any]:
    return program.meta, program.buffers


def test_auto_measures_and_changes_nothing() -> None:
    program = program_of(kind=gradient)
    wanted = run(Engine(program, CPU, "sequential"))
    meta, buffers, episodes, keys = several(program.rule, 2, TASKS)
    engine = Engine(program, CPU, "auto")
    for left in range(12, 0, -1):
        found = engine.gradients(meta, buffers, episodes, keys, PROGRESS, 10_000 + left)
        for a, b in zip(found, wanted, strict=True):
            close(a, b, 1e-9)
    assert engine.chosen in ("vmap", "sequential", "replay")


def test_another_error_is_not_taken_for_one_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def broken(program: Program) -> Any:
        def step(*args: Any) -> Any:
            calls.append(args)
            raise ValueError("a fault of the rule")

        return step

    monkeypatch.setattr(engines, "vmapped", broken)
    with pytest.raises(ValueError, match="a fault of the rule"):
        run(Engine(program_of(), CPU, "vmap"))
    assert len(calls) == 1


def test_an_unknown_execution_lists_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="auto, sequential, vmap, replay"):
        Engine(program_of(), CPU, "fast")
