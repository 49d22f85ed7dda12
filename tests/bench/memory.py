"""The memory estimate from a file's header against llama.cpp's own buffer sizes."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.gguf_header import GgufHeader
from app.core.load_options import FlashAttention
from app.core.memory_estimate import MemoryEstimate, estimate
from app.core.units import format_count
from app.engine.load_plan import context_options
from app.engine.model import read_header
from app.protocol.messages import GetStatistics, Loaded, Statistics
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter, tiny
from tests.support.engine import Engine
from tests.support.tiny_models import Kind

MIB = 1024**2
WITHIN = Bar("within", 0.1)
"""What tests/integration/test_memory_estimate.py holds of the compute buffer; the rest is nearer."""
CONTEXTS: tuple[tuple[int, FlashAttention], ...] = ((2048, "off"), (8192, "off"), (8192, "on"))


def measure() -> Iterator[Figure]:
    """The estimate as the engine plans a load on the CPU, against what llama.cpp logged of it."""
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
    planned = _estimated(header, context, flash)
    yield _figure(f"{name}: as planned", planned, taken)
    yield Figure("  of it keys and values", planned.kv / MIB, "MiB", taken.kv / MIB, "taken", WITHIN)
    yield Figure("  of it for computing", planned.compute / MIB, "MiB", taken.compute / MIB, "taken", WITHIN)


def _estimated(header: GgufHeader, context: int, flash: FlashAttention) -> MemoryEstimate:
    """The estimate with the options that the engine plans and makes its context with."""
    return estimate(header, context, context_options(on_gpu=False, flash_attention=flash))


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
