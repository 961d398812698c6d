"""The one outer loop: where it stops and what it is batched with change nothing of what it comes to."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metanas import training
from metanas.engine import Engine, Program
from metanas.tasks.families import harmonics, sinusoid
from metanas.tasks.family import Family, Source
from metanas.testing.asserting import close
from metanas.training import Checkpoint, annealed, scheduled, train
from search_spaces import Signature
from search_spaces.architectures import mlp
from search_spaces.outer import Outer
from search_spaces.rules import gradient, ridge
from search_spaces.rules.ridge import Ridge
from search_spaces.task import Episodes

CPU = torch.device("cpu")
CURVES = Signature("regression", (1,), 1, 5)
OUTER = Outer(
    learning_rate=1e-2,
    schedule="cosine",
    weight_decay=1e-3,
    tasks=4,
    ways=1,
    shots=(5, 10),
    queries=6,
    augmentation="none",
)
TENSORS = ("meta", "first", "second", "average", "buffers")


def program_of(kind: Any = ridge, norm: str = "running") -> Program:
    network = mlp.build({"depth": 1, "width_1": 8, "activation": "tanh", "norm": norm}, CURVES)
    inner = {"steps": 1, "order": 2, "step_size": "layer", "rate": 0.05, "scope": "all"}
    return Program.of(kind.build({"strength": 0.1, **inner}, network, CURVES))


@pytest.fixture(scope="module")
def family() -> Family:
    return sinusoid.build(Source())


def go(
    family: Family,
    *stops: int,
    program: Program | None = None,
    seed: int = 0,
    execution: str = "vmap",
    dtype: torch.dtype = torch.float32,
    engine: Engine | None = None,
) -> Checkpoint:
    """Trains one candidate to each of the stops in turn, as the rungs of a trial of 64 meta-steps."""
    engine = engine or Engine(program or program_of(), CPU, execution)
    checkpoint = Checkpoint.start(engine.program, seed, CPU, dtype)
    for stop in stops:
        done = train(engine, family, [OUTER], [checkpoint], stop, scheduled(64))
        assert done.complete
        (checkpoint,) = done.checkpoints
        assert checkpoint.step == stop
    return checkpoint


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return (a.step, a.seed) == (b.step, b.seed) and all(
        torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS
    )


@pytest.mark.parametrize("execution", ["vmap", "sequential", "replay"])
@pytest.mark.parametrize("kind", [ridge, gradient])
def test_stopping_on_the_way_changes_no_bit(family: Family, kind: Any, execution: str) -> None:
    """At a rung in the middle of a block of tasks, at its end, and beyond it."""
    program = program_of(kind)
    straight = go(family, 40, program=program, execution=execution)
    assert same(go(family, 7, 32, 33, 40, program=program, execution=execution), straight)


def test_stopping_on_the_way_changes_nothing_for_rules_that_know_their_progress(family: Family) -> None:
    class Warming(Ridge):
        def outer_loss(self, *args: Any) -> Any:
            loss, observed = super().outer_loss(*args)
            return loss * (1 + args[-1]), observed

    plain = program_of().rule
    program = Program.of(Warming(plain.network, plain.signature, 0.1))
    assert same(go(family, 7, 40, program=program), go(family, 40, program=program))


def test_the_same_seed_repeats_to_the_last_bit_and_another_does_not(family: Family) -> None:
    first = go(family, 12)
    assert same(go(family, 12), first)
    assert go(family, 12).curve == first.curve
    other = go(family, 12, seed=1)
    assert not torch.equal(other.meta, first.meta)
    # the tasks differ too, not the start alone
    start = Checkpoint.start(program_of(), 0, CPU)
    engine = Engine(program_of(), CPU, "vmap")
    (moved,) = train(engine, family, [OUTER], [replace(start, seed=1)], 12, scheduled(64)).checkpoints
    assert not torch.equal(moved.meta, first.meta)


@pytest.mark.parametrize("kind", [ridge, gradient])
def test_a_candidate_does_not_notice_what_it_is_batched_with(family: Family, kind: Any) -> None:
    program = program_of(kind)
    engine = Engine(program, CPU, "vmap")
    outers = [
        OUTER,
        replace(OUTER, learning_rate=1e-3, schedule="constant"),
        replace(OUTER, weight_decay=0.1),
    ]
    starts = [Checkpoint.start(program, seed, CPU, torch.float64) for seed in (3, 4, 5)]
    together = train(engine, family, outers, starts, 35, scheduled(64)).checkpoints
    for i, checkpoint in enumerate(together):
        (alone,) = train(engine, family, [outers[i]], [starts[i]], 35, scheduled(64)).checkpoints
        for name in TENSORS:
            close(getattr(checkpoint, name), getattr(alone, name), 1e-9, name)
        assert checkpoint.seed == starts[i].seed
        assert [step for step, _ in checkpoint.curve] == [step for step, _ in alone.curve]
        assert [loss for _, loss in checkpoint.curve] == pytest.approx([loss for _, loss in alone.curve])


class Watching(Engine):
    """Keeps the tasks of every meta-step."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, CPU, "vmap")
        self.seen: list[Tensor] = []

    def gradients(self, meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, *rest: Any) -> Any:
        self.seen.append(torch.cat([episodes["query_x"].flatten(), keys.flatten().double()]))
        return super().gradients(meta, buffers, episodes, keys, *rest)


def test_every_meta_step_has_tasks_of_its_own_wherever_training_goes_on(family: Family) -> None:
    straight, resumed = Watching(program_of()), Watching(program_of())
    go(family, 40, engine=straight)
    go(family, 5, 31, 40, engine=resumed)
    assert len(straight.seen) == len(resumed.seen) == 40
    assert all(torch.equal(a, b) for a, b in zip(straight.seen, resumed.seen, strict=True))
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(straight.seen, 2))


