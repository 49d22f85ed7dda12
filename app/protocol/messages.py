"""The messages between window and engine, as tagged msgspec structs.

A request carries an id chosen by the window; every answer to it carries the same id. Unknown tags, missing or
wrongly typed fields are refused by the decoder; the protocol version is compared in the handshake.
"""

import msgspec

from app.protocol.answers import (
    CacheCleared,
    Calibrated,
    CalibrationProgress,
    Done,
    Failed,
    Hello,
    Loaded,
    LoadProgress,
    MemoryEstimated,
    OldModelFreed,
    Prepared,
    PromptProgress,
    Saved,
    SavedAdopted,
    SavedDropped,
    SavedExported,
    SavedPinned,
    SavedUsage,
    SavedVerified,
    Statistics,
    StoreOpened,
    Text,
    TokenCount,
    TransferProgress,
    Unloaded,
    VerifyProgress,
)
from app.protocol.requests import (
    AdoptSaved,
    Calibrate,
    Cancel,
    ClearCache,
    ClearSaved,
    CountTokens,
    DropSaved,
    EstimateMemory,
    ExportSaved,
    Generate,
    GetSavedUsage,
    GetStatistics,
    LoadModel,
    OpenStore,
    PinSaved,
    Prepare,
    Shutdown,
    Unload,
    VerifySaved,
)

PROTOCOL_VERSION = 3

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
