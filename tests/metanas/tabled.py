"""Tables as families, for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from metanas.tasks.families import table
from metanas.tasks.family import Source
from metanas.tasks.table_tasks import Tables


def source(path: Path, **more: Any) -> Source:
    return Source(**{"path": path, "task": "machine", "target": "wear", "shots": 5} | more)


def built(path: Path, **more: Any) -> Tables:
    family = table.build(source(path, **more))
    assert isinstance(family, Tables)
    return family


def draw(family: Tables, split: Any = "train", tasks: int = 16, seed: int = 0, **more: Any) -> Any:
    asked = {"shots": 5, "ways": 1, "queries": 4} | more
    return family.sample(tasks, split, torch.Generator().manual_seed(seed), **asked)
