"""GPUs that are in the computer while this build of llama.cpp cannot use them, and the command that would.

It looks at files only, which takes no time: asking a driver could.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.protocol.parts import Device

DRM: Final = Path("/sys/class/drm")
NVIDIA_DEVICE: Final = Path("/dev/nvidia0")
"""There also where a container sees no /sys/class/drm of the card."""
VENDORS: Final = {
    "0x10de": ("NVIDIA", ("cuda", "vulkan")),
    "0x1002": ("AMD", ("vulkan", "rocm")),
    "0x8086": ("Intel", ("vulkan",)),
}
"""PCI vendors: their names, and the builds that use their GPUs, the best first."""
BACKENDS: Final = {"cuda": "CUDA", "vulkan": "Vulkan", "rocm": "ROCm"}
"""How ggml names the backends of these builds."""


def unused_gpus(devices: Sequence[Device], backends: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each maker's GPU in the computer, if the build uses no GPU at all."""
    if any(device.kind in ("gpu", "integrated") for device in devices):
        return ()
    return tuple(_sentence(*VENDORS[vendor], backends) for vendor in _vendors())


def _vendors() -> list[str]:
    """The PCI ids of the makers of this computer's GPUs, those known here, NVIDIA first."""
    found = set()
    if sys.platform == "win32":
        driver = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll")
        return ["0x10de"] if driver.exists() else []
    for card in DRM.glob("card*/device/vendor"):  # outputs such as card0-DP-1 have no vendor of their own
        try:
            found.add(card.read_text(encoding="ascii", errors="replace").strip())
        except OSError:  # a card that goes away meanwhile
            continue
    if NVIDIA_DEVICE.exists():
        found.add("0x10de")
    return [vendor for vendor in VENDORS if vendor in found]


def _sentence(maker: str, builds: tuple[str, ...], backends: Sequence[str]) -> str:
    there = next((build for build in builds if BACKENDS[build] in backends), None)
    article = "An" if maker[0] in "AIN" else "A"
    if there is not None:
        return (
            f"{article} {maker} GPU is in this computer, but its driver does not offer it to {BACKENDS[there]}, so the "
            "processor computes. Install or update the GPU's driver."
        )
    command = r"packaging\windows\run.ps1 -Gpu" if sys.platform == "win32" else "make run GPU="
    joint = " " if sys.platform == "win32" else ""
    return (
        f"{article} {maker} GPU is in this computer, but this build of Ember computes on the processor. "
        f"It would be used after: {command}{joint}{builds[0]}"
    )
