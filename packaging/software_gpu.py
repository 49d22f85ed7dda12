"""What the tests marked gpu need where there is no GPU: Mesa's Vulkan device, and headers to compile for it.

Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import engine_build
from engine_build import SetupError

NEEDS = (
    "The tests on a GPU need glslc, Vulkan headers {} or newer, SPIR-V headers, and a GPU"
    " or Mesa's software one (mesa-vulkan-drivers); llama.cpp is compiled for it once, in .venv-gpu."
)
NEWER_DEBIAN = "trixie"
"""The Debian whose headers are new enough; those of 12 are not."""
HEADER_PACKAGES = ("libvulkan-dev", "spirv-headers")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def needs() -> str:
    """One line that says what is needed."""
    return NEEDS.format(".".join(map(str, engine_build.OLDEST_VULKAN_HEADERS)))


def ensure_headers(build_folder: Path) -> None:
    """Fetches newer headers where they are needed and names them to what comes after; raises SetupError."""
    found = engine_build.vulkan_header_version(engine_build.vulkan_include_folders())
    if found is None or found >= engine_build.OLDEST_VULKAN_HEADERS or shutil.which("apt-get") is None:
        return  # what is missing now, engine_build.check_toolkit says
    kit = build_folder / f"vulkan-{NEWER_DEBIAN}"
    if not kit.exists():
        fetch_headers(kit)
    os.environ["VULKAN_SDK"] = str(kit / "usr")


def fetch_headers(kit: Path) -> None:
    """Unpacks a newer Debian's headers into `kit`, from where this Debian has its packages; raises SetupError.

    Nothing is installed, and apt's own lists stay as they are.
    """
    unfinished = kit.with_name(kit.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    apt = unfinished / "apt"
    for name in ("lists/partial", "cache/archives/partial", "packages"):
        (apt / name).mkdir(parents=True)
    addresses = _output("apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages")
    address = next((line.split()[0] for line in addresses.splitlines() if line.endswith(" main")), None)
    if address is None:
        raise SetupError("apt-get has no source of packages to take newer Vulkan headers from; install the Vulkan SDK.")
    source = apt / "newer.sources"
    text = f"Types: deb\nURIs: {address}\nSuites: {NEWER_DEBIAN}\nComponents: main\nSigned-By: {KEYS}\n"
    source.write_text(text, encoding="utf-8")
    places = {
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
    }
    options = [word for name, place in places.items() for word in ("-o", f"{name}={place}")]
    _output("apt-get", *options, "update")
    # The system's own, smaller rights cannot write into a checkout; the packages' signatures are checked all the same.
    unsandboxed = ["-o", "APT::Sandbox::User=root"]
    _output("apt-get", *options, *unsandboxed, "download", *HEADER_PACKAGES, folder=apt / "packages")
    for package in sorted((apt / "packages").glob("*.deb")):
        _output("dpkg", "-x", str(package), str(unfinished))
    shutil.rmtree(apt)
    unfinished.rename(kit)


def _output(*command: str, folder: Path | None = None) -> str:
    """What a command prints; raises SetupError with its last line where it fails."""
    try:
        result = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise SetupError(f"{command[0]} does not work ({error}).") from error
    if result.returncode != 0:
        why = result.stderr.strip().splitlines()[-1:]
        raise SetupError(
            f"Newer Vulkan headers could not be fetched ({': '.join([command[0], *why])}); install the Vulkan SDK."
        )
    return result.stdout
