"""ChatGPT's conversations.json: a list of conversations, each a tree of nodes in `mapping`."""

import msgspec

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
    thoughts: list[_Thought] | None = None


class _Author(msgspec.Struct, frozen=True):
    role: str | None = None


class _Attachment(msgspec.Struct, frozen=True):
    name: str | None = None
    mime_type: str | None = None


class _Metadata(msgspec.Struct, frozen=True):
    model_slug: str | None = None
    is_visually_hidden_from_conversation: bool | None = None
    attachments: list[_Attachment] | None = None


class _Message(msgspec.Struct, frozen=True):
    author: _Author = _Author()
    create_time: _TIME = None
    content: _Content | None = None
    recipient: str | None = None
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
    role = message.author.role or ""
    if role == "tool" and not_text:
        role = "assistant"  # an image that was drawn
    elif metadata.is_visually_hidden_from_conversation or message.recipient not in (None, "all"):
        role = "hidden"
    for attachment in metadata.attachments or []:
        is_image = not_text and (attachment.mime_type or "").startswith("image/")
        if not is_image:  # an image has its own part
            text, not_text = text_of(text, placeholder("a file", attachment.name or "")), not_text + 1
    return Node(key, node.parent, role, text, unix_time(message.create_time), metadata.model_slug, not_text)


def _text(content: _Content) -> tuple[str, int]:
    """The words of a message, and how many parts of it are none."""
    if content.thoughts:
        told = [text_of(thought.summary or "", thought.content or "") for thought in content.thoughts]
        return (f"<think>\n{text_of(*told)}\n</think>" if any(told) else ""), 0
    if content.parts is None:
        words = content.text or ""
        if content.content_type == "code" and words.strip():
            language = "" if content.language in (None, "unknown") else content.language
            words = f"```{language}\n{words}\n```"
        return words, 0
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
