"""This process's share of an NVIDIA GPU, as the driver's library says it or does not."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pynvml
import pytest

from app.engine import nvidia
from app.engine.nvidia import process_bytes

ID = "0000:01:00.0"
GIB = 1024**3


@dataclass
class Running:
    """A process as NVML lists it."""

    pid: int
    usedGpuMemory: int | None


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Running]]:
    """A driver that lists these processes on the one card."""
    running: list[Running] = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByPciBusId", lambda bus: {ID.encode(): 1}[bus])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda _handle: running)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetGraphicsRunningProcesses", lambda _handle: [])
    nvidia._is_there.cache_clear()
    yield running
    nvidia._is_there.cache_clear()


def test_it_is_what_this_process_has_and_not_what_others_have(listed: list[Running]) -> None:
    listed += [Running(1, 5 * GIB), Running(os.getpid(), 3 * GIB)]
    assert process_bytes(ID) == 3 * GIB


@pytest.mark.parametrize("running", [[], [Running(os.getpid(), None)]], ids=["not listed", "without a figure"])
def test_it_is_unknown_where_the_driver_does_not_say(running: list[Running], listed: list[Running]) -> None:
    listed += running
    assert process_bytes(ID) is None


def test_a_card_that_fails_is_no_exception(listed: list[Running], monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_handle: int) -> list[Running]:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lost)
    assert process_bytes(ID) is None


def test_a_computer_without_the_library_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    nvidia._is_there.cache_clear()
    assert process_bytes(ID) is None
    nvidia._is_there.cache_clear()


def test_a_device_without_a_pci_place_is_not_asked_about() -> None:
    assert process_bytes("") is None
