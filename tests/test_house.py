"""The house itself: what is loaded when, which rules are checked, how long a file may be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("controllers", "metanas", "search_spaces", "storage")
HEAVY = {"torch", "optuna", "nni", "scipy", "sklearn", "matplotlib", "sqlalchemy", "alembic", "rich", "PIL"}


def loaded_after(code: str) -> set[str]:
    """Runs ``code`` in a clean interpreter.

    Returns:
        The top-level names of the modules it has loaded at its end.
    """
    report = "import json, sys; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    program = f"import atexit; atexit.register(lambda: exec({report!r}))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_bare_interpreter_loads_none_of_it() -> None:
    assert not loaded_after("pass") & (HEAVY | set(PACKAGES))


def test_importing_metanas_is_light() -> None:
    loaded = loaded_after("import metanas")
    assert "metanas" in loaded
    assert not loaded & (HEAVY | {"numpy", "search_spaces", "storage", "controllers"})


def test_importing_search_spaces_loads_no_torch() -> None:
    loaded = loaded_after("import search_spaces")
    assert "search_spaces" in loaded
    assert not loaded & {"torch", "optuna", "nni", "metanas", "storage", "controllers"}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_asking_for_help_is_light(argument: str) -> None:
    loaded = loaded_after(f"import sys; sys.argv[1:] = [{argument!r}]\nfrom metanas.cli import main\nmain()")
    assert "metanas" in loaded
    assert not loaded & (HEAVY | {"storage", "controllers"})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_over_400_lines(package: str) -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in (ROOT / package).rglob("*.py")
    }
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_the_import_rules_cover_the_four_packages() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert sorted(rules["root_packages"]) == sorted(PACKAGES)
    layers = [contract["layers"] for contract in rules["contracts"] if contract["type"] == "layers"]
    assert layers == [["metanas", "controllers | storage", "search_spaces"]]


def test_every_dependency_is_pinned_and_names_the_file_that_needs_it() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    lines = text.splitlines()
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        name = re.match(r"[\w-]+", requirement)
        assert name is not None
        assert name[0].lower() in pinned, f"{name[0]} has no pin in constraints.txt"
        places = [number for number, line in enumerate(lines) if f'"{requirement}"' in line]
        assert any("#" in lines[n] or lines[n - 1].lstrip().startswith("#") for n in places), (
            f"{requirement}: a comment names the file that needs it"
        )
