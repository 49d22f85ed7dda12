"""ChatGPT's conversations.json: a list of conversations, each a tree of nodes in `mapping`."""

import re
from typing import Final

import msgspec

from app.core.turn import FinishReason
from app.storage.archive_format import RefusedError
from app.storage.imports.bounds import decode, unix_time
from app.storage.imports.draft import Draft, Node, placeholder, text_of

_TIME = float | str | None
_ASSETS = {
    "image_asset_pointer": "an image",
    "audio_asset_pointer": "a recording",
    "real_time_user_audio_video_asset_pointer": "a recording",
    "video_container_asset_pointer": "a video",
}

_INSTRUCTIONS: Final = ("user_editable_context", "model_editable_context")
"""Kinds of content that nobody said in the chat: custom instructions, and what the program remembers of a person."""
_ENDS: Final[dict[str, FinishReason]] = {"interrupted": "cancelled", "max_tokens": "length"}
_MARK: Final = re.compile("\ue200[^\ue200\ue201]*\ue201")
"""A reference to a source, in characters that only ChatGPT shows."""


class _Asset(msgspec.Struct, frozen=True):
    content_type: str | None = None
    text: str | None = None


class _Thought(msgspec.Struct, frozen=True):
    summary: str | None = None
    content: str | None = None


class _Content(msgspec.Struct, frozen=True):
    content_type: str = "text"
    parts: list[str | _Asset | None] | None = None
    text: str | None = None
    language: str | None = None
    user_profile: str | None = None
    user_instructions: str | None = None
    thoughts: list[_Thought] | None = None


class _Author(msgspec.Struct, frozen=True):
    role: str | None = None


class _Attachment(msgspec.Struct, frozen=True):
    name: str | None = None
    mime_type: str | None = None


class _Reference(msgspec.Struct, frozen=True):
    matched_text: str | None = None
    alt: str | None = None


class _Finish(msgspec.Struct, frozen=True):
    type: str | None = None


class _Metadata(msgspec.Struct, frozen=True):
    model_slug: str | None = None
    is_visually_hidden_from_conversation: bool | None = None
    attachments: list[_Attachment] | None = None
    content_references: list[_Reference] | None = None
    finish_details: _Finish | None = None


class _Message(msgspec.Struct, frozen=True):
    author: _Author = _Author()
    create_time: _TIME = None
    content: _Content | None = None
    recipient: str | None = None
    channel: str | None = None
    metadata: _Metadata | None = None


class _Node(msgspec.Struct, frozen=True):
    message: _Message | None = None
    parent: str | None = None


class _Conversation(msgspec.Struct, frozen=True):
    mapping: dict[str, _Node]
    title: str | None = None
    create_time: _TIME = None
    update_time: _TIME = None
    current_node: str | None = None
    conversation_id: str | None = None
    id: str | None = None


def draft_of(data: bytes) -> Draft:
    """The draft of one conversation; raises RefusedError."""
    found = decode(data, _Conversation)
    if not found.mapping:
        raise RefusedError("it has no message with words")
    nodes = [_node(key, node) for key, node in found.mapping.items()]
    return Draft(
        nodes,
        source="chatgpt " + (found.conversation_id or found.id or next(iter(found.mapping))),
        title=found.title or "",
        leaf=found.current_node,
        created=unix_time(found.create_time),
        updated=unix_time(found.update_time),
    )


def _node(key: str, node: _Node) -> Node:
    message = node.message
    if message is None or message.content is None:
        return Node(key, node.parent, "", "")
    metadata = message.metadata or _Metadata()
    text, not_text = _text(message.content)
    text = _without_marks(text, metadata)
    if message.channel == "analysis" and text.strip() and not message.content.thoughts:
        text = _thought(text)
    role = message.author.role or ""
    if role == "tool" and not_text:
        role = "assistant"  # an image that was drawn
    elif (
        metadata.is_visually_hidden_from_conversation
        or message.recipient not in (None, "all")
        or message.content.content_type in _INSTRUCTIONS
    ):
        role = "hidden"
    for attachment in metadata.attachments or []:
        is_image = not_text and (attachment.mime_type or "").startswith("image/")
        if not is_image:  # an image has its own part
            text, not_text = text_of(text, placeholder("a file", attachment.name or "")), not_text + 1
    ended = metadata.finish_details.type if metadata.finish_details is not None else None
    return Node(
        key,
        node.parent,
        role,
        text,
        unix_time(message.create_time),
        metadata.model_slug,
        not_text,
        finish_reason=_ENDS.get(ended or "", "stop"),
    )


def _thought(text: str) -> str:
    return f"<think>\n{text}\n</think>"


def _without_marks(text: str, metadata: _Metadata) -> str:
    """The text with what ChatGPT shows in the place of its references, such as a link; nothing where it tells none."""
    if "\ue200" not in text:
        return text
    shown = {each.matched_text: each.alt or "" for each in metadata.content_references or []}
    return _MARK.sub(lambda mark: shown.get(mark[0], ""), text)


def _code(words: str, language: str | None) -> str:
    """Code as Markdown marks it, in a fence that is longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", words)), default=0))
    return f"{fence}{'' if language in (None, 'unknown') else language}\n{words}\n{fence}" if words.strip() else ""


def _text(content: _Content) -> tuple[str, int]:
    """The words of a message, and how many parts of it are none."""
    if content.thoughts:
        told = [text_of(thought.summary or "", thought.content or "") for thought in content.thoughts]
        return (_thought(text_of(*told)) if any(told) else ""), 0
    if content.content_type == "code":
        said = [part for part in content.parts or [] if isinstance(part, str)]
        return _code(content.text or "\n".join(said), content.language), 0
    if content.parts is None:
        return content.text or text_of(content.user_profile or "", content.user_instructions or ""), 0
    parts: list[str] = []
    not_text = 0
    for part in content.parts:
        if isinstance(part, str):
            parts.append(part)
        elif part is not None and part.text and part.text.strip():
            parts.append(part.text)
        elif part is not None:
            parts.append(placeholder(_ASSETS.get(part.content_type or "", "something")))
            not_text += 1
    return text_of(*parts), not_text
