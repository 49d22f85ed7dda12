"""Which build of llama-cpp-python there is, and what another one needs."""

import shutil
import signal
from pathlib import Path

import pytest

import engine_build
from engine_build import SetupError


def vulkan_headers(folder: Path, patch: int) -> Path:
    """An include folder with a vulkan_core.h of version 1.3.`patch`, and the SPIR-V headers."""
    (folder / "spirv" / "unified1").mkdir(parents=True)
    (folder / "spirv" / "unified1" / "spirv.hpp").touch()
    header = folder / "vulkan" / "vulkan_core.h"
    header.parent.mkdir(parents=True)
    header.write_text(
        f"#define VK_HEADER_VERSION {patch}\n"
        "#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, 1, 3, VK_HEADER_VERSION)\n",
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize(("build", "library"), sorted(engine_build.LIBRARIES.items()))
def test_a_build_is_told_by_its_libraries(tmp_path: Path, build: str, library: str) -> None:
    (tmp_path / "llama_cpp_python-0.3.36.dist-info").mkdir()
    (tmp_path / "llama_cpp_python-0.3.36.dist-info" / "RECORD").touch()
    (tmp_path / "llama_cpp" / "lib").mkdir(parents=True)
    (tmp_path / "llama_cpp" / "lib" / f"lib{library}.so").touch()
    assert engine_build.installed_build(tmp_path) == build
    assert engine_build.installed_version(tmp_path) == "0.3.36"


def test_an_installation_without_its_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "llama_cpp_python-0.3.36.dist-info").mkdir()
    assert engine_build.installed_build(tmp_path) is None


def test_the_order_of_the_processors_flags_does_not_matter_but_their_set_does(tmp_path: Path) -> None:
    signatures = []
    for number, flags in enumerate(("avx2 fma", "fma avx2", "fma")):
        cpuinfo = tmp_path / str(number)
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n", encoding="utf-8")
        signatures.append(engine_build.cpu_signature(cpuinfo))
    assert signatures[0] == signatures[1] != signatures[2]


def test_old_vulkan_headers_are_named_before_the_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/glslc")
    with pytest.raises(SetupError, match=r"1\.3\.272 or newer, and these are 1\.3\.239"):
        engine_build.check_toolkit("vulkan", [vulkan_headers(tmp_path / "old", 239)])
    engine_build.check_toolkit("vulkan", [vulkan_headers(tmp_path / "new", 272)])


def test_missing_spirv_headers_are_named_before_the_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/glslc")
    headers = vulkan_headers(tmp_path, 272)
    shutil.rmtree(headers / "spirv")
    with pytest.raises(SetupError, match="spirv-headers"):
        engine_build.check_toolkit("vulkan", [headers])


@pytest.mark.parametrize(("build", "tool"), [("vulkan", "glslc"), ("cuda", "nvcc"), ("rocm", "hipconfig")])
def test_a_missing_development_kit_is_named(monkeypatch: pytest.MonkeyPatch, build: str, tool: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SetupError, match=tool):
        engine_build.check_toolkit(build)


def test_the_persons_own_cmake_arguments_are_kept_for_a_gpu() -> None:
    variables = engine_build.compile_environment("vulkan", {"CMAKE_ARGS": "-DGGML_LTO=on"})
    assert variables["CMAKE_ARGS"] == "-DGGML_LTO=on -DGGML_VULKAN=on"


def test_a_signal_or_an_unloadable_library_speaks_of_the_build() -> None:
    assert engine_build.died_of_its_build(-signal.SIGILL)
    assert engine_build.died_of_its_build(engine_build.BAD_LIBRARY)
    assert not engine_build.died_of_its_build(4)


def test_an_exit_is_described_in_words() -> None:
    assert engine_build.describe_exit(-signal.SIGILL) == "signal SIGILL"
    assert engine_build.describe_exit(4) == "exit code 4"
