"""Removes from a traced graph what does nothing: a quarter of a second-order meta-step is such."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node

_ATEN = torch.ops.aten
_VIEWS = {_ATEN.view.default, _ATEN._unsafe_view.default}
_RESHAPES = _VIEWS | {_ATEN.expand.default, _ATEN.detach.default, _ATEN.alias.default}


def tidy(graph: Graph) -> None:
    """Drops reshapes to the same shape, views of views, and what nobody reads; in place.

    The graph must be of pure operations with fixed shapes, as tracing without symbols gives it:
    then a tensor and a view of the same shape and strides are the same to every reader.
    """
    for node in list(graph.nodes):
        if _is(node, _RESHAPES) and _same(node, node.args[0]):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in list(graph.nodes):
        source = node.args[0] if _is(node, _VIEWS) else None
        if isinstance(source, Node) and _is(source, _VIEWS):
            node.target = _ATEN.view.default
            node.args = (source.args[0], node.args[1])
    graph.eliminate_dead_code()
    for node in graph.nodes:
        node.meta.clear()  # example values of every operation: tens of megabytes that nobody needs now


def _is(node: Node, targets: set[Any]) -> bool:
    return node.op == "call_function" and node.target in targets


def _same(node: Node, source: object) -> bool:
    a, b = node.meta.get("val"), source.meta.get("val") if isinstance(source, Node) else None
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return False
    return a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype
