"""What the gauges are told: plain figures, bytes and tokens."""

from dataclasses import dataclass
from typing import Literal

MemoryKind = Literal["cpu", "gpu", "integrated", "accelerator"]
"""The computer's own, that of a GPU, the one that both share, and that of another device."""


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
    """The memory of one device; bytes."""

    device_label: str
    """The device's name, such as `NVIDIA GeForce RTX 4070`; no two have the same."""
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
    process: int = 0
    """What the engine has beyond these, such as its driver's needs; 0 where it is not known, and is in `other` then."""


@dataclass(frozen=True, slots=True)
class SavedFigures:
    """The saved state on disk; bytes."""

    this_chat: int
    all_chats: int
    """All of them, this one included."""
    budget: int
    """0 when there is none yet."""
    shared: int = 0
    """Of this chat's: what other chats need too."""
    disk_free: int | None = None
    """None when it is not known."""
    is_off: bool = False
    """Nothing is saved at all."""
    is_never: bool = False
    """This chat's is not saved, as the person chose."""


@dataclass(frozen=True, slots=True)
class ReuseFigures:
    """What was spared by now: tokens that were not read again; None while they are counted."""

    here: int | None = None
    everywhere: int | None = None
    read_rate: float = 0.0
    """Tokens a second that the model reads, as measured; 0: not measured."""


@dataclass(frozen=True, slots=True)
class ClearFigures:
    """What there is to clear, and what that would cost; bytes and tokens, rates by the second (0: not measured)."""

    memory: tuple[tuple[MemoryKind, int], ...] = ()
    """What the model's context takes, by kind of memory."""
    held: int = 0
    """Tokens in it."""
    held_saved: int = 0
    """What is saved of them; 0 if they would have to be read again."""
    own: int = 0
    """What the open chat alone has saved."""
    shared: int = 0
    """What it shares with others, which stays."""
    tokens: int = 0
    """Of the open chat; 0 if that is not known, or if nothing was read yet."""
    is_held: bool = False
    """The open chat is the one in memory."""
    is_saved: bool = False
    """Something of the open chat is saved."""
    model_name: str = ""
    of_model: int = 0
    """What is saved of the loaded model."""
    all_saved: int = 0
    read_rate: float = 0.0
    """Tokens."""
    restore_rate: float = 0.0
    """Bytes."""
    no_memory: str = ""
    no_chat: str = ""
    no_model: str = ""
    no_saved: str = ""
    """Sentences: why each cannot be cleared now."""
