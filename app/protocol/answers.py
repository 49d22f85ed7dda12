"""What the engine says: answers, and what it tells of the work on them."""

from app.core.load_options import Calibration
from app.core.turn import FinishReason, TurnFigures
from app.protocol.parts import (
    AdoptedTip,
    Device,
    DeviceMemory,
    MemoryPlan,
    ModelInfo,
    Offer,
    OutgoingFile,
    ProtocolMessage,
    RootUsage,
    TipUsage,
)


class Hello(ProtocolMessage, frozen=True):
    """The engine's first message."""

    protocol: int
    app_version: str
    llama_version: str
    """llama-cpp-python's version."""
    llama_commit: str
    """ggml's commit, or its version where the build has none."""
    backends: tuple[str, ...]
    devices: tuple[Device, ...]
    pid: int
    notices: tuple[str, ...] = ()
    """Sentences for the person: a GPU that this build cannot use, and the command that would …"""


class LoadProgress(ProtocolMessage, frozen=True):
    """0.0 … 1.0 of the weights."""

    id: int
    fraction: float


class Loaded(ProtocolMessage, frozen=True):
    """The model is ready."""

    id: int
    model: ModelInfo
    seconds: float
    plan: MemoryPlan | None = None
    """What was estimated before; what was taken is in Statistics."""


class MemoryEstimated(ProtocolMessage, frozen=True):
    """The answer to EstimateMemory."""

    id: int
    plan: MemoryPlan


class CalibrationProgress(ProtocolMessage, frozen=True):
    """Trials done of all."""

    id: int
    done: int
    total: int


class Calibrated(ProtocolMessage, frozen=True):
    """What was measured."""

    id: int
    calibration: Calibration


class OldModelFreed(ProtocolMessage, frozen=True):
    """While loading: the model that was there before is gone, whatever becomes of the new one."""

    id: int


class Unloaded(ProtocolMessage, frozen=True):
    """No model is loaded any more."""

    id: int


class PromptProgress(ProtocolMessage, frozen=True):
    """Prefill: `done` of `total` tokens that had to be evaluated."""

    id: int
    done: int
    total: int
    reused: int


class Text(ProtocolMessage, frozen=True):
    """The next piece of the reply, whole characters only, and its tokens so far."""

    id: int
    text: str
    token_ids: tuple[int, ...]
    """The ids of this piece; joined over a reply they are the reply's ids."""


class Done(ProtocolMessage, frozen=True):
    """The turn is over, by any of its ends."""

    id: int
    conversation: str
    text: str
    """The whole reply."""
    token_ids: tuple[int, ...]
    """The reply's exact ids, without the end-of-generation token."""
    prompt_ids: dict[str, tuple[int, ...]]
    """By message id: the exact ids of prompt messages that had none stored."""
    finish_reason: FinishReason
    figures: TurnFigures
    tip: bytes | None = None
    """Where the saved state of this branch will end, as far as that is known before it is written."""
    root: bytes | None = None
    """The fingerprint that it will stand under."""
    notices: tuple[str, ...] = ()
    """Sentences about this turn: a template that would not take a system prompt …"""


class Saved(ProtocolMessage, frozen=True):
    """After Done, always: the turn's state is on the disk, or it will not be."""

    id: int
    conversation: str
    bytes_written: int = 0
    checkpoint_bytes: int = 0
    """The part of it that are checkpoints."""
    tip: bytes | None = None
    """Where the saved state of this branch ends; None where it is not saved."""
    root: bytes | None = None
    trouble: str = ""
    """A sentence for the person where it could not be saved."""


class StoreOpened(ProtocolMessage, frozen=True):
    """The saved state can be used."""

    id: int
    budget: int


class Prepared(ProtocolMessage, frozen=True):
    """How many tokens of the conversation are in memory, and how many of them were restored just now."""

    id: int
    conversation: str
    tokens: int
    restored: int
    seconds: float


class SavedDropped(ProtocolMessage, frozen=True):
    """The bytes that were freed on the disk."""

    id: int
    freed_bytes: int


class SavedPinned(ProtocolMessage, frozen=True):
    """The bytes that stay whatever the budget."""

    id: int
    bytes: int


class SavedUsage(ProtocolMessage, frozen=True):
    """The answer to GetSavedUsage; bytes."""

    id: int
    groups: tuple[TipUsage, ...]
    """In the order asked for."""
    roots: tuple[RootUsage, ...]
    budget: int
    disk_free: int
    bytes_written: int
    """Ever."""
    quarantined: int
    """Damaged files set aside."""

    @property
    def bytes(self) -> int:
        """All that is saved, checkpoints included."""
        return sum(root.bytes for root in self.roots)


class TransferProgress(ProtocolMessage, frozen=True):
    """Bytes of saved state put out or taken in, of all."""

    id: int
    done: int
    total: int


class SavedExported(ProtocolMessage, frozen=True):
    """The files are in the folder, parents before what follows them."""

    id: int
    files: tuple[OutgoingFile, ...]
    hashes: tuple[str | None, ...]
    """The models' digests, in the order asked for; None where one is not known."""


class SavedAdopted(ProtocolMessage, frozen=True):
    """What was taken; files that were there before count as taken."""

    id: int
    tips: tuple[AdoptedTip, ...]
    """Those asked for whose whole chain is there now."""
    files: int
    bytes: int
    """Written by this."""
    trouble: str = ""
    """Why not all of it was taken, as the part of a sentence that follows “because”."""


class VerifyProgress(ProtocolMessage, frozen=True):
    """Chunks read of all."""

    id: int
    done: int
    total: int


class SavedVerified(ProtocolMessage, frozen=True):
    """Every file was read; what was damaged is set aside."""

    id: int
    chunks: int
    bytes: int
    damaged: int
    finished: bool
    """False if it was cancelled."""


class TokenCount(ProtocolMessage, frozen=True):
    """The answer to CountTokens."""

    id: int
    count: int


class Statistics(ProtocolMessage, frozen=True):
    """A snapshot; bytes."""

    id: int
    rss: int
    """The engine process's resident memory."""
    ram_total: int
    ram_available: int
    devices: tuple[Device, ...]
    memory: tuple[DeviceMemory, ...]
    context_used: int
    """Tokens in the live sequence."""
    context_size: int
    """0 when there is no context."""
    live_conversation: str | None
    saved_bytes: int
    saved_budget: int
    """0 where there is no saved state."""
    saved_generation: int
    """Moves whenever something is added to the saved state or removed from it."""
    busy: bool
    read_rate: float = 0.0
    """Tokens a second that this model reads here, as measured; 0 before that."""
    restore_rate: float = 0.0
    """Bytes of saved state a second that are restored, as measured; 0 before that."""


class CacheCleared(ProtocolMessage, frozen=True):
    """What the clearing gave back."""

    id: int
    tokens: int
    freed_bytes: int


class Failed(ProtocolMessage, frozen=True):
    """A request that could not be carried out; the engine goes on."""

    id: int
    kind: str
    """A stable identifier, such as not_gguf, context_full, no_model, cancelled, out_of_memory."""
    sentence: str
    """What happened, what was kept and what to do, for the person."""
    offers: tuple[Offer, ...] = ()
    """Of a load that did not fit: what would."""
