"""Plans of loads on machines that are not this one: their device tables, and what is never read for a verdict."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llama_cpp
import msgspec
import pytest

from app.core.errors import EmberError
from app.core.load_options import Calibration, LoadOptions, Trial
from app.engine import load_plan
from app.engine.context import ContextSettings
from app.engine.dry_run import DryFigures
from app.engine.load_plan import DoesNotFitError, LoadPlan, Planner
from app.protocol.parts import Device, DeviceKind
from app.protocol.requests import LoadModel
from tests.support.gguf_bytes import described, described_model, entry, gguf, tensor, typed_entry

MIB, GIB = 1024**2, 1024**3


def device(name: str, kind: DeviceKind, free: int, total: int, backend: str, unified: bool = False) -> Device:
    return Device(
        name=name,
        description=name,
        kind=kind,
        free_bytes=free,
        total_bytes=total,
        backend=backend,
        is_unified=unified,
    )


CPU = device("CPU", "cpu", 24 * GIB, 24 * GIB, "CPU")
CUDA = device("CUDA0", "gpu", 23_512 * MIB, 24_082 * MIB, "CUDA")
SECOND = device("CUDA1", "gpu", 11_000 * MIB, 12_044 * MIB, "CUDA")
METAL = device("MTL0", "gpu", 16 * GIB, 16 * GIB, "MTL", unified=True)
INTEGRATED = device("Vulkan0", "integrated", 8 * GIB, 8 * GIB, "Vulkan", unified=True)
NO_GPU = (CPU,)


class Asked:
    """A dry run that says a third of the estimate's compute buffer is enough, and remembers what it was asked."""

    def __init__(self) -> None:
        self.devices: list[tuple[str, ...]] = []
        self.settings: list[ContextSettings] = []
        self.figures: DryFigures | None = DryFigures(kv=GIB, compute={"CPU": 9 * MIB, "CUDA0": 90 * MIB}, process=MIB)

    def measure(
        self, _path: Path, _layers: int, devices: tuple[str, ...], settings: ContextSettings
    ) -> DryFigures | None:
        self.devices.append(devices)
        self.settings.append(settings)
        return self.figures

    def close(self) -> None:
        """Nothing is kept."""


Plan = Callable[..., LoadPlan]


