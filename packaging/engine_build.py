"""Which build of llama-cpp-python .venv holds, and what compiling another one takes.

The builds are cpu, metal, vulkan, cuda and rocm. Standard library only: this runs before anything is
installed. The files of the installed build are what counts, not a note about them, so an interrupted
switch from one build to another cannot be mistaken for either.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PACKAGE = "llama-cpp-python"
# What CMake is told for each build.
CMAKE_ARGUMENTS = {
    "cpu": "-DGGML_METAL=off",
    "metal": "-DGGML_METAL=on",
    "vulkan": "-DGGML_VULKAN=on",
    "cuda": "-DGGML_CUDA=on",
    "rocm": "-DGGML_HIP=on",
}
# The library that a build has and the others lack; "cpu" has none of these.
LIBRARIES = {"metal": "ggml-metal", "vulkan": "ggml-vulkan", "cuda": "ggml-cuda", "rocm": "ggml-hip"}
# Older headers lack what llama.cpp's Vulkan code uses (VK_EXT_layer_settings); Debian 12 ships 1.3.239.
OLDEST_VULKAN_HEADERS = (1, 3, 272)
VULKAN_PACKAGES = "Debian, Ubuntu: apt-get install glslc libvulkan-dev spirv-headers"
# packaging/probe_engine.py answers with this when the library cannot be loaded at all.
BAD_LIBRARY = 3
# Windows' way to say what SIGILL says elsewhere.
ILLEGAL_INSTRUCTION = 0xC000001D


class SetupError(Exception):
    """Something that the person can mend; the message is a sentence that says what and how."""


def default_build() -> str:
    """The build that llama-cpp-python makes unless told otherwise; pip's wheel cache is for this one only."""
    return "metal" if sys.platform == "darwin" else "cpu"


def cpu_signature(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """A hash of what this processor can do: llama.cpp is compiled for that, and dies (SIGILL) on less."""
    abilities = [platform.machine(), os.environ.get("PROCESSOR_IDENTIFIER", "")]
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for key in ("flags", "Features"):
        line = re.search(rf"^{key}\s*:(.*)$", text, re.MULTILINE)
        if line:
            abilities.extend(sorted(line.group(1).split()))
    return hashlib.sha256(" ".join(abilities).encode()).hexdigest()[:16]


def installed_version(site_packages: Path) -> str | None:
    """The version of llama-cpp-python in .venv, or None."""
    for folder in site_packages.glob("llama_cpp_python-*.dist-info"):
        if (folder / "RECORD").is_file():
            return folder.name.removeprefix("llama_cpp_python-").removesuffix(".dist-info")
    return None


def installed_build(site_packages: Path) -> str | None:
    """The kind of build in .venv, told from the libraries that it consists of, or None without one."""
    if installed_version(site_packages) is None:
        return None
    names = [path.name for path in (site_packages / "llama_cpp").rglob("*ggml*")]
    for build, library in LIBRARIES.items():
        if any(library in name for name in names):
            return build
    return "cpu"


def check_toolkit(build: str, include_folders: list[Path] | None = None) -> None:
    """Raises SetupError if the GPU's development kit is missing, which a compile would tell minutes later."""
    if build == "metal" and sys.platform != "darwin":
        raise SetupError("GPU=metal is for macOS; this computer has the choice of cpu, vulkan, cuda and rocm.")
    if build == "vulkan":
        if shutil.which("glslc") is None:
            raise SetupError(f"GPU=vulkan needs the shader compiler glslc ({VULKAN_PACKAGES}).")
        folders = include_folders or vulkan_include_folders()
        found = vulkan_header_version(folders)
        if found is not None and found < OLDEST_VULKAN_HEADERS:
            raise SetupError(
                f"GPU=vulkan needs Vulkan headers {_dotted(OLDEST_VULKAN_HEADERS)} or newer, and these are"
                f" {_dotted(found)}; install the Vulkan SDK or a newer libvulkan-dev."
            )
        if found is not None and not any((folder / "spirv" / "unified1" / "spirv.hpp").is_file() for folder in folders):
            raise SetupError(f"GPU=vulkan needs the SPIR-V headers ({VULKAN_PACKAGES}).")
    if build == "cuda" and _find_tool("nvcc", Path("/usr/local/cuda/bin")) is None:
        raise SetupError("GPU=cuda needs NVIDIA's CUDA toolkit, and its compiler nvcc is not in the PATH.")
    if build == "rocm" and _find_tool("hipconfig", Path("/opt/rocm/bin")) is None:
        raise SetupError("GPU=rocm needs AMD's ROCm development kit, and its tool hipconfig is not in the PATH.")


def vulkan_header_version(include_folders: list[Path]) -> tuple[int, int, int] | None:
    """The version in the first vulkan_core.h found, or None."""
    for folder in include_folders:
        header = folder / "vulkan" / "vulkan_core.h"
        if not header.is_file():
            continue
        text = header.read_text(encoding="utf-8", errors="replace")
        patch = re.search(r"#define VK_HEADER_VERSION (\d+)", text)
        complete = re.search(r"#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION\(0, (\d+), (\d+),", text)
        if patch and complete:
            return int(complete.group(1)), int(complete.group(2)), int(patch.group(1))
    return None


def vulkan_include_folders() -> list[Path]:
    """Where Vulkan's headers are looked for, the SDK first."""
    sdk = os.environ.get("VULKAN_SDK")
    folders = [Path(sdk) / name for name in ("include", "Include")] if sdk else []
    return [*folders, Path("/usr/local/include"), Path("/usr/include")]


def compile_environment(build: str, environment: dict[str, str]) -> dict[str, str]:
    """The environment for compiling `build` apart from pip's cache; a GPU's keeps the person's CMAKE_ARGS."""
    result = dict(environment)
    if build == default_build():
        result.pop("CMAKE_ARGS", None)  # they made it something else, or this would not be compiled apart
        return result
    result["CMAKE_ARGS"] = f"{environment.get('CMAKE_ARGS', '')} {CMAKE_ARGUMENTS[build]}".strip()
    if build == "cuda" and shutil.which("nvcc") is None:
        result.setdefault("CUDACXX", str(_find_tool("nvcc", Path("/usr/local/cuda/bin"))))
    if build == "rocm":
        tool = str(_find_tool("hipconfig", Path("/opt/rocm/bin")))
        # As llama.cpp's build guide has it.
        result.setdefault("HIPCXX", f"{_output(tool, '-l')}/clang")
        result.setdefault("HIP_PATH", _output(tool, "-R"))
    return result


def died_of_its_build(status: int) -> bool:
    """Whether the probe's exit status speaks of the compiled library, so that compiling it again may help."""
    return status in (BAD_LIBRARY, ILLEGAL_INSTRUCTION) or status < 0


def describe_exit(status: int) -> str:
    """An exit status in words: "signal SIGILL" or "exit code 4"."""
    if status < 0:
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"
    return f"exit code {status}"


def _find_tool(name: str, usual_folder: Path) -> Path | None:
    found = shutil.which(name) or shutil.which(name, path=str(usual_folder))
    return Path(found) if found else None


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"{command[0]} of the GPU's development kit does not work ({error}).") from error


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
