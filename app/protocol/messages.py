"""The messages between window and engine, as tagged msgspec structs.

A request carries an id chosen by the window; every answer to it carries the same id. Unknown tags, missing or
wrongly typed fields are refused by the decoder; the protocol version is compared in the handshake.
"""

from typing import Literal

import msgspec

from app.core.load_decision import Verdict as Verdict
from app.core.load_options import Calibration, LoadOptions
from app.core.offload import CPU
from app.core.sampling import SamplerSettings
from app.core.turn import FinishReason, TurnFigures

PROTOCOL_VERSION = 3

DeviceKind = Literal["cpu", "gpu", "integrated", "accelerator"]
MemoryMode = Literal["full", "window", "hybrid", "recurrent", "opaque"]


class _Base(msgspec.Struct, frozen=True, tag=True, kw_only=True, forbid_unknown_fields=True):
    """What all messages share."""


# --- parts ---------------------------------------------------------------------------------------------------------


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


# --- requests ------------------------------------------------------------------------------------------------------


class LoadModel(_Base, frozen=True):
    """Load a model and make its context; answered by LoadProgress…, then Loaded or Failed."""

    id: int
    path: str
    options: LoadOptions = LoadOptions()
    calibration: Calibration | None = None
    """What was measured for this model here; None: llama.cpp's and Ember's general defaults."""
    learnt: dict[str, int] = {}
    """By device: the bytes that the last load took beyond its estimate; may be negative."""


class EstimateMemory(_Base, frozen=True):
    """What loading a model would take, from its header and llama.cpp's dry run; MemoryEstimated or Failed.

    Asked of an engine of its own (`services/estimator.py`), so that a load or a reply is never disturbed.
    """

    id: int
    path: str
    options: LoadOptions = LoadOptions()
    calibration: Calibration | None = None
    learnt: dict[str, int] = {}
    given_back: dict[str, int] = {}
    """By device: bytes that the loaded model, in whichever engine, gives back before this one is loaded."""


class Calibrate(_Base, frozen=True):
    """Measure what is fastest for the loaded model; CalibrationProgress…, then Calibrated or Failed.

    It frees the context and measures in contexts of its own; the context that is made afterwards is made as the result
    says, and nothing is loaded again. It ends early (Failed, cancelled) when another request comes.
    """

    id: int
    may_change_layout: bool = False
    """Measure flash attention on and off even where state is saved: with the other choice that could not be used."""


class OpenStore(_Base, frozen=True):
    """Open the saved state in a folder, which this process alone uses from now on; answered by StoreOpened or Failed.

    Sent again it changes the budget.
    """

    id: int
    folder: str
    budget: int | None = None
    """Bytes; None: the smaller of 10 GiB and a tenth of what the disk has free, remembered with the store."""
    pinned: tuple[bytes, ...] = ()
    """Tips that stay whatever the budget; here too, because opening evicts what is beyond the budget."""


class Unload(_Base, frozen=True):
    """Free the model and its context; answered by Unloaded."""

    id: int


class Generate(_Base, frozen=True):
    """Continue a conversation; answered by PromptProgress…, Text…, then Done or Failed.

    The messages are the path to be answered, the system prompt first if there is one.
    """

    id: int
    conversation: str
    messages: tuple[ChatMessage, ...]
    sampler: SamplerSettings = SamplerSettings()
    max_tokens: int | None = None
    """None: until the model ends or the context is full."""
    use_kv: bool = True
    """False reuses nothing and keeps nothing."""
    continues: bool = False
    """The last message is a reply that was cut, to be gone on with; Done then has the whole of it."""
    save: bool = True
    """False neither saves this conversation's state nor uses saved state."""
    started: float = 0.0
    """Unix time at which the conversation began: the date that templates print, so that its prompt stays the same."""


class Prepare(_Base, frozen=True):
    """Restore what is saved of a conversation that was opened, before its next turn; answered by Prepared or Failed.

    It ends early when another request waits.
    """

    id: int
    conversation: str
    messages: tuple[ChatMessage, ...]
    started: float = 0.0


