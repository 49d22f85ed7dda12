"""Open WebUI's exported chats: each with its `history`, a tree of messages by their ids."""

import html
import re
from typing import Final

import msgspec

from app.core.reasoning_marks import REASONING_END, REASONING_START
from app.storage.archive_format import RefusedError
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of
from app.storage.imports.openai_chat import ChatMessage, Part, words_of

_DETAILS: Final = re.compile(
    r'<details type="([a-z_]+)"[^<>]*>\n?(?:<summary>[^<]*</summary>\n?)?((?:(?!<details ).)*?)</details>', re.DOTALL
)
"""What stands in a reply for a thought, or for a step of a tool."""
_QUOTE: Final = re.compile(r"^> ?", re.MULTILINE)


class _File(msgspec.Struct, frozen=True):
    type: str | None = None
    name: str | None = None


class _Message(msgspec.Struct, frozen=True):
    role: str = ""
    content: str | list[Part] | None = None
    parentId: str | None = None
    timestamp: float | str | None = None
    model: str | None = None
    files: list[_File] | None = None


class _History(msgspec.Struct, frozen=True):
    messages: dict[str, _Message]
    currentId: str | None = None


class _Parameters(msgspec.Struct, frozen=True):
    system: str | None = None


class _Chat(msgspec.Struct, frozen=True):
    history: _History
    title: str | None = None
    system: str | None = None
    params: _Parameters | None = None
    timestamp: float | str | None = None


class _Conversation(msgspec.Struct, frozen=True):
    chat: _Chat
    id: str | None = None
    title: str | None = None
    created_at: float | str | None = None
    updated_at: float | str | None = None


def draft_of(data: bytes) -> Draft:
    """The draft of one conversation; raises RefusedError."""
    found = decode(data, _Conversation)
    chat = found.chat
    if not chat.history.messages:
        raise RefusedError("it has no message with words")
    created = found.created_at if found.created_at is not None else chat.timestamp
    return Draft(
        [_node(key, message) for key, message in chat.history.messages.items()],
        source="open webui " + (found.id or next(iter(chat.history.messages))),
        title=found.title or chat.title or "",
        system_prompt=(chat.params.system if chat.params is not None else None) or chat.system or "",
        leaf=chat.history.currentId,
        created=unix_time(created),
        updated=unix_time(found.updated_at),
    )


def _node(key: str, message: _Message) -> Node:
    words, not_text = words_of(ChatMessage(message.role, message.content))
    if message.role == "assistant":
        words, steps = _without_details(words)
        not_text += steps
    for file in message.files or []:
        kind = "an image" if file.type == "image" else "a file"
        words, not_text = text_of(words, placeholder(kind, file.name or "")), not_text + 1
    return Node(key, message.parentId, message.role, words, unix_time(message.timestamp), message.model, not_text)


def _without_details(words: str) -> tuple[str, int]:
    """A reply with its thoughts as we mark them, and how many steps of tools are named in it."""
    steps = 0

    def plain(match: re.Match[str]) -> str:
        nonlocal steps
        if match[1] == "reasoning":
            thought = html.unescape(_QUOTE.sub("", match[2])).strip()
            return f"{REASONING_START}\n{thought}\n{REASONING_END}" if thought else ""
        steps += 1
        return placeholder("a step of a tool")

    return _DETAILS.sub(plain, words), steps
