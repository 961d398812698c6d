"""Tasks shared out over threads: nobody can tell from the result, and what goes wrong is heard."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanas.engine import EXECUTIONS, Engine, Program
from metanas.engine import engine as engines
from metanas.engine.lanes import lanes, pieces, side_by_side, spread, unwanted, wanted
from metanas.testing.asserting import close
from metanas.testing.rules import draw, several, start
from search_spaces import Signature
from search_spaces.architectures import conv
from search_spaces.rules import gradient, prototype

CPU = torch.device("cpu")
PICTURES = Signature("classification", (1, 6, 6), 3, 1)
TASKS = 5
PROGRESS = torch.tensor(0.5, dtype=torch.float64)


def program_of(kind: Any, norm: str = "running") -> Program:
    sizes = {"depth": 1, "width": 4, "kernel": 3, "downsample": "pool", "residual": False}
    network = conv.build({**sizes, "activation": "tanh", "norm": norm}, PICTURES)
    inner = {"steps": 2, "order": 2, "step_size": "fixed", "rate": 0.1, "scope": "all", "head": "rows"}
    return Program.of(kind.build({"distance": "euclid", **inner}, network, PICTURES))


@pytest.fixture
def three_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "lanes", lambda *_: 3)


def test_threads_do_not_load_parts_of_torch_at_the_same_moment() -> None:
    """Two that did left it half loaded: their trials failed, and no learner could be saved."""
    body = "import sys; from metanas.engine.lanes import spread\n"
    body += "assert 'torch._dynamo' not in sys.modules\n"
    body += "assert spread(lambda _: 'torch._dynamo' in sys.modules, range(2), 2) == [True, True]"
    subprocess.run([sys.executable, "-c", body], check=True)


@given(st.integers(1, 50), st.integers(1, 8), st.integers(1, 50))
def test_pieces_are_all_tasks_once_in_order_and_even(tasks: int, count: int, most: int) -> None:
    found = pieces(tasks, count, most)
    assert [t for piece in found for t in range(piece.start, piece.stop)] == list(range(tasks))
    sizes = [piece.stop - piece.start for piece in found]
    assert max(sizes) <= most
    assert len(set(sizes[:-1])) <= 1
    if most >= tasks:
        assert len(found) <= count


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("kind", [prototype, gradient])
def test_threads_change_nothing(execution: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of(kind)
    meta, buffers, episodes, keys = several(program.rule, 1, TASKS)
    monkeypatch.setattr(engines, "lanes", lambda *_: 1)
    plain = Engine(program, CPU, execution).gradients(meta, buffers, episodes, keys, PROGRESS)
    monkeypatch.setattr(engines, "lanes", lambda *_: 3)
    engine = Engine(program, CPU, execution)
    found = [engine.gradients(meta, buffers, episodes, keys, PROGRESS, 10_000) for _ in range(14)]
    for step in found:
        for a, b in zip(step, plain, strict=True):
            close(a, b, 1e-9)
    if execution != "auto":  # which may change its mind on the way
        assert all(torch.equal(a, b) for a, b in zip(found[-1], found[0], strict=True))


@pytest.mark.usefixtures("three_lanes")
def test_scoring_on_threads_changes_nothing_and_keeps_no_graph() -> None:
    program = program_of(prototype)
    meta, buffers = start(program.rule)
    drawn = [draw(PICTURES, seed=t) for t in range(TASKS)]
    episodes: Any = {name: torch.stack([task[name] for task in drawn]) for name in drawn[0]}
    engine = Engine(program, CPU, "vmap")
    found = [engine.predictions(meta.requires_grad_(), buffers, episodes) for _ in range(3)]
    plain = torch.stack([program.adapt_predict(meta, buffers, task) for task in drawn])
    for prediction in found:
        assert not prediction.requires_grad
        close(prediction, plain, 1e-9)


def test_items_are_done_on_other_threads_in_their_order() -> None:
    gate = threading.Barrier(3, timeout=60)  # opens only if three of them run at the same time

    def double(item: int) -> tuple[int, str]:
        gate.wait()
        return 2 * item, threading.current_thread().name

    found = spread(double, range(3), 3)
    assert [value for value, _ in found] == [0, 2, 4]
    assert len({name for _, name in found}) == 3


def test_what_goes_wrong_on_a_thread_is_raised_here() -> None:
    def fail(item: int) -> int:
        raise torch.OutOfMemoryError(f"item {item}")

    with pytest.raises(torch.OutOfMemoryError, match="item"):
        spread(fail, range(4), 2)


def test_who_leaves_early_is_not_worked_for() -> None:
    gate, seen = threading.Event(), []

    def work(item: int) -> int:
        if item == 0:
            return 0
        gate.wait(60)
        for _ in wanted(10**9):
            seen.append(item)
        return item

    results = side_by_side(work, range(5), 2)
    assert next(results) == 0
    gate.set()
    results.close()
    assert set(seen) <= {1, 2}, "what had not begun never does"
    assert not unwanted(), "who leaves is not left"


def test_only_images_on_a_cpu_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert lanes(CPU, (1, 28, 28)) == 4
    assert lanes(CPU, (3,)) == 1
    assert lanes(torch.device("cuda"), (1, 28, 28)) == 1
