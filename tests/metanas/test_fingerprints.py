"""What is measured of families: the same for the same data, and what one would say of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metanas.cli.wiring import load_family
from metanas.tasks import fingerprints
from metanas.tasks.family import Source
from metanas.testing import tables
from metanas.testing.drawings import draw_classes
from search_spaces.fingerprint import Fingerprint

NOWHERE = Source()


def measured(name: str, source: Source = NOWHERE, shots: int = 5) -> Fingerprint:
    family = load_family(name, source)
    return fingerprints.fingerprint(family, family.signature(None, shots))


@pytest.fixture(scope="module")
def wear(tmp_path_factory: pytest.TempPathFactory) -> Fingerprint:
    path = tables.write(tmp_path_factory.mktemp("wear") / "wear.csv", tables.rows(machines=40))
    return measured("table", Source(path, task="machine", target="wear"))


def test_the_same_data_give_the_same_fingerprint_and_leave_torch_alone() -> None:
    before = torch.get_rng_state()
    assert measured("sinusoid") == measured("sinusoid")
    assert torch.equal(before, torch.get_rng_state())


def test_a_family_is_nearest_to_its_like(wear: Fingerprint) -> None:
    sinusoid, longer, harmonics = measured("sinusoid"), measured("sinusoid", shots=10), measured("harmonics")
    assert sinusoid.distance(longer) < sinusoid.distance(wear)
    assert sinusoid.distance(harmonics) < sinusoid.distance(wear)


def test_probes_tell_what_kind_of_learner_would_do(wear: Fingerprint) -> None:
    """A line for each machine: ridge regression of the task's own examples beats what ignores the task."""
    own, pooled = wear.measures["skill of ridge"], wear.measures["skill of one linear model"]
    assert own > 0.3
    assert own > pooled + 0.2
    assert (
        measured("sinusoid").measures["skill of a kernel"] > measured("sinusoid").measures["skill of ridge"]
    )


def test_images_and_labelled_rows_are_measured_too(tmp_path: Path) -> None:
    draw_classes(tmp_path / "drawings", [f"class {i}" for i in range(24)], 6)
    found = measured("images", Source(tmp_path / "drawings"), shots=1)
    assert 0 < found.measures["skill of the nearest class mean"] <= 1
    rows = tables.labelled(tmp_path / "state.csv", machines=40)
    labelled = measured("table", Source(rows, task="machine", target="state"), shots=2)
    assert labelled.signature.kind == "classification"
    assert labelled.distance(found) < found.distance(measured("sinusoid"))


def test_the_key_changes_with_data_and_setting(tmp_path: Path) -> None:
    keys = set()
    for seed in (0, 0, 1):
        path = tables.write(tmp_path / f"{seed}.csv", tables.rows(machines=40, seed=seed))
        family = load_family("table", Source(path, task="machine", target="wear"))
        keys |= {fingerprints.key(family, family.signature(None, shots)) for shots in (3, 5)}
    assert len(keys) == 4
