"""Conversations made for tests."""

import hashlib
import zlib
from pathlib import Path
from typing import Any

from app.core.conversation import (
    Conversation,
    ConversationId,
    ConversationTree,
    Message,
    MessageId,
    Role,
    messages_by_id,
)
from app.core.sampling import SamplerSettings
from app.core.turn import KvFigures, Reread, TokenCounts, TurnFigures, TurnSeconds
from app.storage.archive_state import OutgoingFile
from app.storage.conversations import ConversationStore
from app.storage.database import Database

CHAT = ConversationId("c" * 32)
FIGURES = TurnFigures(
    TokenCounts(prompt=30, reused_memory=10, reused_saved=5, evaluated=15, generated=7),
    TurnSeconds(0.01, 0.2, 0.3, 1.5),
    tokens_per_second=41.5,
    kv=KvFigures(bytes_written=2**40, bytes_per_token=23040),
    reread=Reread(at_token=15, reason="The system prompt was changed."),
)


def message_id(number: int) -> MessageId:
    """The id of the message with that number."""
    return MessageId(f"{number:032x}")


def message(number: int, parent: int | None, role: Role = "user", text: str = "", **rest: Any) -> Message:
    """A message of CHAT, numbered; a reply has ended unless told otherwise."""
    if role == "assistant":
        rest = {"finish_reason": "stop", "model": "SmolLM2"} | rest
    above = None if parent is None else message_id(parent)
    words = text or f"{role} {number}"
    return Message(message_id(number), CHAT, above, role, words, created=100.0 + number, **rest)


def forked_tree() -> ConversationTree:
    """A conversation with a question, two replies, an edited question, and everything else that is kept."""
    messages = [
        message(1, None, text="Why did Roman roads last?"),
        message(2, 1, "assistant", "They had *layers*.", figures=FIGURES),
        message(3, 1, "assistant", "<think>hm</think>Deep foundations.\0 🛣 ¿qué?", finish_reason="length"),
        message(4, 3, text="Which ones remain?"),
        message(5, 4, "assistant", "", finish_reason="failed", error="The engine ended unexpectedly."),
        message(6, None, text="Why did Roman bridges last?"),
    ]
    conversation = Conversation(
        CHAT,
        title="Roman roads",
        system_prompt="Be brief.",
        created=50.0,
        updated=200.5,
        leaf=message_id(5),
        sampler=SamplerSettings(temperature=0.0, top_k=7, seed=11),
        draft="And the Via App",
    )
    return ConversationTree(conversation, messages_by_id(messages))


def put(store: ConversationStore, tree: ConversationTree) -> None:
    """Keep a tree in the store."""
    store.insert_tree(tree, {})


def set_raw(database: Database, sql: str) -> None:
    """Run any SQL, to damage what the store wrote."""
    with database.transaction():
        database.write(sql)


def outgoing(path: Path) -> OutgoingFile:
    """A file of state in a staging folder with its sums, as the engine tells them."""
    data = path.read_bytes()
    return OutgoingFile(path, len(data), hashlib.sha256(data).hexdigest(), zlib.crc32(data))
