"""What the window asks of the engine."""

import msgspec

from app.core.load_options import Calibration, LoadOptions
from app.core.sampling import SamplerSettings
from app.protocol.parts import ChatMessage, ProtocolMessage, StagedFile


class LoadModel(ProtocolMessage, frozen=True):
    """Load a model and make its context; answered by LoadProgress…, then Loaded or Failed."""

    id: int
    path: str
    options: LoadOptions = LoadOptions()
    calibration: Calibration | None = None
    """What was measured for this model here; None: llama.cpp's and Ember's general defaults."""
    learnt: dict[str, int] = msgspec.field(default_factory=dict)
    """By device: the bytes that the last load took beyond its estimate; may be negative."""


class EstimateMemory(ProtocolMessage, frozen=True):
    """What loading a model would take, from its header and llama.cpp's dry run; MemoryEstimated or Failed.

    Asked of an engine of its own (`services/estimator.py`), so that a load or a reply is never disturbed.
    """

    id: int
    path: str
    options: LoadOptions = LoadOptions()
    calibration: Calibration | None = None
    learnt: dict[str, int] = msgspec.field(default_factory=dict)
    given_back: dict[str, int] = msgspec.field(default_factory=dict)
    """By device: bytes that the loaded model, in whichever engine, gives back before this one is loaded."""


class Calibrate(ProtocolMessage, frozen=True):
    """Measure what is fastest for the loaded model; CalibrationProgress…, then Calibrated or Failed.

    It frees the context and measures in contexts of its own; the context that is made afterwards is made as the result
    says, and nothing is loaded again. It ends early (Failed, cancelled) when another request comes.
    """

    id: int
    may_change_layout: bool = False
    """Measure flash attention on and off even where state is saved: with the other choice that could not be used."""


class OpenStore(ProtocolMessage, frozen=True):
    """Open the saved state in a folder, which this process alone uses from now on; answered by StoreOpened or Failed.

    Sent again it changes the budget.
    """

    id: int
    folder: str
    budget: int | None = None
    """Bytes; None: the smaller of 10 GiB and a tenth of what the disk has free, remembered with the store."""
    pinned: tuple[bytes, ...] = ()
    """Tips that stay whatever the budget; here too, because opening evicts what is beyond the budget."""


class Unload(ProtocolMessage, frozen=True):
    """Free the model and its context; answered by Unloaded."""

    id: int


class Generate(ProtocolMessage, frozen=True):
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


class Prepare(ProtocolMessage, frozen=True):
    """Restore what is saved of a conversation that was opened, before its next turn; answered by Prepared or Failed.

    It ends early when another request waits.
    """

    id: int
    conversation: str
    messages: tuple[ChatMessage, ...]
    started: float = 0.0


class DropSaved(ProtocolMessage, frozen=True):
    """Remove saved state that belongs to these tips alone, and what leads to no tip at all.

    `keep` names all tips that are wanted. Answered by SavedDropped or Failed, also during a reply; what a running turn
    has saved stays. No tip leads to what was saved of a turn in which the engine was killed, so a deleted chat may have
    left it: its reply was never told where it ends.
    """

    id: int
    tips: tuple[bytes, ...]
    keep: tuple[bytes, ...] = ()


class PinSaved(ProtocolMessage, frozen=True):
    """From now on these tips, and what is before them, stay whatever the budget; earlier ones may go again.

    Answered by SavedPinned or Failed, also during a reply.
    """

    id: int
    tips: tuple[bytes, ...]


class ClearSaved(ProtocolMessage, frozen=True):
    """Remove all saved state, or that of some models; answered by SavedDropped or Failed, also during a reply."""

    id: int
    roots: tuple[bytes, ...] | None = None
    """Fingerprints; None: everything."""


class GetSavedUsage(ProtocolMessage, frozen=True):
    """What groups of tips take of the disk; answered by SavedUsage or Failed, also during a reply."""

    id: int
    groups: tuple[tuple[bytes, ...], ...] = ()


class ExportSaved(ProtocolMessage, frozen=True):
    """Put the files of the state up to these tips into an empty folder.

    Answered by TransferProgress…, then SavedExported or Failed.
    """

    id: int
    tips: tuple[bytes, ...]
    folder: str
    models: tuple[str, ...] = ()
    """Paths of model files whose digests are wanted, where they are known."""


class AdoptSaved(ProtocolMessage, frozen=True):
    """Take files of saved state from a folder into the store; TransferProgress…, then SavedAdopted or Failed.

    Each is compared with its digest and read through before any is taken. The caller has decided to trust them: that
    they are whole and fit together is checked, but no check can tell whether the rows are those of the tokens.
    """

    id: int
    folder: str
    files: tuple[StagedFile, ...]
    tips: tuple[bytes, ...] = ()


class VerifySaved(ProtocolMessage, frozen=True):
    """Read every file of the saved state; answered by VerifyProgress…, then SavedVerified or Failed."""

    id: int


class Cancel(ProtocolMessage, frozen=True):
    """Stop the request with the id `request`, whether it waits, loads, prefills or decodes."""

    id: int
    request: int


class CountTokens(ProtocolMessage, frozen=True):
    """How many tokens a text has as plain text; answered by TokenCount, also during a reply."""

    id: int
    text: str


class GetStatistics(ProtocolMessage, frozen=True):
    """Answered by Statistics, also during a reply."""

    id: int


class ClearCache(ProtocolMessage, frozen=True):
    """Free the context's memory; it is made again at the next turn. Answered by CacheCleared or Failed."""

    id: int


class Shutdown(ProtocolMessage, frozen=True):
    """End cleanly; the end of stdin means the same."""

    id: int
