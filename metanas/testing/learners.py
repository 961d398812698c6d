"""Learner files for tests: small, never trained, and as those would make them who wish us ill."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metanas.engine import Program
from metanas.learner import Learner, Manifest, archive, load, save
from search_spaces import Candidate, Score, Signature, catalogue
from search_spaces.errors import LearnerFileError
from search_spaces.task import Task

REGRESSION = Signature("regression", (2,), 1, 5)
SPECIES = Signature("classification", (2,), 3, 2)
PICTURES = Signature("classification", (1, 8, 8), 3, 2)
PREPROCESSING: dict[Signature, dict[str, Any]] = {
    REGRESSION: {"kind": "table", "features": ["time", "dose"], "targets": ["level"]},
    SPECIES: {"kind": "table", "features": ["length", "width"], "targets": ["species"]},
    PICTURES: {"kind": "image", "size": 8, "channels": 1, "mean": [0.9], "std": [0.25]},
}
_PARTS: dict[str, dict[str, Any]] = {
    "mlp": {"depth": 1, "width_1": 16, "activation": "tanh", "norm": "none"},
    "conv": {"depth": 2, "width": 16, "kernel": 3, "activation": "relu", "norm": "group", "residual": True}
    | {"downsample": "pool"},
    "gradient": {"steps": 3, "order": 2, "step_size": "layer_step", "rate": 0.05, "scope": "all"},
    "ridge": {"strength": 0.1},
    "prototype": {"distance": "euclid"},
}


def candidate(architecture: str, rule: str, **changed: Any) -> Candidate:
    """A small network with a rule, but for the settings given: ``norm="running"``, ``rule_head="rows"``."""
    values: dict[str, Any] = {"architecture": architecture, "rule": rule}
    for root, name in (("architecture", architecture), ("rule", rule)):
        own = {
            k.removeprefix("rule_"): v
            for k, v in changed.items()
            if k.startswith("rule_") == (root == "rule")
        }
        values |= {f"{root}.{name}.{k}": v for k, v in (_PARTS[name] | own).items()}
    return Candidate(values)


@dataclass(frozen=True)
class Written:
    """A learner file, and what went into it."""

    path: Path
    manifest: Manifest
    program: Program
    meta: Tensor
    buffers: Tensor

    def load(self) -> Learner:
        """What the file holds."""
        return load(self.path)

    def outputs(self, x: Tensor, y: Tensor, queries: Tensor) -> Tensor:
        """What a search would score: ``(S, *x)``, ``(S, O)`` and ``(Q, *x)`` to ``(Q, O)``."""
        task: Task = {"support_x": x, "support_y": y, "query_x": queries, "query_y": y}
        with torch.no_grad():
            return self.program.adapt_predict(self.meta, self.buffers, task)


def written(folder: Path, made_of: Candidate, signature: Signature, seed: int = 0) -> Written:
    """Writes a learner of a candidate, with the weights it starts from."""
    program = Program.of(catalogue.build(made_of, signature))
    meta, buffers = program.init(seed)
    manifest = Manifest(
        made_of,
        signature,
        PREPROCESSING[signature],
        {"ways": signature.outputs, "shots": signature.shots, "queries": 5},
        {"test": Score(signature.metric, 0.5, 0.1, 100, "test", False)},
        provenance={"study": "s", "trial": 3},
    )
    path = folder / f"{made_of.id}.metanas"
    save(path, manifest, meta, buffers)
    return Written(path, manifest, program, meta, buffers)


def sealed(path: Path, entries: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    """Writes a zip of anything with the right seal: what somebody makes who knows the format."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as out:
        for name, data in entries:
            out.writestr(name, data)
        out.comment = archive.seal(io.BytesIO(), 0)  # as long as the right one
    return resealed(path, stream.getvalue())


def resealed(path: Path, data: bytes) -> Path:
    """Writes a sealed zip, of which something may have been changed, with the right seal."""
    end = len(data) - archive.SEAL
    path.write_bytes(data[:end] + archive.seal(io.BytesIO(data), end))
    return path


def forged(
    good: Written, path: Path, change: Callable[[dict[str, Any]], None], weights: bytes | None = None
) -> Path:
    """Writes a file like a good one but for its manifest, and for its weights if they are given."""
    members = archive.read(good.path)
    values = json.loads(members["manifest.json"])
    if weights is not None:
        members["weights.safetensors"] = weights
        facts = {"sha256": hashlib.sha256(weights).hexdigest(), "size": len(weights)}
        values["members"]["weights.safetensors"] = facts
    change(values)
    members["manifest.json"] = json.dumps(values).encode()
    return sealed(path, list(members.items()))


def refused(path: Path, *words: str) -> str:
    """Checks that reading the file is refused, in one line that holds the words; gives the line."""
    try:
        load(path)
    except LearnerFileError as error:
        line = str(error)
        assert line.isprintable(), line
        assert len(line) < 600, line
        assert all(word in line for word in words), (words, line)
        return line
    raise AssertionError(f"{path} was read")
