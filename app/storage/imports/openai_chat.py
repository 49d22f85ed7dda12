"""The form in which OpenAI's API takes a chat: {"messages": [{"role", "content"}…]}, one of them or several."""

import hashlib
from collections.abc import Sequence

import msgspec

from app.storage.archive_format import MESSAGE_LIMIT, RefusedError
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of

_KINDS = {
    "image_url": "an image",
    "input_image": "an image",
    "input_audio": "a recording",
    "file": "a file",
    "tool_call": "a step of a tool",
}
_TEXTS = ("text", "input_text", "output_text")


class _Value(msgspec.Struct, frozen=True):
    value: str = ""


class Part(msgspec.Struct, frozen=True):
    """One part of a message's content."""

    type: str = "text"
    text: str | _Value | None = None
    """A string, or as in the form of threads an object with a value."""
    refusal: str | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """A message of the form, or of a thread."""

    role: str
    content: str | list[Part] | None = None
    created_at: float | str | None = None
    id: str | None = None


class _Conversation(msgspec.Struct, frozen=True):
    messages: list[ChatMessage]
    title: str | None = None
    conversation: str | None = None
    """Ours: several lists of the same conversation are its branches."""


def group_of(data: bytes) -> str:
    """What several lists that are branches of one conversation have in common; "" for one that stands alone."""
    return decode(data, _Conversation).conversation or ""


def draft_of(branches: Sequence[bytes]) -> Draft:
    """The draft of a conversation, from its branches; the first one is shown. Raises RefusedError."""
    nodes: dict[str, Node] = {}
    shown: str | None = None
    title = ""
    for data in branches:
        found = decode(data, _Conversation)
        title = title or found.title or ""
        above: str | None = None
        for message in found.messages:
            above = _add(nodes, above, message)
        shown = shown or above
    return Draft(
        list(nodes.values()), "openai " + hashlib.sha256(b"\n".join(branches)).hexdigest(), title=title, leaf=shown
    )


def draft_of_list(messages: Sequence[ChatMessage], source: bytes) -> Draft:
    """The draft of a bare list of messages."""
    nodes: dict[str, Node] = {}
    above: str | None = None
    for message in messages:
        above = _add(nodes, above, message)
    return Draft(list(nodes.values()), "openai " + hashlib.sha256(source).hexdigest(), leaf=above)


def _add(nodes: dict[str, Node], above: str | None, message: ChatMessage) -> str:
    """Add a message below `above`, unless an earlier branch has it; its key."""
    words, not_text = words_of(message)
    role = "system" if message.role == "developer" else message.role
    digest = hashlib.sha256(f"{above}\0{role}\0{words}".encode("utf-8", "replace")).hexdigest()
    if digest not in nodes:
        if len(nodes) >= MESSAGE_LIMIT:
            raise RefusedError(f"it has more than {MESSAGE_LIMIT:,} messages")
        nodes[digest] = Node(digest, above, role, words, unix_time(message.created_at), not_text=not_text)
    return digest


def words_of(message: ChatMessage) -> tuple[str, int]:
    """The words of a message, and how many parts of it are none."""
    if isinstance(message.content, str):
        return message.content, 0
    parts, not_text = [], 0
    for part in message.content or []:
        text = part.text.value if isinstance(part.text, _Value) else part.text or part.refusal
        if text and (part.type in _TEXTS or part.type == "refusal"):
            parts.append(text)
        elif text and part.type == "reasoning":
            parts.append(f"<think>\n{text.strip()}\n</think>")
        elif part.type not in _TEXTS:
            parts.append(placeholder(_KINDS.get(part.type, "something")))
            not_text += 1
    return text_of(*parts), not_text
