"""Ways of running: traced once, measured with a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from metanas.engine import execution
from metanas.engine.execution import Fastest, Replay, not_worth_trying
from metanas.engine.lanes import Unwanted

CPU = torch.device("cpu")


def test_replay_computes_backward_passes_and_nested_transforms_too() -> None:
    def inner(w: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(w * x).square().mean()

    def outer(w: Tensor, x: Tensor) -> Tensor:
        free = w.detach().requires_grad_()
        learned = free - 0.1 * torch.func.grad(inner)(free, x)
        return torch.autograd.grad(inner(learned, 2 * x), free)[0]

    random = torch.Generator().manual_seed(0)
    replay = Replay(outer)
    for _ in range(3):
        w, x = (torch.randn(4, generator=random, dtype=torch.float64) for _ in range(2))
        torch.testing.assert_close(replay(w, x), outer(w, x), atol=1e-12, rtol=0)


def test_replay_traces_once_a_shape_and_precision() -> None:
    traced: list[tuple[int, ...]] = []

    def double(tensors: dict[str, Tensor]) -> Tensor:
        traced.append(tuple(tensors["x"].shape))
        return 2 * tensors["x"]

    replay = Replay(double)
    for shape, dtype in [((3,), torch.float32), ((2, 2), torch.float32), ((3,), torch.float64)]:
        for value in (1.0, 5.0):
            x = torch.full(shape, value, dtype=dtype)
            assert torch.equal(replay({"x": x}), 2 * x)
    assert traced == [(3,), (2, 2), (3,)]


def test_replay_tells_arguments_of_the_same_shapes_apart() -> None:
    """A mask of the support must not run as one of as many queries."""
    replay = Replay(lambda tensors: tensors.get("a", torch.zeros(2)) - tensors.get("b", torch.zeros(2)))
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 5.0])
    assert torch.equal(replay({"a": x}), x)
    assert torch.equal(replay({"b": x}), -x)
    assert torch.equal(replay({"a": x, "b": y}), x - y)
    assert torch.equal(replay({"b": y, "a": x}), x - y)


class Ways:
    """Fake ways of running: each call takes the next of its times, the last of them from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **ms: list[float]) -> None:
        self.now, self.ran, self.looks = 0.0, list[str](), 0
        self.ways = {name: self._way(name, times) for name, times in ms.items()}
        monkeypatch.setattr(execution, "clock", self._look)

    def _way(self, name: str, times: list[float]) -> Callable[[], str]:
        left = list(times)

        def run() -> str:
            self.now += (left.pop(0) if len(left) > 1 else left[0]) / 1e3
            self.ran.append(name)
            return name

        return run

    def _look(self, device: torch.device) -> float:
        self.looks += 1
        return self.now


@pytest.mark.parametrize("winner", ["vmap", "sequential", "replay"])
def test_the_fastest_way_is_found_by_doing_real_work(winner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {name: [3.0 if name == winner else 7.0] for name in ("vmap", "sequential", "replay")}
    fake = Ways(monkeypatch, **times)
    fastest = Fastest(fake.ways, CPU)
    results = [fastest(calls_left=1000) for _ in range(40)]
    assert results == fake.ran, "every call is one way's result: nothing is run for its time alone"
    assert set(results[-20:]) == {winner}
    assert fastest.chosen == winner
    assert set(results) == {"vmap", "sequential", "replay"}


def test_what_is_paid_once_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batched call pays for what every way pays once; tracing is paid once too."""
    fake = Ways(monkeypatch, vmap=[900.0, 5.0], sequential=[6.0], replay=[2000.0, 4.0])
    fastest = Fastest(fake.ways, CPU)
    for _ in range(30):
        fastest(calls_left=1000)
    assert fastest.chosen == "replay"
    assert fastest.ms == pytest.approx({"vmap": 5.0, "sequential": 6.0, "replay": 4.0})


def test_one_disturbed_call_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Ways(monkeypatch, vmap=[9.0, 50.0, 3.0, 60.0], replay=[9.0, 4.0])
    fastest = Fastest(fake.ways, CPU)
    for _ in range(20):
        fastest(calls_left=1000)
    assert fastest.chosen == "vmap"


def test_a_way_that_is_not_worth_it_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Ways(monkeypatch, vmap=[5.0], sequential=[1.0], replay=[2.0])
    asked: list[tuple[str, dict[str, float], int]] = []

    def skip(name: str, seen: dict[str, float], left: int) -> bool:
        asked.append((name, dict(seen), left))
        return name == "sequential"

    fastest = Fastest(fake.ways, CPU, skip)
    for left in range(30, 0, -1):
        fastest(calls_left=left)
    assert "sequential" not in fake.ran
    assert fastest.chosen == "replay"
    assert asked[0] == ("vmap", {}, 30)
    assert all(seen == pytest.approx({"vmap": 5.0}) for name, seen, _ in asked if name == "replay")
    assert [left for name, _, left in asked if name == "replay"] == [26]


def test_what_nobody_waits_for_is_not_done_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it say that its way cannot run."""
    fake = Ways(monkeypatch, vmap=[5.0])

    def left() -> None:
        raise Unwanted

    fastest = Fastest({"sequential": left, **fake.ways}, CPU)
    for _ in range(2):
        with pytest.raises(Unwanted):
            fastest(calls_left=1000)
    assert fake.ran == []


def test_what_is_half_measured_is_measured_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways are not mixed: a cache that one fills is not another's gain."""
    fake = Ways(monkeypatch, vmap=[5.0], sequential=[1.0], replay=[2.0])
    fastest = Fastest(fake.ways, CPU)
    for _ in range(9):
        fastest(calls_left=1000)
    assert fake.ran == ["vmap"] * 4 + ["sequential"] + ["replay"] * 4


def test_one_way_alone_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Ways(monkeypatch, replay=[2.0])
    fastest = Fastest(fake.ways, CPU)
    assert [fastest(calls_left=1000) for _ in range(5)] == ["replay"] * 5
    assert fake.looks == 0, "looking at a GPU's clock waits for the GPU"


def test_once_chosen_the_clock_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Ways(monkeypatch, vmap=[2.0], replay=[1.0])
    fastest = Fastest(fake.ways, CPU)
    for _ in range(8):
        fastest(calls_left=1000)
    looks = fake.looks
    for _ in range(20):
        fastest(calls_left=1000)
    assert fake.looks == looks


@pytest.mark.parametrize(
    ("name", "seen", "left", "skipped"),
    [
        ("vmap", {}, 1, False),
        ("sequential", {"vmap": 4.0}, 1000, True),  # 10 tasks in 4 ms: less than a task's dispatch
        ("sequential", {"vmap": 6.0}, 1000, False),
        ("replay", {"vmap": 4.0}, 10, True),  # tracing would not pay for itself
        ("replay", {"vmap": 4.0}, 1000, False),
    ],
)
def test_what_is_worth_trying(name: str, seen: dict[str, float], left: int, skipped: bool) -> None:
    assert not_worth_trying(10)(name, seen, left) == skipped


@pytest.mark.parametrize(("ms", "skipped"), [(60.0, True), (40.0, False)])
def test_where_computing_takes_long_dispatching_it_better_is_not_tried(ms: float, skipped: bool) -> None:
    assert not_worth_trying(10, heavy=True)("vmap", {"sequential": ms}, 1000) == skipped
    assert not not_worth_trying(10)("vmap", {"sequential": ms}, 1000)