class DropSaved(_Base, frozen=True):
    """Remove saved state that belongs to these tips alone, and what leads to no tip at all.

    `keep` names all tips that are wanted. Answered by SavedDropped or Failed, also during a reply; what a running turn
    has saved stays. No tip leads to what was saved of a turn in which the engine was killed, so a deleted chat may have
    left it: its reply was never told where it ends.
    """

    id: int
    tips: tuple[bytes, ...]
    keep: tuple[bytes, ...] = ()


class PinSaved(_Base, frozen=True):
    """From now on these tips, and what is before them, stay whatever the budget; earlier ones may go again.

    Answered by SavedPinned or Failed, also during a reply.
    """

    id: int
    tips: tuple[bytes, ...]


class ClearSaved(_Base, frozen=True):
    """Remove all saved state, or that of some models; answered by SavedDropped or Failed, also during a reply."""

    id: int
    roots: tuple[bytes, ...] | None = None
    """Fingerprints; None: everything."""


class GetSavedUsage(_Base, frozen=True):
    """What groups of tips take of the disk; answered by SavedUsage or Failed, also during a reply."""

    id: int
    groups: tuple[tuple[bytes, ...], ...] = ()


class StagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of saved state in a staging folder."""

    name: str
    bytes: int
    sha256: str
    """Hexadecimal digits, as the archive says."""


class ExportSaved(_Base, frozen=True):
    """Put the files of the state up to these tips into an empty folder.

    Answered by TransferProgress…, then SavedExported or Failed.
    """

    id: int
    tips: tuple[bytes, ...]
    folder: str
    models: tuple[str, ...] = ()
    """Paths of model files whose digests are wanted, where they are known."""


class AdoptSaved(_Base, frozen=True):
    """Take files of saved state from a folder into the store; TransferProgress…, then SavedAdopted or Failed.

    Each is compared with its digest and read through before any is taken. The caller has decided to trust them: that
    they are whole and fit together is checked, but no check can tell whether the rows are those of the tokens.
    """

    id: int
    folder: str
    files: tuple[StagedFile, ...]
    tips: tuple[bytes, ...] = ()


class VerifySaved(_Base, frozen=True):
    """Read every file of the saved state; answered by VerifyProgress…, then SavedVerified or Failed."""

    id: int


class Cancel(_Base, frozen=True):
    """Stop the request with the id `request`, whether it waits, loads, prefills or decodes."""

    id: int
    request: int


class CountTokens(_Base, frozen=True):
    """How many tokens a text has as plain text; answered by TokenCount, also during a reply."""

    id: int
    text: str


class GetStatistics(_Base, frozen=True):
    """Answered by Statistics, also during a reply."""

    id: int


class ClearCache(_Base, frozen=True):
    """Free the context's memory; it is made again at the next turn. Answered by CacheCleared or Failed."""

    id: int


class Shutdown(_Base, frozen=True):
    """End cleanly; the end of stdin means the same."""

    id: int


# --- answers -------------------------------------------------------------------------------------------------------


class Hello(_Base, frozen=True):
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


class LoadProgress(_Base, frozen=True):
    """0.0 … 1.0 of the weights."""

    id: int
    fraction: float


class Loaded(_Base, frozen=True):
    """The model is ready."""

    id: int
    model: ModelInfo
    seconds: float
    plan: MemoryPlan | None = None
    """What was estimated before; what was taken is in Statistics."""


class MemoryEstimated(_Base, frozen=True):
    """The answer to EstimateMemory."""

    id: int
    plan: MemoryPlan


class CalibrationProgress(_Base, frozen=True):
    """Trials done of all."""

    id: int
    done: int
    total: int


class Calibrated(_Base, frozen=True):
    """What was measured."""

    id: int
    calibration: Calibration


class OldModelFreed(_Base, frozen=True):
    """While loading: the model that was there before is gone, whatever becomes of the new one."""

    id: int


class Unloaded(_Base, frozen=True):
    """No model is loaded any more."""

    id: int


class PromptProgress(_Base, frozen=True):
    """Prefill: `done` of `total` tokens that had to be evaluated."""

    id: int
    done: int
    total: int
    reused: int


class Text(_Base, frozen=True):
    """The next piece of the reply, whole characters only, and its tokens so far."""

    id: int
    text: str
    token_ids: tuple[int, ...]
    """The ids of this piece; joined over a reply they are the reply's ids."""


class Done(_Base, frozen=True):
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


