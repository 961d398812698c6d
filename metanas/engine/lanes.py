"""Several threads, each with tasks of its own: the tensors of one task are too small to be shared out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_IMAGE = 3  # dimensions of an example: what works on smaller ones dispatches longer than it computes


def lanes(device: torch.device, input_shape: tuple[int, ...]) -> int:
    """How many threads may share the tasks of a meta-batch: those that torch has, for images on a CPU."""
    return torch.get_num_threads() if device.type == "cpu" and len(input_shape) == _IMAGE else 1


def pieces(tasks: int, lanes: int, most: int) -> list[slice]:
    """Neighbouring tasks, as evenly as can be over the lanes, at most ``most`` a piece."""
    size = min(most, -(-tasks // lanes))
    return [slice(start, min(start + size, tasks)) for start in range(0, tasks, size)]


def spread(run: Callable[[T], R], items: Iterable[T], lanes: int) -> list[R]:
    """``run`` of every item, in their order, on so many threads."""
    listed = list(items)
    count = min(lanes, len(listed))
    if count < 2:
        return [run(item) for item in listed]
    return list(_pool(count, max(1, torch.get_num_threads() // count)).map(run, listed))


@cache
def _pool(count: int, threads: int) -> ThreadPoolExecutor:
    """Threads that stay: each has as many of torch's as leave none idle, and none over."""
    return ThreadPoolExecutor(count, "metanas-lane", torch.set_num_threads, (threads,))
