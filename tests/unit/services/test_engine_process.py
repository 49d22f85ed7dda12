"""What became of the engine, in plain words."""

import os
from pathlib import Path

import pytest

import app
from app.services import engine_process
from app.services.engine_process import NEVER_STARTED, EngineDeath


@pytest.mark.parametrize(
    ("death", "words"),
    [
        (EngineDeath(9, True, ()), "ended from outside, perhaps because memory ran out"),
        (EngineDeath(6, True, ()), "an error in llama.cpp"),
        (EngineDeath(6, True, ("ggml.c:12: GGML_ASSERT(a == b) failed",)), "an error in llama.cpp"),
        (EngineDeath(6, True, ("CUDA error: out of memory",)), "ran out of memory"),
        (EngineDeath(1, False, ("ggml_backend_buffer: failed to allocate buffer",)), "ran out of memory"),
        (EngineDeath(1, False, ("MemoryError",)), "ran out of memory"),
        (EngineDeath(11, True, ()), "crashed (signal 11)"),
        (EngineDeath(70, False, ("ValueError: x",)), "ended unexpectedly (exit code 70)"),
        (EngineDeath(NEVER_STARTED, False, ("No such file",)), "could not be started (No such file)"),
    ],
)
def test_a_death_is_told_in_one_sentence(death: EngineDeath, words: str) -> None:
    assert words in death.sentence
    assert death.sentence.startswith("The engine ")
    assert death.sentence.count(". ") == 0
    assert death.sentence.endswith(".")


def test_the_engine_never_looks_for_modules_in_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "/elsewhere", ""]))
    environment = engine_process._environment()
    root = str(Path(app.__file__).resolve().parents[1])
    assert environment.value("PYTHONPATH").split(os.pathsep) == [root, "/elsewhere"]
    assert environment.value("PYTHONSAFEPATH") == "1"


@pytest.mark.parametrize(
    "line",
    [
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9216.00 MiB: cudaMalloc failed: out of memory",
        "ggml_vulkan: Device memory allocation of size 4294967296 failed: ErrorOutOfDeviceMemory",
        "alloc_tensor_range: failed to allocate CPU buffer of size 2147483648",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "MemoryError",
    ],
)
def test_what_speaks_of_memory_is_taken_for_it(line: str) -> None:
    assert EngineDeath(6, True, ("llama_context: n_ctx = 8192", line)).is_memory


def test_an_end_by_the_systems_hand_is_taken_for_want_of_memory_and_other_crashes_are_not() -> None:
    assert EngineDeath(9, True, ()).is_memory
    assert not EngineDeath(11, True, ("Segmentation fault",)).is_memory
    assert not EngineDeath(9, False, ()).is_memory
    assert not EngineDeath(-1, False, ("out of memory",)).is_memory


def test_a_gpu_is_known_by_its_backends_name_only() -> None:
    assert EngineDeath(6, True, ("CUDA error: an illegal memory access was encountered",)).is_gpu
    assert EngineDeath(6, True, ("ggml_vulkan: vk::Queue::submit: ErrorDeviceLost",)).is_gpu
    assert not EngineDeath(6, True, ("GGML_ASSERT(ship != chip) failed",)).is_gpu
