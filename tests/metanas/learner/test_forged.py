"""Files that somebody made who knows the format: refused, or an honest learner."""

from __future__ import annotations

import json
import resource
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanas.learner import archive, load
from metanas.learner.weights import pack
from metanas.testing.learners import (
    REGRESSION,
    Written,
    candidate,
    forged,
    refused,
    resealed,
    sealed,
    written,
)
from search_spaces.errors import LearnerFileError

BYTES = st.integers(1, 255)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Written:
    torch.set_num_threads(1)
    return written(tmp_path_factory.mktemp("good"), candidate("mlp", "gradient", norm="running"), REGRESSION)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.dictionaries(st.floats(0, 1, exclude_max=True), BYTES, min_size=1, max_size=4))
def test_a_forged_seal_over_rubbish(good: Written, tmp_path: Path, where: dict[float, int]) -> None:
    """Somebody who changes the zip's own bytes and seals it anew gets a refusal, or the same learner."""
    data = bytearray(good.path.read_bytes())
    for place, change in where.items():
        data[int(place * (len(data) - archive.SEAL))] ^= change
    path = resealed(tmp_path / "a.metanas", bytes(data))
    try:
        found = load(path)
    except LearnerFileError:
        return
    assert found.manifest == good.load().manifest
    assert torch.equal(found._meta, good.meta)


def test_too_new_a_format(good: Written, tmp_path: Path) -> None:
    changed = forged(
        good, tmp_path / "a", lambda values: values.update(format=2, metanas="7.1", members=None)
    )
    refused(changed, "format 2", "metanas 7.1", "update")


@pytest.mark.parametrize(
    "name", ["../card.md", "/card.md", "a/card.md", "..", "C:card.md", "a\\b", "é.md", "card.md "]
)
def test_members_outside(good: Written, tmp_path: Path, name: str) -> None:
    members = list(archive.read(good.path).items())
    refused(sealed(tmp_path / "a", [*members, (name, b"")]))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_twice_missing_unlisted_or_too_many(good: Written, tmp_path: Path) -> None:
    members = list(archive.read(good.path).items())
    refused(sealed(tmp_path / "a", [*members, members[0]]), "twice")
    refused(sealed(tmp_path / "a", members[:2]), "members that its manifest lists")
    refused(sealed(tmp_path / "a", [*members, ("extra.txt", b"")]), "members that its manifest lists")
    refused(sealed(tmp_path / "a", [*members, *((f"{i}.txt", b"") for i in range(20))]), "more than 16")
    no_card = forged(good, tmp_path / "a", lambda values: values["members"].pop("card.md"))
    refused(no_card, "members that its manifest lists")


def test_a_member_that_is_not_what_the_manifest_says(good: Written, tmp_path: Path) -> None:
    members = archive.read(good.path) | {"card.md": b"other"}
    refused(sealed(tmp_path / "a", list(members.items())), "another card.md")


def test_packed_and_oversized_members(good: Written, tmp_path: Path) -> None:
    members = list(archive.read(good.path).items())
    bomb = [*members[:2], ("card.md", b"0" * archive.SMALL)]
    refused(sealed(tmp_path / "a", bomb, zipfile.ZIP_DEFLATED), "packed")
    refused(sealed(tmp_path / "a", [*members[:2], ("card.md", b"0" * (archive.SMALL + 1))]), "too large")
    refused(sealed(tmp_path / "a", [("manifest.json", b" " * 2 * archive.SMALL)]), "too large")


def test_what_could_not_be_read_again_is_not_written(good: Written, tmp_path: Path) -> None:
    """Of a very wide table the manifest has every column."""
    members = archive.read(good.path) | {"card.md": b"0" * (archive.SMALL + 1)}
    with pytest.raises(LearnerFileError, match="too large"):
        archive.write(tmp_path / "a.metanas", members)
    assert not (tmp_path / "a.metanas").exists()


