"""Several families as one: where its tasks come from, and what cannot be mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metanas.scoring import by_cluster
from metanas.tasks.families import harmonics, images, sinusoid, table
from metanas.tasks.family import Family, Limits, Source
from metanas.tasks.mixed import Mixed
from metanas.tasks.own import Own
from metanas.testing.drawings import draw_classes
from metanas.testing.tables import rows, write
from search_spaces import Signature
from search_spaces.errors import DataError
from search_spaces.task import Episodes
from tests.metanas.own import Spots


class Flat:
    """Regression tasks whose every target is one number; they may have masks and clusters."""

    kind, variants, augmentations, notes = "regression", (), ("none",), ("a note",)

    def __init__(self, value: float, limits: Limits | None = None, *, masked: bool = False) -> None:
        self.value, self.limits, self._masked = value, limits or Limits(), masked
        self.name, self.preprocessing = "flat", {"kind": "array"}

    def signature(self, ways: int | None, shots: int) -> Signature:
        return Signature("regression", (1,), 1, shots)

    def sample(self, n_tasks: int, split: str, generator: torch.Generator, **asked: Any) -> Episodes:
        x = torch.rand(n_tasks, asked["shots"], 1, generator=generator)
        q = torch.rand(n_tasks, asked["queries"], 1, generator=generator)
        found: Any = {
            "support_x": x,
            "support_y": x * 0 + self.value,
            "query_x": q,
            "query_y": q * 0 + self.value,
        }
        if self._masked:
            found["query_mask"] = torch.arange(asked["queries"]).expand(n_tasks, -1) < 1
            found["cluster"] = torch.zeros(n_tasks, dtype=torch.int64)
        return found

    def check(self, ways: int, shots: Any, queries: int) -> None: ...
    def to(self, device: torch.device) -> None: ...
    def facts(self) -> dict[str, Any]:
        return {"name": "flat", "value": self.value}


def mixed(*families: Any) -> Mixed:
    return Mixed({f"f{i}": family for i, family in enumerate(families)})


def draw(family: Family, n_tasks: int, split: Any, seed: int = 0) -> Episodes:
    random = torch.Generator().manual_seed(seed)
    return family.sample(n_tasks, split, random, shots=3, ways=1, queries=2)


def sources(episodes: Episodes) -> Tensor:
    assert torch.equal(episodes["support_y"][:, 0, 0], episodes["query_y"][:, 0, 0])
    return episodes["query_y"][:, 0, 0]


def test_training_draws_from_all_alike_and_scoring_takes_them_in_turn() -> None:
    family = mixed(Flat(1.0), Flat(2.0), Flat(3.0))
    drawn = sources(draw(family, 900, "train"))
    assert all(230 < int((drawn == value).sum()) < 370 for value in (1, 2, 3))
    assert len(drawn[:10].unique()) > 1, "one after the other, not in blocks"
    assert sources(draw(family, 7, "valid")).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert sources(draw(family, 1, "test")).tolist() == [1]


def test_masks_of_some_do_nothing_to_the_others() -> None:
    episodes = draw(mixed(Flat(1.0), Flat(2.0, masked=True), Flat(3.0, masked=True)), 6, "valid")
    assert episodes["query_mask"].tolist() == [[True, True], [True, False], [True, False]] * 2
    assert "query_mask" not in draw(mixed(Flat(1.0), Flat(2.0)), 6, "valid")


def test_a_family_of_few_stored_tasks_counts_as_much_as_another() -> None:
    """One of 3 clusters beside one whose tasks are all independent: means are of as many of each."""

    class Stored(Flat):
        def sample(self, n_tasks: int, *args: Any, **named: Any) -> Any:
            return super().sample(n_tasks, *args, **named) | {"cluster": torch.arange(n_tasks) % 3 + 7}

    episodes = draw(mixed(Flat(1.0), Stored(2.0)), 600, "valid")
    kinds = episodes["support_y"].flatten(1)[:, 0]
    scores = by_cluster(kinds.double(), episodes)
    assert sorted(scores.tolist()) == [1.0] * 3 + [2.0] * 3
    assert "cluster" not in draw(mixed(Flat(1.0), Flat(2.0)), 6, "valid")


def test_classes_of_one_family_are_none_of_anothers(tmp_path: Path) -> None:
    """Both have a first class: it is not the same one."""
    parts: list[Any] = []
    for folder in ("one", "other"):
        path = draw_classes(tmp_path / folder, [f"{folder}{i}" for i in range(12)])
        parts.append(images.build(Source(path=path, image_size=8, cache=tmp_path / "cache")))
    family = mixed(*parts)
    random = torch.Generator().manual_seed(0)
    drawn = family.sample(40, "train", random, shots=1, ways=2, queries=1)["classes"]
    assert drawn.shape == (40, 2)
    many = [len(part.classes["train"]) for part in parts]
    assert len(drawn.unique()) == sum(many)
    assert family.independent == f"tasks of {sum(len(part.classes['test']) for part in parts)} classes"


def test_it_can_give_what_all_can() -> None:
    family = mixed(Flat(1.0, Limits({"train": 9, "test": 5}, 20)), Flat(2.0, Limits({"train": 7, "test": 6})))
    assert family.limits == Limits({"train": 7, "test": 5}, 20)
    assert mixed(Flat(1.0), Flat(2.0)).limits == Limits()
    assert family.notes == ("f0: a note", "f1: a note")
    assert mixed(Flat(1.0), Flat(2.0)).facts() != mixed(Flat(1.0), Flat(3.0)).facts()


def test_what_one_of_them_is_the_mix_is() -> None:
    first, other = Flat(1.0, Limits(None, 20)), Flat(2.0, Limits(None, 7))
    other.in_its_own_units, other.independent = True, "groups"  # type: ignore[attr-defined]
    for family in (mixed(first, other), mixed(other, first)):
        assert (family.limits.examples, family.in_its_own_units, family.independent) == (7, True, "groups")


def test_images_are_standardised_alike(tmp_path: Path) -> None:
    """A new image does not say which family it is of."""
    parts = []
    for folder, mode in (("one", "L"), ("other", "1")):
        path = draw_classes(tmp_path / folder, [f"{folder}{i}" for i in range(12)], mode=mode)
        parts.append(images.build(Source(path=path, image_size=8, cache=tmp_path / "cache")))
    assert parts[0].preprocessing != parts[1].preprocessing
    family = mixed(*parts)
    assert family.preprocessing == parts[0].preprocessing == parts[1].preprocessing
    assert family.signature(None, 1) == Signature("classification", (1, 8, 8), 4, 1)
    assert "rotations" in family.augmentations


def pictures(folder: Path, mode: str) -> Family:
    path = draw_classes(folder / mode, [f"c{i}" for i in range(12)], mode=mode)
    return images.build(Source(path=path, image_size=8, cache=folder / "cache"))


def machines(folder: Path, count: int, seed: int) -> Family:
    path = write(folder / f"{seed}.csv", rows(machines=count, seed=seed))
    return table.build(Source(path=path, task="machine", target="wear"))


def test_what_cannot_be_mixed_is_said_in_one_line(tmp_path: Path) -> None:
    curves, spots = sinusoid.build(Source()), Own("here:Spots", Spots())
    cases = [
        ((curves, spots), "--mix needs tasks of one kind: f0 is regression, f1 classification"),
        ((pictures(tmp_path, "L"), pictures(tmp_path, "RGB")), "all grey or all colour: f0 and f1 differ"),
        ((machines(tmp_path, 60, 1), machines(tmp_path, 60, 2)), "put the rows of tables .* into one table"),
        ((curves, machines(tmp_path, 12, 3)), "f1 has too few tasks to be mixed"),
    ]
    for families, said in cases:
        with pytest.raises(DataError, match=said) as caught:
            mixed(*families)
        assert "\n" not in str(caught.value)


def test_the_classes_of_all_are_told_apart_together(tmp_path: Path) -> None:
    """For baselines that learn to: one with images of one family alone would be a weaker one."""
    paths = [draw_classes(tmp_path / n, [f"{n}{i}" for i in range(12 + 8 * k)]) for k, n in enumerate("ab")]
    parts = [images.build(Source(path=path, image_size=8, cache=tmp_path / "cache")) for path in paths]
    family = mixed(*parts)
    many = [len(part.classes["train"]) for part in parts]  # type: ignore[attr-defined]
    assert family.training_classes("none") == sum(many)
    x, label = family.labelled(400, torch.Generator().manual_seed(0))
    assert (x.shape, label.min() >= 0, label.max() < sum(many)) == ((400, 1, 8, 8), True, True)
    assert 150 < int((label < many[0]).sum()) < 250, "each family as likely"
    assert len({*(label[:50] < many[0]).tolist()}) == 2, "not one after the other"


def test_no_test_class_of_one_is_trained_on_in_another(tmp_path: Path) -> None:
    """Classes of the same names are divided by what else there is."""

    def of(folder: str, names: list[str]) -> Family:
        path = draw_classes(tmp_path / folder, names)
        return images.build(Source(path=path, image_size=8, cache=tmp_path / "cache"))

    letters = [f"letter{i}" for i in range(30)]
    with pytest.raises(DataError, match="test classes of f0 are training or validation classes of f1"):
        mixed(of("all", letters), of("some", letters[:20]))
    assert mixed(of("one", letters[:12]), of("other", [f"digit{i}" for i in range(12)]))
    assert mixed(of("same", letters), of("again", letters)), "divided alike"


def test_other_shapes_are_said_with_the_numbers() -> None:
    wide = Flat(2.0)
    wide.signature = lambda ways, shots: Signature("regression", (7,), 1, shots)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="f0 has inputs 1 and outputs 1, f1 7 and outputs 1: leave --mix out"):
        mixed(Flat(1.0), wide).signature(None, 5)


def test_what_one_cannot_give_is_said_of_it(tmp_path: Path) -> None:
    family = mixed(pictures(tmp_path, "L"), pictures(tmp_path, "1"))
    with pytest.raises(DataError, match="f0: 40 ways are more than the"):
        family.check(40, 1, 1)
    assert (
        harmonics.build(Source()).name
        in mixed(sinusoid.build(Source()), harmonics.build(Source())).facts()["mixed"][1]["name"]
    )


def test_no_test_class_of_one_chooses_in_another(tmp_path: Path) -> None:
    paths = [draw_classes(tmp_path / name, ["a", "b", "c", "d", "e", "f"]) for name in ("one", "other")]
    lists = []
    for name, (valid, test) in {"one": ("ab", "cd"), "other": ("cd", "ab")}.items():
        lists.append(tmp_path / f"{name}.csv")
        words = {"e": "train", "f": "train", **dict.fromkeys(valid, "valid"), **dict.fromkeys(test, "test")}
        lists[-1].write_text("\n".join(["class,split", *(f"{c},{split}" for c, split in words.items())]))
    parts = [
        images.build(Source(path=path, image_size=8, cache=tmp_path / "cache", splits=listed))
        for path, listed in zip(paths, lists, strict=True)
    ]
    with pytest.raises(DataError, match="2 test classes of f0 are training or validation classes of f1"):
        mixed(*parts)
