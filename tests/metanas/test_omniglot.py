"""The real Omniglot, in its own zips: opt in with METANAS_DATA."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from metanas.tasks.families.images import build
from metanas.tasks.family import Family, Source
from metanas.tasks.image_tasks import SPLITS, Images


@pytest.fixture(scope="module")
def omniglot(metanas_data: Path) -> Family:
    folder = metanas_data / "omniglot"
    return build(Source(path=folder / "images_background.zip", test_path=folder / "images_evaluation.zip"))


def test_it_is_whole(omniglot: Images) -> None:
    facts = omniglot.facts()
    assert facts["classes"]["train"] + facts["classes"]["valid"] == 964
    assert facts["groups"]["train"] + facts["groups"]["valid"] == 30
    assert (facts["classes"]["test"], facts["groups"]["test"]) == (659, 20)
    assert sum(facts["images"].values()) == 32_460
    assert facts["unit"] == "group"
    assert omniglot.limits.examples == 20
    assert omniglot.notes == ()
    assert omniglot.preprocessing["channels"] == 1


def test_alphabets_are_whole(omniglot: Images) -> None:
    alphabets = [{name.split("/")[0] for name in omniglot.classes[split]} for split in SPLITS]
    assert [len(names) for names in alphabets] == [25, 5, 20]
    assert len(set.union(*alphabets)) == 50
    assert "Alphabet_of_the_Magi/character01" in omniglot.classes["train"] + omniglot.classes["valid"]


def test_the_nearest_image_is_often_of_the_same_class(omniglot: Images) -> None:
    """Images and labels belong together: nearest neighbours on raw pixels are far above chance, 5 %."""
    episodes = omniglot.sample(400, "test", torch.Generator().manual_seed(0), shots=1, ways=20, queries=1)
    distance = torch.cdist(episodes["query_x"].flatten(2), episodes["support_x"].flatten(2))
    accuracy = (distance.argmin(-1) == torch.arange(20)).double().mean().item()
    assert 0.15 < accuracy < 0.45


@pytest.mark.slow
def test_it_is_fast(metanas_data: Path, tmp_path: Path) -> None:
    """Aims, on two cores: 8 s to decode, 2 ms a training batch, 2 s for 1,000 tasks; here doubled."""
    began = time.perf_counter()
    family = build(Source(path=metanas_data / "omniglot/images_background.zip", cache=tmp_path))
    assert time.perf_counter() - began < 16
    generator = torch.Generator().manual_seed(0)
    for tasks, ways, queries, limit in ((1, 40, 5, 0.004), (8, 5, 15, 0.004), (1000, 5, 15, 4.0)):
        seconds = []
        for _ in range(3 if tasks > 100 else 30):
            began = time.perf_counter()
            family.sample(
                tasks, "train", generator, shots=1, ways=ways, queries=queries, augmentation="rotations"
            )
            seconds.append(time.perf_counter() - began)
        assert sorted(seconds)[len(seconds) // 2] < limit
