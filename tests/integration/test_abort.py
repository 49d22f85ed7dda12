"""What the real ggml says when it ends the process, and what is made of it."""

import signal
import subprocess
import sys

import pytest

from app.services.engine_process import EngineDeath
from tests.support.engine import ROOT

ENDS = """
import ctypes, logging
logging.disable()
from app.engine import library
library.log.install()
base = library._native("ggml-base")
for level, text in {told!r}:
    library.log._receive(level, text, None)
base.ggml_abort(b"ggml-cuda.cu", 109, b"CUDA error")
"""
"""A process that ggml ends after these lines of its log."""


def ended(*told: tuple[int, bytes]) -> EngineDeath:
    """How the process ended."""
    command = [sys.executable, "-c", ENDS.format(told=told)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return EngineDeath(-result.returncode, result.returncode < 0, tuple(result.stderr.splitlines()))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_gpu_without_memory_is_told_from_the_errors_before_the_end() -> None:
    death = ended(
        (4, b"an older error\n"),
        (2, b"all is well again\n"),
        (4, b"CUDA error: out of memory\n"),
        (4, b"  current device: 0, in function alloc at ggml-cuda.cu:503\n"),
    )
    assert (death.exit_code, death.crashed) == (signal.SIGABRT, True)
    assert death.is_memory and death.is_gpu
    assert death.sentence == "The engine ran out of memory and ended."
    assert death.last_lines[0] == "CUDA error: out of memory"
    assert "an older error" not in death.last_lines
    assert any("ggml-cuda.cu:109: CUDA error" in line for line in death.last_lines)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_another_error_of_a_gpu_is_none_of_memory() -> None:
    death = ended((4, b"CUDA error: an illegal memory access was encountered\n"))
    assert death.is_gpu and not death.is_memory
    assert death.sentence == "The engine met an error in llama.cpp and ended."
