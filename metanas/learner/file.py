"""A learner as a file, ``.metanas``: manifest, weights and a card, in a sealed zip."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from metanas.engine import resolve_device
from metanas.learner import archive
from metanas.learner.building import program_of
from metanas.learner.card import card
from metanas.learner.inputs import inputs_of
from metanas.learner.learner import Learner
from metanas.learner.manifest import Manifest
from metanas.learner.weights import pack, unpack
from metanas.versions import of_others
from search_spaces.errors import LearnerFileError, MetanasError, UnknownNameError

_WEIGHTS, _CARD = "weights.safetensors", "card.md"


def save(
    path: str | os.PathLike[str],
    manifest: Manifest,
    meta: Tensor,
    buffers: Tensor,
    architectures: Collection[str] = (),
) -> None:
    """Writes a learner file, whole or not at all; equal content gives equal bytes.

    Args:
        path: Of the file; one that is there is replaced.
        manifest: All that is known of the learner.
        meta: ``(P,)`` meta-parameters: of a checkpoint, its ``average``.
        buffers: ``(B,)``.
        architectures: Model spaces that may be imported, see :mod:`search_spaces.named`.

    Raises:
        LearnerFileError: If it cannot be written, or could not be read again.
    """
    try:
        program = program_of(manifest.candidate, manifest.signature, architectures)
        inputs_of(manifest.signature, manifest.preprocessing)
        others = {_WEIGHTS: pack(program, meta, buffers), _CARD: card(manifest).encode()}
        written = replace(manifest, members={name: _facts(data) for name, data in others.items()})
        members = {archive.MANIFEST: written.to_json().encode()} | others
        _learner(members, architectures)
        archive.write(Path(path), members)
    except MetanasError as error:
        raise _named(path, error) from None


def load(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", architectures: Collection[str] = ()
) -> Learner:
    """Reads a learner file. Runs no code from it, and takes no more memory than it holds.

    A learner over a model space of somebody's own needs the module of that: it is not in the file, and is
    imported only if it is named here.

    Args:
        path: Of a ``.metanas`` file.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:n"``.
        architectures: Model spaces that may be imported, ``nni:module:Class`` each.

    Raises:
        LearnerFileError: If it is missing, foreign, damaged, altered or too new, or needs a model space
            that is not named or cannot be imported.
        DeviceError: If the device is not there.
    """
    place = resolve_device(device)
    try:
        learner = _learner(archive.read(Path(path)), architectures)
    except MetanasError as error:
        raise _named(path, error) from None
    return learner if place == learner.device else learner.to(device)


def _learner(members: Mapping[str, bytes], architectures: Collection[str]) -> Learner:
    """The learner of an archive's members, each checked against the manifest."""
    manifest = Manifest.from_json(members[archive.MANIFEST])
    missing = {_WEIGHTS, _CARD, *manifest.members} - members.keys()
    if missing or members.keys() - {archive.MANIFEST} != manifest.members.keys():
        raise LearnerFileError("it does not hold the members that its manifest lists: export it anew")
    for name, facts in manifest.members.items():
        if _facts(members[name]) != facts:
            raise LearnerFileError(f"it has another {name} than its manifest says: export it anew")
    try:
        program = program_of(manifest.candidate, manifest.signature, architectures)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}{_made_with(manifest)}") from None
    return Learner(manifest, program, *unpack(program, members[_WEIGHTS]))


def _made_with(manifest: Manifest) -> str:
    """Which packages of third parties were installed where the learner was made."""
    versions = manifest.provenance.get("versions")
    others = of_others(versions) if isinstance(versions, dict) else []
    return f" (where it was made there was {', '.join(others)})" if others else ""


def _facts(data: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _named(path: str | os.PathLike[str], error: MetanasError) -> LearnerFileError:
    """The error in one printable line that names the file: parts of it may come from the file."""
    text = " ".join(str(error).split())
    shown = "".join(c if c.isprintable() else "?" for c in f"{os.fspath(path)}: {text}")
    return LearnerFileError(f"learner file {shown[:500]}")
