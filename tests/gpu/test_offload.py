"""A model on a GPU: its layers, its memory, and its saved state, which a processor can go on with."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.core.load_options import LoadOptions
from app.core.sampling import SamplerSettings
from app.core.turn import TokenCounts
from app.protocol.answers import CacheCleared, Done, Loaded, MemoryEstimated, Statistics, StoreOpened
from app.protocol.parts import Device, DeviceMemory, ModelInfo
from app.protocol.requests import ClearCache, EstimateMemory, GetStatistics
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import Kind, make

pytestmark = pytest.mark.gpu

GREEDY = SamplerSettings(temperature=0.0)
SYSTEM = "You answer in few words, and never say more than was asked for."
FEW = 4
"""Tokens of a reply: a software GPU writes about one a second."""
CONTEXT = 512
MIB = 1024 * 1024
TinyModel = Callable[[Kind], Path]
NOTHING = DeviceMemory(device="none")


@dataclass
class Place:
    """A running engine with a model on it."""

    engine: Engine
    loaded: Loaded
    log_folder: Path

    @property
    def model(self) -> ModelInfo:
        """The model, as the window hears of it."""
        return self.loaded.model

    def statistics(self) -> Statistics:
        """What the engine says of its memory now."""
        answer = self.engine.ask(GetStatistics(id=self.engine.next_id()))
        assert isinstance(answer, Statistics)
        return answer

    def memory(self, device: str) -> DeviceMemory:
        """The part of it on one device."""
        return next((part for part in self.statistics().memory if part.device == device), NOTHING)

    def clear(self) -> CacheCleared:
        """Clear cache."""
        answer = self.engine.ask(ClearCache(id=self.engine.next_id()))
        assert isinstance(answer, CacheCleared)
        return answer

    @property
    def log(self) -> str:
        """llama.cpp's log so far."""
        return (self.log_folder / "engine.log").read_text(encoding="utf-8")

    def logged(self, buffer: str, what: str) -> float:
        """MiB of a buffer, such as `Vulkan0` and `KV`, as llama.cpp logged it last."""
        found = re.findall(rf"\b{buffer} +{what} buffer size = +([\d.]+) MiB", self.log)
        return float(found[-1]) if found else 0.0


@contextmanager
def place(model: Path, folder: Path, **options: object) -> Iterator[Place]:
    """A new engine with a model and the saved state in `folder`, as after a start of Ember."""
    logs = folder / "logs"
    with Engine(logs) as engine:
        opened = engine.open_store(folder / "kv")
        assert isinstance(opened, StoreOpened), opened
        loaded = engine.load(model, **({"context": CONTEXT} | options))
        assert isinstance(loaded, Loaded), loaded
        yield Place(engine, loaded, logs)


def after_restart(talk: Talk, engine: Engine) -> Talk:
    """The same conversation, as another engine gets it from the database."""
    return Talk(engine, talk.system, talk.name, list(talk.messages))


def tokens(done: Done) -> TokenCounts:
    return done.figures.tokens


def held_after(done: Done) -> int:
    """Tokens whose keys and values are there after a turn; the last one written was not read yet."""
    return tokens(done).prompt + len(done.token_ids) - 1


def assert_taken_up(done: Done, held: int) -> None:
    """Only what was new was read; the rest came from the disk."""
    counts = tokens(done)
    assert done.figures.reread is None
    assert counts.reused_memory == 0
    assert counts.reused_saved >= held
    assert counts.evaluated == counts.prompt - counts.reused_saved


def assert_as_estimated(started: Place) -> None:
    """What was said before the load is what each device holds after it, within a twentieth."""
    assert started.loaded.plan is not None
    taken = {part.device: part for part in started.statistics().memory}
    assert {device.device for device in started.loaded.plan.devices} >= set(taken)
    for device in started.loaded.plan.devices:
        part = taken[device.device]
        figures = (part.weights, part.kv_reserved, part.compute)
        assert (device.weights, device.kv, device.compute) == pytest.approx(figures, rel=0.05)


def as_logged(mib: float) -> object:
    """Bytes that llama.cpp logs as so many MiB, to two digits."""
    return pytest.approx(mib * MIB, abs=0.006 * MIB)


