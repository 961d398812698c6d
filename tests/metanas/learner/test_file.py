"""The file: what went in comes out, and whatever else it is, it is refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metanas
from metanas.learner import archive, load, save
from metanas.learner.building import program_of
from metanas.tasks.pictures import standardise
from metanas.testing.learners import (
    PICTURES,
    REGRESSION,
    SPECIES,
    Written,
    candidate,
    refused,
    sealed,
    written,
)
from search_spaces import Candidate, catalogue
from search_spaces.errors import DataError, LearnerFileError, SpaceError

ROOT = Path(__file__).resolve().parents[3]
BYTES = st.integers(1, 255)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Written:
    torch.set_num_threads(1)
    return written(tmp_path_factory.mktemp("good"), candidate("mlp", "gradient", norm="running"), REGRESSION)


WIDER = {
    "architecture.mlp.depth": 6,
    **{f"architecture.mlp.width_{i}": 24 for i in range(1, 7)},
    "rule.gradient.steps": 12,
}


def test_a_candidate_that_a_space_file_allows_comes_back(tmp_path: Path) -> None:
    """Six layers, other widths and more steps are none of our own spaces, but of README's."""
    wider = Candidate({**candidate("mlp", "gradient"), **WIDER})
    before = written(tmp_path, wider, REGRESSION)
    after = before.load()
    assert after.candidate == wider
    assert torch.equal(after._meta, before.meta)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("architecture.mlp.depth", 51, "others up to 50"),
        ("architecture.mlp.width_1", 20_000, "other numbers up to 10,000"),
        ("architecture.mlp.width_1", 24.5, "cannot be 24.5"),
        ("rule.gradient.steps", 10**9, "at most 10,000"),
        ("rule.gradient.steps", 0.5, "takes whole numbers"),
        ("rule.gradient.rate", 10**400, "should have low <= high"),
    ],
)
def test_what_no_space_file_allows_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        program_of(Candidate({**candidate("mlp", "gradient"), name: value}), REGRESSION)


