"""Devices: which one is used, how long work on it took, how much memory it took."""

from __future__ import annotations

import ctypes
import resource
import sys
import time

import torch

from search_spaces.errors import DeviceError

# in the messages of errors that have no type of their own: the CPU's allocator, CUDA and its libraries
_NO_ROOM = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
PRECISIONS = ("auto", "float32", "bfloat16")
_IMAGE = 3  # dimensions of an example
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def resolve_device(name: str | torch.device) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:n`` to a device that is there.

    Raises:
        DeviceError: If it is not, or the name is none of these.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = str(name)
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdigit())):
        raise DeviceError(f"--device should be auto, cpu, cuda or cuda:n, not {name!r}")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"{name} is not there: torch sees {torch.cuda.device_count()} CUDA devices; try --device cpu"
        )
    return torch.device(name)


def trains_in_half(precision: str, device: torch.device, input_shape: tuple[int, ...]) -> bool:
    """Whether training examples, and what networks make of them, are bfloat16.

    ``auto``: images on a CPU that multiplies matrices of it in hardware (Intel's AMX): a Conv-4's meta-step
    takes half the time, or two fifths with 5 x 5 kernels. Small tensors gain nothing, and other CPUs lose.

    Raises:
        DeviceError: If ``precision`` is none of ``PRECISIONS``.
    """
    if precision not in PRECISIONS:
        raise DeviceError(f"--precision should be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision != "auto":
        return precision == "bfloat16"
    images = device.type == "cpu" and len(input_shape) == _IMAGE
    return images and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def keep_freed_memory() -> None:
    """Has glibc keep the memory of large tensors for the next ones, up to 2 GiB of it.

    It gives each of them back to the system, which clears its pages when they are asked for again:
    a quarter of the time of a Conv-4's meta-step. Where there is no glibc, nothing changes.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def clock(device: torch.device) -> float:
    """Seconds on a monotonic clock, once the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def warm_up(device: torch.device) -> None:
    """Has torch load what its first gradient under a transform needs: seconds, once a process.

    Else the first candidate that takes gradient steps pays for it, and is given up as too slow.
    """
    torch.func.grad(torch.sin)(torch.zeros((), device=device))


def peak_memory(device: torch.device) -> int:
    """Bytes: of the device since the start (CUDA), else the peak resident size of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_ROOM)
