"""The memory estimate, with llama.cpp's dry run, against what was really taken."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from app.core.load_options import LoadOptions
from app.core.offload import CPU
from app.core.units import format_count
from app.protocol.answers import Loaded, MemoryEstimated, Statistics
from app.protocol.parts import MemoryPlan
from app.protocol.requests import EstimateMemory, GetStatistics
from tests.bench.figure import Bar, Figure
from tests.bench.models import GEMMA_NAME, STARTER_NAME, gemma, starter, tiny
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import Kind

MIB = 1024**2
WITHIN = Bar("within", 0.05)
PLACES: tuple[dict[str, Any], ...] = (
    {"context": 2048},
    {"context": 8192},
    {"context": 8192, "flash_attention": "on"},
    {"context": 8192, "kv_type": "q8_0"},
    {"context": 8192, "kv_type": "q4_0"},
    {"context": 2048, "batch": 512},
)
FILLED: dict[str, Any] = {"context": 2048, "use_mmap": False}
"""A context that is filled for the process's own figure: what was never touched takes nothing of the computer."""
WORDS = 1700
AGAIN = 5


def measure() -> Iterator[Figure]:
    """Each model at several contexts, flash attention and types; the process as a whole; what an estimate costs."""
    with TemporaryDirectory() as folder:
        models = [(STARTER_NAME, starter())]
        if (second := gemma(Path(folder))) is not None:
            models.append((GEMMA_NAME, second))
        with Engine(Path(folder)) as engine:
            for name, path in models:
                for options in PLACES:
                    yield _figure(engine, name, path, options)
            for kind in Kind:
                name = f"tiny model, {kind.value.replace('_', ' ')}"
                yield _figure(engine, name, tiny(kind, Path(folder)), {"context": 4096})
        for name, path in models:
            yield _process(name, path, Path(folder))
            yield from _cost(name, path, Path(folder))


def _figure(engine: Engine, name: str, path: Path, options: dict[str, Any]) -> Figure:
    """Weights, keys, values and compute, against llama.cpp's log of the load that follows."""
    plan = _estimate(engine, path, options)
    estimated = sum(part.weights + part.kv + part.compute for part in plan.devices)
    taken = sum(part.weights + part.kv_reserved + part.compute for part in _load(engine, path, options).memory)
    words = [f"{format_count(options['context'])} tokens"]
    words += [f"{key.replace('_', ' ')} {value}" for key, value in options.items() if key != "context"]
    return Figure(f"{name}, {', '.join(words)}", estimated / MIB, "MiB", taken / MIB, "taken", WITHIN)


def _process(name: str, path: Path, folder: Path) -> Figure:
    """The computer's part with the program's own, against what the system says of the process with a full context."""
    with Engine(folder) as engine:
        plan = _estimate(engine, path, FILLED)
    with Engine(folder) as engine:
        _load(engine, path, FILLED)
        Talk(engine).say("word " * WORDS, max_tokens=8)
        taken = _statistics(engine).rss
    estimated = sum(part.total for part in plan.devices if part.device == CPU)
    return Figure(f"{name}, the whole process, a full context", estimated / MIB, "MiB", taken / MIB, "resident", WITHIN)


def _cost(name: str, path: Path, folder: Path) -> Iterator[Figure]:
    """The first estimate reads the vocabulary; another one about the same file makes only a context."""
    with Engine(folder) as engine:
        first = _seconds(engine, path, 1024)
        again = [_seconds(engine, path, 2048 + 256 * step) for step in range(AGAIN)]
        started = perf_counter()
        _load(engine, path, {"context": 8192})
        load = perf_counter() - started
    runs = tuple(1e3 * seconds for seconds in again)
    yield Figure(f"{name}, the first estimate", 1e3 * first, "ms", 1e3 * load, "loading it")
    yield Figure(f"{name}, another estimate", sorted(runs)[AGAIN // 2], "ms", 1e3 * load, "loading it", None, runs)


def _seconds(engine: Engine, path: Path, context: int) -> float:
    started = perf_counter()
    _estimate(engine, path, {"context": context})
    return perf_counter() - started


def _estimate(engine: Engine, path: Path, options: dict[str, Any]) -> MemoryPlan:
    answer = engine.ask(EstimateMemory(id=engine.next_id(), path=str(path), options=LoadOptions(**options)))
    assert isinstance(answer, MemoryEstimated), answer
    return answer.plan


def _load(engine: Engine, path: Path, options: dict[str, Any]) -> Statistics:
    loaded = engine.load(path, **options)
    assert isinstance(loaded, Loaded), loaded
    return _statistics(engine)


def _statistics(engine: Engine) -> Statistics:
    statistics = engine.ask(GetStatistics(id=engine.next_id()))
    assert isinstance(statistics, Statistics)
    return statistics
