"""The memory estimate from a file's header against llama.cpp's own buffer sizes."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.gguf_header import GgufHeader
from app.core.memory_estimate import ContextOptions, MemoryEstimate, estimate
from app.core.units import format_count
from app.engine.model import read_header
from app.engine.session import CPU_BATCH
from app.protocol.messages import FlashAttention, GetStatistics, Loaded, Statistics
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter, tiny
from tests.support.engine import Engine
from tests.support.tiny_models import Kind

MIB = 1024**2
WITHIN = Bar("within", 0.1)
"""What tests/integration/test_memory_estimate.py holds of the compute buffer; the rest is nearer."""
CONTEXTS: tuple[tuple[int, FlashAttention], ...] = ((2048, "off"), (8192, "off"), (8192, "on"))


def measure() -> Iterator[Figure]:
    """The estimate with its default options, then with the batch and attention that the engine uses, on the CPU."""
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        for context, flash in CONTEXTS:
            yield from _starter(engine, context, flash)
        for kind in Kind:
            path = tiny(kind, Path(folder))
            name = f"tiny model, {kind.value.replace('_', ' ')}, {format_count(4096)} tokens"
            yield _figure(name, _estimated(read_header(path), 4096, "off"), _taken(engine, path, 4096, "off"))


def _starter(engine: Engine, context: int, flash: FlashAttention) -> Iterator[Figure]:
    header = read_header(starter())
    name = f"{STARTER_NAME}, {format_count(context)} tokens, flash {flash}"
    taken = _taken(engine, starter(), context, flash)
    planned, same = estimate(header, context), _estimated(header, context, flash)
    yield Figure(f"{name}: default options", planned.total / MIB, "MiB", taken.total / MIB, "taken")
    yield _figure(f"{name}: engine's options", same, taken)
    yield Figure("  of it keys and values", same.kv / MIB, "MiB", taken.kv / MIB, "taken", WITHIN)
    yield Figure("  of it for computing", same.compute / MIB, "MiB", taken.compute / MIB, "taken", WITHIN)


def _estimated(header: GgufHeader, context: int, flash: FlashAttention) -> MemoryEstimate:
    """The estimate with the options that the engine makes its context with."""
    return estimate(header, context, ContextOptions(n_ubatch=CPU_BATCH, flash_attention=flash == "on"))


def _taken(engine: Engine, path: Path, context: int, flash: FlashAttention) -> MemoryEstimate:
    """What the engine reports of llama.cpp's log after it has loaded the model."""
    loaded = engine.load(path, context=context, flash_attention=flash, gpu_layers=0)
    assert isinstance(loaded, Loaded), loaded
    assert loaded.model.context == context
    statistics = engine.ask(GetStatistics(id=engine.next_id()))
    assert isinstance(statistics, Statistics)
    memory = statistics.memory
    return MemoryEstimate(
        sum(device.weights for device in memory),
        sum(device.kv_reserved for device in memory),
        sum(device.compute for device in memory),
    )


def _figure(name: str, estimated: MemoryEstimate, taken: MemoryEstimate) -> Figure:
    return Figure(name, estimated.total / MIB, "MiB", taken.total / MIB, "taken", WITHIN)
