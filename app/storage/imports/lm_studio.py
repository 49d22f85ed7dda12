"""LM Studio's *.conversation.json: a list of messages, each with versions; a version may have several steps."""

import hashlib

import msgspec

from app.core.reasoning_marks import REASONING_END, REASONING_START
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of

_SYSTEM_PROMPT = "llm.prediction.systemPrompt"
_MILLISECOND_DIGITS = 13
"""Of a time in milliseconds, from 2001 to 2286."""


class _Part(msgspec.Struct, frozen=True):
    type: str = "text"
    text: str | None = None
    name: str | None = None
    fileType: str | None = None


_THOUGHT_CHANNEL = "<|channel|>analysis"
"""Begins a step in which gpt-oss thinks."""


class _Style(msgspec.Struct, frozen=True):
    type: str = ""


class _Generation(msgspec.Struct, frozen=True):
    identifier: str | None = None


class _Step(msgspec.Struct, frozen=True):
    type: str = ""
    content: list[_Part] | None = None
    style: _Style | None = None
    prefix: str | None = None
    genInfo: _Generation | None = None
    stepIdentifier: str | None = None
    """When it began, in milliseconds since 1970, and a number behind a hyphen."""


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


class _Field(msgspec.Struct, frozen=True):
    key: str = ""
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Settings(msgspec.Struct, frozen=True):
    fields: list[_Field] | None = None


class _Conversation(msgspec.Struct, frozen=True):
    messages: list[_Message]
    name: str | None = None
    createdAt: float | str | None = None
    userLastMessagedAt: float | str | None = None
    systemPrompt: str | None = None
    perChatPredictionConfig: _Settings | None = None


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
        system_prompt=found.systemPrompt or _system_prompt(found.perChatPredictionConfig),
        leaf=above,
        created=unix_time(found.createdAt),
        updated=unix_time(found.userLastMessagedAt),
    )


def _system_prompt(settings: _Settings | None) -> str:
    """The chat's own system prompt, which stands among its settings."""
    for field in (settings.fields if settings is not None else None) or []:
        if field.key == _SYSTEM_PROMPT and isinstance(field.value, msgspec.Raw) and bytes(field.value)[:1] == b'"':
            return decode(field.value, str)
    return ""


def _node(key: str, above: str | None, version: _Version) -> Node:
    parts, not_text = _words(version.content)
    model = version.senderInfo.senderName if version.senderInfo else None
    created = None
    for step in version.steps or []:
        if step.type != "contentBlock":
            continue
        words, more = _words(step.content)
        not_text += more
        thinks = (step.style is not None and step.style.type == "thinking") or _THOUGHT_CHANNEL in (step.prefix or "")
        if thinks and words.strip():
            words = f"{REASONING_START}\n{words.strip()}\n{REASONING_END}"
        parts = text_of(parts, words)
        model = model or (step.genInfo.identifier if step.genInfo else None)
        created = created or _began(step.stepIdentifier or "")
    return Node(key, above, version.role, parts, created, model, not_text)


def _began(identifier: str) -> float | None:
    """The Unix time in a step's identifier."""
    digits = identifier.partition("-")[0]
    return unix_time(float(digits)) if digits.isdecimal() and len(digits) == _MILLISECOND_DIGITS else None


def _words(content: list[_Part] | None) -> tuple[str, int]:
    parts, not_text = [], 0
    for part in content or []:
        if part.type == "text":
            parts.append(part.text or "")
        elif part.type == "file":
            parts.append(placeholder("an image" if part.fileType == "image" else "a file", part.name or ""))
            not_text += 1
        elif part.type == "toolCallRequest":
            parts.append(placeholder("a step of a tool"))
            not_text += 1
    return text_of(*parts), not_text
