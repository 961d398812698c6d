"""What every test may rely on: one thread, a cache of its own, seeded generators, real data if given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch

# Before anything loads torch, here and in the programs that tests start: small tensors run faster on one
# thread, the same on every machine, and pictures need no screen.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps decoded data of the tests out of the user's cache; shared by the tests of one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METANAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def generator() -> torch.Generator:
    """A CPU generator of torch, seeded with 0."""
    import torch

    return torch.Generator().manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of NumPy, seeded with 0."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def metanas_data() -> Path:
    """The folder of real data sets; the tests that ask for it are skipped where METANAS_DATA is unset."""
    folder = os.environ.get("METANAS_DATA")
    if not folder:
        pytest.skip("METANAS_DATA is not set: it names the folder of real data sets")
    if not Path(folder).is_dir():
        pytest.fail(f"METANAS_DATA is {folder}, which is not a folder")
    return Path(folder)
