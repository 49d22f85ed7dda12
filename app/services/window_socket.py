"""What commands and the open window say to each other over its socket: one line that asks, lines that answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from app.core.errors import EmberError
from app.paths import open_data_dir
from app.services.single_instance import LONGEST_REQUEST, SingleInstance

Deed = Literal["report", "clear", "verify"]
Answer = dict[str, Any]
"""What was found, as it is printed with --json."""


class _Line(msgspec.Struct, frozen=True, tag=True, tag_field="kind", kw_only=True, forbid_unknown_fields=True):
    """One line of JSON on the window's socket."""


class CacheRequest(_Line, frozen=True, tag="cache"):
    """What the `cache` command was asked for; the model's path is absolute."""

    deed: Deed
    conversation: str | None = None
    model: str | None = None


class MemoryRequest(_Line, frozen=True, tag="memory"):
    """What the window's loaded model takes, by device."""


class ImportRequest(_Line, frozen=True, tag="import"):
    """What the `import` command was asked for."""

    paths: tuple[bytes, ...]
    """Absolute, as the file system has them."""
    trust_state: bool = False
    merge: bool = False


class OpenRequest(_Line, frozen=True, tag="open"):
    """Files that a second start was given: the window imports them and comes to the front."""

    paths: tuple[bytes, ...]


class BackupRequest(_Line, frozen=True, tag="backup"):
    """The library with its saved state, to be written to a file; its path is absolute."""

    file: str


class ExportRequest(_Line, frozen=True, tag="export"):
    """Conversations to write with their state; the path is absolute."""

    conversations: tuple[str, ...]
    """Empty for all."""
    to: str


class Progress(_Line, frozen=True, tag="progress"):
    """The window is at it; more lines follow."""

    done: int
    total: int


class Found(_Line, frozen=True, tag="answer"):
    """What was found; the last line."""

    answer: Answer


class Refused(_Line, frozen=True, tag="refused"):
    """Why nothing was found or done; the last line."""

    error: str
    sentence: str


WindowRequest = CacheRequest | MemoryRequest | ExportRequest | BackupRequest | ImportRequest | OpenRequest
Reply = Progress | Found | Refused

_request_decoder: msgspec.json.Decoder[WindowRequest] = msgspec.json.Decoder(WindowRequest)
_reply_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def decode_request(line: bytes) -> WindowRequest:
    """The request in a line; raises msgspec.DecodeError or RecursionError."""
    return _request_decoder.decode(line)


def ask_window(
    request: WindowRequest, root: Path | None, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Answer | None:
    """What the window that has the data folder answers; None where no window does. Raises EmberError."""
    answered: list[Answer | EmberError] = []

    def take(line: bytes) -> bool:
        try:
            reply = _reply_decoder.decode(line)
        except msgspec.DecodeError as error:
            raise EmberError("The open window is of another version of Ember; close it first.", "in_use") from error
        if isinstance(reply, Progress):
            progress(reply.done, reply.total)
        elif isinstance(reply, Found):
            answered.append(reply.answer)
        elif isinstance(reply, Refused):
            answered.append(EmberError(reply.sentence, reply.error))
        return bool(answered)

    try:
        line = msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise EmberError(
            "A name is not valid text (UTF-8). Nothing was done; choose another one.", "bad_name"
        ) from error
    if len(line) >= LONGEST_REQUEST:
        raise EmberError("That is too much for one call while Ember's window is open; name fewer.", "too_long")
    data_dir = open_data_dir(root)
    if not SingleInstance(data_dir.root).ask_other(line, take):
        return None
    if not answered:
        raise EmberError(
            "Ember's window was closed, or has too much to do, and did not answer to the end. Try again in a moment.",
            "in_use",
        )
    (answer,) = answered
    if isinstance(answer, EmberError):
        raise answer
    return answer
