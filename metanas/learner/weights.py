"""The tensors of a learner as bytes: safetensors, which hold no code."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metanas.engine import Layout, Program
from search_spaces.errors import LearnerFileError

# what safetensors raises on bytes that are none, or on a type of number that torch lacks
_FAULTS = (SafetensorError, LookupError, ValueError, TypeError, RuntimeError, AssertionError, OverflowError)


def pack(program: Program, meta: Tensor, buffers: Tensor) -> bytes:
    """Meta-parameters ``(P,)`` and buffers ``(B,)`` by name, in single precision."""
    parts = (("meta", program.meta.unflatten(meta)), ("buffers", program.buffers.unflatten(buffers)))
    named = {f"{kind}.{name}": value for kind, tensors in parts for name, value in tensors.items()}
    return bytes(save({name: value.detach().float().cpu().contiguous() for name, value in named.items()}))


def unpack(program: Program, data: bytes) -> tuple[Tensor, Tensor]:
    """What :func:`pack` wrote, on the CPU.

    Raises:
        LearnerFileError: If these are not the tensors of that program, or not all are finite.
    """
    named = tensors(data)
    wanted = {f"{kind}.{name}" for kind, layout in _layouts(program) for name in layout.names}
    if named.keys() != wanted:
        odd = [name[:50] for name in sorted(named.keys() ^ wanted)[:3]]
        raise LearnerFileError(f"the weights do not fit the candidate: {', '.join(odd)} missing or unknown")
    meta, buffers = (_flat(layout, kind, named) for kind, layout in _layouts(program))
    return meta, buffers


def tensors(data: bytes) -> dict[str, Tensor]:
    """All tensors of bytes that :func:`pack` wrote, by name, ``meta.`` or ``buffers.`` before it.

    Raises:
        LearnerFileError: If they cannot be read.
    """
    try:
        return dict(load(data))
    except _FAULTS as error:
        raise LearnerFileError(f"the weights cannot be read: {error}") from None


def _layouts(program: Program) -> tuple[tuple[str, Layout], tuple[str, Layout]]:
    return ("meta", program.meta), ("buffers", program.buffers)


def _flat(layout: Layout, kind: str, named: dict[str, Tensor]) -> Tensor:
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        tensor = named[f"{kind}.{name}"]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            found = f"{tuple(tensor.shape)} {tensor.dtype}"
            raise LearnerFileError(
                f"the weights do not fit the candidate: {name} is {found}, should be {shape} float32"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise LearnerFileError(f"the weights hold NaN or infinite numbers: {name}")
    return layout.flatten({name: named[f"{kind}.{name}"] for name in layout.names})
