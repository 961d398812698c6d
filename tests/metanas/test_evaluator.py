"""The evaluator: whatever becomes of a candidate is an outcome, and nobody else's business."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metanas import evaluator as evaluators
from metanas.engine import Program
from metanas.engine import engine as engines
from metanas.evaluator import Evaluator, Job, Setting
from metanas.scoring import half_width
from metanas.tasks.families import sinusoid
from metanas.tasks.family import Source
from metanas.testing.asserting import close
from metanas.training import Checkpoint
from search_spaces import Candidate, Signature, catalogue
from search_spaces.errors import NoRoomError, RuleError
from search_spaces.rules.ridge import Ridge
from search_spaces.task import Episodes
from tests.metanas.jobs import (
    CPU,
    CURVES,
    RATE,
    TENSORS,
    agree,
    begun,
    maml_of,
    outcomes,
    ridge_of,
)


@pytest.fixture
def make() -> Callable[..., Evaluator]:
    def made(**changes: Any) -> Evaluator:
        options = {"execution": "vmap", "seed": 3, "valid_tasks": 20, "dtype": torch.float64, **changes}
        return Evaluator(sinusoid.build(Source()), CURVES, Setting(1, 5, 10), CPU, **options)

    return made


def test_candidates_are_trained_and_scored_on_the_same_tasks(make: Callable[..., Evaluator]) -> None:
    evaluator = make()
    jobs = [Job(ridge_of(), 1), Job(maml_of(), 2), Job(ridge_of(outer__tasks=16), 1)]
    for outcome in outcomes(evaluator, jobs):
        assert (outcome.ended, outcome.reason) == ("scored", "")
        assert outcome.checkpoint.step == 12
        assert outcome.seconds > 0
        score, kept = outcome.score, outcome.checkpoint
        program = Program.of(catalogue.build(outcome.job.candidate, CURVES))
        errors = []
        for t in range(20):
            task: Any = {name: tensor[t] for name, tensor in evaluator.valid.items()}
            prediction = program.adapt_predict(kept.average, kept.buffers, task)
            errors.append((prediction - task["query_y"]).square().mean().item())
        assert score.value == pytest.approx(np.mean(errors))
        assert score.ci95 == pytest.approx(half_width(np.array(errors)))
        assert (score.metric, score.tasks, score.split) == ("mse", 20, "valid")


def test_tasks_are_fixed_by_the_seed_and_a_new_look_gives_new_ones(make: Callable[..., Evaluator]) -> None:
    def differ(a: Episodes, b: Episodes) -> bool:
        return not torch.equal(a["query_x"], b["query_x"])

    first, again, other = make(), make(), make(seed=4)
    assert not differ(first.valid, again.valid)
    assert differ(first.valid, other.valid)
    test = first.tasks(20, "test")
    assert not differ(test, again.tasks(20, "test"))
    assert differ(test, first.valid)
    assert differ(test, first.tasks(20, "test", look=1))
    assert first.valid["support_x"].dtype == torch.float64


def test_candidates_of_one_shape_run_as_one_batch_and_do_not_notice(
    make: Callable[..., Evaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = evaluators.train

    def watched(engine: Any, family: Any, outers: Any, checkpoints: Any, *rest: Any, **how: Any) -> Any:
        sizes.append(len(checkpoints))
        return plain(engine, family, outers, checkpoints, *rest, **how)

    monkeypatch.setattr(evaluators, "train", watched)
    evaluator = make()
    candidates = [
        ridge_of(),
        maml_of(),
        ridge_of(outer__learning_rate=1e-3, rule__ridge__strength=0.01),
        ridge_of(outer__schedule="constant"),
        maml_of(rule__gradient__steps=1),
    ]
    jobs = [begun(evaluator, candidate, seed) for seed, candidate in enumerate(candidates)]
    together = outcomes(evaluator, jobs)
    assert sorted(sizes) == [1, 1, 3]
    for job, outcome in zip(jobs, together, strict=True):
        (alone,) = outcomes(make(), [job])
        agree(outcome, alone)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ridge_of(rule__ridge__strength=1.0), ridge_of(rule__ridge__strength=1e-4)),
        (maml_of(rule__gradient__rate=0.5), maml_of(rule__gradient__rate=0.001)),
    ],
)
def test_a_candidate_starts_from_its_own_values_whoever_came_before(
    make: Callable[..., Evaluator], one: Candidate, other: Candidate
) -> None:
    _, after = outcomes(make(), [Job(one, 0), Job(other, 1)])
    (alone,) = outcomes(make(), [Job(other, 1)])
    agree(after, alone)


def test_going_on_from_a_rung_is_going_straight_there(make: Callable[..., Evaluator]) -> None:
    (straight,) = outcomes(make(), [Job(ridge_of(), 5)], 30)
    evaluator = make()
    (first,) = outcomes(evaluator, [Job(ridge_of(), 5)], 10)
    (second,) = outcomes(evaluator, [Job(ridge_of(), 5, first.checkpoint)], 30)
    assert second.checkpoint.step == 30
    assert all(
        torch.equal(getattr(straight.checkpoint, name), getattr(second.checkpoint, name)) for name in TENSORS
    )
    assert straight.score == second.score


def test_candidates_at_different_rungs_are_not_batched(make: Callable[..., Evaluator]) -> None:
    evaluator = make()
    (first,) = outcomes(evaluator, [Job(ridge_of(), 5)], 10)
    both = outcomes(evaluator, [Job(ridge_of(), 5, first.checkpoint), Job(ridge_of(), 6)], 20)
    assert [outcome.checkpoint.step for outcome in both] == [20, 20]


def test_one_that_diverges_is_told_so_and_the_others_do_not_notice(make: Callable[..., Evaluator]) -> None:
    """Inner steps so large that every prediction overflows."""
    evaluator = make(dtype=torch.float32)
    wild, tame = maml_of(rule__gradient__rate=1e30, rule__gradient__steps=5), maml_of(rule__gradient__steps=5)
    jobs = [
        Job(candidate, seed, Checkpoint.start(Program.of(catalogue.build(candidate, CURVES)), seed, CPU))
        for seed, candidate in enumerate((tame, wild, tame))
    ]
    first, bad, last = outcomes(evaluator, jobs)
    assert bad.ended == "diverged"
    assert "meta-step 12" in bad.reason
    assert bad.checkpoint is None
    assert bad.score is None
    for job, outcome in ((jobs[0], first), (jobs[2], last)):
        assert outcome.ended == "scored"
        (alone,) = outcomes(make(dtype=torch.float32), [job])
        close(outcome.checkpoint.meta, alone.checkpoint.meta, 1e-4)
        assert math.isfinite(outcome.score.value)


class Broken(Ridge):
    error: BaseException = ValueError("the rule stumbles\nand says so at length")

    def fit(self, *args: Any) -> dict[str, Tensor]:
        raise self.error


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> type[Broken]:
    """Ridge on 32 units raises."""
    plain = catalogue.build

    class Fresh(Broken):
        pass

    def build(candidate: Candidate, signature: Signature, trusted: Sequence[str] = ()) -> Any:
        rule = plain(candidate, signature, trusted)
        return Fresh(rule.network, signature, 0.1) if rule.network.size == 32 else rule

    monkeypatch.setattr(catalogue, "build", build)
    return Fresh


BROKEN = ridge_of(architecture__mlp__width_1=32)


@pytest.mark.usefixtures("broken")
def test_an_exception_in_a_rule_is_an_outcome(make: Callable[..., Evaluator]) -> None:
    good, bad, also = outcomes(make(), [Job(ridge_of(), 0), Job(BROKEN, 1), Job(maml_of(), 2)])
    assert (bad.ended, bad.reason) == ("error", "ValueError: the rule stumbles")
    assert bad.checkpoint is None
    assert bad.score is None
    assert good.ended == also.ended == "scored"


def test_our_own_errors_are_told_in_their_own_words(
    make: Callable[..., Evaluator], broken: type[Broken]
) -> None:
    broken.error = RuleError("conv needs images")
    (bad,) = outcomes(make(), [Job(BROKEN, 1)])
    assert (bad.ended, bad.reason) == ("error", "conv needs images")


def test_a_candidate_that_cannot_be_built_is_an_outcome(make: Callable[..., Evaluator]) -> None:
    short = Candidate({name: value for name, value in ridge_of().items() if "norm" not in name})
    bad, good = outcomes(make(), [Job(short, 0), Job(ridge_of(), 0)])
    assert bad.ended == "error"
    assert "norm" in bad.reason
    assert good.ended == "scored"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_passes_through(
    make: Callable[..., Evaluator], broken: type[Broken], error: type[BaseException]
) -> None:
    broken.error = error()
    with pytest.raises(error):
        outcomes(make(), [Job(BROKEN, 1)])


def test_what_never_fits_is_an_outcome_after_smaller_meta_batches(
    make: Callable[..., Evaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    plain = engines.vmapped

    def vmapped(program: Program) -> Any:
        step = plain(program)

        def limited(meta: Tensor, buffers: Tensor, episodes: Episodes, keys: Tensor, *rest: Any) -> Any:
            tried.append(keys.shape[1])
            if program.rule.network.size == 32:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return step(meta, buffers, episodes, keys, *rest)

        return limited

    monkeypatch.setattr(engines, "vmapped", vmapped)
    bad, good = outcomes(make(), [Job(BROKEN, 0), Job(ridge_of(), 0)], 2)
    assert (bad.ended, bad.reason) == ("out of memory", "out of memory: one task does not fit")
    assert tried[:4] == [8, 4, 2, 1], "the chunk first"
    assert good.ended == "scored"


def test_smaller_meta_batches_are_tried_and_kept(
    make: Callable[..., Evaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    plain = evaluators.train

    def limited(engine: Any, family: Any, outers: Any, *rest: Any, **how: Any) -> Any:
        tried.append(outers[0].tasks)
        if outers[0].tasks > 2:
            raise NoRoomError("out of memory: one task does not fit")
        return plain(engine, family, outers, *rest, **how)

    monkeypatch.setattr(evaluators, "train", limited)
    (outcome,) = outcomes(make(), [Job(ridge_of(), 0)])
    assert tried == [8, 4, 2]
    assert outcome.ended == "scored"


def test_what_takes_too_long_is_an_outcome_that_says_how_long(make: Callable[..., Evaluator]) -> None:
    late, other = outcomes(make(), [Job(ridge_of(), 0), Job(maml_of(), 0)], seconds=0.0)
    for outcome in (late, other):
        assert outcome.ended == "timeout"
        assert "may take 0.0 s" in outcome.reason
        assert outcome.score is None


@pytest.mark.long
def test_no_candidate_pays_for_what_torch_loads_once() -> None:
    """Two seconds of imports at the first gradient under a transform: as long as a short rung may take."""
    code = """
