"""Is the wheel what we mean to ship, and does it work where there is no checkout?

Usage: .venv/bin/python .ci/smoke_wheel.py dist/metanas-0.1.0-py3-none-any.whl

Needs the set-up .venv for the dependencies only: the wheel itself is installed into an environment of
its own, which sees .venv's packages but not the checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

PACKAGES = ("controllers", "metanas", "search_spaces", "storage")
ROOT = Path(__file__).resolve().parent.parent

LOAD_AND_ADAPT = """
import sys
import numpy as np
import metanas

learner = metanas.load(sys.argv[1])
x = np.linspace(-5.0, 5.0, 5, dtype=np.float32)[:, None]
prediction = np.asarray(learner.adapt(x, np.sin(x)).predict(x))
assert prediction.shape == (5, 1), prediction.shape
assert np.isfinite(prediction).all(), prediction
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"storage", "controllers", "nni"}, "reading a learner needs none of them"
print(metanas.__file__)
"""


def check_contents(wheel: Path) -> None:
    """The archive holds the four packages' files, each of them, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    shipped = {name for name in names if ".dist-info/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == ours, f"not in the wheel: {sorted(ours - shipped)}; too much: {sorted(shipped - ours)}"
    for package in PACKAGES:
        assert f"{package}/py.typed" in shipped, f"{package}/py.typed is missing"
    tests = [name for name in shipped if "tests" in name.split("/") or Path(name).name.startswith("test_")]
    assert not tests, f"tests are shipped: {tests}"
    info = sorted(name.partition("/")[2] for name in names if ".dist-info/" in name)
    assert info == ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"], info


def install(wheel: Path, folder: Path) -> Path:
    """Makes an environment with the wheel and .venv's packages.

    Returns:
        Its folder of programs.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    # A plain path: the .pth file that makes the checkout importable in .venv is not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def run(*command: str, folder: Path) -> str:
    """Runs a command in ``folder``, without what the caller's environment says of Python or metanas."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "METANAS_"))}
    environment = kept | {"METANAS_CACHE": str(folder / "cache"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise SystemExit(
            f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done.stdout


def check_use(programs: Path, folder: Path) -> None:
    """Help, version, a small search, and its learner adapted to a task, all from the wheel."""
    python, metanas = str(programs / "python"), str(programs / "metanas")
    for package in PACKAGES:
        place = run(python, "-c", f"import {package}; print({package}.__file__)", folder=folder).strip()
        assert Path(place).is_relative_to(programs.parent), f"{package} was imported from {place}"
    assert "search" in run(metanas, "--help", folder=folder)
    version = run(metanas, "--version", folder=folder)
    assert "0.1.0" in version, version

    options = ("--study", "smoke", "--store", "sqlite:///smoke.db", "--seed", "0", "--rung", "5", "--json")
    lines = run(metanas, "search", "sinusoid", "--trials", "2", *options, folder=folder).splitlines()
    result = json.loads(lines[-1])
    assert result["study"] == "smoke", result
    assert sum(result["trials"].values()) >= 2, result["trials"]
    learner = folder / result["saved"]["learner"]
    run(python, "-c", LOAD_AND_ADAPT, str(learner), folder=folder)


def main() -> None:
    """Checks the wheel named on the command line."""
    wheel = Path(sys.argv[1]).resolve()
    check_contents(wheel)
    print(f"{wheel.name}: holds exactly {', '.join(PACKAGES)}")
    with tempfile.TemporaryDirectory(prefix="metanas-wheel-") as temporary:
        folder = Path(temporary).resolve()
        check_use(install(wheel, folder / "venv"), folder)
    print(f"{wheel.name}: installs, searches, and its learner adapts, outside the checkout")


if __name__ == "__main__":
    main()
