"""Every family through the shared suite, and the sinusoid against its published definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metanas.learner.inputs import check_inputs
from metanas.tasks.families import harmonics, images, sinusoid, table
from metanas.tasks.family import Family, Source
from metanas.tasks.mixed import Mixed
from metanas.tasks.own import Own
from metanas.testing.drawings import draw_classes, zipped
from metanas.testing.families import FAMILY_CHECKS, Check, facts_are_plain_data
from metanas.testing.tables import labelled, rows, write
from search_spaces.errors import DataError
from tests.metanas.own import Lines, Spots

GREEK = [f"{alphabet}/{letter}" for alphabet in ("a", "b", "c", "d") for letter in "pqrst"]


def grey(folder: Path) -> Family:
    """Grouped, 1-bit, from a folder."""
    path = draw_classes(folder / "data", GREEK, mode="1")
    return images.build(Source(path=path, image_size=8, cache=folder / "cache"))


def coloured(folder: Path) -> Family:
    """Not grouped, RGB, from a zip, with test classes of its own that are grey."""
    own = zipped(draw_classes(folder / "own", [f"class{i}" for i in range(12)], mode="RGB"))
    test = zipped(draw_classes(folder / "test", [f"new{i}" for i in range(6)], mode="L"))
    return images.build(Source(path=own, test_path=test, image_size=8, cache=folder / "cache"))


def numbers(folder: Path) -> Family:
    """Machines of a table, with columns of every kind."""
    path = write(folder / "wear.csv", rows(machines=40, sites=10))
    return table.build(Source(path=path, task="machine", target="wear", group="site"))


def states(folder: Path) -> Family:
    """The same with classes."""
    return table.build(
        Source(path=labelled(folder / "state.csv", machines=40), task="machine", target="state")
    )


FAMILIES: dict[str, Callable[[Path], Family]] = {
    "sinusoid": lambda _: sinusoid.build(Source()),
    "harmonics": lambda _: harmonics.build(Source()),
    "grey images": grey,
    "coloured images": coloured,
    "table of numbers": numbers,
    "table of classes": states,
    "own of numbers": lambda _: Own("here:Lines", Lines()),
    "own of classes": lambda _: Own("here:Spots", Spots()),
    "mix of curves": lambda _: Mixed({"one": sinusoid.build(Source()), "other": harmonics.build(Source())}),
    "mix of images": lambda folder: Mixed({"one": grey(folder / "1"), "other": grey(folder / "2")}),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return FAMILIES[request.param](tmp_path_factory.mktemp("family"))


@pytest.mark.parametrize("check", FAMILY_CHECKS, ids=lambda check: check.__name__)
def test_family(check: Check, family: Family) -> None:
    check(family)


@pytest.mark.parametrize(
    ("variant", "amplitudes", "frequency"),
    [(None, (0.1, 5.0), 1.0), ("amplitude", (5.0, 7.5), 1.0), ("frequency", (0.1, 5.0), 1.25)],
)
def test_sinusoid_is_the_published_one(
    variant: str | None, amplitudes: tuple[float, float], frequency: float
) -> None:
    """Finn 2017: amplitude U[0.1, 5], phase U[0, π], x U[-5, 5], no noise."""
    tasks = 4000
    drawn = sinusoid.build(Source()).sample(
        tasks, "test", torch.Generator().manual_seed(0), shots=5, ways=1, queries=10, variant=variant
    )
    x = torch.cat([drawn["support_x"], drawn["query_x"]], dim=1).double()  # (T, 15, 1)
    y = torch.cat([drawn["support_y"], drawn["query_y"]], dim=1).double()
    # a sin(w x - p) = (a cos p) sin(w x) - (a sin p) cos(w x): linear, so each task gives a and p away.
    waves = torch.cat([torch.sin(frequency * x), -torch.cos(frequency * x)], dim=2)
    parts = torch.linalg.lstsq(waves, y).solution.squeeze(-1)  # (T, 2)
    assert (waves @ parts[..., None] - y).abs().max() < 1e-4, "noise, or another frequency"
    is_uniform(parts.norm(dim=1), *amplitudes)
    is_uniform(torch.atan2(parts[:, 1], parts[:, 0]), 0.0, math.pi)
    is_uniform(x.flatten(), -5.0, 5.0)


def is_uniform(values: torch.Tensor, low: float, high: float) -> None:
    """Kolmogorov-Smirnov at the level 1e-4."""
    place = ((values.sort().values - low) / (high - low)).clamp(-1, 2)
    assert place.min() > -1e-3
    assert place.max() < 1 + 1e-3
    gap = (place - torch.linspace(0, 1, len(place), dtype=place.dtype)).abs().max()
    assert gap < 2.2 / math.sqrt(len(place))


def test_half_draws_support_from_the_lower_half() -> None:
    drawn = sinusoid.build(Source()).sample(
        200, "test", torch.Generator().manual_seed(0), shots=5, ways=1, queries=10, variant="half"
    )
    assert drawn["support_x"].max() <= 0
    assert drawn["query_x"].max() > 4


def test_noise_is_on_the_support_alone() -> None:
    family = sinusoid.build(Source())
    plain, noisy = (
        family.sample(
            500, "test", torch.Generator().manual_seed(0), shots=20, ways=1, queries=10, variant=variant
        )
        for variant in (None, "noise")
    )
    assert torch.equal(plain["query_y"], noisy["query_y"])
    assert (noisy["support_y"] - plain["support_y"]).std().item() == pytest.approx(0.3, rel=0.02)


def test_a_family_whose_learners_no_file_can_hold_is_told_so() -> None:
    family = sinusoid.build(Source())
    family.preprocessing = {"kind": "spectra"}
    for asked in (
        lambda: check_inputs(family.name, family.signature(None, 1), family.preprocessing),
        lambda: facts_are_plain_data(family),
    ):
        with pytest.raises(DataError, match=r'family sinusoid: no learner file can hold .*"array"'):
            asked()
