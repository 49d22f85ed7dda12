"""What llama.cpp's web UI exports: JSON with a conversation or a list of them, or (since 2026) lines, a session each.

Such lines are Hugging Face's "Session Trace Simple Format": a header with `harness`, then a message on each.
"""

from collections.abc import Sequence

import msgspec

from app.core.reasoning_marks import REASONING_END, REASONING_START
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of
from app.storage.imports.openai_chat import ChatMessage, Part, words_of

_KINDS = {
    "IMAGE": "an image",
    "imageFile": "an image",
    "AUDIO": "a recording",
    "audioFile": "a recording",
    "PDF": "a PDF file",
    "pdfFile": "a PDF file",
}


class _Extra(msgspec.Struct, frozen=True):
    type: str | None = None
    name: str | None = None
    content: str | None = None


class _Message(msgspec.Struct, frozen=True):
    id: str | int | None = None
    role: str = ""
    type: str = "text"
    content: str | list[Part] | None = None
    parent: str | int | msgspec.UnsetType | None = msgspec.UNSET
    """Unset, it follows the message before it."""
    timestamp: float | str | None = None
    model: str | None = None
    thinking: str | None = None
    reasoningContent: str | None = None
    reasoning_content: str | None = None
    extra: list[_Extra] | None = None


class _Head(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    currNode: str | int | None = None
    lastModified: float | str | None = None


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    message: _Message | None = None


class _Conversation(msgspec.Struct, frozen=True):
    conv: _Head
    messages: list[_Message]


def draft_of(data: bytes) -> Draft:
    """The draft of one conversation; raises RefusedError."""
    found = decode(data, _Conversation)
    return _draft(found.conv, found.messages, data)


def sessions_of(lines: Sequence[bytes]) -> list[list[bytes]]:
    """The lines of each session; a header begins one."""
    sessions: list[list[bytes]] = []
    for line in lines:
        if not sessions or (b'"harness"' in line and decode(line, _Line).type == "session"):
            sessions.append([])
        sessions[-1].append(line)
    return sessions


def draft_of_lines(lines: Sequence[bytes]) -> Draft:
    """The draft of a session: its header, then a message on each line; raises RefusedError."""
    whole = b"[" + b",".join(lines[1:]) + b"]"
    messages = [line.message for line in decode(whole, list[_Line]) if line.message is not None]
    return _draft(decode(lines[0], _Head), messages, b"\n".join(lines))


def _draft(head: _Head, messages: Sequence[_Message], data: bytes) -> Draft:
    nodes: list[Node] = []
    for at, message in enumerate(messages):
        nodes.append(_node(message, str(at), nodes[-1].key if nodes else None))
    first = min((node.created for node in nodes if node.created is not None), default=None)
    return Draft(
        nodes,
        source="llama.cpp " + (head.id or data.decode("utf-8", "replace")),
        title=head.name,
        leaf=None if head.currNode is None else str(head.currNode),
        created=first,
        updated=unix_time(head.lastModified),
    )


def _node(message: _Message, place: str, before: str | None) -> Node:
    words, not_text = words_of(ChatMessage(message.role, message.content))
    thought = message.reasoningContent or message.reasoning_content or message.thinking or ""
    if thought.strip() and message.role == "assistant":
        words = f"{REASONING_START}\n{thought.strip()}\n{REASONING_END}\n\n{words}"
    for extra in message.extra or []:
        if extra.content and extra.content.strip() and extra.type != "IMAGE":
            words = text_of(words, f"{extra.name}:\n\n{extra.content}" if extra.name else extra.content)
        else:
            words, not_text = (
                text_of(words, placeholder(_KINDS.get(extra.type or "", "a file"), extra.name or "")),
                not_text + 1,
            )
    role = "" if message.type == "root" else message.role
    parent = before
    if not isinstance(message.parent, msgspec.UnsetType):
        parent = None if message.parent is None else str(message.parent)
    key = place if message.id is None else str(message.id)
    return Node(key, parent, role, words, unix_time(message.timestamp), message.model, not_text)
