"""The memory gauge's figures add up, whatever devices hold the model."""

from msgspec import structs

from app.gui.device_memory import memory_figures
from app.gui.gauges import MemoryFigures
from app.gui.gauges.reading import read_memory
from app.protocol.answers import Statistics
from app.protocol.parts import Device, DeviceKind, DeviceMemory

GIB = 1024**3
MIB = 1024**2


def device(name: str, kind: DeviceKind, free: int, total: int) -> Device:
    return Device(
        name=name,
        description=f"a {name}",
        kind=kind,
        free_bytes=free,
        total_bytes=total,
        is_unified=kind == "integrated",
    )


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


def parts(figures: MemoryFigures) -> int:
    """All of them together."""
    ours = figures.weights + figures.kv_reserved + figures.compute + figures.process
    return ours + figures.other + figures.free


def test_on_the_cpu_the_parts_make_up_the_computers_memory() -> None:
    (figures,) = memory_figures(statistics(on("CPU")))
    assert (figures.kind, figures.total, figures.device_label) == ("cpu", 24 * GIB, "a CPU")
    assert parts(figures) == figures.total


def test_mapped_weights_are_not_counted_twice() -> None:
    (figures,) = memory_figures(statistics(on("CPU")))
    assert figures.other == 4 * GIB - (180 + 83) * MIB


def test_a_gpu_comes_first_and_the_rest_of_the_model_after_it() -> None:
    gpu = device("CUDA0", "gpu", 6 * GIB, 8 * GIB)
    first, second = memory_figures(
        statistics(on("CUDA0"), DeviceMemory(device="CPU", weights=500 * MIB), devices=(gpu,))
    )
    assert (first.kind, first.total, first.weights) == ("gpu", 8 * GIB, 92 * MIB)
    assert first.other == 2 * GIB - (92 + 180 + 83) * MIB
    assert (second.kind, second.weights, second.kv_reserved) == ("cpu", 500 * MIB, 0)
    assert [parts(figures) for figures in (first, second)] == [8 * GIB, 24 * GIB]


def test_what_the_driver_says_of_the_engine_is_not_another_programs() -> None:
    gpu = structs.replace(device("CUDA0", "gpu", 6 * GIB, 8 * GIB), process_bytes=600 * MIB)
    (figures,) = memory_figures(statistics(on("CUDA0"), devices=(gpu,)))
    assert figures.process == (600 - 92 - 180 - 83) * MIB
    assert figures.other == 2 * GIB - 600 * MIB
    assert parts(figures) == 8 * GIB
    shown = read_memory(figures)
    assert shown.figures[0] == "600 MiB of 8.0 GiB"
    assert shown.of_role("process") == figures.process


def test_two_gpus_are_told_apart_and_the_fuller_one_comes_first() -> None:
    gpus = tuple(
        Device(name=name, description="RTX 4070", kind="gpu", free_bytes=6 * GIB, total_bytes=8 * GIB)
        for name in ("CUDA0", "CUDA1")
    )
    found = memory_figures(statistics(DeviceMemory(device="CUDA0", weights=MIB), on("CUDA1"), devices=gpus))
    assert [figures.device_label for figures in found] == ["CUDA1 · RTX 4070", "CUDA0 · RTX 4070"]


def test_a_gpu_that_the_model_does_not_use_is_shown_too_after_the_cpu() -> None:
    gpu = device("Vulkan0", "gpu", 7 * GIB, 8 * GIB)
    found = memory_figures(statistics(on("CPU"), devices=(gpu,)))
    assert [(figures.kind, figures.weights) for figures in found] == [("cpu", 92 * MIB), ("gpu", 0)]
    assert found[1].other == GIB


def test_unified_memory_is_one_with_the_computers() -> None:
    metal = device("Metal", "integrated", 10 * GIB, 18 * GIB)
    (figures,) = memory_figures(statistics(on("Metal"), DeviceMemory(device="CPU", weights=28 * MIB), devices=(metal,)))
    assert (figures.kind, figures.total, figures.weights) == ("integrated", 24 * GIB, 120 * MIB)
    assert figures.device_label == "this computer, shared with a Metal"
    assert parts(figures) == figures.total


def test_without_a_model_all_that_is_taken_belongs_to_others() -> None:
    (figures,) = memory_figures(statistics())
    assert (figures.weights, figures.other, figures.free) == (0, 4 * GIB, 20 * GIB)
