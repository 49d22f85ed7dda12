"""A conversation: a tree of messages, of which one path from the root to a leaf is shown."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NewType

from app.core.sampling import SamplerSettings
from app.core.turn import FinishReason, TurnFigures

ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
Role = Literal["user", "assistant"]

CUT: Final[tuple[FinishReason, ...]] = ("length", "cancelled", "failed")
"""How a reply ended that did not come to its own end."""
UNTITLED = "New chat"
TITLE_LENGTH = 60


def new_conversation_id() -> ConversationId:
    """A fresh random id (32 hexadecimal digits)."""
    return ConversationId(uuid.uuid4().hex)


def new_message_id() -> MessageId:
    """A fresh random id (32 hexadecimal digits)."""
    return MessageId(uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the tree; a reply that still streams has no finish reason."""

    id: MessageId
    conversation: ConversationId
    parent: MessageId | None
    role: Role
    text: str
    created: float = field(default_factory=time.time)
    """Unix time in seconds."""
    model: str | None = None
    """The name of the model that wrote a reply, as shown."""
    finish_reason: FinishReason | None = None
    figures: TurnFigures | None = None
    error: str | None = None
    """Why a reply broke off, as a sentence; its text is what had come by then."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is kept of a conversation beside its messages."""

    id: ConversationId
    title: str = UNTITLED
    system_prompt: str = ""
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    leaf: MessageId | None = None
    """The last message of the path that is shown."""
    model_path: str | None = None
    """The GGUF file last used here; None for the one that is loaded."""
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    draft: str = ""
    """What was typed and not sent."""


@dataclass(frozen=True, slots=True)
class ConversationTree:
    """A conversation with all its messages, keyed by id, parents before children."""

    conversation: Conversation
    messages: Mapping[MessageId, Message]

    def path(self, leaf: MessageId | None = None) -> list[Message]:
        """The messages from the root to `leaf` (default: the conversation's leaf)."""
        return path_to(self.messages, leaf or self.conversation.leaf)

    def with_message(self, message: Message) -> "ConversationTree":
        """The same tree with a message added, or in place of its older state, and shown as the leaf."""
        return replace(self.with_state(message), conversation=replace(self.conversation, leaf=message.id))

    def with_state(self, message: Message) -> "ConversationTree":
        """The same tree with a message in place of its older state; what is shown stays."""
        return ConversationTree(self.conversation, {**self.messages, message.id: message})

    def children(self) -> dict[MessageId | None, list[Message]]:
        """The messages by their parent, the variants of one place together, oldest first."""
        found: dict[MessageId | None, list[Message]] = {}
        for message in self.messages.values():
            found.setdefault(message.parent, []).append(message)
        for variants in found.values():
            variants.sort(key=lambda m: (m.created, m.id))
        return found

    def siblings(self, message: MessageId) -> list[Message]:
        """The variants of one message, itself included, oldest first."""
        return self.children()[self.messages[message].parent]

    def newest_leaf(self, message: MessageId) -> MessageId:
        """The leaf reached from `message` by always taking the newest child."""
        children = self.children()
        seen = {message}
        while (variants := children.get(message)) is not None and variants[-1].id not in seen:
            message = variants[-1].id
            seen.add(message)
        return message

    def goes_on_after(self, message: MessageId) -> bool:
        """Whether the chat went on below a message; a reply that never came does not count."""
        children, todo = self.children(), [message]
        while todo:
            below = children.get(todo.pop(), [])
            if any(each.role == "assistant" and (each.text or each.finish_reason != "failed") for each in below):
                return True
            todo += [each.id for each in below]
        return False


def was_cut(message: Message) -> bool:
    """Whether a reply has words and did not come to its own end, so that it can be gone on with."""
    return message.role == "assistant" and bool(message.text.strip()) and message.finish_reason in CUT


def path_to(messages: Mapping[MessageId, Message], leaf: MessageId | None) -> list[Message]:
    """The messages from the root to `leaf`, oldest first; a cycle or a missing parent ends it."""
    path: list[Message] = []
    seen: set[MessageId] = set()
    while leaf is not None and leaf in messages and leaf not in seen:
        seen.add(leaf)
        path.append(messages[leaf])
        leaf = messages[leaf].parent
    return path[::-1]


def title_from(text: str) -> str:
    """A title made of the first words a person typed: one line, at most 60 characters."""
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line or UNTITLED
    cut = line[: TITLE_LENGTH - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > TITLE_LENGTH // 2 else cut) + "…"


def messages_by_id(messages: Iterable[Message]) -> dict[MessageId, Message]:
    """The same messages, keyed by id, in their order."""
    return {message.id: message for message in messages}
