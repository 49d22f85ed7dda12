"""The machine as an engine's statistics tell of it."""

import psutil
import pytest

from app.core.offload import CPU
from app.protocol.answers import Statistics
from app.protocol.parts import Device
from app.services.this_machine import this_machine

GIB = 1024**3


def device(name: str, kind: str) -> Device:
    """A device with 8 GiB, 6 of them free."""
    return Device(name=name, description="", kind=kind, free_bytes=6 * GIB, total_bytes=8 * GIB)  # type: ignore[arg-type]


def statistics(*devices: Device) -> Statistics:
    """An engine's, with these devices."""
    return Statistics(
        id=1,
        rss=0,
        ram_total=0,
        ram_available=0,
        devices=devices,
        memory=(),
        context_used=0,
        context_size=0,
        live_conversation=None,
        saved_bytes=0,
        saved_budget=0,
        saved_generation=0,
        busy=False,
    )


def test_without_an_engine_it_is_the_computers_memory() -> None:
    machine = this_machine()
    assert machine.cpu.total == psutil.virtual_memory().total
    assert machine.gpus == ()


@pytest.mark.parametrize(
    ("devices", "names"),
    [
        ((device("CPU", "cpu"),), []),
        ((device("CUDA0", "gpu"), device("Vulkan1", "integrated")), ["CUDA0"]),
        ((device("Vulkan0", "integrated"),), ["Vulkan0"]),
    ],
)
def test_gpus_of_their_own_come_before_integrated_ones(devices: tuple[Device, ...], names: list[str]) -> None:
    assert [gpu.device for gpu in this_machine(statistics(*devices)).gpus] == names


def test_what_the_loaded_model_would_free_counts_as_free() -> None:
    machine = this_machine(statistics(device("CUDA0", "gpu")), {"CUDA0": GIB, CPU: GIB})
    assert machine.gpus[0].free == 7 * GIB
