"""Devices: which names are understood, which errors mean that memory ran out."""

from __future__ import annotations

import pytest
import torch

from metanas.engine import resolve_device, trains_in_half
from metanas.engine.devices import clock, is_out_of_memory, peak_memory
from search_spaces.errors import DeviceError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cuda"), ("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1")]
)
def test_devices_that_are_there(name: str, device: str) -> None:
    assert resolve_device(name) == torch.device(device)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["cuda:2", "cuda:x", "cuda:-1", "cpu:1", "tpu", "", "CPU"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=r"--device"):
        resolve_device(name)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu() -> None:
    assert resolve_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(DeviceError, match=f"{name} is not there.*--device cpu"):
            resolve_device(name)


def test_memory_that_ran_out_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_out_of_memory(real.value), "the CPU's own"
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    )
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_the_clock_goes_forward_and_memory_has_been_used() -> None:
    cpu = torch.device("cpu")
    assert clock(cpu) <= clock(cpu)
    assert 10_000_000 < peak_memory(cpu) < 10**12


@pytest.mark.parametrize("amx", [True, False])
def test_half_precision_is_for_images_on_cpus_made_for_it(monkeypatch: pytest.MonkeyPatch, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    cpu, image, row = torch.device("cpu"), (1, 28, 28), (3,)
    assert trains_in_half("auto", cpu, image) is amx
    assert not trains_in_half("auto", cpu, row)
    assert not trains_in_half("auto", torch.device("cuda"), image), "not measured there"
    assert trains_in_half("bfloat16", cpu, image)
    assert not trains_in_half("float32", cpu, image)
    with pytest.raises(DeviceError, match=r"--precision should be one of auto, .*'half'"):
        trains_in_half("half", cpu, image)
