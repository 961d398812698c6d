"""The winner as a row of boxes: what is done to an example, in order, and what a new task changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from search_spaces import Candidate, Signature, Value

_TOLD = 8  # choices of an architecture that is not ours


@dataclass(frozen=True)
class Box:
    """One step.

    Attributes:
        name: Of it.
        details: Lines below.
        adapts: Whether each task makes it anew.
    """

    name: str
    details: tuple[str, ...] = ()
    adapts: bool = False


def boxes(candidate: Candidate, signature: Signature | None) -> list[Box]:
    """From an example to a prediction; an architecture that is not ours is one box.

    Args:
        candidate: The winner.
        signature: Of the tasks; None: of several kinds.
    """
    name, rule = str(candidate["architecture"]), str(candidate["rule"])
    chosen = {k: str(v) for k, v in candidate.part(f"architecture.{name}").items()}
    inner = {"mlp": _mlp, "conv": _conv}.get(name)
    middle = inner(chosen) if inner else [_whole(name.rpartition(":")[2], chosen)]
    scope = _scope(candidate, rule)
    if scope in ("all", "body"):
        middle = [replace(box, adapts=True) for box in middle]
    if scope == "context":
        middle.insert(0, Box("code of the task", adapts=True))
    made = candidate.get(f"rule.{rule}.head") == "prototype"  # of the support, whatever the steps change
    return [_example(signature), *middle, _head(rule, signature, made or scope not in ("body", "context"))]


def _scope(candidate: Candidate, rule: str) -> Value | None:
    """What steps of adapting change; None: the rule takes none."""
    # what is learned through no step has no such choice, and changes all
    usual = "all" if f"rule.{rule}.steps" in candidate else None
    return candidate.get(f"rule.{rule}.scope", usual)


def _whole(name: str, chosen: dict[str, str]) -> Box:
    told = [f"{key} {value}" for key, value in chosen.items()]
    more = (f"and {len(told) - _TOLD} more",) if len(told) > _TOLD else ()
    return Box(name, (*told[:_TOLD], *more))


def _example(signature: Signature | None) -> Box:
    if signature is None:
        return Box("example")
    shape = " × ".join(map(str, signature.input_shape))
    words = {"1": "1 number"}.get(shape, shape if "×" in shape else f"{shape} numbers")
    return Box("example", (words,))


def _head(rule: str, signature: Signature | None, adapts: bool) -> Box:
    if signature is None:
        return Box(rule, adapts=adapts)
    classes = signature.kind == "classification"
    outputs = f"{signature.outputs} {'classes' if classes else 'target'}"
    return Box(rule, (outputs if classes or signature.outputs == 1 else f"{outputs}s",), adapts)


def _mlp(chosen: dict[str, str]) -> list[Box]:
    details = _norm(chosen), chosen["activation"]
    widths = [chosen[f"width_{i + 1}"] for i in range(int(chosen["depth"])) if f"width_{i + 1}" in chosen]
    return [Box("linear", (f"{width} units", *filter(None, details))) for width in widths]


def _conv(chosen: dict[str, str]) -> list[Box]:
    kernel, width = chosen["kernel"], chosen["width"]
    strided = chosen["downsample"] == "stride"
    details = [
        f"{kernel} × {kernel}{', stride 2' if strided else ''}",
        f"{width} channels",
        _norm(chosen),
        "" if strided else "max-pool 2 × 2",
        chosen["activation"],
    ]
    first = Box("convolution", tuple(filter(None, details)))
    added = Box("convolution", (*first.details, "+ its input")) if chosen["residual"] == "True" else first
    return [first, *[added] * (int(chosen["depth"]) - 1)]


def _norm(chosen: dict[str, str]) -> str:
    return "" if chosen["norm"] == "none" else f"norm: {chosen['norm']}"
