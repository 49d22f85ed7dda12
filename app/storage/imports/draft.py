"""What the readers of other programs' files make, and how it becomes a conversation of ours."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.core.conversation import (
    UNTITLED,
    Conversation,
    ConversationId,
    ConversationTree,
    Message,
    MessageId,
    Role,
    title_from,
)
from app.core.turn import FinishReason
from app.storage.archive_format import MESSAGE_LIMIT, MESSAGE_TEXT_LIMIT, ImportedConversation, RefusedError
from app.storage.conversations import TITLE_LIMIT
from app.storage.records import storable

MODEL_LIMIT: Final = 200
_STEP: Final = 1e-3
"""Seconds between messages without a time, so that variants keep their order."""


@dataclass(frozen=True, slots=True)
class Node:
    """One message as the other program has it."""

    key: str
    parent: str | None
    """None, or a key that is not there, at a beginning."""
    role: str
    """user, assistant or system; others are left out, and what answers them goes on after the one before."""
    text: str
    created: float | None = None
    model: str | None = None
    not_text: int = 0
    """How many parts of it are named in a placeholder, as they are no text."""
    finish_reason: FinishReason = "stop"
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A conversation as the other program has it."""

    nodes: Sequence[Node]
    source: str
    """What stays the same when it is exported again, so that it is known as the same here."""
    title: str = ""
    system_prompt: str = ""
    leaf: str | None = None
    created: float | None = None
    updated: float | None = None
    remarks: tuple[str, ...] = ()
    """What else was not taken, in sentences."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A conversation that can be stored, and what of it could not be taken, in sentences."""

    imported: ImportedConversation
    remarks: tuple[str, ...] = ()


def placeholder(what: str, name: str = "") -> str:
    """What stands in a message for a part that is no text."""
    named = f" “{' '.join(name.split())[:100]}”" if name.strip() else ""
    return f"[Here was {what}{named}; only text was imported.]"


def text_of(*parts: str) -> str:
    """The parts that have words, as paragraphs."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def conversation_of(draft: Draft) -> Taken:
    """The conversation of a draft, all branches kept; raises RefusedError.

    Two messages of one role that follow each other without a fork, as with tool calls, become one.
    """
    if len(draft.nodes) > MESSAGE_LIMIT:
        raise RefusedError(f"it has more than {MESSAGE_LIMIT:,} messages")
    return _Builder(draft).built()


class _Builder:
    """Brings the nodes into order, parents first, and makes messages of those that have words."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._identity = _id(draft.source)
        self._started = draft.created if draft.created is not None else time.time()
        self._texts: dict[str, list[str]] = {}
        self._made: dict[str, Message] = {}
        self._place: dict[str, str | None] = {}
        """Under which kept node each node's answers stand."""
        self._straight: set[str] = set()
        """The nodes between which and the kept one above nothing forks."""
        self._instructions: list[str] = [draft.system_prompt] if draft.system_prompt.strip() else []
        self._left_out = 0

    def built(self) -> Taken:
        """The conversation; raises RefusedError."""
        draft = self._draft
        ordered, children = _ordered(draft.nodes)
        for node in ordered:
            self._take(node, children)
        if not self._made:
            raise RefusedError("it has no message with words")
        messages = {
            message.id: replace(message, text=storable(text_of(*self._texts[key])))
            for key, message in self._made.items()
        }
        if any(len(message.text) > MESSAGE_TEXT_LIMIT for message in messages.values()):
            raise RefusedError(f"one of its messages is longer than {MESSAGE_TEXT_LIMIT:,} characters")
        shown = self._place.get(draft.leaf) if draft.leaf is not None else None
        leaf = self._made[shown or next(reversed(self._made))].id
        first = next((m.text for m in messages.values() if m.role == "user"), "")
        title = storable(" ".join(draft.title.split()))[:TITLE_LIMIT] or title_from(storable(first)) or UNTITLED
        last = max(message.created for message in messages.values())
        conversation = Conversation(
            self._identity,
            title=title,
            system_prompt=storable(text_of(*self._instructions)),
            created=self._started,
            updated=draft.updated if draft.updated is not None else last,
            leaf=leaf,
        )
        return Taken(ImportedConversation(ConversationTree(conversation, messages), {}, None), self._remarks())

    def _take(self, node: Node, children: dict[str | None, list[Node]]) -> None:
        above = None if node.parent is None else self._place.get(node.parent)
        self._place[node.key] = above
        goes_on = above is not None and (node.parent == above or node.parent in self._straight)
        if goes_on and len(children[node.parent]) == 1:
            self._straight.add(node.key)
        if node.role == "system" and above is None and node.text.strip():
            if node.text not in self._instructions:
                self._instructions.append(node.text)
            return
        role: Role
        if node.role == "user":
            role = "user"
        elif node.role == "assistant":
            role = "assistant"
        else:
            self._left_out += bool(node.text.strip())
            return
        if not node.text.strip() and not node.error:
            return
        if above is not None and self._made[above].role == role and node.key in self._straight:
            self._texts[above].append(node.text)
            if role == "assistant":  # the last part tells how it ended
                self._made[above] = replace(self._made[above], finish_reason=node.finish_reason)
            return
        message = Message(
            id=MessageId(_id(self._identity + node.key)),
            conversation=self._identity,
            parent=None if above is None else self._made[above].id,
            role=role,
            text="",
            created=node.created if node.created is not None else self._started + _STEP * len(self._place),
            model=storable(node.model)[:MODEL_LIMIT] if node.model and role == "assistant" else None,
            finish_reason=node.finish_reason if role == "assistant" else None,
            error=storable(node.error) if node.error and role == "assistant" else None,
        )
        self._made[node.key] = message
        self._texts[node.key] = [node.text]
        self._place[node.key] = node.key

    def _remarks(self) -> tuple[str, ...]:
        not_text = sum(node.not_text for node in self._draft.nodes)
        told = list(self._draft.remarks)
        if not_text:
            told.append(f"Parts that are no text are named where they stood ({not_text}).")
        if self._left_out:
            told.append(f"Steps of tools and hidden instructions were left out ({self._left_out}).")
        return tuple(told)


def _ordered(nodes: Sequence[Node]) -> tuple[list[Node], dict[str | None, list[Node]]]:
    """The nodes, parents before children, and the children of each; RefusedError for a cycle or a key twice."""
    known = {node.key for node in nodes}
    if len(known) != len(nodes):
        raise RefusedError("it holds the same message twice")
    children: dict[str | None, list[Node]] = {}
    for node in nodes:
        children.setdefault(node.parent if node.parent in known else None, []).append(node)
    ordered: list[Node] = []
    todo = list(reversed(children.get(None, [])))
    while todo:
        node = todo.pop()
        ordered.append(node)
        todo += reversed(children.get(node.key, []))
    if len(ordered) != len(nodes):
        raise RefusedError("its messages go round in a circle")
    return ordered, children


def _id(source: str) -> ConversationId:
    """An id that is the same whenever the same thing is imported."""
    return ConversationId(hashlib.sha256(storable(source).encode()).hexdigest()[:32])
