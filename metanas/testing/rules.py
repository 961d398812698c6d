"""What every rule has to keep to; one table of checks, each of which takes a built rule.

In a plug-in's own tests::

    @pytest.mark.parametrize("check", RULE_CHECKS, ids=lambda check: check.__name__)
    def test_rule(check):
        check(my_rule.build(choices, network, signature))

Rules whose outer gradient is exact, not an approximation such as first-order MAML, should also pass
:func:`meta_gradient_equals_central_differences`, with smooth activations. A kind of rule whose settings
have real numbers should pass :func:`reals_only_set_initial_values`: candidates that differ in these alone
share one computation. All but one run in double precision, on tasks drawn from the rule's signature; small
networks keep the checks quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from metanas.engine import Engine, Program
from metanas.engine.program import Step, at
from metanas.engine.watching import slopes
from metanas.testing.asserting import close, untouched
from search_spaces import Choice, Signature, Value
from search_spaces.architectures.interface import Network
from search_spaces.rules.interface import Rule
from search_spaces.task import Episodes, Task

Check = Callable[[Rule], None]
TOLERANCE = 1e-9
_KEY = torch.tensor(7)
_PROGRESS = torch.tensor(0.5, dtype=torch.float64)
_QUERIES = 3


class RuleKind(Protocol):
    """A kind of rule, as a module of ``search_spaces.rules`` or an object of yours.

    It may have ``suits(signature)``, too.
    """

    def choices(self, signature: Signature, /) -> tuple[Choice, ...]: ...
    def build(self, choices: Mapping[str, Value], network: Network, signature: Signature, /) -> Rule: ...


def starts_are_the_generators(rule: Rule) -> None:
    """The same seed gives the same tensors, another one others; the global state plays no part."""
    with untouched():
        (first, kept), (again, kept_again), (other, _) = (
            rule.init(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
        )
    for one, two in ((first, again), (kept, kept_again)):
        assert list(one) == list(two)
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert not first.keys() & kept.keys(), "a tensor is of meta or of the buffers"


def predictions_are_finite_and_of_the_targets_shape(rule: Rule) -> None:
    """Whatever the number of support rows and of queries."""
    meta, buffers = start(rule)
    program = Program.of(rule)
    for shots, queries in ((1, 1), (rule.signature.shots, 4), (2 * rule.signature.shots + 1, 2)):
        task = draw(rule.signature, shots=shots, queries=queries)
        prediction = program.adapt_predict(meta, buffers, task)
        assert prediction.shape == task["query_y"].shape
        assert prediction.isfinite().all()


def any_number_of_classes_is_learned(rule: Rule) -> None:
    """Training may have more classes a task than are scored, unless the rule says that it cannot."""
    if rule.signature.kind == "regression" or rule.fixed_ways:
        return
    meta, buffers = start(rule)
    task = draw(rule.signature, ways=2 * rule.signature.outputs)
    _, loss, _ = gradient(Program.of(rule), meta, buffers, task)
    assert loss.isfinite()


def starts_have_a_shape_alone(rule: Rule) -> None:
    """``init`` looks at no value: a learner file is read without memory for what it says of itself."""
    known = rule.init(torch.Generator())
    with torch.device("meta"):
        found = rule.init(torch.Generator())
    for one, two in zip(known, found, strict=True):
        assert {n: v.shape for n, v in one.items()} == {n: v.shape for n, v in two.items()}


def examples_change_predictions(rule: Rule) -> None:
    """It learns from its support: with another one the same queries are predicted otherwise."""
    meta, buffers = start(rule)
    program, task = Program.of(rule), draw(rule.signature)
    other: Task = {**draw(rule.signature, seed=1), "query_x": task["query_x"]}
    one, two = (program.adapt_predict(meta, buffers, each) for each in (task, other))
    assert not torch.equal(one, two), "another support set gives the same predictions"


def single_precision_is_kept(rule: Rule) -> None:
    """A search trains in single precision: nothing inside makes a tensor of another."""
    meta, buffers = (part.float() for part in start(rule))
    task: Any = {name: value.float() for name, value in draw(rule.signature).items()}  # type: ignore[attr-defined]
    program = Program.of(rule)
    free = meta.requires_grad_()
    loss, observed = program.task_loss(free, buffers, task, _KEY, _PROGRESS.float())
    (slope,) = torch.autograd.grad(loss, free)
    prediction = program.adapt_predict(meta.detach(), buffers, task)
    kinds = {part.dtype for part in (slope, loss, observed, prediction)}
    assert kinds == {torch.float32}, f"in single precision something is {kinds - {torch.float32}}"


def losses_are_finite_and_observe_buffers(rule: Rule) -> None:
    """The outer loss is one number that every task moves; what is observed has a buffer of its name."""
    meta, buffers = start(rule)
    program, task = Program.of(rule), draw(rule.signature)
    named, known = program.meta.unflatten(meta), program.buffers.unflatten(buffers)
    loss, observed = rule.outer_loss(named, known, task, _KEY, _PROGRESS)
    assert loss.shape == ()
    assert loss.isfinite()
    assert {name: value.shape for name, value in observed.items()}.items() <= {
        name: value.shape for name, value in known.items()
    }.items()
    other = rule.outer_loss(named, known, draw(rule.signature, seed=1), _KEY, _PROGRESS)[0]
    assert loss != other
    single = draw(rule.signature, shots=1, queries=1)
    slope, loss, _ = gradient(program, meta, buffers, single)
    assert loss.isfinite(), "a task may have one example and one query"
    assert slope.isfinite().all()


def computing_has_no_side_effects(rule: Rule) -> None:
    """The same arguments give the same result, and stay as they are."""
    meta, buffers = start(rule)
    task, program = draw(rule.signature), Program.of(rule)
    before = [meta.clone(), buffers.clone(), *(value.clone() for value in _tensors(task))]
    with untouched():
        first, again = (gradient(program, meta, buffers, task) for _ in range(2))
        program.adapt_predict(meta, buffers, task)
    same = all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert same, "the same arguments gave another result"
    now = [meta, buffers, *_tensors(task)]
    assert all(torch.equal(a, b) for a, b in zip(now, before, strict=True)), "an argument was changed"


def what_is_behind_a_mask_changes_nothing(rule: Rule) -> None:
    """NaNs behind the masks: loss, gradient, observed buffers, predictions are those of the other rows."""
    meta, buffers = start(rule)
    program, task = Program.of(rule), draw(rule.signature, shots=rule.signature.shots + 1)
    rows = rule.signature.outputs if rule.signature.kind == "classification" else 1
    support, queries = len(task["support_x"]) - rows, len(task["query_x"]) - 1
    short: Task = {
        "support_x": task["support_x"][:support],
        "support_y": task["support_y"][:support],
        "query_x": task["query_x"][:queries],
        "query_y": task["query_y"][:queries],
    }
    alone, prediction = gradient(program, meta, buffers, short), program.adapt_predict(meta, buffers, short)
    for filler in (torch.nan, 0.0, 1e3):
        filled: Task = {
            "support_x": _filled(task["support_x"], support, filler),
            "support_y": _filled(task["support_y"], support, filler),
            "query_x": _filled(task["query_x"], queries, filler),
            "query_y": _filled(task["query_y"], queries, filler),
            "support_mask": torch.arange(support + rows) < support,
            "query_mask": torch.arange(queries + 1) < queries,
        }
        _agree(gradient(program, meta, buffers, filled), alone)
        close(program.adapt_predict(meta, buffers, filled)[:queries], prediction, TOLERANCE, "predictions")


def order_of_support_changes_nothing(rule: Rule) -> None:
    """A support set is a set."""
    meta, buffers = start(rule)
    program, task = Program.of(rule), draw(rule.signature)
    order = torch.randperm(len(task["support_x"]), generator=torch.Generator().manual_seed(1))
    mixed: Task = {**task, "support_x": task["support_x"][order], "support_y": task["support_y"][order]}
    wanted, found = (program.adapt_predict(meta, buffers, each) for each in (task, mixed))
    close(found, wanted, TOLERANCE, "predictions")
    _agree(gradient(program, meta, buffers, mixed), gradient(program, meta, buffers, task))


def queries_do_not_meet(rule: Rule) -> None:
    """A query alone is predicted as in a batch, even one of NaNs: no rule of ours peeks at the others."""
    meta, buffers = start(rule)
    program, task = Program.of(rule), draw(rule.signature)
    together = program.adapt_predict(meta, buffers, task)
    for i in range(len(together)):
        one: Task = {**task, "query_x": task["query_x"][i : i + 1]}
        close(program.adapt_predict(meta, buffers, one)[0], together[i], TOLERANCE, "predictions")
        others = torch.full_like(task["query_x"], torch.nan)
        others[i] = task["query_x"][i]
        among: Task = {**task, "query_x": others}
        close(program.adapt_predict(meta, buffers, among)[i], together[i], TOLERANCE, "predictions")


def ways_of_running_agree(rule: Rule) -> None:
    """One by one, batched and traced give the same; candidates together what they give alone."""
    program, tasks = Program.of(rule), 4
    for candidates in (1, 3):
        meta, buffers, episodes, keys = several(rule, candidates, tasks)
        results = {
            way: Engine(program, torch.device("cpu"), way).gradients(meta, buffers, episodes, keys, _PROGRESS)
            for way in ("sequential", "vmap", "replay")
        }
        for way in ("vmap", "replay"):
            _agree(results[way], results["sequential"])
        for c in range(candidates):
            one = [
                gradient(program, meta[c], buffers[c], at(at(episodes, c), t), keys[c, t])
                for t in range(tasks)
            ]
            wanted = tuple(torch.stack(parts).mean(0) for parts in zip(*one, strict=True))
            _agree(tuple(part[c] for part in results["vmap"]), wanted)


RULE_CHECKS: tuple[Check, ...] = (
    starts_are_the_generators,
    starts_have_a_shape_alone,
    any_number_of_classes_is_learned,
    predictions_are_finite_and_of_the_targets_shape,
    examples_change_predictions,
    single_precision_is_kept,
    losses_are_finite_and_observe_buffers,
    computing_has_no_side_effects,
    what_is_behind_a_mask_changes_nothing,
    order_of_support_changes_nothing,
    queries_do_not_meet,
    ways_of_running_agree,
)


def meta_gradient_equals_central_differences(
    rule: Rule, tolerance: float = 1e-4, directions: int = 3, step: float = 1e-5
) -> None:
    """The outer gradient, in random directions, is the slope of the outer loss.

    Args:
        rule: With smooth activations.
        tolerance: Relative.
        directions: How many, of length 1.
        step: To either side.
    """
    meta, buffers = start(rule)
    program, task = Program.of(rule), draw(rule.signature)
    told, measured = slopes(program, meta, buffers, task, _KEY, _PROGRESS, directions, step)
    for said, found in zip(told.tolist(), measured.tolist(), strict=True):
        assert abs(said) > 1e-7, "the loss does not depend on the meta-parameters"
        assert abs(found - said) <= tolerance * abs(found), f"slope {found}, gradient says {said}"


def reals_only_set_initial_values(
    kind: RuleKind, choices: Mapping[str, Value], network: Network, signature: Signature
) -> None:
    """Rules that differ in reals alone compute the same from the same tensors: they share one program.

    Args:
        kind: Of rule.
        choices: One setting of it.
        network: That it is built on.
        signature: Of the tasks.
    """
    reals = {name: value * 0.7 for name, value in choices.items() if isinstance(value, float)}
    one, other = (kind.build({**choices, **changes}, network, signature) for changes in ({}, reals))
    program, task = Program.of(one), draw(signature)
    shapes = "the reals among its choices change which tensors there are, or their shapes"
    assert program.meta == Program.of(other).meta, shapes
    assert program.buffers == Program.of(other).buffers, shapes
    meta, buffers = start(one)
    same = gradient(Program.of(other), meta, buffers, task)
    alike = (torch.equal(a, b) for a, b in zip(gradient(program, meta, buffers, task), same, strict=True))
    assert all(alike), "a real among its choices is a constant of the computation: make it a tensor of init"


def gradient(program: Program, meta: Tensor, buffers: Tensor, task: Task, key: Tensor = _KEY) -> Step:
    """Of one task, as plain autograd gives it: gradient ``(P,)``, loss ``()``, observed buffers ``(B,)``."""
    free = meta.detach().requires_grad_()
    loss, observed = program.task_loss(free, buffers, task, key, _PROGRESS)
    return torch.autograd.grad(loss, free)[0], loss.detach(), observed


def start(rule: Rule, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Meta-parameters ``(P,)`` and buffers ``(B,)`` of a learner on its way, not of a fresh one."""
    meta, buffers = Program.of(rule).init(seed)
    random = torch.Generator().manual_seed(seed)
    # buffers hold variances and logarithms too: a little more, never less
    return (
        meta.double() + 0.05 * torch.randn(meta.shape, generator=random, dtype=torch.float64),
        buffers.double() + 0.2 * torch.rand(buffers.shape, generator=random, dtype=torch.float64),
    )