class Saved(_Base, frozen=True):
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


class StoreOpened(_Base, frozen=True):
    """The saved state can be used."""

    id: int
    budget: int


class Prepared(_Base, frozen=True):
    """How many tokens of the conversation are in memory, and how many of them were restored just now."""

    id: int
    conversation: str
    tokens: int
    restored: int
    seconds: float


class SavedDropped(_Base, frozen=True):
    """The bytes that were freed on the disk."""

    id: int
    freed_bytes: int


class SavedPinned(_Base, frozen=True):
    """The bytes that stay whatever the budget."""

    id: int
    bytes: int


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


class SavedUsage(_Base, frozen=True):
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


class TransferProgress(_Base, frozen=True):
    """Bytes of saved state put out or taken in, of all."""

    id: int
    done: int
    total: int


class SavedExported(_Base, frozen=True):
    """The files are in the folder, parents before what follows them."""

    id: int
    files: tuple[str, ...]
    hashes: tuple[str | None, ...]
    """The models' digests, in the order asked for; None where one is not known."""


class AdoptedTip(msgspec.Struct, frozen=True, kw_only=True):
    """A tip that is in the store now, and the fingerprint that it stands under."""

    tip: bytes
    root: bytes


class SavedAdopted(_Base, frozen=True):
    """What was taken; files that were there before count as taken."""

    id: int
    tips: tuple[AdoptedTip, ...]
    """Those asked for whose whole chain is there now."""
    files: int
    bytes: int
    """Written by this."""
    trouble: str = ""
    """Why not all of it was taken, as the part of a sentence that follows “because”."""


class VerifyProgress(_Base, frozen=True):
    """Chunks read of all."""

    id: int
    done: int
    total: int


class SavedVerified(_Base, frozen=True):
    """Every file was read; what was damaged is set aside."""

    id: int
    chunks: int
    bytes: int
    damaged: int
    finished: bool
    """False if it was cancelled."""


class TokenCount(_Base, frozen=True):
    """The answer to CountTokens."""

    id: int
    count: int


class Statistics(_Base, frozen=True):
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


class CacheCleared(_Base, frozen=True):
    """What the clearing gave back."""

    id: int
    tokens: int
    freed_bytes: int


class Failed(_Base, frozen=True):
    """A request that could not be carried out; the engine goes on."""

    id: int
    kind: str
    """A stable identifier, such as not_gguf, context_full, no_model, cancelled, out_of_memory."""
    sentence: str
    """What happened, what was kept and what to do, for the person."""
    offers: tuple[Offer, ...] = ()
    """Of a load that did not fit: what would."""


Request = (
    LoadModel
    | EstimateMemory
    | Calibrate
    | OpenStore
    | Unload
    | Generate
    | Prepare
    | DropSaved
    | PinSaved
    | ClearSaved
    | GetSavedUsage
    | VerifySaved
    | ExportSaved
    | AdoptSaved
    | Cancel
    | CountTokens
    | GetStatistics
    | ClearCache
    | Shutdown
)
Response = (
    LoadProgress
    | OldModelFreed
    | Loaded
    | MemoryEstimated
    | CalibrationProgress
    | Calibrated
    | Unloaded
    | PromptProgress
    | Text
    | Done
    | Saved
    | StoreOpened
    | Prepared
    | SavedDropped
    | SavedPinned
    | SavedUsage
    | VerifyProgress
    | SavedVerified
    | TransferProgress
    | SavedExported
    | SavedAdopted
    | TokenCount
    | Statistics
    | CacheCleared
    | Failed
)
"""What answers a request, with its id."""
Answer = Hello | Response

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answer_decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


class ProtocolError(Exception):
    """A payload that is no message of this protocol."""


def encode(message: Request | Answer) -> bytes:
    """The message as msgpack."""
    return _encoder.encode(message)


def decode_request(payload: bytes) -> Request:
    """The request in `payload`; raises ProtocolError."""
    try:
        return _request_decoder.decode(payload)
    except msgspec.DecodeError as error:  # ValidationError is one
        raise ProtocolError(str(error)) from error


def decode_answer(payload: bytes) -> Answer:
    """The answer in `payload`; raises ProtocolError."""
    try:
        return _answer_decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise ProtocolError(str(error)) from error
