"""The images family: its classes, its tasks, what it refuses. (The shared suite: test_families.py.)"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metanas.tasks.augment import SHIFT, shifted, turned
from metanas.tasks.drawing import Classes, draw
from metanas.tasks.families.images import build
from metanas.tasks.family import Shots, Source, Split
from metanas.tasks.image_tasks import SPLITS, Images
from metanas.testing.drawings import draw_class, draw_classes, zipped
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.task import Episodes

GROUPED = [f"{group}/{i}" for group in "abcdefg" for i in range(4)]
SIZE = 4


def make(path: Path, **changes: object) -> Images:
    family = build(Source(path=path, image_size=SIZE, cache=path.parent / "cache", **changes))  # type: ignore[arg-type]
    assert isinstance(family, Images)
    return family


def marked(folder: Path, classes: int = 24, images: int = 6) -> Path:
    """Images that say who they are: a corner is 10 · (class + 1), the pixel next to it inside 1 + number."""
    for c in range(classes):
        (folder / f"{c:02}").mkdir(parents=True)
        for i in range(images):
            pixels = np.zeros((SIZE, SIZE), np.uint8)
            pixels[0, 0], pixels[1, 1] = 10 * (c + 1), 1 + i
            Image.fromarray(pixels).save(folder / f"{c:02}/{i}.png")
    return folder


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """24 classes of 6 marked images."""
    return make(marked(tmp_path_factory.mktemp("images") / "data"))


def sample(
    family: Images,
    tasks: int = 5,
    split: Split = "train",
    *,
    seed: int = 0,
    shots: Shots = 2,
    ways: int = 3,
    queries: int = 2,
    augmentation: str = "none",
) -> Episodes:
    generator = torch.Generator().manual_seed(seed)
    return family.sample(
        tasks, split, generator, shots=shots, ways=ways, queries=queries, augmentation=augmentation
    )


def raw(family: Images, x: Tensor) -> Tensor:
    """Standardised images → 8-bit pixels."""
    mean, std = (torch.tensor(family.preprocessing[key])[:, None, None] for key in ("mean", "std"))
    return ((x * std + mean) * 255).round().long()


# --- classes and splits ------------------------------------------------------------------------------


def test_groups_are_in_one_split_whole(tmp_path: Path) -> None:
    family = make(zipped(draw_classes(tmp_path / "data", GROUPED)))
    groups = [{name.split("/")[0] for name in family.classes[split]} for split in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 7
    facts = family.facts()
    assert facts["unit"] == "group"
    assert facts["groups"] == {split: len(own) for split, own in zip(SPLITS, groups, strict=True)}
    assert sum(facts["classes"].values()) == 28
    assert sum(facts["images"].values()) == 28 * 5


def test_splits_do_not_depend_on_random_state_or_on_where_the_data_lies(tmp_path: Path) -> None:
    first = make(draw_classes(tmp_path / "one", GROUPED))
    torch.manual_seed(1)
    second = make(draw_classes(tmp_path / "two" / "deeper", GROUPED))
    assert first.classes == second.classes
    assert first.facts() == second.facts()


def test_test_data_of_its_own(tmp_path: Path) -> None:
    own = draw_classes(tmp_path / "own", [f"c{i}" for i in range(10)])
    other = draw_classes(tmp_path / "other", [f"n{i}" for i in range(7)], 4, mode="RGB")
    family = make(own, test_path=other)
    assert family.classes["test"] == tuple(f"n{i}" for i in range(7))
    assert family.limits.ways == {"train": 5, "valid": 5, "test": 7}
    assert family.limits.examples == 4
    assert family.preprocessing["channels"] == 3, "RGB test images make all of it RGB"
    assert family.facts()["archives"] == [make(folder).facts()["content"] for folder in (own, other)]
    assert "archives" not in make(own).facts()


def test_test_classes_have_to_be_unseen(tmp_path: Path) -> None:
    own = draw_classes(tmp_path / "own", ["a", "b", "c", "d"])
    other = draw_classes(tmp_path / "other", ["d", "e"])
    with pytest.raises(DataError, match=r"1 classes are in both .*own and .*other \(d …\)"):
        make(own, test_path=other)


@pytest.mark.parametrize("top", ["", "birds", "more/birds"])
def test_the_only_group_of_the_test_data_is_one_of_the_training_data(tmp_path: Path, top: str) -> None:
    """Of one group, names have none; also where the group is what was named itself."""
    own = draw_classes(tmp_path / "own", ["birds/robin", "birds/wren", "mammals/cat", "mammals/dog"])
    test = draw_classes(tmp_path / "test" / "birds", ["robin", "wren"]) if not top else tmp_path / "other"
    if top:
        draw_classes(tmp_path / "other" / top, ["robin", "wren"])
    with pytest.raises(DataError, match=r"2 classes are in both .* \(birds/robin …\)"):
        make(own, test_path=test)


def test_classes_of_another_group_may_have_the_same_names(tmp_path: Path) -> None:
    own = draw_classes(
        tmp_path / "own", [f"{group}/{i}" for group in ("Greek", "Latin", "Thai") for i in "12"]
    )
    other = draw_classes(tmp_path / "other" / "Tengwar", ["1", "2"])
    assert make(own, test_path=other).classes["test"] == ("1", "2")


def test_an_official_list(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["a", "b/0"], "valid": ["c"], "test": ["d", "e/1"]}))
    family = make(draw_classes(tmp_path / "data", GROUPED), splits=path)
    assert family.classes["train"] == ("a/0", "a/1", "a/2", "a/3", "b/0")
    assert family.classes["test"] == ("d/0", "d/1", "d/2", "d/3", "e/1")
    assert family.notes == (f"{tmp_path}/data: left out 14 classes that {path} does not name",)
    assert family.facts()["unit"] == "file"
    sample(family, split="test", ways=5)


def test_another_division_is_another_family(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", GROUPED)
    (tmp_path / "split.json").write_text('{"train": ["a"], "valid": ["b"], "test": ["c"]}')
    assert make(data).facts() != make(data, splits=tmp_path / "split.json").facts()


def test_the_path_is_needed() -> None:
    with pytest.raises(DataError, match="images needs a zip or a folder"):
        build(Source())


# --- tasks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_rows_show_the_class_they_are_labelled_with(family: Images, split: Split) -> None:
    episodes = sample(family, 50, split, shots=2, ways=3, queries=3)
    classes = []
    for part, rows in (("support", 2), ("query", 3)):
        x, y = episodes[f"{part}_x"], episodes[f"{part}_y"]  # type: ignore[literal-required]
        shown = raw(family, x)[:, :, 0, 0, 0].view(50, rows, 3)  # row s · ways + w shows class w
        assert (shown == shown[:, :1]).all()
        assert torch.equal(y.argmax(-1), torch.arange(3).repeat(50, rows))
        classes.append(shown[:, 0])
    assert torch.equal(*classes), "support and query are of the same classes"
    assert (classes[0].sort(1).values.diff(dim=1) > 0).all(), "no class comes twice"
    names = [[f"{value // 10 - 1:02}" for value in task] for task in classes[0].tolist()]
    assert names == [[family.classes[split][c] for c in task] for task in episodes["classes"].tolist()]


@pytest.mark.parametrize(("shots", "queries"), [(2, 4), ((1, 3), 3)])
def test_no_example_comes_twice(family: Images, shots: Shots, queries: int) -> None:
    """Nor is a query among the shots that a mask hides: it would be in another task."""
    episodes = sample(family, 200, shots=shots, queries=queries)
    x = raw(family, torch.cat([episodes["support_x"], episodes["query_x"]], dim=1))[:, :, 0]
    keys = (x[..., 0, 0] + x[..., 1, 1]).sort(1).values  # (T, E·W): all 6 images of 3 classes
    assert (keys.diff(dim=1) > 0).all()


def test_classes_and_examples_come_equally_often() -> None:
    count = torch.tensor([6, 3, 9, 4, 5])
    classes = Classes(count.cumsum(0) - count, count, 9)
    rows, turn = draw(classes, 20_000, 2, 3, torch.Generator().manual_seed(0), turns=4)
    owner = torch.repeat_interleave(torch.arange(5), count)
    drawn = owner[rows]  # (T, E, W)
    assert (drawn == drawn[:, :1]).all()
    pairs = drawn[:, 0] * 4 + turn
    assert (pairs[:, 0] != pairs[:, 1]).all()
    is_even(torch.bincount(pairs.flatten(), minlength=20))
    for position in range(3):  # an example is as likely to be the first shot as the last query
        for c in range(5):
            own = rows[:, position][drawn[:, position] == c] - classes.first[c]
            is_even(torch.bincount(own, minlength=int(count[c])))
    assert (rows.sort(1).values.diff(dim=1) > 0).all()


def is_even(counts: Tensor) -> None:
    """Chi-square at about five standard deviations."""
    expected = counts.double().mean()
    freedom = len(counts) - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5 + 5


def test_a_turned_class_is_another_class(family: Images) -> None:
    many = len(family.classes["train"])
    drawn = sample(family, 400, "train", ways=3, augmentation="rotations")["classes"]
    assert (len(drawn.unique()), int(drawn.max())) == (4 * many, 4 * many - 1)


def test_huge_classes_are_drawn_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    count = torch.tensor([500, 400])
    classes = Classes(count.cumsum(0) - count, count, 500)
    monkeypatch.setattr("metanas.tasks.drawing._ROOM", 1200)
    rows, _ = draw(classes, 7, 2, 30, torch.Generator().manual_seed(0))
    assert rows.shape == (7, 30, 2)
    assert ((rows >= 500).all(1) | (rows < 500).all(1)).all()
    assert (rows.sort(1).values.diff(dim=1) > 0).all()


def test_images_are_standardised_by_the_training_classes(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", [f"c{i}" for i in range(20)], mode="RGB")
    family = make(folder)
    files = [file for name in family.classes["train"] for file in sorted((folder / name).iterdir())]
    pixels = np.stack(
        [np.asarray(Image.open(file).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for file in files]
    )
    np.testing.assert_allclose(family.preprocessing["mean"], (pixels / 255).mean((0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(family.preprocessing["std"], (pixels / 255).std((0, 1, 2)), atol=1e-12)
    assert {k: family.preprocessing[k] for k in ("kind", "size", "channels")} == {
        "kind": "image",
        "size": SIZE,
        "channels": 3,
    }


def test_images_that_are_all_alike_stay_finite(tmp_path: Path) -> None:
    for name in "abcdef":
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("1", (8, 8), 1).save(tmp_path / "data" / name / f"{i}.png")
    assert (sample(make(tmp_path / "data"), ways=2, queries=1)["support_x"] == 0).all()


def test_a_pair_of_shots(family: Images) -> None:
    episodes = sample(family, 100, shots=(1, 3), ways=4)
    mask = episodes["support_mask"]
    assert mask.shape == (100, 12)
    assert set(mask.sum(1).tolist()) == {4, 8, 12}
    assert torch.equal(mask, mask.view(100, 3, 4).cummin(1).values.view(100, 12)), "shot after shot"
    fixed = sample(family, 10, shots=(2, 2))
    assert fixed["support_mask"].all()


# --- augmentations -----------------------------------------------------------------------------------


def test_turning() -> None:
    images = torch.arange(4 * 3 * 5 * 5, dtype=torch.uint8).view(4, 3, 5, 5)
    turns = torch.tensor([3, 0, 2, 1])
    for image, turn, result in zip(images, turns, turned(images, turns), strict=True):
        assert torch.equal(result, torch.rot90(image, int(turn), (1, 2)))


def test_shifting() -> None:
    images = torch.randint(256, (60, 2, 6, 7), dtype=torch.uint8)
    result = shifted(images, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images.float(), (SHIFT,) * 4, mode="replicate").to(torch.uint8)
    found = set()
    for image, one in zip(padded, result, strict=True):
        places = [
            (down, right)
            for down in range(2 * SHIFT + 1)
            for right in range(2 * SHIFT + 1)
            if torch.equal(image[:, down : down + 6, right : right + 7], one)
        ]
        assert places, "each image is itself, moved"
        found |= set(places)
    assert len(found) > 15


def test_rotations_are_classes_of_their_own(family: Images) -> None:
    """The marked corner of a class lies where its turn brought it, the same for all its rows."""
    episodes = sample(family, 300, ways=5, augmentation="rotations")
    x = raw(family, torch.cat([episodes["support_x"], episodes["query_x"]], dim=1)).view(
        300, 4, 5, SIZE, SIZE
    )
    corners = torch.stack([x[..., 0, 0], x[..., -1, 0], x[..., -1, -1], x[..., 0, -1]])  # (4, T, E, W)
    mark, turn = corners.max(0)
    assert (mark == mark[:, :1]).all()
    assert (turn == turn[:, :1]).all()
    is_even(torch.bincount(turn[:, 0].flatten(), minlength=4))
    assert ((mark + turn)[:, 0].sort(1).values.diff(dim=1) > 0).all(), "no class comes twice with one turn"
    assert (mark[:, 0].sort(1).values.diff(dim=1) == 0).any(), "but it may with two"


@pytest.mark.parametrize("augmentation", ["none", "rotations", "rotations+shifts"])
def test_rotations_do_not_raise_the_number_of_ways(family: Images, augmentation: str) -> None:
    with pytest.raises(DataError, match="ways are more than the"):
        sample(family, ways=len(family.classes["train"]) + 1, augmentation=augmentation)


# --- limits and errors -------------------------------------------------------------------------------


def test_too_much_is_refused_with_numbers(tmp_path: Path) -> None:
    for name in "abcdefghijkl":
        draw_class(tmp_path / "data" / name, 3 if name == "e" else 6)
    family = make(tmp_path / "data")
    (split,) = (split for split in SPLITS if "e" in family.classes[split])
    others = [other for other in SPLITS if other != split]
    assert family.limits.examples == 3
    with pytest.raises(DataError, match=f"5 ways are more than the 4 {split} classes"):
        sample(family, split=split, ways=5)
    with pytest.raises(
        DataError, match=rf"1 shots and 3 queries are more than the 3 images of e \(a {split} class\)"
    ):
        sample(family, split=split, shots=1, queries=3)
    with pytest.raises(DataError, match="2 shots and 2 queries are more"):
        family.check(2, (1, 2), 2)
    family.check(4, 1, 2)
    for other in others:
        sample(family, split=other, shots=3, queries=3)
        family.check(4, 3, 3, [other])


@pytest.mark.parametrize(
    ("ways", "shots", "queries"),
    [(1, 1, 1), (0, 1, 1), (2, 0, 1), (2, 1, 0), (2, (2, 1), 1), (2, (0, 1), 1), (-2, 1, 1)],
)
def test_nonsense_is_refused(family: Images, ways: int, shots: Shots, queries: int) -> None:
    with pytest.raises(DataError, match="a task needs at least 2 ways, 1 shot and 1 query"):
        sample(family, ways=ways, shots=shots, queries=queries)


def test_unknown_names_are_refused(family: Images) -> None:
    with pytest.raises(UnknownNameError, match=r"no augmentation 'flips' \(known: none, rotations,"):
        sample(family, augmentation="flips")
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(UnknownNameError, match="no variant 'noise'"):
        family.sample(1, "test", generator, shots=1, ways=2, queries=1, variant="noise")


def test_signatures(family: Images) -> None:
    assert family.signature(None, 1).outputs == 5
    assert family.signature(3, 2).to_dict() == {
        "kind": "classification",
        "input_shape": [1, SIZE, SIZE],
        "outputs": 3,
        "shots": 2,
    }


def test_the_usual_ways_fit_small_data(tmp_path: Path) -> None:
    assert make(draw_classes(tmp_path / "data", "abcdefghij")).signature(None, 1).outputs == 3


def test_facts_are_those_of_the_content(tmp_path: Path) -> None:
    facts = make(draw_classes(tmp_path / "data", GROUPED)).facts()
    assert facts["name"] == "images"
    assert re.fullmatch("[0-9a-f]{64}", facts["content"])
    assert (facts["size"], facts["channels"]) == (SIZE, 1)
    draw_class(tmp_path / "data" / "a" / "more", 5)
    assert make(tmp_path / "data").facts()["content"] != facts["content"]


def test_nothing_wrong_passes_the_build(tmp_path: Path) -> None:
    """What is wrong with test data is said before training too."""
    own = draw_classes(tmp_path / "own", "abcd")
    other = draw_classes(tmp_path / "other", "xyz")
    (other / "x/broken.png").write_bytes(b"?")
    with pytest.raises(DataError, match=r"x/broken\.png"):
        make(own, test_path=other)


def test_two_processes_build_at_once(tmp_path: Path) -> None:
    path = zipped(draw_classes(tmp_path / "data", GROUPED, 20))
    program = (
        "import sys, torch; from pathlib import Path\n"
        "from metanas.tasks.family import Source; from metanas.tasks.families.images import build\n"
        "family = build(Source(path=Path(sys.argv[1]), cache=Path(sys.argv[2])))\n"
        "g = torch.Generator().manual_seed(0)\n"
        "print(family.sample(4, 'train', g, shots=1, ways=3, queries=2)['query_x'].sum().item())\n"
    )
    command = [sys.executable, "-c", program, str(path), str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate(timeout=100)[0] for run in runs]
    assert len(set(outputs)) == 1
    assert outputs[0].strip()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_an_interval_is_of_the_test_classes(family: Images) -> None:
    assert len(family.classes["test"]) < len(family.classes["train"])
    assert family.independent == f"tasks of {len(family.classes['test'])} classes"
