"""What every task family has to keep to; one table of checks, each of which takes a family.

In a plug-in's own tests::

    @pytest.mark.parametrize("check", FAMILY_CHECKS, ids=lambda check: check.__name__)
    def test_family(check):
        check(my_family())

A family under test has at least two classes in each split and three examples in each class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, get_args

import torch
from torch import Tensor

from metanas.learner.inputs import check_inputs
from metanas.tasks.family import Family, Split
from search_spaces.errors import MetanasError
from search_spaces.task import Episodes

Check = Callable[[Family], None]
SPLITS: tuple[Split, ...] = get_args(Split)
TASKS = 6


def shapes_follow_the_signature(family: Family) -> None:
    """Shapes, float32, the generator's device, finite numbers, no mask where every row counts."""
    for split in SPLITS:
        ways, shots, queries = sizes(family)
        episodes = draw(family, split)
        signature = family.signature(ways, shots)
        assert signature.kind == family.kind
        rows = ways if family.kind == "classification" else 1
        _has_shape(episodes["support_x"], (TASKS, shots * rows, *signature.input_shape), "support_x")
        _has_shape(episodes["query_x"], (TASKS, queries * rows, *signature.input_shape), "query_x")
        _has_shape(episodes["support_y"], (TASKS, shots * rows, signature.outputs), "support_y")
        _has_shape(episodes["query_y"], (TASKS, queries * rows, signature.outputs), "query_y")
        assert "support_mask" not in episodes, "a mask is for a pair of shots"
        _has_names(episodes, ways)


def usual_ways_can_be_drawn(family: Family) -> None:
    """``signature(None, shots)`` names ways that every split can give."""
    signature = family.signature(None, 1)
    for split in SPLITS:
        episodes = draw(family, split, ways=signature.outputs, shots=1)
        assert episodes["query_y"].shape[-1] == signature.outputs


def randomness_is_the_generators(family: Family) -> None:
    """The same state gives the same tasks, another seed others, and the global state plays no part."""
    for split in SPLITS:
        before = torch.get_rng_state()
        first = draw(family, split, seed=1)
        assert torch.equal(before, torch.get_rng_state()), "sample() drew from torch's global generator"
        with torch.random.fork_rng():
            torch.manual_seed(99)
            _are_same(first, draw(family, split, seed=1))
        other = draw(family, split, seed=2)
        assert not _alike(first, other), "another seed should give other tasks"


def tasks_differ(family: Family) -> None:
    """No two tasks of a batch are the same, nor are two batches drawn one after the other."""
    generator = torch.Generator().manual_seed(0)
    first, second = (draw(family, "train", generator=generator) for _ in range(2))
    assert not _alike(first, second), "two batches in a row are the same"
    tasks = [{name: _of(first, name)[i] for name in first} for i in range(TASKS)]
    assert not any(_alike(one, other) for one, other in combinations(tasks, 2)), "two tasks are the same"


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    # curves may be measured at the same times in all tasks: targets count, too
    return all(torch.equal(one[name], other[name]) for name in ("query_x", "query_y"))


def targets_are_balanced_one_hot(family: Family) -> None:
    """In classification each class has as many rows as any other, in support and query."""
    if family.kind != "classification":
        return
    _, shots, queries = sizes(family)
    for split in SPLITS:
        episodes = draw(family, split)
        for targets, each in ((episodes["support_y"], shots), (episodes["query_y"], queries)):
            assert ((targets == 0) | (targets == 1)).all()
            assert (targets.sum(-1) == 1).all(), "targets should be one-hot"
            assert (targets.sum(-2) == each).all(), f"each class should have {each} rows"


def splits_are_disjoint(family: Family) -> None:
    """Where a family names its classes, or the members of its splits, none is in two of these."""
    classes: dict[Split, Sequence[str]] | None = getattr(family, "classes", None)
    named = classes or getattr(family, "members", dict.fromkeys(SPLITS, ()))
    for one, other in combinations(SPLITS, 2):
        assert not set(named[one]) & set(named[other]), f"{one} and {other} share some"
    assert classes is None or family.limits.ways == {split: len(classes[split]) for split in SPLITS}


def support_and_query_share_nothing(family: Family) -> None:
    """No example is in the support and the query of a task, and none twice in either.

    Not of what has so few values that examples are alike by chance.
    """
    for split in SPLITS:
        episodes = draw(family, split)
        x = torch.cat([episodes["support_x"], episodes["query_x"]], dim=1).flatten(2)  # (T, S + Q, ·)
        y = torch.cat([episodes["support_y"], episodes["query_y"]], dim=1)
        rows = x if family.kind == "classification" else torch.cat([x, y], -1)
        several = rows.flatten(0, 1)
        few = math.prod(len(column.unique()) for column in several.T) < rows.shape[1] ** 2
        same = (rows[:, :, None] == rows[:, None]).all(-1)
        assert few or (same.sum((1, 2)) == rows.shape[1]).all(), "an example comes twice in a task"


def pairs_of_shots_are_masked(family: Family) -> None:
    """A pair of shots pads to the higher and masks; a class has as many shots as any other."""
    ways, high, _ = sizes(family)
    episodes = draw(family, "train", shots=(1, high), tasks=32)
    mask = episodes["support_mask"]
    rows = ways if family.kind == "classification" else 1
    assert mask.dtype == torch.bool
    assert mask.shape == episodes["support_x"].shape[:2] == (32, high * rows)
    counts = mask.sum(1)
    assert set(counts.tolist()) == {shots * rows for shots in range(1, high + 1)}, "each number should come"
    if family.kind == "classification":
        shots = (episodes["support_y"] * mask[..., None]).sum(1)  # (T, W)
        assert (shots == shots[:, :1]).all(), "classes of a task should have the same number of shots"


