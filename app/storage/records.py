"""Rows to values and back; the reader is tolerant: a bad field never makes a chat unopenable."""

import logging
import math
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args

import msgspec

from app.core.conversation import UNTITLED, Conversation, ConversationId, Message, MessageId, Role
from app.core.sampling import SamplerSettings
from app.core.turn import FinishReason, TurnFigures

_log = logging.getLogger(__name__)

LATEST_TIME: Final = 1e10
"""The largest Unix time that is believed (2286); not every system can show one far beyond."""
_LARGEST_FIGURE: Final = 2**53
_NUMBER: Final = (int, float)
"""Made once: this is asked for every row of a long list."""
_FINISH_REASONS: Final = frozenset(get_args(FinishReason))
UNREADABLE_TEXT: Final = "The text of this message could not be read; the rest of the chat is kept."

TokenIds = Mapping[str, Mapping[MessageId, bytes]]
"""Packed token ids (see `pack_ids`) by tokenizer and message."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation as the list shows it."""

    id: ConversationId
    title: str
    created: float
    updated: float
    messages: int
    """How many messages it has, on all branches; 0 where they were not counted."""


@dataclass(frozen=True, slots=True)
class PathMessage:
    """What a prompt needs of a message."""

    id: MessageId
    role: Role
    text: str
    """Empty where it could not be read."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A place where all the words that were searched for occur."""

    conversation: ConversationId
    title: str
    message: MessageId | None
    """None if the words are in the title."""
    excerpt: str
    """The title, or a piece of the message around the words."""
    matches: tuple[tuple[int, int], ...]
    """The words found, as start and end in the excerpt."""


def storable(text: str) -> str:
    """The text without lone surrogates, which neither SQLite nor JSON can hold; pairs are joined."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def pack_ids(ids: Iterable[int]) -> bytes:
    """Token ids as little-endian unsigned 32-bit integers; raises OverflowError for any other."""
    packed = array("I", ids)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_ids(data: bytes) -> tuple[int, ...]:
    """The token ids that `pack_ids` packed; raises ValueError if the length is no multiple of 4."""
    ids = array("I")
    ids.frombytes(data)
    if sys.byteorder == "big":
        ids.byteswap()
    return tuple(ids)


def conversation_values(conversation: Conversation) -> tuple[str | float | None, ...]:
    """The columns of a conversation in the order of its fields."""
    return (
        conversation.id,
        storable(conversation.title),
        storable(conversation.system_prompt),
        conversation.created,
        conversation.updated,
        conversation.leaf,
        None if conversation.model_path is None else storable(conversation.model_path),
        to_json(conversation.sampler),
        storable(conversation.draft),
    )


def message_values(message: Message) -> tuple[str | float | None, ...]:
    """The columns of a message in the order of its fields."""
    return (
        message.id,
        message.conversation,
        message.parent,
        message.role,
        storable(message.text),
        message.created,
        None if message.model is None else storable(message.model),
        message.finish_reason,
        None if message.figures is None else to_json(message.figures),
        None if message.error is None else storable(message.error),
    )


def to_json(value: object) -> str:
    """A dataclass or plain value as JSON."""
    return msgspec.json.encode(value).decode()


def conversation_of(row: sqlite3.Row) -> Conversation:
    """The conversation that a row of `conversations` holds; a broken field gets its default."""
    return Conversation(
        id=ConversationId(row["id"]),
        title=text_or(row["title"], UNTITLED),
        system_prompt=text_or(row["system_prompt"], ""),
        created=_time(row["created"]),
        updated=_time(row["updated"]),
        leaf=MessageId(row["leaf"]) if isinstance(row["leaf"], str) else None,
        model_path=_optional(row["model_path"]),
        sampler=_decoded(row["sampler"], SamplerSettings) or SamplerSettings(),
        draft=text_or(row["draft"], ""),
    )


def summary_of(row: sqlite3.Row) -> ConversationSummary:
    """The summary that a row with the list's columns holds."""
    return ConversationSummary(
        id=ConversationId(row["id"]),
        title=text_or(row["title"], UNTITLED),
        created=_time(row["created"]),
        updated=_time(row["updated"]),
        messages=int(row["messages"]),
    )


def path_message_of(row: sqlite3.Row) -> PathMessage:
    """The message that a row with a path's columns holds."""
    return PathMessage(MessageId(row["id"]), _role(row["role"]), text_or(row["text"], ""))


def messages_of(rows: Sequence[sqlite3.Row]) -> dict[MessageId, Message]:
    """The messages in their order; one whose parent is not before it starts a branch of its own.

    So parents always come before their children, and there are no cycles, whatever the rows say.
    """
    messages: dict[MessageId, Message] = {}
    for row in rows:
        parent = row["parent"]
        if parent is not None and parent not in messages:
            _log.warning("Message %s has no parent before it and starts a branch of its own", row["id"])
            parent = None
        messages[MessageId(row["id"])] = _message_of(row, parent)
    return messages


def _message_of(row: sqlite3.Row, parent: MessageId | None) -> Message:
    """One message; an unreadable text is said to be so."""
    readable = isinstance(row["text"], str)
    reason = row["finish_reason"]
    if reason is not None and reason not in _FINISH_REASONS:
        reason = "failed"
    figures = _decoded(row["figures"], TurnFigures) if row["figures"] is not None else None
    return Message(
        id=MessageId(row["id"]),
        conversation=ConversationId(row["conversation"]),
        parent=parent,
        role=_role(row["role"]),
        text=row["text"] if readable else "",
        created=_time(row["created"]),
        model=_optional(row["model"]),
        finish_reason=reason,
        figures=figures if figures is not None and are_plausible(figures) else None,
        error=_optional(row["error"]) if readable else UNREADABLE_TEXT,
    )


def are_plausible(figures: TurnFigures) -> bool:
    """Whether every number is finite, not negative and not absurd, so that it can be shown."""
    pending: list[object] = [msgspec.to_builtins(figures)]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, int | float) and not 0 <= value <= _LARGEST_FIGURE:  # also refuses NaN
            return False
    return True


def _decoded(value: Any, kind: type[_T]) -> _T | None:
    """The JSON in a column as `kind`, or None where it is broken."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, TypeError, RecursionError, UnicodeDecodeError) as error:
        _log.warning("A stored %s could not be read and is left out: %s", kind.__name__, error)
        return None


def text_or(value: Any, default: str) -> str:
    """The value of a text column, or the default where it holds something else."""
    return value if isinstance(value, str) else default


def _role(value: Any) -> Role:
    """Who wrote a message."""
    return "user" if value == "user" else "assistant"


def _optional(value: Any) -> str | None:
    """A text column that may be empty."""
    return value if isinstance(value, str) else None


def _time(value: Any) -> float:
    """A Unix time in seconds, or 0 where it is missing, not a number, or beyond any calendar."""
    if isinstance(value, _NUMBER) and math.isfinite(value) and 0 <= value <= LATEST_TIME:
        return float(value)
    return 0.0
