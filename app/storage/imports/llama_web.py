"""What llama.cpp's web UI exports: a conversation, or a list of them, each with a tree of messages."""

import msgspec

from app.core.ledger import REASONING_END, REASONING_START
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of

_KINDS = {"IMAGE": "an image", "AUDIO": "a recording", "PDF": "a PDF file"}


class _Extra(msgspec.Struct, frozen=True):
    type: str | None = None
    name: str | None = None
    content: str | None = None


class _Message(msgspec.Struct, frozen=True):
    id: str | int
    role: str = ""
    type: str = "text"
    content: str | None = None
    parent: str | int | None = None
    timestamp: float | str | None = None
    model: str | None = None
    thinking: str | None = None
    reasoningContent: str | None = None
    extra: list[_Extra] | None = None


class _Head(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    currNode: str | int | None = None
    lastModified: float | str | None = None


class _Conversation(msgspec.Struct, frozen=True):
    conv: _Head
    messages: list[_Message]


def draft_of(data: bytes) -> Draft:
    """The draft of one conversation; raises RefusedError."""
    found = decode(data, _Conversation)
    nodes = [_node(message) for message in found.messages]
    first = min((node.created for node in nodes if node.created is not None), default=None)
    shown = found.conv.currNode
    return Draft(
        nodes,
        source="llama.cpp " + (found.conv.id or data.decode("utf-8", "replace")),
        title=found.conv.name,
        leaf=None if shown is None else str(shown),
        created=first,
        updated=unix_time(found.conv.lastModified),
    )


def _node(message: _Message) -> Node:
    words = message.content or ""
    thought = message.reasoningContent or message.thinking or ""
    if thought.strip() and message.role == "assistant":
        words = f"{REASONING_START}\n{thought.strip()}\n{REASONING_END}\n\n{words}"
    not_text = 0
    for extra in message.extra or []:
        if extra.content and extra.content.strip() and extra.type != "IMAGE":
            words = text_of(words, f"{extra.name}:\n\n{extra.content}" if extra.name else extra.content)
        else:
            words, not_text = (
                text_of(words, placeholder(_KINDS.get(extra.type or "", "a file"), extra.name or "")),
                not_text + 1,
            )
    role = "" if message.type == "root" else message.role
    parent = None if message.parent is None else str(message.parent)
    return Node(str(message.id), parent, role, words, unix_time(message.timestamp), message.model, not_text)
