"""What several messages consist of, and what every message is."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from app.core.load_decision import Verdict
from app.core.load_options import LoadOptions
from app.core.offload import CPU

DeviceKind = Literal["cpu", "gpu", "integrated", "accelerator"]
MemoryMode = Literal["full", "window", "hybrid", "recurrent", "opaque"]


class ProtocolMessage(msgspec.Struct, frozen=True, tag=True, kw_only=True, forbid_unknown_fields=True):
    """What all messages share."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A compute device as ggml lists it; bytes."""

    name: str
    """ggml's name, such as CPU, CUDA0, Vulkan0, Metal."""
    description: str
    kind: DeviceKind
    free_bytes: int
    total_bytes: int
    backend: str = ""
    """The backend that it belongs to, such as CPU, CUDA, Vulkan, MTL (Metal), ROCm."""
    is_unified: bool = False
    """Whether a GPU's memory is the computer's own."""
    process_bytes: int | None = None
    """What this process has of it, as the driver says; None where it does not say."""
    largest_tensor: int | None = None
    """What a GPU can work with in one piece; None: as much as it has, or it was not asked."""


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the loaded model takes on one device, from llama.cpp's own buffer sizes; bytes."""

    device: str
    weights: int = 0
    kv_reserved: int = 0
    """The whole KV buffer."""
    kv_used: int = 0
    """The part of it that holds tokens (estimated by cells in use)."""
    compute: int = 0

    def given_back(self, *, is_mapped: bool) -> int:
        """Bytes that unloading makes free; of mapped weights in the computer's memory none, they count as free."""
        weights = 0 if is_mapped and self.device == CPU else self.weights
        return weights + self.kv_reserved + self.compute


def given_back(memory: Iterable[DeviceMemory], *, is_mapped: bool) -> dict[str, int]:
    """Bytes by device that unloading makes free."""
    return {part.device: part.given_back(is_mapped=is_mapped) for part in memory}


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The loaded model."""

    path: str
    name: str
    architecture: str
    description: str
    """llama.cpp's own, such as `llama 135M Q4_1`."""
    parameters: int
    file_bytes: int
    tokenizer_key: str
    """Equal keys mean that stored token ids may be used again."""
    context_trained: int
    context: int
    """Tokens of the context that was made."""
    kv_bytes_per_token: int
    memory_mode: MemoryMode
    gpu_layers: int
    layers: int
    notices: tuple[str, ...] = ()
    """Sentences for the person: a missing template, a context cut to what was trained for …"""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the prompt; `token_ids` are the exact ids it had when it was last evaluated or generated."""

    id: str
    role: Literal["system", "user", "assistant"]
    text: str
    token_ids: tuple[int, ...] | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A way that would fit: options, and what to call them, such as `Use a context of 4,096 tokens`."""

    label: str
    options: LoadOptions


class DeviceEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a model would take on one device; bytes, estimated."""

    device: str
    """ggml's name; CPU for the computer's memory."""
    free_bytes: int
    total_bytes: int
    weights: int = 0
    kv: int = 0
    compute: int = 0
    other: int = 0
    """The process itself, and what was learnt from earlier loads; may be negative."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.compute + self.other


class MemoryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a model would be loaded with some options, what it takes by device, and whether that fits."""

    verdict: Verdict
    sentence: str
    """The verdict in words, with its figures."""
    context: int
    gpu_layers: int
    """The output counted as one more."""
    layers: int
    devices: tuple[DeviceEstimate, ...]
    is_dry_run: bool
    """Whether keys, values and compute are llama.cpp's own figures; else they are worked out from the header."""
    offers: tuple[Offer, ...] = ()
    """What would fit, the mildest change first; empty where it fits."""
    context_trained: int = 0
    """Tokens; 0 where the file does not say."""
    has_window: bool = False
    """Whether some layers look back through a sliding window."""


class StagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of saved state in a staging folder."""

    name: str
    bytes: int
    sha256: str
    """Hexadecimal digits."""


class OutgoingFile(StagedFile, frozen=True, kw_only=True):
    """A file of saved state that goes into an archive."""

    crc32: int
    """Of all of it, as a zip file's directory has it."""


class TipUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a group of tips takes: bytes that no other group needs, bytes that others share, and tokens."""

    own: int
    shared: int
    tokens: int


class RootUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What is saved under one fingerprint; bytes."""

    root: bytes
    chunks: int
    tokens: int
    bytes: int
    checkpoint_bytes: int
    """The part of it that are checkpoints."""


class AdoptedTip(msgspec.Struct, frozen=True, kw_only=True):
    """A tip that is in the store now, and the fingerprint that it stands under."""

    tip: bytes
    root: bytes
