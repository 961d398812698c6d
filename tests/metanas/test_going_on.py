"""What is said where a study cannot go on as it is asked for: the option that differs, by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metanas.cli.settings import refuse_others
from metanas.tasks.families import table
from metanas.tasks.family import Family, Source
from metanas.testing.tables import rows, write
from search_spaces.errors import StoreError


def built(path: Path, **options: Any) -> Family:
    return table.build(Source(path, **{"task": "machine", "target": "wear"} | options))


def said(old: dict[str, Any], new: dict[str, Any]) -> str:
    with pytest.raises(StoreError) as caught:
        refuse_others("pumps", {"family": old}, {"family": new})
    return str(caught.value).partition("(")[2].partition(")")[0]


def test_the_option_of_a_table_that_differs_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(machines=60, sites=10))
    other = write(tmp_path / "u.csv", rows(machines=60, sites=10, seed=1))
    usual = built(path).facts()
    assert said(usual, built(path, features=("load",)).facts()) == "--features site,load,mode,day, now load"
    assert said(usual, built(path, target="load").facts()) == "--target wear, now load"
    assert said(usual, built(path, group="site").facts()).startswith("the same data divided in another way")
    assert said(usual, built(other).facts()) == "other data"


def test_what_else_may_differ_is_not_called_other_data() -> None:
    usual = {"name": "Waves", "own": "my:Waves", "code": "a"}
    assert said(usual, usual | {"code": "b"}) == "other code of the family"
    images = {"name": "images", "content": "a", "division": "c", "size": 28}
    assert said(images, images | {"size": 20}) == "--image-size 28, now 20"
    with_test = images | {"content": "b", "archives": ["a", "x"]}
    assert said(images, with_test) == "--test-data, given in one of both alone"
    assert said(with_test, with_test | {"content": "d", "archives": ["a", "y"]}) == "other data"
    mixed = {"name": "a + b", "mixed": [usual, images]}
    assert said(mixed, mixed | {"mixed": [usual, images | {"content": "z"}]}) == "images: other data"
