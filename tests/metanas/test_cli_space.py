"""``metanas space describe|check``, and a search over a space by file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Space

Run = Callable[..., Any]


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.toml").write_text('rules = ["ridge"]\n[architecture.mlp]\ndepth = 1\n')
    return "mine.toml"


@pytest.mark.parametrize("tasks", ["regression", "classification", "images"])
def test_spaces_are_described_and_checked(metanas: Run, mine: str, tasks: str) -> None:
    described = metanas("space", "describe", "default", "--tasks", tasks)
    assert described.code == 0
    assert ("architecture.conv.kernel" in described.out) == (tasks == "images")
    data = metanas("space", "describe", "default", "--tasks", tasks, "--json").json
    assert Space.from_json(json.dumps(data)).describe() == described.out.removesuffix("\n")
    checked = metanas("space", "check", mine, "--tasks", tasks)
    assert (checked.code, checked.err) == (0, "")
    assert "mine.toml is fine" in checked.out


def test_a_wrong_file_is_one_line(metanas: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[outer]\ntasks = 16\nschedule = 'linear'\n")
    for command in (("space", "check"), ("search", "sinusoid", "--budget", "5s", "--space")):
        ran = metanas(*command, "bad.toml")
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert 'line 3: outer.schedule cannot be "linear" (allowed: "constant", "cosine")' in ran.err
    assert not (tmp_path / "metanas.db").exists()


def test_a_search_keeps_to_the_file(metanas: Run, quick: Sequence[object], mine: str) -> None:
    options = [mine if option == "closed-form" else option for option in quick]
    ran = metanas(*options, "--json")
    assert ran.code == 0, ran.err
    trials = [line["candidate"] for line in ran.lines if line.get("event") == "trial"]
    assert trials
    assert {(c["rule"], c["architecture.mlp.depth"]) for c in trials} == {("ridge", 1)}
