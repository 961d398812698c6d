"""The evaluator on images: wide tasks, threads, half precision."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import closing
from typing import Any

import pytest
import torch
from torch import Tensor

from metanas import evaluator as evaluators
from metanas.engine import engine as engines
from metanas.evaluator import Evaluator, Job, Setting
from metanas.tasks.family import Limits
from metanas.testing.rules import draw
from metanas.undisturbed import insist
from search_spaces import Candidate, Signature, Value
from search_spaces.task import Episodes
from tests.metanas.jobs import (
    CPU,
    MLP,
    OUTSIDE,
    PICTURES,
    RATE,
    RIDGE,
    agree,
    outcomes,
)


class Blobs:
    """Classes around means of their own, drawn anew for every task."""

    name, kind, variants, limits, augmentations = "blobs", "classification", (), Limits(), ("none",)

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def sample(self, n_tasks: int, split: str, generator: torch.Generator, **how: Any) -> Episodes:
        self.asked.append({"n_tasks": n_tasks, "split": split, **how})
        signature = Signature("classification", PICTURES.input_shape, how["ways"], how["shots"])
        seeds = torch.randint(2**31, (n_tasks,), generator=generator).tolist()
        drawn = [draw(signature, seed=seed, queries=how["queries"]) for seed in seeds]
        return {name: torch.stack([task[name] for task in drawn]).float() for name in drawn[0]}


@pytest.fixture
def on_pictures() -> Evaluator:
    return Evaluator(Blobs(), PICTURES, Setting(3, 1, 15), CPU, execution="vmap", valid_tasks=10)


PROTOTYPES: dict[str, Value] = {"rule": "prototype", "rule.prototype.distance": "euclid"}


def test_classification_learns_from_wider_tasks_than_it_is_scored_on(on_pictures: Evaluator) -> None:
    assert on_pictures.valid["query_x"].shape[1] < 3 * 15, "a few queries a class are enough to choose by"
    wide = {"outer.ways": 6, "outer.classes": 24, "outer.queries": 4}
    candidate = Candidate({**MLP, **PROTOTYPES, **OUTSIDE, **wide})
    (outcome,) = outcomes(on_pictures, [Job(candidate, 0)])
    assert outcome.ended == "scored"
    assert outcome.score.metric == "accuracy"
    assert outcome.score.value > 0.6
    how = on_pictures.family.asked[-1]
    assert (how["split"], how["ways"], how["shots"], how["queries"]) == ("train", 6, 1, 4)
    assert not on_pictures.transductive(candidate, outcome.checkpoint)


def test_networks_of_images_are_not_batched_on_a_cpu(
    on_pictures: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = evaluators.train

    def watched(engine: Any, family: Any, outers: Any, *rest: Any, **how: Any) -> Any:
        sizes.append(len(outers))
        return plain(engine, family, outers, *rest, **how)

    monkeypatch.setattr(evaluators, "train", watched)
    settings = {"outer.ways": 3, "outer.classes": 6, "outer.queries": 4}
    candidate = Candidate({**MLP, **PROTOTYPES, **OUTSIDE, **settings})
    outcomes(on_pictures, [Job(candidate, 0), Job(candidate, 1)], 2)
    assert sizes == [1, 1]


def test_images_are_trained_side_by_side_and_nobody_can_tell(
    on_pictures: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"outer.ways": 3, "outer.classes": 6, "outer.queries": 4}
    candidates = [Candidate({**MLP, **rule, **OUTSIDE, **settings}) for rule in (PROTOTYPES, RIDGE)]
    jobs = [Job(candidate, seed) for seed, candidate in enumerate(candidates * 2)]
    threads: set[str] = set()
    alone = outcomes(on_pictures, jobs)
    plain = evaluators.train

    def watched(*given: Any, **how: Any) -> Any:
        threads.add(threading.current_thread().name)
        return plain(*given, **how)

    monkeypatch.setattr(evaluators, "train", watched)
    monkeypatch.setattr(evaluators, "lanes", lambda *_: 2)
    together = outcomes(on_pictures, jobs)
    assert len(threads) == 2
    assert threading.main_thread().name not in threads
    for a, b in zip(alone, together, strict=True):
        agree(a, b)
        assert torch.equal(a.checkpoint.average, b.checkpoint.average)


def test_who_leaves_early_stops_what_trains(on_pictures: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during meta-training without end: it would not come back otherwise."""
    settings = {"outer.ways": 3, "outer.classes": 6, "outer.queries": 4}
    candidate = Candidate({**MLP, **PROTOTYPES, **OUTSIDE, **settings})
    monkeypatch.setattr(evaluators, "lanes", lambda *_: 2)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    insist()  # as the command does: what comes within a pool's own callbacks would be lost
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    plain, training = on_pictures.family.sample, threading.Event()

    def sample(*given: Any, **how: Any) -> Episodes:
        training.set()
        return plain(*given, **how)

    monkeypatch.setattr(on_pictures.family, "sample", sample)

    def press() -> None:
        training.wait(60)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=press).start()
    jobs = [Job(candidate, seed) for seed in (1, 2, 3)]
    with (
        pytest.raises(KeyboardInterrupt),
        closing(on_pictures.evaluate(jobs, 10**9, RATE, lambda: 1e9, patient=True)) as endless,
    ):
        next(endless)
    signal.signal(signal.SIGINT, before)