def test_a_size_that_is_only_claimed(good: Written, tmp_path: Path) -> None:
    data = bytearray(good.path.read_bytes())
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # of the weights, in the directory
    data[entry + 20 : entry + 28] = (2**29).to_bytes(4, "little") * 2
    refused(resealed(tmp_path / "a", bytes(data)), "more than it holds")
    data[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    refused(resealed(tmp_path / "a", bytes(data)), "too large")


def test_an_encrypted_member(good: Written, tmp_path: Path) -> None:
    data = bytearray(good.path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    refused(resealed(tmp_path / "a", bytes(data)), "packed")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [path, *(place for key in keys for place in _places(value[key], (*path, key)))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.long
def test_a_manifest_of_wrong_types(good: Written, tmp_path: Path, data: st.DataObject) -> None:
    """It is refused, or what was changed did not matter to what the learner predicts."""

    def change(values: dict[str, Any]) -> None:
        *path, last = data.draw(st.sampled_from([p for p in _places(values) if p]))
        inner = values
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            inner[data.draw(st.text(max_size=3))] = data.draw(JSON)
        else:
            inner[last] = data.draw(JSON)

    path = forged(good, tmp_path / "a.metanas", change)
    try:
        found = load(path)
    except LearnerFileError:
        return
    queries = [[0.5, 0.5]]
    support = ([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0])
    if found.candidate == good.manifest.candidate:
        assert found.adapt(*support).predict(queries) == good.load().adapt(*support).predict(queries)
    else:
        assert np.isfinite(found.adapt(*support).predict(queries)).all()


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff", b"[" * 10**5, b'{"format": NaN}', b'{"format": 1}', b"9" * 9999]
)
def test_a_manifest_that_is_none(tmp_path: Path, text: bytes) -> None:
    refused(sealed(tmp_path / "a", [("manifest.json", text)]), "manifest")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architecture", "transformer"),
        ("architecture", "conv"),
        ("architecture", ["mlp"]),
        ("rule", "prototype"),
        ("architecture.mlp.width_1", 10**9),
        ("architecture.mlp.width_1", 16.0),
        ("architecture.mlp.depth", 10**9),
        ("architecture.mlp.activation", "\x1b[31mexec"),
        ("rule.gradient.steps", 10**9),
        ("rule.gradient.rate", -1e9),
        ("rule.gradient.surprise", 1),
    ],
)
def test_a_candidate_that_cannot_be_built(good: Written, tmp_path: Path, name: str, value: Any) -> None:
    line = refused(forged(good, tmp_path / "a", lambda values: values["candidate"].update({name: value})))
    assert line.isprintable()


def test_a_signature_that_would_fill_the_memory(good: Written, tmp_path: Path) -> None:
    def wide(values: dict[str, Any]) -> None:
        values["signature"]["input_shape"] = [2**24]
        values["preprocessing"] = {"kind": "array"}
        values["candidate"]["architecture.mlp.width_1"] = 256  # weights of 16 GiB

    def wider(values: dict[str, Any]) -> None:
        values["signature"]["input_shape"] = [10**12]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(forged(good, tmp_path / "a", wide), "do not fit")
    refused(forged(good, tmp_path / "a", wider), "do not trust it")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def _put(values: dict[str, Any], **fields: Any) -> None:
    values.update(fields)


def test_preprocessing_that_is_unknown_or_does_not_fit(good: Written, tmp_path: Path) -> None:
    names = {"kind": "table", "features": ["a", "b"], "targets": ["y"]}
    for odd, word in (
        ({"kind": "sound"}, "update"),
        (names | {"log": True}, "update"),
        (names | {"features": ["a"]}, "does not fit"),
        (names | {"features": ["a", "a"]}, "does not fit"),
        ({"kind": "image", "size": 8, "channels": 1, "mean": [0], "std": [1]}, "does not fit"),
    ):
        refused(forged(good, tmp_path / "a", partial(_put, preprocessing=odd)), word)


def _spoiled(good: Written, what: str) -> bytes:
    named = safetensors.torch.load(pack(good.program, good.meta, good.buffers))
    first = sorted(named)[0]
    kept = {name: tensor for name, tensor in named.items() if name != first}
    spoiled = {
        "missing": kept,
        "unknown": named | {"meta.more": torch.zeros(1)},
        "shape": kept | {first: torch.zeros(3, 3, 3)},
        "type": kept | {first: named[first].double()},
        "NaN": kept | {first: torch.full_like(named[first], float("nan"))},
    }
    return safetensors.torch.save(spoiled[what])


@pytest.mark.parametrize("what", ["missing", "unknown", "shape", "type", "NaN"])
def test_weights_that_do_not_fit(good: Written, tmp_path: Path, what: str) -> None:
    spoiled = _spoiled(good, what)
    refused(
        forged(good, tmp_path / "a", lambda values: None, spoiled), "NaN" if what == "NaN" else "do not fit"
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=JSON
    | st.dictionaries(
        st.text(max_size=3),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "F4", "F8_E8M0", "I64", "x"]),
                "shape": JSON,
                "data_offsets": JSON,
            }
        ),
        max_size=2,
    ),
    tail=st.binary(max_size=16),
)
def test_weights_that_are_rubbish(good: Written, tmp_path: Path, header: Any, tail: bytes) -> None:
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + tail
    refused(forged(good, tmp_path / "a", lambda values: None, data), "weights")