@pytest.mark.parametrize("signature", [REGRESSION, SPECIES, PICTURES])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_every_candidate_of_the_space_comes_back(tmp_path: Path, signature: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = written(tmp_path, catalogue.space("default", signature).sample(rng), signature, seed)
    after = before.load()
    assert after.candidate == before.manifest.candidate
    assert after.signature == signature
    if signature == PICTURES:
        pixels = rng.integers(0, 256, (8, *signature.input_shape), dtype=np.uint8)
        x, raw = standardise(torch.from_numpy(pixels), before.manifest.preprocessing), pixels
    else:
        x = torch.from_numpy(rng.normal(size=(8, *signature.input_shape)).astype(np.float32))
        raw = x.numpy()
    labels = np.arange(6) % signature.outputs if signature.kind == "classification" else rng.normal(size=6)
    y = (
        torch.eye(signature.outputs)[labels]
        if signature.kind == "classification"
        else torch.tensor(labels[:, None])
    )
    expected = before.outputs(x[:6], y.float(), x[6:])
    if not bool(torch.isfinite(expected).all()):  # untrained, and steps may be long
        with pytest.raises(DataError, match=r"diverged|not finite"):
            after.adapt(raw[:6], labels).predict(raw[6:])
        return
    model = after.adapt(raw[:6], labels)
    if signature.kind == "classification":
        shares = np.asarray(model.predict_proba(raw[6:]))
        np.testing.assert_allclose(shares, torch.softmax(expected, -1).numpy(), rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(model.predict(raw[6:]), expected[:, 0].numpy(), rtol=1e-4, atol=1e-5)


def test_equal_content_gives_equal_bytes(good: Written, tmp_path: Path) -> None:
    again = tmp_path / "again.metanas"
    save(again, good.manifest, good.meta, good.buffers)
    assert again.read_bytes() == good.path.read_bytes()


def test_any_unzip_opens_it(good: Written) -> None:
    with zipfile.ZipFile(good.path) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["manifest.json", "weights.safetensors", "card.md"]
        facts, card = json.loads(opened.read("manifest.json")), opened.read("card.md").decode()
    assert facts["format"] == 1
    assert facts["metanas"] == metanas.__version__
    assert facts["scorecard"]["test"]["tasks"] == 100
    assert "level" in card
    assert "mlp (widths 16" in card


def test_what_is_not_finite_is_written_as_unknown(good: Written, tmp_path: Path) -> None:
    scorecard = {"valid": {"metric": "mse", "value": 0.1, "ci95": float("inf"), "tasks": np.int64(1)}}
    save(tmp_path / "a.metanas", replace(good.manifest, scorecard=scorecard), good.meta, good.buffers)
    assert load(tmp_path / "a.metanas").manifest.scorecard["valid"]["ci95"] is None


def test_reading_needs_neither_store_nor_controllers(good: Written) -> None:
    program = f"""
import sys
for name in ("storage", "controllers"):
    sys.modules[name] = None  # as if it could not be imported
import metanas
model = metanas.load({str(good.path)!r}).adapt([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0])
print(repr(float(model.predict([[1.0, 1.0]])[0])))
assert not {{"optuna", "nni", "sqlalchemy", "matplotlib", "sklearn", "alembic"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    model = good.load().adapt([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0])
    assert float(done.stdout) == pytest.approx(float(model.predict([[1.0, 1.0]])[0]), rel=1e-5)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.dictionaries(st.floats(0, 1, exclude_max=True), BYTES, min_size=1, max_size=4))
def test_no_byte_can_change_unnoticed(good: Written, tmp_path: Path, where: dict[float, int]) -> None:
    data = bytearray(good.path.read_bytes())
    changes = {int(place * len(data)): change for place, change in where.items()}
    for place, change in changes.items():
        data[place] ^= change
    (tmp_path / "a.metanas").write_bytes(data)
    refused(tmp_path / "a.metanas")


def test_no_single_byte_of_the_small_parts_can_change_unnoticed(good: Written, tmp_path: Path) -> None:
    whole, path = good.path.read_bytes(), tmp_path / "a.metanas"
    at = {name: whole.index(data) for name, data in archive.read(good.path).items()}
    places = [
        *range(0, 40),
        at["card.md"] + 5,
        at["manifest.json"] + 20,
        *range(len(whole) - 300, len(whole), 3),
    ]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1, exclude_max=True))
def test_cut_short(good: Written, tmp_path: Path, kept: float) -> None:
    data = good.path.read_bytes()
    (tmp_path / "a.metanas").write_bytes(data[: int(kept * len(data))])
    refused(tmp_path / "a.metanas")


@pytest.mark.parametrize("more", [b"\0", b"metanas sha256 " + b"0" * 64])
def test_grown(good: Written, tmp_path: Path, more: bytes) -> None:
    (tmp_path / "a.metanas").write_bytes(good.path.read_bytes() + more)
    refused(tmp_path / "a.metanas")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_rubbish(tmp_path: Path, data: bytes) -> None:
    for start in (b"", b"PK\x03\x04"):
        (tmp_path / "a.metanas").write_bytes(start + data)
        refused(tmp_path / "a.metanas")


def test_missing_folder_and_foreign_files(good: Written, tmp_path: Path) -> None:
    refused(tmp_path / "none.metanas", "none.metanas", "No such file")
    refused(tmp_path, "not a file")
    refused(Path("a\0b"), "cannot be read")
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty", "not a learner file")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as out:
        out.writestr("manifest.json", "{}")
    refused(tmp_path / "foreign.zip", "a zip, but not one that metanas wrote")
    (tmp_path / "short").write_bytes(good.path.read_bytes()[:-100])
    refused(tmp_path / "short", "cut short or damaged")
    refused(sealed(tmp_path / "sealed.zip", [("a.txt", b"")]), "no manifest.json")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a file")


def test_what_could_not_be_read_again_is_not_written(good: Written, tmp_path: Path) -> None:
    path = tmp_path / "kept.metanas"
    path.write_bytes(b"before")
    broken = Candidate(dict(good.manifest.candidate) | {"rule.gradient.steps": 99_999})
    for manifest, meta in (
        (replace(good.manifest, candidate=broken), good.meta),
        (replace(good.manifest, preprocessing={"kind": "sound"}), good.meta),
        (good.manifest, good.meta * float("nan")),
    ):
        with pytest.raises(LearnerFileError):
            save(path, manifest, meta, good.buffers)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written(good: Written, tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "a.metanas", tmp_path):
        with pytest.raises(LearnerFileError, match="cannot be written"):
            save(path, good.manifest, good.meta, good.buffers)
    assert list(tmp_path.iterdir()) == []
