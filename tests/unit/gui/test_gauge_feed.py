"""The memory gauge's figures add up, whatever device holds the model."""

from app.gui.gauge_feed import memory_figures
from app.protocol.messages import Device, DeviceKind, DeviceMemory, Statistics

GIB = 1024**3
MIB = 1024**2


def device(name: str, kind: DeviceKind, free: int, total: int) -> Device:
    return Device(name=name, description=f"a {name}", kind=kind, free_bytes=free, total_bytes=total)


def statistics(*memory: DeviceMemory, devices: tuple[Device, ...] = ()) -> Statistics:
    return Statistics(
        id=1,
        rss=400 * MIB,
        ram_total=24 * GIB,
        ram_available=20 * GIB,
        devices=(device("CPU", "cpu", 24 * GIB, 24 * GIB), *devices),
        memory=memory,
        context_used=10,
        context_size=8192,
        live_conversation=None,
        saved_bytes=0,
        saved_budget=0,
        saved_generation=0,
        busy=False,
    )


def on(name: str) -> DeviceMemory:
    return DeviceMemory(device=name, weights=92 * MIB, kv_reserved=180 * MIB, kv_used=2 * MIB, compute=83 * MIB)


def test_on_the_cpu_the_parts_make_up_the_computers_memory() -> None:
    figures = memory_figures(statistics(on("CPU")))
    assert figures is not None
    assert (figures.kind, figures.total) == ("cpu", 24 * GIB)
    assert figures.weights + figures.kv_reserved + figures.compute + figures.other + figures.free == figures.total


def test_on_a_gpu_it_is_the_gpus_memory() -> None:
    gpu = device("CUDA0", "gpu", 6 * GIB, 8 * GIB)
    figures = memory_figures(statistics(on("CUDA0"), DeviceMemory(device="CPU", weights=500 * MIB), devices=(gpu,)))
    assert figures is not None
    assert (figures.kind, figures.total, figures.weights) == ("gpu", 8 * GIB, 92 * MIB)
    assert figures.other == 2 * GIB - (92 + 180 + 83) * MIB


def test_without_a_model_all_that_is_taken_belongs_to_others() -> None:
    figures = memory_figures(statistics())
    assert figures is not None
    assert (figures.weights, figures.other, figures.free) == (0, 4 * GIB, 20 * GIB)
