"""The tensors of a learner as bytes: safetensors, which hold no code."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metanas.engine import Layout, Program
from search_spaces.errors import LearnerFileError


def pack(program: Program, meta: Tensor, buffers: Tensor) -> bytes:
    """Meta-parameters ``(P,)`` and buffers ``(B,)`` by name, in single precision."""
    parts = (("meta", program.meta.unflatten(meta)), ("buffers", program.buffers.unflatten(buffers)))
    named = {f"{kind}.{name}": value for kind, tensors in parts for name, value in tensors.items()}
    return bytes(save({name: value.detach().float().cpu().contiguous() for name, value in named.items()}))


def unpack(program: Program, data: bytes) -> tuple[Tensor, Tensor]:
    """What :func:`pack` wrote.

    Raises:
        LearnerFileError: If these are not the tensors of that program.
    """
    try:
        named = load(data)
    except SafetensorError as error:
        raise LearnerFileError(f"the weights cannot be read: {error}") from None
    wanted = {f"meta.{name}" for name in program.meta.names} | {f"buffers.{name}" for name in program.buffers.names}
    if named.keys() != wanted:
        odd = sorted(named.keys() ^ wanted)
        raise LearnerFileError(f"the weights do not fit the candidate: {', '.join(odd[:3])} missing or unknown")
    return _flat(program.meta, "meta", named), _flat(program.buffers, "buffers", named)


def _flat(layout: Layout, kind: str, named: dict[str, Tensor]) -> Tensor:
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        tensor = named[f"{kind}.{name}"]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            found = f"{tuple(tensor.shape)} {tensor.dtype}"
            raise LearnerFileError(f"the weights do not fit the candidate: {name} is {found}, should be {shape} float32")
    return layout.flatten({name: named[f"{kind}.{name}"] for name in layout.names})
