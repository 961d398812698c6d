"""Narrowed spaces, and that their files make them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Categorical, Integer, Real, Signature, Space, catalogue, files
from search_spaces.errors import SpaceError
from search_spaces.narrowing import as_file, without

TABLES = Signature("regression", (1,), 1, 5)


def test_a_file_makes_the_narrowed_space(tmp_path: Path) -> None:
    start = catalogue.space("default", TABLES)
    rate = start.flat["outer.learning_rate"]
    assert isinstance(rate, Real)
    cuts = {
        "rule": [("prototype",)] if "prototype" in start.flat["rule"].values else [("ridge",)],  # type: ignore[union-attr]
        "architecture.mlp.activation": [(start.flat["architecture.mlp.activation"].values[0],)],  # type: ignore[union-attr]
        "outer.learning_rate": [(rate.low, 2 * rate.low)],
    }
    smaller = without(start, cuts)
    path = tmp_path / "smaller.toml"
    path.write_text(as_file(smaller, start))
    again = files.read(path).applied(start)
    assert (again.choices, again.forbidden) == (smaller.choices, smaller.forbidden)
    assert again != start


def test_the_same_space_needs_one_line() -> None:
    start = catalogue.space("default", TABLES)
    assert as_file(start, start) == 'from = "default"\n'


def test_another_scale_is_kept(tmp_path: Path) -> None:
    start = catalogue.space("default", TABLES)
    (tmp_path / "mine.toml").write_text("[outer]\nlearning_rate = { low = 1e-3, high = 1e-2, log = false }\n")
    mine = catalogue.space(str(tmp_path / "mine.toml"), TABLES)
    (tmp_path / "smaller.toml").write_text(as_file(mine, start))
    again = catalogue.space(str(tmp_path / "smaller.toml"), TABLES)
    assert again.choices == mine.choices
    assert not again.flat["outer.learning_rate"].log  # type: ignore[union-attr]


def test_names_that_toml_must_quote(tmp_path: Path) -> None:
    inner = Integer("architecture.nni:my.module:Net.block 1", 1, 9)
    root = Categorical("architecture", ("nni:my.module:Net",), {"nni:my.module:Net": (inner,)})
    start = Space("default", (root, Categorical("plain", ('a"b', "c"))))
    smaller = without(start, {inner.name: [(1, 3), (8, 9)], "plain": [("c",)]})
    path = tmp_path / "smaller.toml"
    path.write_text(as_file(smaller, start))
    assert files.read(path).applied(start).choices == smaller.choices
    assert smaller.flat[inner.name] == Integer(inner.name, 4, 7)


def test_something_has_to_be_left() -> None:
    start = Space("s", (Categorical("a", ("x", "y")), Real("r", 0.0, 1.0)))
    with pytest.raises(SpaceError, match="at least one"):
        without(start, {"a": [("x",), ("y",)]})
    with pytest.raises(SpaceError, match="range of numbers"):
        without(start, {"r": [("x", "y")]})