def variants_work(family: Family) -> None:
    """Each shifted variant gives tasks of the same shapes, and other ones; an unknown one is refused."""
    plain = draw(family, "test")
    for variant in family.variants:
        episodes = draw(family, "test", variant=variant)
        assert {name: _of(episodes, name).shape for name in episodes} == {
            name: _of(plain, name).shape for name in plain
        }
        assert any(not torch.equal(_of(episodes, name), _of(plain, name)) for name in plain), variant
        assert all(_of(episodes, name).isfinite().all() for name in episodes)
    with refused("an unknown variant"):
        draw(family, "test", variant="no such variant")


def augmentations_are_for_training(family: Family) -> None:
    """Each works, changes training tasks and no others; an unknown one is refused."""
    assert "none" in family.augmentations
    for augmentation in family.augmentations:
        train = draw(family, "train", augmentation=augmentation)
        assert train["query_x"].isfinite().all()
        assert augmentation == "none" or not torch.equal(train["query_x"], draw(family, "train")["query_x"])
        for split in ("valid", "test"):
            _are_same(draw(family, split, augmentation=augmentation), draw(family, split))
    if family.augmentations != ("none",):
        with refused("an unknown augmentation"):
            draw(family, "train", augmentation="no such augmentation")


def limits_are_kept(family: Family) -> None:
    """What lies beyond the limits is refused; what lies at them is given."""
    if family.limits.ways is not None:
        for split in SPLITS:
            most = family.limits.ways[split]
            assert draw(family, split, ways=most)["query_y"].shape[-1] == most
            with refused(f"more ways than {split} classes"):
                draw(family, split, ways=most + 1)
    if family.limits.examples is not None:
        for split in SPLITS:
            draw(family, split, shots=family.limits.examples - 1, queries=1)
        with refused("more examples than the smallest class has"):
            for split in SPLITS:
                draw(family, split, shots=family.limits.examples, queries=1)


def facts_are_plain_data(family: Family) -> None:
    """Facts and preprocessing survive JSON and drawing tasks; learner files can hold these."""
    for read in (family.facts, lambda: family.preprocessing):
        before: dict[str, Any] = read()
        assert json.loads(json.dumps(before, allow_nan=False)) == before
        draw(family, "train")
        assert read() == before
    assert family.facts()["name"] == family.name
    check_inputs(family.name, family.signature(None, 1), family.preprocessing)


def moving_changes_nothing(family: Family) -> None:
    """The same tasks come after ``to(device)``."""
    before = draw(family, "valid")
    family.to(torch.device("cpu"))
    _are_same(before, draw(family, "valid"))


FAMILY_CHECKS: tuple[Check, ...] = (
    shapes_follow_the_signature,
    usual_ways_can_be_drawn,
    randomness_is_the_generators,
    tasks_differ,
    targets_are_balanced_one_hot,
    splits_are_disjoint,
    support_and_query_share_nothing,
    pairs_of_shots_are_masked,
    variants_work,
    augmentations_are_for_training,
    limits_are_kept,
    facts_are_plain_data,
    moving_changes_nothing,
)


def sizes(family: Family) -> tuple[int, int, int]:
    """Ways, shots and queries that the family under test can give."""
    examples = family.limits.examples or 8
    return family.signature(None, 1).outputs, 2, min(3, examples - 2)


def draw(family: Family, split: Split, *, seed: int = 0, tasks: int = TASKS, **changes: Any) -> Episodes:
    """Draws tasks of :func:`sizes`, or as the changes say."""
    ways, shots, queries = sizes(family)
    wanted = {"ways": ways, "shots": shots, "queries": queries, **changes}
    generator = wanted.pop("generator", None) or torch.Generator().manual_seed(seed)
    return family.sample(tasks, split, generator, **wanted)


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Expects a :class:`MetanasError` whose message is one line."""
    message = None
    try:
        yield
    except MetanasError as error:
        message = str(error)
    assert message is not None, f"{what} should raise a MetanasError"
    assert message, f"{what} was refused without a word"
    assert "\n" not in message, f"the message should be one line: {message}"


def _has_shape(tensor: Tensor, shape: tuple[int, ...], name: str) -> None:
    assert tensor.shape == shape, f"{name} should be {shape}, is {tuple(tensor.shape)}"
    assert tensor.dtype == torch.float32, f"{name} should be float32, is {tensor.dtype}"
    assert tensor.device == torch.device("cpu"), f"{name} is not on the generator's device"
    assert tensor.isfinite().all(), f"{name} has numbers that are not finite"


def _has_names(episodes: Episodes, ways: int) -> None:
    """Where it says which stored task, or classes, a task is of."""
    for name, shape in (("cluster", (TASKS,)), ("classes", (TASKS, ways))):
        if name in episodes:
            found = _of(episodes, name)
            assert found.shape == shape, f"{name} should be {shape}, is {tuple(found.shape)}"
            assert found.dtype == torch.int64, f"{name} should be int64, is {found.dtype}"


def _are_same(one: Episodes, other: Episodes) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(_of(one, name), _of(other, name)) for name in one), "the tasks differ"


def _of(episodes: Episodes, name: str) -> Tensor:
    tensor = episodes[name]  # type: ignore[literal-required]
    assert isinstance(tensor, Tensor)
    return tensor
