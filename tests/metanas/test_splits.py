"""Which classes belong to which split: by hash, by folder, by list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanas.tasks.class_folders import group_of
from metanas.tasks.family import Split
from metanas.tasks.splits import ENOUGH, by_hash, divide
from search_spaces.errors import DataError

ALL: tuple[Split, ...] = ("train", "valid", "test")
NAME = st.text("abcdefgh", min_size=1, max_size=4)
UNGROUPED = st.lists(NAME, min_size=3, max_size=60, unique=True)
GROUPED = st.lists(st.tuples(NAME, NAME).map("/".join), min_size=3, max_size=60, unique=True)
WANTED = st.sampled_from([ALL, ("train", "valid")])


def sizes(splits: dict[str, Split]) -> list[int]:
    return [list(splits.values()).count(split) for split in ALL]


@given(UNGROUPED | GROUPED, WANTED, st.randoms(use_true_random=False))
def test_each_class_is_in_one_split_whatever_their_order(names, wanted, random) -> None:  # type: ignore[no-untyped-def]
    splits = by_hash(names, wanted, "data")
    assert set(splits) == set(names)
    assert set(splits.values()) == set(wanted), "every split has a class"
    shuffled = random.sample(names, len(names))
    assert by_hash(shuffled, wanted, "data") == splits


@given(GROUPED, WANTED)
def test_groups_are_kept_whole(names, wanted) -> None:  # type: ignore[no-untyped-def]
    splits = by_hash(names, wanted, "data")
    if len({group_of(name) for name in names}) >= 3:
        assert len({(group_of(name), splits[name]) for name in names}) == len({group_of(n) for n in names})


@given(UNGROUPED)
def test_valid_and_test_have_enough_classes_where_there_are_enough(names: list[str]) -> None:
    train, valid, test = sizes(by_hash(names, ALL, "data"))
    enough = min(ENOUGH, len(names) // 3)
    assert valid == test >= enough
    assert train >= enough


@given(st.integers(40, 300))
def test_shares_are_70_15_15(count: int) -> None:
    train, valid, test = sizes(by_hash([f"class{i}" for i in range(count)], ALL, "data"))
    assert valid == test == pytest.approx(0.15 * count, abs=0.51)
    assert train + valid + test == count


def test_few_groups_are_not_kept_whole() -> None:
    names = [f"{group}/{i}" for group in "ab" for i in range(10)]
    division = divide(names, ALL, None, "data")
    assert division.unit == "class"
    assert sizes(division.splits) == [10, 5, 5]


def test_the_largest_group_trains() -> None:
    names = [f"large/{i}" for i in range(50)] + [f"{group}/0" for group in "abcdef"]
    assert {by_hash(names, ALL, "data")[f"large/{i}"] for i in range(50)} == {"train"}


@pytest.mark.parametrize("names", [["a", "b"], ["a"]])
def test_too_few_classes_are_refused(names: list[str]) -> None:
    with pytest.raises(DataError, match=f"data has {len(names)} classes: at least 3 are needed"):
        divide(names, ALL, None, "data")


def test_top_folders_called_after_splits_are_official() -> None:
    names = ["train/a", "train/b", "train/c", "val/d", "test/e"]
    division = divide(names, ALL, None, "data")
    assert division.unit == "folder"
    assert list(division.splits.values()) == ["train", "train", "train", "valid", "test"]


def test_validation_comes_from_the_training_folder_where_it_is_missing() -> None:
    names = [f"train/{i}" for i in range(20)] + [f"test/x{i}" for i in range(4)]
    splits = divide(names, ALL, None, "data").splits
    assert sizes(splits) == [15, 5, 4]
    assert all((splits[name] == "test") == name.startswith("test/") for name in names)


def test_of_a_list_without_them_validation_ones_are_the_share_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "class,split\n" + "".join(f"{i},{'test' if i > 39 else 'train'}\n" for i in range(50))
    )
    names = [str(i) for i in range(50)]
    assert sizes(divide(names, ALL, tmp_path / "list.csv", "data", share=0.4).splits) == [24, 16, 10]


def test_classes_called_train_and_test_are_classes() -> None:
    assert divide(["train", "test", "val"], ALL, None, "data").unit == "class"


@pytest.mark.parametrize("words", [("Train", "dev", "eval"), ("training", "development", "evaluation")])
def test_split_folders_have_several_names(words: tuple[str, str, str]) -> None:
    division = divide([f"{word}/{word}{i}" for word in words for i in range(3)], ALL, None, "data")
    assert division.unit == "folder"
    assert [division.splits[f"{word}/{word}0"] for word in words] == ["train", "valid", "test"]


def test_a_folder_beside_those_of_splits_is_not_taken_for_a_group() -> None:
    """Else the same classes would be in it and in them, in different splits."""
    names = [f"{top}/{name}" for top in ("train", "holdout", "test") for name in ("cat", "dog", "cow")]
    with pytest.raises(DataError, match=r"'holdout' lies beside 'test', 'train', .* --splits"):
        divide(names, ALL, None, "data")
    groups = [f"{top}/{i}" for top in ("train", "tram", "bus") for i in range(3)]
    assert divide(groups, ALL, None, "data").unit == "group", "one of these words alone says nothing"


def test_a_class_in_two_split_folders_is_refused() -> None:
    with pytest.raises(DataError, match="class 'dog' is in both the train and the test folder"):
        divide(["train/dog", "train/cat", "test/dog"], ALL, None, "data")


NAMES = ["a/1", "a/2", "b/1", "b/2", "c/1"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "class,split\na,train\nb/1,valid\nb/2,val\nc,test\n"),
        ("list.csv", "\ufeffsplit, class\r\ntraining, a\r\nvalidation, b\r\ntesting, c/1\r\n"),
        ("list.json", json.dumps({"train": ["a/1", "a/2"], "valid": ["b"], "test": ["c"]})),
        ("list.JSON", json.dumps({"train": ["a"], "valid": ["b", "b/1"], "test": ["c"]})),
    ],
)
def test_official_lists(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    division = divide(NAMES, ALL, tmp_path / name, "data")
    assert division.unit == "file"
    assert division.splits == dict(zip(NAMES, ["train", "train", "valid", "valid", "test"], strict=True))
    assert division.notes == ()


def test_classes_that_a_list_leaves_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"train": ["a/1"], "valid": ["a/2"], "test": ["b/1"]}')
    division = divide(NAMES, ALL, path, "data")
    assert set(division.splits) == {"a/1", "a/2", "b/1"}
    assert division.notes == (f"data: left out 2 classes that {path} does not name",)


def test_a_list_without_validation_takes_it_from_training(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("class,split\na,train\nb,train\nc,test\n")
    assert sizes(divide(NAMES, ALL, path, "data").splits) == [2, 2, 1]


def test_a_list_may_name_what_is_too_small_and_what_has_a_slash(tmp_path: Path) -> None:
    """A list of all machines is no wrong one where some have too few rows for so many shots."""
    path = tmp_path / "list.csv"
    path.write_text("class,split\n2023/01,train\nb,valid\nc,test\ntiny,test\n")
    division = divide(["2023∕01", "b", "c"], ALL, path, "data", folders=False, small=["tiny"])
    assert division.splits == {"2023∕01": "train", "b": "valid", "c": "test"}
    with pytest.raises(DataError, match="names 'tiny', which the data has not"):
        divide(["2023∕01", "b", "c"], ALL, path, "data", folders=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,split\nz,train\ny/9,test\n", "names 'z', 'y/9', which the data has not"),
        ("class,split\na,train\na/1,test\n", "puts 'a/1' into both train and test"),
        ("class,split\na,elsewhere\n", "'elsewhere' is no split"),
        ("name,part\na,train\n", "its first line should be 'class,split'"),
        ("", "its first line should be 'class,split'"),
        ("class,split\na,train\nb,valid\n", "has no test classes"),
        ("class,split\nb,valid\nc,test\n", "has no train classes"),
        ('class,split\n"a,train\n', "is not a split list"),
        ("class,split\na\n", "'' is no split"),
        ("\x00\xff", "is not a split list"),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message) as caught:
        divide(NAMES, ALL, path, "data")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", '{"train": "a"}', "{", "[" * 100_000])
def test_bad_json_lists_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is not a split list"):
        divide(NAMES, ALL, path, "data")


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        divide(NAMES, ALL, tmp_path / "none.csv", "data")


def test_test_classes_come_from_one_place(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"train": ["a"], "valid": ["b"], "test": ["c"]}')
    with pytest.raises(DataError, match="has test classes, and so has --test-data: give one of them"):
        divide(NAMES, ("train", "valid"), path, "data")
