"""The estimate from the header against what llama.cpp says it takes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.gguf_header import GgufHeader, parse
from app.core.memory_estimate import ContextOptions, MemoryEstimate, estimate
from tests.support.native import LOG, loaded
from tests.support.tiny_models import Kind

MIB = 1024**2


def read_header(path: Path) -> GgufHeader:
    """Return a file's header."""
    with path.open("rb") as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        return parse(read, path.stat().st_size)


def both(path: Path, n_ctx: int, flash_attention: bool) -> tuple[MemoryEstimate, float, float]:
    """Return the estimate, and the MiB of context and of compute buffer that llama.cpp logs."""
    with loaded(path, n_ctx, flash_attention=flash_attention):
        log = "".join(LOG)
    context = re.findall(r"(?:llama_kv_cache|llama_memory_recurrent): size =\s+([\d.]+) MiB", log)
    compute = re.findall(r"compute buffer size =\s+([\d.]+) MiB", log)
    assert context
    assert compute
    options = ContextOptions(flash_attention=flash_attention)
    return estimate(read_header(path), n_ctx, options), sum(map(float, context)), sum(map(float, compute))


@pytest.mark.parametrize("flash_attention", [False, True])
@pytest.mark.parametrize("kind", Kind)
def test_the_estimate_agrees_on_every_kind_of_memory(
    kind: Kind,
    flash_attention: bool,
    tiny_model: Callable[[Kind], Path],
) -> None:
    estimated, context, compute = both(tiny_model(kind), 4096, flash_attention)
    assert estimated.kv / MIB == pytest.approx(context, abs=0.02)
    unknown = 0.3 if kind is Kind.RECURRENT else 0.1  # the formula knows nothing of a state space's scan
    assert estimated.compute / MIB == pytest.approx(compute, rel=unknown)


def test_the_estimate_agrees_on_the_starter_model(starter_model: Path) -> None:
    estimated, context, compute = both(starter_model, 8192, False)
    assert context == 180.0
    assert estimated.kv == 180 * MIB
    assert estimated.compute / MIB == pytest.approx(compute, rel=0.05)