def draw(
    signature: Signature,
    *,
    seed: int = 0,
    shots: int | None = None,
    queries: int = _QUERIES,
    ways: int | None = None,
) -> Task:
    """A task of the signature in double precision, without masks; classes have means of their own."""
    random = torch.Generator().manual_seed(seed)
    ways = ways or signature.outputs
    means = torch.randn(ways, *signature.input_shape, generator=random, dtype=torch.float64)

    def examples(count: int) -> tuple[Tensor, Tensor]:
        if signature.kind == "regression":
            y = torch.randn(count, ways, generator=random, dtype=torch.float64)
            return torch.randn(count, *signature.input_shape, generator=random, dtype=torch.float64), y
        labels = torch.arange(ways).repeat(count)
        noise = torch.randn(len(labels), *signature.input_shape, generator=random, dtype=torch.float64)
        return means[labels] + 0.5 * noise, torch.eye(ways, dtype=torch.float64)[labels]

    (support_x, support_y), (query_x, query_y) = examples(shots or signature.shots), examples(queries)
    return {"support_x": support_x, "support_y": support_y, "query_x": query_x, "query_y": query_y}


def several(rule: Rule, candidates: int, tasks: int) -> tuple[Tensor, Tensor, Episodes, Tensor]:
    """Meta-parameters ``(C, P)``, buffers ``(C, B)``, episodes ``(C, T, …)``, keys ``(C, T)``."""
    starts = [start(rule, seed) for seed in range(candidates)]
    drawn: list[list[Any]] = [
        [draw(rule.signature, seed=100 * c + t) for t in range(tasks)] for c in range(candidates)
    ]
    episodes: Any = {
        name: torch.stack([torch.stack([task[name] for task in row]) for row in drawn])
        for name in drawn[0][0]
    }
    count = episodes["support_x"].shape[2]
    kept = torch.arange(count) < count - torch.arange(tasks)[:, None].clamp(max=count - 1)  # (T, S)
    episodes["support_mask"] = kept.expand(candidates, tasks, count)
    keys = torch.arange(candidates * tasks).reshape(candidates, tasks)
    return torch.stack([m for m, _ in starts]), torch.stack([b for _, b in starts]), episodes, keys


def _filled(tensor: Tensor, start: int, value: float) -> Tensor:
    filled = tensor.clone()
    filled[start:] = value
    return filled


def _tensors(task: Task) -> Iterator[Tensor]:
    return (value for value in task.values() if isinstance(value, Tensor))


def _agree(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    for a, b, what in zip(found, wanted, ("gradients", "losses", "observed buffers"), strict=True):
        close(a, b, TOLERANCE, what)