def given_back(before: Statistics, after: Statistics, device: str) -> int:
    """Bytes, as the system sees it; a software GPU has the process's own memory, and its free memory never changes."""
    free = [next(d.free_bytes for d in statistics.devices if d.name == device) for statistics in (before, after)]
    return max(before.rss - after.rss, free[1] - free[0])


# --- the device -------------------------------------------------------------------------------------------------------


def test_the_gpu_is_listed_with_its_memory(gpu: Device) -> None:
    assert gpu.kind in ("gpu", "integrated")
    assert gpu.description
    assert 0 < gpu.free_bytes <= gpu.total_bytes


# --- the starter model on it ------------------------------------------------------------------------------------------


def test_all_layers_of_the_starter_model_go_to_the_gpu_without_a_word(
    gpu: Device, starter_model: Path, tmp_path: Path
) -> None:
    with place(starter_model, tmp_path) as started:
        assert (started.model.gpu_layers, started.model.layers) == (31, 30)
        assert "offloaded 31/31 layers to GPU" in started.log


def test_a_chat_on_the_gpu_is_taken_up_again_after_a_restart(gpu: Device, starter_model: Path, tmp_path: Path) -> None:
    with place(starter_model, tmp_path) as started:
        talk = Talk(started.engine, SYSTEM)
        first = talk.say("Name a colour.", max_tokens=FEW, sampler=GREEDY)
        assert len(first.token_ids) == FEW
        assert first.figures.seconds.prefill > 0.5 * first.figures.seconds.first_token  # done by then, not only begun
        assert talk.saved is not None
        assert talk.saved.bytes_written >= held_after(first) * started.model.kv_bytes_per_token
    with place(starter_model, tmp_path) as started:
        again = after_restart(talk, started.engine).say("And another?", max_tokens=2, sampler=GREEDY)
    assert_taken_up(again, held_after(first))


def test_the_memory_on_the_gpu_is_what_llama_cpp_logs(gpu: Device, starter_model: Path, tmp_path: Path) -> None:
    with place(starter_model, tmp_path) as started:
        memory = started.memory(gpu.name)
        assert memory.weights == as_logged(started.logged(gpu.name, "model"))
        assert memory.kv_reserved == as_logged(started.logged(gpu.name, "KV"))
        assert memory.compute == as_logged(started.logged(gpu.name, "compute"))
        assert min(memory.weights, memory.kv_reserved, memory.compute) > 0
        assert memory.kv_reserved == started.model.kv_bytes_per_token * started.model.context
        assert started.memory("CPU").kv_reserved == 0
        assert_as_estimated(started)


def test_a_cleared_cache_gives_the_gpus_memory_back(gpu: Device, starter_model: Path, tmp_path: Path) -> None:
    with place(starter_model, tmp_path, context=4096) as started:
        talk = Talk(started.engine, SYSTEM)
        talk.say("Name a colour.", max_tokens=1, sampler=GREEDY)
        before, on_cpu, taken = started.memory(gpu.name), started.memory("CPU"), started.statistics()
        assert before.kv_used > 0
        freed = started.clear().freed_bytes
        assert given_back(taken, started.statistics(), gpu.name) > 0.9 * before.kv_reserved
        after = started.memory(gpu.name)
        assert (after.kv_reserved, after.kv_used, after.compute) == (0, 0, 0)
        assert after.weights == before.weights
        assert freed == before.kv_reserved + before.compute + on_cpu.kv_reserved + on_cpu.compute
        again = talk.say("And another?", max_tokens=1, sampler=GREEDY)
        assert again.figures.reread is None
        assert started.memory(gpu.name).kv_reserved == before.kv_reserved


def test_some_layers_on_the_gpu_leave_the_others_to_the_processor(
    gpu: Device, starter_model: Path, tmp_path: Path
) -> None:
    """The output counts as one of the ten, so nine layers keep their keys and values on the GPU."""
    with place(starter_model, tmp_path, gpu_layers=10) as started:
        assert started.model.gpu_layers == 10
        assert "offloaded 10/31 layers to GPU" in started.log
        whole = started.model.kv_bytes_per_token * started.model.context
        assert started.memory(gpu.name).kv_reserved == as_logged(whole / MIB * 9 / 30)
        assert started.memory("CPU").kv_reserved == as_logged(whole / MIB * 21 / 30)
        assert_as_estimated(started)
        done = Talk(started.engine, SYSTEM).say("Name a colour.", max_tokens=FEW, sampler=GREEDY)
        assert len(done.token_ids) == FEW


