"""LM Studio's *.conversation.json: a list of messages, each with versions; a version may have several steps."""

import hashlib

import msgspec

from app.core.ledger import REASONING_END, REASONING_START
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of


class _Part(msgspec.Struct, frozen=True):
    type: str = "text"
    text: str | None = None
    name: str | None = None
    fileType: str | None = None


class _Style(msgspec.Struct, frozen=True):
    type: str = ""


class _Step(msgspec.Struct, frozen=True):
    type: str = ""
    content: list[_Part] | None = None
    style: _Style | None = None


class _Sender(msgspec.Struct, frozen=True):
    senderName: str | None = None


class _Version(msgspec.Struct, frozen=True):
    role: str = ""
    content: list[_Part] | None = None
    steps: list[_Step] | None = None
    senderInfo: _Sender | None = None


class _Message(msgspec.Struct, frozen=True):
    versions: list[_Version]
    currentlySelected: int = 0


class _Conversation(msgspec.Struct, frozen=True):
    messages: list[_Message]
    name: str | None = None
    createdAt: float | str | None = None
    userLastMessagedAt: float | str | None = None
    systemPrompt: str | None = None


def draft_of(data: bytes) -> Draft:
    """The draft of one conversation; what follows a message follows the version that is shown of it."""
    found = decode(data, _Conversation)
    nodes: list[Node] = []
    above: str | None = None
    for at, message in enumerate(found.messages):
        shown = message.currentlySelected if 0 <= message.currentlySelected < len(message.versions) else 0
        nodes += [_node(f"{at}.{number}", above, version) for number, version in enumerate(message.versions)]
        if message.versions:
            above = f"{at}.{shown}"
    return Draft(
        nodes,
        source=f"lm studio {found.createdAt or hashlib.sha256(data).hexdigest()}",
        title=found.name or "",
        system_prompt=found.systemPrompt or "",
        leaf=above,
        created=unix_time(found.createdAt),
        updated=unix_time(found.userLastMessagedAt),
    )


def _node(key: str, above: str | None, version: _Version) -> Node:
    parts, not_text = _words(version.content)
    for step in version.steps or []:
        if step.type != "contentBlock":
            continue
        words, more = _words(step.content)
        not_text += more
        thinks = step.style is not None and step.style.type == "thinking"
        if thinks and words.strip():
            words = f"{REASONING_START}\n{words.strip()}\n{REASONING_END}"
        parts = text_of(parts, words)
    sender = version.senderInfo.senderName if version.senderInfo else None
    return Node(key, above, version.role, parts, None, sender, not_text)


def _words(content: list[_Part] | None) -> tuple[str, int]:
    parts, not_text = [], 0
    for part in content or []:
        if part.type == "text":
            parts.append(part.text or "")
        elif part.type == "file":
            parts.append(placeholder("an image" if part.fileType == "image" else "a file", part.name or ""))
            not_text += 1
    return text_of(*parts), not_text
