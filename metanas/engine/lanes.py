"""Several threads, each with work of its own: the tensors of one task are too small to be shared out."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_IMAGE = 3  # dimensions of an example: what works on smaller ones dispatches longer than it computes
_LOOK = 1.0  # seconds
_here = threading.local()


class Unwanted(Exception):
    """Nobody waits for this thread's result any more."""


def images_on_a_cpu(device: torch.device, input_shape: tuple[int, ...]) -> bool:
    """Whether computing takes longer than dispatching."""
    return device.type == "cpu" and len(input_shape) == _IMAGE


def lanes(device: torch.device, input_shape: tuple[int, ...]) -> int:
    """How many threads may share work on images on a CPU: those that torch has where it is asked from."""
    return torch.get_num_threads() if images_on_a_cpu(device, input_shape) else 1


def pieces(tasks: int, lanes: int, most: int) -> list[slice]:
    """Neighbouring tasks, as evenly as can be over the lanes, at most ``most`` a piece."""
    size = min(most, -(-tasks // lanes))
    return [slice(start, min(start + size, tasks)) for start in range(0, tasks, size)]


def spread(run: Callable[[T], R], items: Iterable[T], lanes: int) -> list[R]:
    """``run`` of every item, in their order, on so many threads."""
    with closing(side_by_side(run, items, lanes)) as results:
        return list(results)


def side_by_side(run: Callable[[T], R], items: Iterable[T], lanes: int) -> Generator[R, None, None]:
    """The same, each as soon as it and those before it are known.

    Close it if its end is not waited for: then what has not begun never will, and what runs is told
    that it is :func:`unwanted`.
    """
    listed = list(items)
    count = min(lanes, len(listed))
    if count < 2:
        yield from map(run, listed)
        return
    left = threading.Event()
    pool = _pool(count, max(1, torch.get_num_threads() // count))
    futures: list[Future[R]] = []
    try:
        futures += (pool.submit(_told, left, partial(run, item)) for item in listed)
        for future in futures:
            while not future.done():  # a Ctrl-C that comes as a wait begins is heard at its end alone
                wait([future], _LOOK)
            yield future.result()
    finally:
        left.set()
        for future in futures:
            future.cancel()
        wait(futures)


def unwanted() -> bool:
    """Whether nobody waits for what this thread works on."""
    left: threading.Event | None = getattr(_here, "left", None)
    return left is not None and left.is_set()


def wanted(count: int) -> Iterator[int]:
    """0 … ``count`` - 1, while somebody waits for what this thread works on.

    Raises:
        Unwanted: As soon as nobody does.
    """
    for i in range(count):
        if unwanted():
            raise Unwanted
        yield i


def _told(left: threading.Event, run: Callable[[], R]) -> R:
    _here.left = left
    return run()


def _pool(count: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this thread that stay: each has as many of torch's as leave none idle, and none over."""
    pools: dict[tuple[int, int], ThreadPoolExecutor] = _here.__dict__.setdefault("pools", {})
    if (count, threads) not in pools:
        # torch loads this when it first traces, or makes tensors without memory: its modules import each
        # other in a circle, which two threads at the same moment break for the rest of the process
        importlib.import_module("torch._dynamo")
        name, start = "metanas-lane", torch.set_num_threads
        pools[count, threads] = ThreadPoolExecutor(count, name, start, (threads,))
    return pools[count, threads]