def test_keys_and_values_can_stay_in_the_computers_memory(gpu: Device, starter_model: Path, tmp_path: Path) -> None:
    with place(starter_model, tmp_path, kv_on_gpu=False) as started:
        assert started.memory(gpu.name).weights > 0
        assert started.memory(gpu.name).kv_reserved == 0
        assert started.memory("CPU").kv_reserved == started.model.kv_bytes_per_token * started.model.context
        assert_as_estimated(started)
        done = Talk(started.engine, SYSTEM).say("Name a colour.", max_tokens=2, sampler=GREEDY)
        assert len(done.token_ids) == 2


# --- saved state across devices ---------------------------------------------------------------------------------------

ON_GPU: dict[str, object] = {"gpu_layers": None}
ON_CPU: dict[str, object] = {"gpu_layers": 0, "threads": 1}
HALF: dict[str, object] = {"gpu_layers": 2, "threads": 1}
WAYS = [(ON_GPU, ON_GPU), (ON_GPU, ON_CPU), (ON_CPU, ON_GPU), (ON_CPU, HALF)]
NAMES = ["on the GPU", "from the GPU to the processor", "from the processor to the GPU", "to a part on the GPU"]


def assert_taken_up_after(
    model: Path, folder: Path, first: dict[str, object], then: dict[str, object], **same: object
) -> None:
    """Talk with the first options, start anew with the others, and read only what is new."""
    with place(model, folder, **first, **same) as started:
        talk = Talk(started.engine, SYSTEM)
        held = held_after(talk.say("What is the colour of the sky?", max_tokens=FEW, sampler=GREEDY))
    with place(model, folder, **then, **same) as started:
        done = after_restart(talk, started.engine).say("And of the sea?", max_tokens=FEW, sampler=GREEDY)
    assert_taken_up(done, held)


@pytest.mark.parametrize(("first", "then"), WAYS, ids=NAMES)
@pytest.mark.parametrize("kind", Kind)
def test_what_was_saved_is_taken_up_wherever_the_layers_lie(
    first: dict[str, object], then: dict[str, object], kind: Kind, gpu: Device, tiny_model: TinyModel, tmp_path: Path
) -> None:
    assert_taken_up_after(tiny_model(kind), tmp_path, first, then, flash_attention="on")


@pytest.mark.parametrize(("first", "then"), WAYS, ids=NAMES)
def test_it_is_taken_up_without_flash_attention_too(
    first: dict[str, object], then: dict[str, object], gpu: Device, tiny_model: TinyModel, tmp_path: Path
) -> None:
    """Values lie in another layout then, the same one on every device."""
    assert_taken_up_after(tiny_model(Kind.FULL), tmp_path, first, then, flash_attention="off")


@pytest.mark.parametrize(("first", "then"), WAYS[1:3], ids=NAMES[1:3])
@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID])
def test_it_is_taken_up_where_each_device_would_choose_another_kind_of_attention(
    first: dict[str, object], then: dict[str, object], kind: Kind, gpu: Device, tiny_model: TinyModel, tmp_path: Path
) -> None:
    assert_taken_up_after(tiny_model(kind), tmp_path, first, then)


@pytest.mark.parametrize(("first", "then"), WAYS[1:3], ids=NAMES[1:3])
def test_smaller_keys_and_values_go_from_device_to_device(
    first: dict[str, object], then: dict[str, object], gpu: Device, tiny_model: TinyModel, tmp_path: Path
) -> None:
    assert_taken_up_after(tiny_model(Kind.FULL), tmp_path, first, then, kv_type="q8_0")


def test_keys_and_values_too_large_for_one_piece_of_the_gpu_end_no_engine(tmp_path: Path, gpu: Device) -> None:
    """Mesa's device takes 128 MiB in one piece, a million tokens of this model; more is refused in a sentence."""
    model = make(Kind.FULL, tmp_path / "long.gguf", context_length=2**22)
    options = LoadOptions(context=2**20 + 1, gpu_layers=4)
    with Engine() as engine:
        answer = engine.ask(EstimateMemory(id=engine.next_id(), path=str(model), options=options))
        assert isinstance(answer, MemoryEstimated)
        if gpu.backend == "Vulkan" and "llvmpipe" in gpu.description:
            assert f"{gpu.name} takes at most 128 MiB in one piece" in answer.plan.sentence