@pytest.fixture
def dry_run(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()
    monkeypatch.setattr(load_plan, "DryRun", lambda _ggml: made)
    ram = SimpleNamespace(available=22 * GIB, total=24 * GIB)
    monkeypatch.setattr(load_plan.psutil, "virtual_memory", lambda: ram)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return sparse(tmp_path / "8b.gguf", layers=32, width=4096, feed_forward=14_336, heads=32, kv_heads=8)


def sparse(path: Path, **shape: Any) -> Path:
    """A model whose weights are a hole in the file."""
    data = described_model(**shape)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(len(data) + 64 * GIB)
    return path


def planned(
    path: Path, devices: tuple[Device, ...], options: LoadOptions | None = None, **more: dict[str, int]
) -> LoadPlan:
    planner = Planner(SimpleNamespace(devices=lambda **_: devices))  # type: ignore[arg-type]
    given_back = more.pop("given_back", {})
    return planner.plan(LoadModel(id=1, path=str(path), options=options or LoadOptions(), **more), given_back)


def test_a_70b_model_on_a_24_gib_machine_is_refused_with_figures_before_anything_is_read(
    dry_run: Asked, tmp_path: Path
) -> None:
    path = sparse(tmp_path / "70b.gguf", layers=80, width=8192, feed_forward=28_672, heads=64, kv_heads=8)
    plan = planned(path, NO_GPU)
    assert plan.memory.verdict == "does_not_fit"
    assert "70b.gguf needs about 36 GiB (estimated) and 22 GiB are free." in plan.memory.sentence
    assert not plan.memory.is_dry_run
    assert dry_run.devices == []
    with pytest.raises(DoesNotFitError, match="36 GiB") as caught:
        plan.require()
    assert caught.value.kind == "too_large"


def test_keys_that_a_device_does_not_take_in_one_piece_are_refused_before_llama_cpp_ends_the_process(
    dry_run: Asked, tmp_path: Path
) -> None:
    shape = {"layers": 32, "width": 4096, "feed_forward": 14_336, "heads": 32, "kv_heads": 8}
    path = sparse(tmp_path / "long.gguf", **shape, context_length=2**20)
    pieces = msgspec.structs.replace(
        CUDA, name="Vulkan0", description="A small GPU", backend="Vulkan", largest_tensor=128 * MIB
    )
    plan = planned(path, (pieces, CPU), LoadOptions(context=98_304, gpu_layers=33))
    assert dry_run.devices == []
    with pytest.raises(DoesNotFitError, match="A small GPU takes at most 128 MiB in one piece") as caught:
        plan.require()
    assert caught.value.offers


def test_the_parts_of_a_split_model_count_together(dry_run: Asked, tmp_path: Path) -> None:
    shape = {"layers": 2, "width": 512, "feed_forward": 1024, "heads": 8, "kv_heads": 8}
    more = [entry("split.count", 2)]
    first = sparse(tmp_path / "m-00001-of-00002.gguf", **shape, more=more)
    second = tmp_path / "m-00002-of-00002.gguf"
    second.write_bytes(gguf(more, [tensor("output_norm.weight", (4 * MIB,))], data_bytes=16 * MIB))
    weights = planned(first, NO_GPU).memory.devices[0].weights
    assert weights == planned(sparse(tmp_path / "m.gguf", **shape), NO_GPU).memory.devices[0].weights + 16 * MIB
    second.unlink()
    with pytest.raises(EmberError, match="m-00002-of-00002"):
        planned(first, NO_GPU)


def test_figures_that_no_computer_has_are_refused_as_damage(dry_run: Asked, tmp_path: Path) -> None:
    more = [typed_entry("llama.attention.key_length", 4, 2**32 - 1)]
    shape = {"layers": 512, "width": 512, "feed_forward": 1024, "heads": 8, "kv_heads": 8}
    path = sparse(tmp_path / "absurd.gguf", **shape, context_length=2**32 - 1, more=more)
    with pytest.raises(EmberError, match="more memory than a computer can have"):
        planned(path, (CUDA, CPU), LoadOptions(context=2**31 - 1))


def test_a_context_of_an_absurd_length_is_never_made_for_an_estimate(dry_run: Asked, tmp_path: Path) -> None:
    """Its windows keep next to nothing, but llama.cpp keeps account of every token that could be there."""
    figures = {"block_count": 2, "context_length": 2**32 - 1, "embedding_length": 64, "attention.sliding_window": 64}
    heads = {"attention.head_count": 2, "attention.head_count_kv": 2, "feed_forward_length": 64, "vocab_size": 100}
    path = tmp_path / "windows.gguf"
    path.write_bytes(described("lfm2", figures | heads))
    long = planned(path, NO_GPU, LoadOptions(context=2**27))
    assert long.can_load
    assert long.memory.devices[0].total > 52 * 2**27
    longest = planned(path, NO_GPU, LoadOptions(context=2**31 - 1))
    assert not longest.can_load
    assert "would need about 104 GiB (estimated) and has 22 GiB free" in longest.memory.sentence
    assert dry_run.devices == []


def test_without_a_gpu_llama_cpp_is_given_none(dry_run: Asked, model: Path) -> None:
    plan = planned(model, NO_GPU)
    assert (plan.devices, plan.layout.gpu_layers) == ((), 0)
    assert plan.settings.flash_attention == llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    assert plan.settings.batch == 256


def test_a_gpu_gets_all_layers_and_the_dry_runs_figures(dry_run: Asked, model: Path) -> None:
    plan = planned(model, (CUDA, CPU))
    cpu, gpu = plan.memory.devices
    assert (plan.devices, plan.memory.gpu_layers, plan.memory.layers) == (("CUDA0",), 33, 32)
    assert (gpu.kv, gpu.compute, cpu.compute) == (GIB, 90 * MIB, 9 * MIB)
    assert plan.memory.is_dry_run
    assert plan.settings.flash_attention == llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
    assert plan.settings.batch == 512


def test_a_dry_run_that_is_refused_leaves_the_headers_figures(dry_run: Asked, model: Path) -> None:
    dry_run.figures = None
    plan = planned(model, (CUDA, CPU))
    assert not plan.memory.is_dry_run
    assert plan.memory.devices[1].kv == GIB


def test_two_gpus_are_both_used(dry_run: Asked, model: Path) -> None:
    plan = planned(model, (CUDA, SECOND, CPU))
    assert plan.devices == ("CUDA0", "CUDA1")
    assert [part.device for part in plan.memory.devices] == ["CPU", "CUDA0", "CUDA1"]


def test_the_chosen_devices_alone_are_used(dry_run: Asked, model: Path) -> None:
    assert planned(model, (CUDA, SECOND, CPU), LoadOptions(devices=("CUDA1",))).devices == ("CUDA1",)
    with pytest.raises(EmberError, match="There is no GPU CUDA5; there are CUDA0, CUDA1"):
        planned(model, (CUDA, SECOND, CPU), LoadOptions(devices=("CUDA5",)))


def test_an_integrated_gpu_is_left_out_beside_a_real_one_and_used_alone(dry_run: Asked, model: Path) -> None:
    assert planned(model, (CUDA, INTEGRATED, CPU)).devices == ("CUDA0",)
    assert planned(model, (INTEGRATED, CPU)).devices == ("Vulkan0",)


def test_metals_memory_is_the_computers(dry_run: Asked, model: Path) -> None:
    plan = planned(model, (METAL, CPU))
    assert (plan.devices, plan.memory.gpu_layers) == (("MTL0",), 33)
    tight = planned(model, (device("MTL0", "gpu", 60 * GIB, 60 * GIB, "MTL", unified=True), CPU), LoadOptions())
    assert sum(part.weights + part.kv + part.compute for part in tight.memory.devices) <= 22 * GIB


def test_with_no_layer_on_a_gpu_none_is_touched(dry_run: Asked, model: Path) -> None:
    plan = planned(model, (CUDA, CPU), LoadOptions(gpu_layers=0))
    assert plan.devices == ()
    assert dry_run.devices == [()]
    assert plan.memory.verdict == "fits"


def test_more_layers_than_fit_are_refused_with_an_offer(dry_run: Asked, model: Path) -> None:
    small = device("CUDA0", "gpu", 3_000 * MIB, 4_096 * MIB, "CUDA")
    plan = planned(model, (small, CPU), LoadOptions(gpu_layers=33))
    assert plan.memory.verdict == "fewer_layers"
    with pytest.raises(DoesNotFitError) as caught:
        plan.require()
    (first, *_) = caught.value.offers
    assert 0 < (first.options.gpu_layers or 0) < 33


def test_what_another_model_gives_back_counts_as_free(dry_run: Asked, model: Path) -> None:
    small = device("CUDA0", "gpu", 1_000 * MIB, 24_082 * MIB, "CUDA")
    assert planned(model, (small, CPU)).memory.gpu_layers < 33
    assert planned(model, (small, CPU), given_back={"CUDA0": 20 * GIB}).memory.gpu_layers == 33


def test_what_was_measured_of_the_model_is_what_the_dry_run_is_asked_with(dry_run: Asked, model: Path) -> None:
    best = Trial(flash_attention=True, threads=3, batch=128, follow_up=1, decode=1, prefill=1)
    request = LoadModel(id=1, path=str(model), calibration=Calibration(best, (best,), 512))
    Planner(SimpleNamespace(devices=lambda **_: NO_GPU)).plan(request, {})  # type: ignore[arg-type]
    asked = dry_run.settings[0]
    assert (asked.threads, asked.batch) == (3, 128)
    assert asked.flash_attention == llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED


def test_after_running_out_of_memory_something_smaller_is_offered(dry_run: Asked, model: Path) -> None:
    plan = planned(model, (CUDA, CPU))
    assert plan.memory.offers == ()
    offers = plan.after_failure()
    assert offers
    assert all(offer.options != plan.asked for offer in offers)