import sys
from tests.metanas.jobs import CPU, CURVES, RATE, Job, maml_of
from metanas.evaluator import Evaluator, Setting
from metanas.tasks.families import sinusoid
from metanas.tasks.family import Source
evaluator = Evaluator(sinusoid.build(Source()), CURVES, Setting(1, 5, 5), CPU, valid_tasks=2)
before = set(sys.modules)
((_, outcome),) = evaluator.evaluate([Job(maml_of(), 0)], 3, RATE, lambda: 1e9)
assert outcome.ended == "scored", outcome
late = {name for name in set(sys.modules) - before if name.startswith("torch")}
assert len(late) < 10, late
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_patient_are_scored_for_what_they_came_to(make: Callable[..., Evaluator]) -> None:
    (outcome,) = outcomes(make(), [Job(ridge_of(), 0)], seconds=0.0, patient=True)
    assert outcome.ended == "scored"
    assert outcome.checkpoint.step < 12
    assert math.isfinite(outcome.score.value)


def test_time_is_asked_for_when_a_turn_comes(make: Callable[..., Evaluator]) -> None:
    events: list[str] = []

    def seconds() -> float:
        events.append("asked")
        return math.inf

    running = make().evaluate([Job(ridge_of(), 0), Job(maml_of(), 0)], 3, RATE, seconds)
    assert events == []
    for _ in running:
        events.append("done")
    assert events == ["asked", "done", "asked", "done"]


def test_costs_are_counted(make: Callable[..., Evaluator]) -> None:
    evaluator = make()
    (outcome,) = outcomes(evaluator, [Job(ridge_of(), 0)])
    costs = evaluator.costs(ridge_of(), outcome.checkpoint, 4.0)
    assert costs.seconds == 4.0
    assert costs.parameters == 16 + 16 + 1  # weights, shifts, the regulariser
    # features of 5 + 10 examples, X Xᵀ and Xᵀ times its inverse's product, 10 predictions
    assert costs.multiply_adds == 15 * 16 + 5 * 5 * 17 + 17 * 5 + 10 * 17
    assert costs.adapt_ms > 0
    assert costs.peak_memory > 10_000_000


def test_more_shapes_than_are_kept(make: Callable[..., Evaluator], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluators, "_ENGINES", 2)
    evaluator = make()
    jobs = [Job(ridge_of(outer__tasks=tasks), 0) for tasks in (2, 3, 4, 5)]
    first = outcomes(evaluator, jobs, 3)
    assert [outcome.ended for outcome in first] == ["scored"] * 4
    assert evaluator.score(jobs[0].candidate, first[0].checkpoint) == first[0].score
