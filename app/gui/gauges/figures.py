"""What the gauges are told: plain figures, bytes and tokens."""

from dataclasses import dataclass
from typing import Literal

MemoryKind = Literal["cpu", "gpu", "integrated", "accelerator"]


@dataclass(frozen=True, slots=True)
class ContextFigures:
    """The model's context; tokens."""

    used: int
    limit: int
    system: int = 0
    """Of those used: the instructions and the template's own."""
    history: int = 0
    """Of those used: the conversation so far."""
    draft: int = 0
    """What is being written, which is not in use yet."""
    reserve: int = 0
    """Kept for the reply."""


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """The memory of the device in use; bytes."""

    device_label: str
    """The device's name, such as `NVIDIA GeForce RTX 4070`."""
    kind: MemoryKind
    total: int
    weights: int = 0
    kv_used: int = 0
    kv_reserved: int = 0
    """The whole KV buffer, its used part included."""
    compute: int = 0
    other: int = 0
    """What other programs hold."""
    free: int = 0


@dataclass(frozen=True, slots=True)
class SavedFigures:
    """The saved state on disk; bytes."""

    this_chat: int
    all_chats: int
    """All of them, this one included."""
    budget: int
    """0 when there is none yet."""
