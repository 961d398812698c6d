"""Families of one's own over stored tasks: draws of the same task are not independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metanas.baselines import run_simple, simple, together
from metanas.evaluator import Evaluator, Setting
from metanas.tasks.own import Own
from search_spaces.errors import DataError

Run = Callable[..., Any]

STORED = """
import torch

SIZES = {"train": 30, "valid": 12, "test": 3}


class Pumps:
    '''Rows of measured pumps: each has a slope of its own.'''

    examples = 40

    def __init__(self):
        random = torch.Generator().manual_seed(0)
        self.x = {split: torch.rand(n, 40, 1, generator=random) for split, n in SIZES.items()}
        self.y = {split: x * torch.randn(len(x), 1, 1, generator=random) for split, x in self.x.items()}

    def sample(self, n_tasks, examples, split, generator):
        which = torch.randint(SIZES[split], (n_tasks,), generator=generator)
        rows = torch.rand(n_tasks, 40, generator=generator).argsort(1)[:, :examples]
        x, y = (data[split][which[:, None], rows] for data in (self.x, self.y))
        return x, y, which + {"train": 0, "valid": 100, "test": 200}[split]
"""


class Stored:
    """Right; the wrong ones differ from it in one thing. 20 tasks of 30 rows a split."""

    first = {"train": 0, "valid": 20, "test": 40}  # noqa: RUF012

    def sample(self, n_tasks: int, examples: int, split: str, generator: torch.Generator) -> Any:
        which = torch.randint(20, (n_tasks,), generator=generator) + self.first[split]
        rows = torch.rand(n_tasks, 30, generator=generator).argsort(1)[:, :examples]
        x = torch.sin(1.0 * rows + which[:, None])
        return self.told(x[..., None], (x * which[:, None])[..., None], which)

    def told(self, x: Any, y: Any, which: Any) -> Any:
        return x, y, which


def family(**changes: Any) -> Own:
    return Own("here:Stored", type("Stored", (Stored,), changes)())


@pytest.mark.long
def test_a_verdict_is_over_stored_tasks(metanas: Run, quick: Sequence[object], tmp_path: Path) -> None:
    (tmp_path / "pumps.py").write_text(STORED)
    ran = metanas("search", "pumps:Pumps", *quick[2:], "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[-1]["test"]["tasks"] == 3
    assert ran.lines[-1]["verdict"]["sentence"].startswith("Too few tasks (3) to say")


def test_rows_of_stored_tasks_meet_the_baselines_of_tables() -> None:
    """Whoever has stored tasks has a table: models of all of its rows are what would be used without us."""
    found = family()
    evaluator = Evaluator(
        found, found.signature(None, 3), Setting(1, 3, 4), torch.device("cpu"), valid_tasks=40
    )
    assert "gradient boosting per task" in [one.name for one in simple(evaluator)]
    models, missing = together(evaluator)
    assert [one.name for one in models][:2] == ["pooled model", "pooled model + task intercept"]
    assert not [why for why in missing if "pooled" in why]
    rival = run_simple(evaluator.signature, models[0], evaluator.valid, evaluator.tasks(200, "test"))
    assert rival.test.shape == (20,), "two hundred draws of twenty tasks are twenty tasks"


def test_draws_say_which_task_they_are_of() -> None:
    drawn = family().sample(200, "test", torch.Generator().manual_seed(1), shots=3, ways=1, queries=2)
    assert drawn["cluster"].dtype == torch.int64
    assert sorted(set(drawn["cluster"].tolist())) == [*range(40, 60)]
    angle = torch.asin(drawn["support_x"][..., 0])
    ratio = drawn["support_y"][..., 0] / torch.sin(angle)
    torch.testing.assert_close(ratio, drawn["cluster"][:, None].expand(-1, 3).float(), rtol=1e-3, atol=0)


def test_classes_may_be_of_stored_tasks() -> None:
    class Sites:
        def sample(
            self, n_tasks: int, ways: int, examples: int, split: str, generator: torch.Generator
        ) -> Any:
            site = torch.randint(12, (n_tasks,), generator=generator) + Stored.first[split]
            x = torch.randn(n_tasks, ways, examples, 2, generator=generator)
            return x + torch.arange(ways)[:, None, None], site.numpy()

    drawn = Own("here:Sites", Sites()).sample(9, "valid", torch.Generator(), shots=2, ways=3, queries=1)
    assert drawn["cluster"].shape == (9,)
    assert drawn["support_x"].shape == (9, 6, 2)


class Shapes:
    """16 stored classes of 20 examples in each split."""

    classes = 16

    def sample(self, n_tasks: int, ways: int, examples: int, split: str, generator: torch.Generator) -> Any:
        which = torch.rand(n_tasks, 16, generator=generator).argsort(1)[:, :ways]
        which = which + {"train": 0, "valid": 16, "test": 32}[split]
        rows = torch.rand(n_tasks, ways, 20, generator=generator).argsort(-1)[..., :examples]
        return self.told(torch.sin(1.7 * rows + which[..., None])[..., None], which)

    def told(self, x: Any, which: Any) -> Any:
        return x, which


def test_stored_classes_are_named_too() -> None:
    """As images have them: intervals are over them."""
    family = Own("here:Shapes", Shapes())
    drawn = family.sample(50, "test", torch.Generator().manual_seed(0), shots=2, ways=3, queries=1)
    assert (drawn["classes"].shape, int(drawn["classes"].min())) == ((50, 3), 32)
    assert family.independent == "tasks of 16 classes"
    assert family.notes == ()
    mute = type("Mute", (Shapes,), {"told": lambda self, x, which: x})
    (note,) = Own("here:Mute", mute()).notes
    assert "stored classes, return last which of them each draw is of, whole numbers (n_tasks, ways)" in note


def test_a_class_of_training_is_none_of_test() -> None:
    shared = type("Shared", (Shapes,), {"told": lambda self, x, which: (x, which % 40)})
    with pytest.raises(DataError, match="draws stored class 0 for train and for test"):
        Own("here:Shared", shared())


def whole(self: Any, n_tasks: int, examples: int, generator: torch.Generator) -> Any:
    x = torch.rand(n_tasks, examples, 1, generator=generator)
    return x, x, torch.arange(n_tasks)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"first": {"train": 0, "valid": 20, "test": 19}}, "draws stored task 19 for train and for test"),
        ({"first": dict.fromkeys(Stored.first, 0)}, "draws stored task 0 for train and for valid"),
        ({"sample": whole}, "its sample does not take split: training and test would share"),
        ({"told": lambda self, x, y, which: (x, y, which[:2])}, "which stored task each draw is of"),
        ({"told": lambda self, x, y, which: (x, y, which + 0.5)}, "whole numbers"),
        ({"told": lambda self, x, y, which: (x, y, which / 0)}, "whole numbers"),
        ({"told": lambda self, x, y, which: (x, y, [*map(str, which)])}, "whole numbers"),
        ({"told": lambda self, x, y, which: (x, y, which > 3)}, "whole numbers"),
        ({"told": lambda self, x, y, which: (x, y, which, which)}, "should return x and y"),
    ],
)
def test_what_is_wrong_with_stored_tasks_is_said(changed: Any, says: str) -> None:
    with pytest.raises(DataError, match=f"^family here:Stored .*{says}") as caught:
        family(**changed)
    assert "\n" not in str(caught.value)


def test_tasks_that_are_not_named_at_all_times_are_refused() -> None:
    def of_training(self: Any, n_tasks: int, examples: int, split: str, generator: torch.Generator) -> Any:
        found = Stored.sample(self, n_tasks, examples, split, generator)
        return found if split == "train" else found[:2]

    with pytest.raises(DataError, match="at one time, and not at another"):
        family(sample=of_training)
    mute = family(told=lambda self, x, y, which: (x, y, which) if len(x) != 7 else (x, y))
    with pytest.raises(DataError, match="at one time, and not at another"):
        mute.sample(7, "test", torch.Generator(), shots=3, ways=1, queries=2)


def test_draws_of_unnamed_stored_tasks_are_noticed() -> None:
    """By rows that come again; not where tasks are drawn anew, on a grid of times or with few values."""
    assert "return last which of them" in family(told=lambda self, x, y, which: (x, y)).notes[0]
    assert family().notes == ()

    def on_a_grid(self: Any, n_tasks: int, examples: int, split: str, generator: torch.Generator) -> Any:
        x = torch.linspace(0, 1, examples).expand(n_tasks, -1)[..., None]
        return x, x * torch.randn(n_tasks, 1, 1, generator=generator)

    def of_bits(self: Any, n_tasks: int, examples: int, split: str, generator: torch.Generator) -> Any:
        x = torch.randint(2, (n_tasks, examples, 2), generator=generator)
        return x, (x.sum(-1) + torch.randint(2, (n_tasks, 1), generator=generator)) % 2

    assert family(sample=on_a_grid).notes == family(sample=of_bits).notes == ()


def test_too_few_stored_tasks_are_said_at_the_start() -> None:
    def of_few(self: Any, n_tasks: int, examples: int, split: str, generator: torch.Generator) -> Any:
        which = torch.randint(6, (n_tasks,), generator=generator) + Stored.first[split]
        x = torch.rand(n_tasks, examples, 1, generator=generator)
        return x.numpy(), (x * which[:, None, None]).numpy(), which.to(torch.float64).numpy()

    assert family(sample=of_few).notes == ("Stored: 6 stored test tasks, of which a verdict takes 10",)


def test_numbers_of_tasks_are_taken_as_they_come() -> None:
    found = family(told=lambda self, x, y, which: (x, y, np.asarray(which, np.uint8)))
    drawn = found.sample(3, "train", torch.Generator(), shots=2, ways=1, queries=1)
    assert int(drawn["cluster"].max()) < 20


def test_how_many_examples_there_are_is_said_in_an_attribute() -> None:
    """Else the usual number of queries is asked for."""
    found = family(examples=30)
    assert found.limits.examples == 30
    found.check(1, (1, 10), 20)
    with pytest.raises(DataError, match=r"31 examples of a task are more than the 30 .*fewer --shots"):
        found.check(1, 11, 20)
    with pytest.raises(DataError, match=r"was asked for; if there are no more, .*examples = 30$"):
        family().sample(2, "test", torch.Generator(), shots=11, ways=1, queries=20)
    with pytest.raises(DataError, match=r"has examples = 2: .* 3 or more"):
        family(examples=2)


def test_rows_of_several_targets_meet_the_baselines_that_predict_several() -> None:
    both = family(told=lambda self, x, y, which: (x, torch.cat([y, -y], -1), which))
    signature = both.signature(None, 3)
    evaluator = Evaluator(both, signature, Setting(2, 3, 4), torch.device("cpu"), valid_tasks=40)
    for method in simple(evaluator):
        found = run_simple(signature, method, evaluator.valid, evaluator.tasks(40, "test"))
        assert np.isfinite(found.valid), method.name
