"""The winner's network as a row of boxes: what is done to an example, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Candidate, Signature


@dataclass(frozen=True)
class Box:
    """One step.

    Attributes:
        name: Of it.
        details: Lines below.
    """

    name: str
    details: tuple[str, ...] = ()


def boxes(candidate: Candidate, signature: Signature) -> list[Box]:
    """From an example to what the rule works on; an architecture that is not ours is one box."""
    shape = " × ".join(map(str, signature.input_shape))
    name = str(candidate["architecture"])
    chosen = {k: str(v) for k, v in candidate.part(f"architecture.{name}").items()}
    inner = {"mlp": _mlp, "conv": _conv}.get(name)
    other = Box(name.rpartition(":")[2], tuple(f"{k} {v}" for k, v in chosen.items()))
    middle = inner(chosen) if inner else [other]
    return [Box("example", (shape,)), *middle, Box(str(candidate["rule"]), ("adapts here",))]


def _mlp(chosen: dict[str, str]) -> list[Box]:
    details = _norm(chosen), chosen["activation"]
    widths = [chosen[f"width_{i + 1}"] for i in range(int(chosen["depth"])) if f"width_{i + 1}" in chosen]
    return [Box("linear", (f"{width} units", *filter(None, details))) for width in widths]


def _conv(chosen: dict[str, str]) -> list[Box]:
    kernel, width = chosen["kernel"], chosen["width"]
    strided = chosen["downsample"] == "stride"
    details = [
        f"{kernel} × {kernel}, {width} channels{', stride 2' if strided else ''}",
        _norm(chosen),
        "" if strided else "max-pool 2 × 2",
        chosen["activation"],
    ]
    first = Box("convolution", tuple(filter(None, details)))
    added = Box("convolution", (*first.details, "+ its input")) if chosen["residual"] == "True" else first
    return [first, *[added] * (int(chosen["depth"]) - 1)]


def _norm(chosen: dict[str, str]) -> str:
    return "" if chosen["norm"] == "none" else f"norm: {chosen['norm']}"