def test_training_draws_training_tasks_as_the_outer_settings_say(family: Family) -> None:
    asked: list[tuple[int, str, dict[str, Any]]] = []

    class Asked:
        def sample(self, n_tasks: int, split: str, generator: torch.Generator, **how: Any) -> Episodes:
            asked.append((n_tasks, split, how))
            return family.sample(n_tasks, "train", generator, **how)

    engine = Engine(program_of(), CPU, "vmap")
    checkpoint = Checkpoint.start(engine.program, 0, CPU)
    train(engine, Asked(), [OUTER], [checkpoint], 3, scheduled(64))
    (n_tasks, split, how), *more = asked
    assert (split, how) == ("train", {"shots": (5, 10), "ways": 1, "queries": 6, "augmentation": "none"})
    assert n_tasks % OUTER.tasks == 0
    assert not more, "tasks are drawn for many meta-steps at a time"


def test_training_learns(family: Family) -> None:
    """Better on tasks it has not seen than where it began, and better than predicting the mean, 4.3."""
    engine = Engine(program_of(norm="none"), CPU, "vmap")
    before = Checkpoint.start(engine.program, 0, CPU)
    (after,) = train(engine, family, [OUTER], [before], 300, scheduled(300)).checkpoints
    tasks = family.sample(200, "valid", torch.Generator().manual_seed(9), shots=10, ways=1, queries=20)
    errors = [
        (engine.predictions(c.average, c.buffers, tasks) - tasks["query_y"]).square().mean().item()
        for c in (before, after)
    ]
    assert errors[1] < min(0.6 * errors[0], 2.0), errors


def test_the_curve_tells_losses_by_meta_step(family: Family) -> None:
    checkpoint = go(family, 30, 40)
    assert [step for step, _ in checkpoint.curve] == list(range(1, 41))
    long = training._thinned(100, [float(i) for i in range(1000)])
    assert len(long) <= 50
    assert long[-1][0] == 1100
    assert all(a < b for a, b in itertools.pairwise([step for step, _ in long]))
    assert sum(loss for _, loss in long) / len(long) == pytest.approx(499.5)


def test_learning_rates_rise_then_do_as_the_schedule_says() -> None:
    constant, cosine = replace(OUTER, schedule="constant"), OUTER
    rate = scheduled(1000)
    assert [rate(constant, step) / 1e-2 for step in (0, 9, 19, 500, 2000)] == pytest.approx(
        [0.05, 0.5, 1, 1, 1]
    )
    falling = [rate(cosine, step) for step in range(20, 1001, 20)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == rate(cosine, 5000) == pytest.approx(1e-3)
    last = annealed(1000)
    assert last(cosine, 999) == pytest.approx(1e-5)
    assert last(cosine, 500) == pytest.approx(5e-3)
    assert last(cosine, 1500) == 0.0


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which every look is a second later."""
    ticks = itertools.count()
    monkeypatch.setattr(training, "clock", lambda device: float(next(ticks)))


@pytest.mark.usefixtures("slow")
def test_what_would_take_too_long_is_given_up_early(family: Family) -> None:
    engine = Engine(program_of(), CPU, "vmap")
    start = Checkpoint.start(engine.program, 0, CPU)
    done = train(engine, family, [OUTER], [start], 100, scheduled(64), 20.0)
    assert not done.complete
    assert done.needs > 20
    assert done.checkpoints[0].step < 20, "before its time is up"


@pytest.mark.usefixtures("slow")
def test_the_patient_use_their_time_and_keep_what_they_have(family: Family) -> None:
    engine = Engine(program_of(), CPU, "vmap")
    start = Checkpoint.start(engine.program, 0, CPU)
    done = train(engine, family, [OUTER], [start], 100, scheduled(64), 20.0, patient=True)
    assert not done.complete
    (checkpoint,) = done.checkpoints
    assert 15 <= checkpoint.step <= 30
    assert same(checkpoint, go(family, checkpoint.step, engine=engine))


def test_the_fastest_meta_step_says_how_many_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait for a cold cache, or another process."""
    times = iter([0.0, 9.0, 11.0, 16.0])
    monkeypatch.setattr(training, "clock", lambda device: float(next(times)))
    pace = training._Pace(CPU, 100, 36.0, patient=True)
    assert pace.left == 100
    for _ in range(3):
        pace.step()
    assert pace.left == 10  # of the 20 seconds that are left, at two each
    assert pace.needs == 16 + 97 * 2


def test_a_curve_is_whole_however_losses_are_kept(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = go(family, 7).curve
    for together in (1, 3, 7):
        monkeypatch.setattr(training, "_TOGETHER", together)
        assert go(family, 7).curve == wanted


@pytest.mark.usefixtures("slow")
def test_what_is_in_time_is_complete(family: Family) -> None:
    engine = Engine(program_of(), CPU, "vmap")
    start = Checkpoint.start(engine.program, 0, CPU)
    assert train(engine, family, [OUTER], [start], 10, scheduled(64), 100.0).complete
    assert train(engine, family, [OUTER], [start], 0, scheduled(64), 0.0).complete, "it is there already"


def test_going_on_from_stored_weights_starts_the_optimizer_anew(family: Family) -> None:
    then = go(family, 5)
    again = Checkpoint.resume(then.average, then.buffers, 7, CPU)
    assert torch.equal(again.meta, then.average)
    assert torch.equal(again.average, then.average)
    assert torch.equal(again.buffers, then.buffers)
    assert (again.step, again.seed, again.curve) == (0, 7, ())
    assert not again.first.any()
    assert not again.second.any()


def test_another_family_of_the_same_shape_trains_too() -> None:
    assert math.isfinite(go(harmonics.build(Source()), 5).curve[-1][1])
