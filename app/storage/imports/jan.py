"""Jan's threads: a folder with thread.json, and messages.jsonl with a message on each line."""

import hashlib
from collections.abc import Sequence

import msgspec

from app.core.turn import FinishReason
from app.storage.archive_format import MESSAGE_LIMIT, RefusedError
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node
from app.storage.imports.openai_chat import ChatMessage, words_of

THREAD = "thread.json"
MESSAGES = "messages.jsonl"
_ANY_MODEL = "*"
"""Stands in for the model of a thread that has none."""


class _Model(msgspec.Struct, frozen=True):
    id: str | None = None


class _Assistant(msgspec.Struct, frozen=True):
    instructions: str | None = None
    model: _Model | str | None = None


class _Message(ChatMessage, frozen=True):
    status: str | None = None


class _Thread(msgspec.Struct, frozen=True):
    id: str = ""
    title: str | None = None
    summary: str | None = None
    """What old versions call the title."""
    model: _Model | str | None = None
    created: float | str | None = None
    updated: float | str | None = None
    assistants: list[_Assistant | str] | None = None
    """In old versions their names alone."""


def draft_of(thread: bytes | None, lines: Sequence[bytes]) -> Draft:
    """The draft of a thread, from its thread.json if it is there, and its messages; raises RefusedError."""
    head = _Thread() if thread is None else decode(thread, _Thread)
    if len(lines) > MESSAGE_LIMIT:
        raise RefusedError(f"it has more than {MESSAGE_LIMIT:,} messages")
    first = head.assistants[0] if head.assistants else None
    assistant = first if isinstance(first, _Assistant) else _Assistant()
    named = assistant.model or head.model
    model = named.id if isinstance(named, _Model) else named
    model = None if model == _ANY_MODEL else model
    messages = decode(b"[" + b",".join(lines) + b"]", list[_Message])
    nodes = []
    for at, message in enumerate(messages):
        words, not_text = words_of(message)
        above = str(at - 1) if at else None
        ended: FinishReason = "cancelled" if message.status == "stopped" else "stop"
        when = unix_time(message.created_at)
        nodes.append(Node(str(at), above, message.role, words, when, model, not_text, finish_reason=ended))
    return Draft(
        nodes,
        source="jan " + (head.id or hashlib.sha256(b"\n".join(lines)).hexdigest()),
        title=head.title or head.summary or "",
        system_prompt=assistant.instructions or "",
        leaf=str(len(nodes) - 1),
        created=unix_time(head.created),
        updated=unix_time(head.updated),
    )