def test_half_precision_is_for_training_alone(on_pictures: Evaluator) -> None:
    conv = {"depth": 2, "width": 8, "kernel": 3, "activation": "relu", "norm": "running", "residual": False}
    network = {"architecture": "conv", "architecture.conv.downsample": "pool"}
    network |= {f"architecture.conv.{name}": value for name, value in conv.items()}
    settings = {"outer.ways": 3, "outer.classes": 6, "outer.queries": 4}
    candidate = Candidate({**network, **PROTOTYPES, **OUTSIDE, **settings})
    given = on_pictures.family, PICTURES, on_pictures.setting, CPU
    half = Evaluator(*given, execution="vmap", valid_tasks=10, precision="bfloat16")
    (full,), (rounded,) = (outcomes(evaluator, [Job(candidate, 0)], 60) for evaluator in (on_pictures, half))
    assert not torch.equal(full.checkpoint.average, rounded.checkpoint.average), "otherwise trained"
    assert {t.dtype for t in vars(rounded.checkpoint).values() if isinstance(t, Tensor)} == {torch.float32}
    assert rounded.score.value > 0.6
    assert on_pictures.score(candidate, rounded.checkpoint) == rounded.score, "scored in full"


def test_by_the_clock_no_thread_is_left_idle(on_pictures: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "lanes", lambda *_: 2)
    settings = {"outer.ways": 6, "outer.classes": 6, "outer.queries": 4}
    job = Job(Candidate({**MLP, **PROTOTYPES, **OUTSIDE, **settings}), 0)
    tasks = []
    for patient in (False, True):
        list(on_pictures.evaluate([job], 1, RATE, lambda: 60.0, patient=patient))
        tasks.append(on_pictures.family.asked[-1]["n_tasks"])
    assert tasks[1] == 2 * tasks[0] > 0


def test_finals_are_scored_on_more_tasks(on_pictures: Evaluator) -> None:
    given = on_pictures.family, PICTURES, on_pictures.setting, CPU
    evaluator = Evaluator(*given, execution="vmap", valid_tasks=10, final_tasks=30)
    settings = {"outer.ways": 3, "outer.classes": 6, "outer.queries": 4}
    candidate = Candidate({**MLP, **PROTOTYPES, **OUTSIDE, **settings})
    early, late = outcomes(evaluator, [Job(candidate, 0), Job(candidate, 0, final=True)])
    assert (early.score.tasks, late.score.tasks) == (10, 30)
