"""Rows of conversations and messages into the database; a whole conversation there at once, or not at all."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final

from app.core.conversation import UNTITLED, Conversation, ConversationId, ConversationTree, Message
from app.storage.database import Database
from app.storage.records import TokenIds, conversation_values, message_values

PIECE: Final = 32 * 1024
"""Characters of a large conversation that are stored at once: some 10 ms with their index."""
BETWEEN_PIECES: Final = 0.001
"""Seconds."""

_ADD_CONVERSATION: Final = """
INSERT INTO conversations
    (title_by_person, deleted_at, id, title, system_prompt, created, updated, leaf, model_path, sampler, draft)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_MESSAGE: Final = """
INSERT INTO messages (id, conversation, parent, role, text, created, model, finish_reason, figures, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# A message may have gone with its conversation while the engine still answered; then nothing is stored.
STORE_IDS: Final = """
INSERT INTO message_tokens (message, tokenizer, ids) SELECT ?1, ?2, ?3 WHERE EXISTS
    (SELECT 1 FROM messages WHERE id = ?1)
ON CONFLICT (message, tokenizer) DO UPDATE SET ids = excluded.ids
"""


def add_conversation(
    database: Database, conversation: Conversation, *, title_by_person: bool, deleted_at: float | None = None
) -> None:
    """Add the row of a conversation, in the open transaction."""
    database.write(_ADD_CONVERSATION, (title_by_person, deleted_at, *conversation_values(conversation)))


def remove_conversation(database: Database, conversation: ConversationId) -> None:
    """Remove a conversation for good, with its messages."""
    with database.transaction():
        database.write("DELETE FROM conversations WHERE id = ?", (conversation,))


def insert_tree(
    database: Database, tree: ConversationTree, token_ids: TokenIds, now: float, created: Callable[[], None]
) -> None:
    """Add a whole conversation; `created` is called in the transaction that makes it seen.

    What is large is written in pieces, so that others need not wait for all of it: as a conversation that was deleted
    `now` (Unix time), which the last piece brings back. What a killed process leaves of one is purged as any that was
    deleted.
    """
    pieces = list(_pieces(tree.messages.values()))
    if len(pieces) > 1:
        _insert_in_pieces(database, tree.conversation, pieces, token_ids, now, created)
        return
    with database.transaction():
        _insert_imported(database, tree.conversation)
        for piece in pieces:
            _insert_piece(database, piece, token_ids)
        created()


def _insert_in_pieces(
    database: Database,
    conversation: Conversation,
    pieces: Iterable[Sequence[Message]],
    token_ids: TokenIds,
    now: float,
    created: Callable[[], None],
) -> None:
    """Each piece in a transaction of its own; where one fails, what was added goes again."""
    with ExitStack() as undo:
        with database.transaction():
            _insert_imported(database, conversation, deleted_at=now)
        undo.callback(remove_conversation, database, conversation.id)
        for piece in pieces:
            _insert_piece(database, piece, token_ids)
            time.sleep(BETWEEN_PIECES)  # else this thread has the lock again before another one wakes up
        with database.transaction():
            database.write("UPDATE conversations SET deleted_at = NULL WHERE id = ?", (conversation.id,))
            created()
        undo.pop_all()


def _insert_imported(database: Database, conversation: Conversation, deleted_at: float | None = None) -> None:
    """Add the row of a conversation whose title, where it has one, is nobody's first words."""
    add_conversation(database, conversation, title_by_person=conversation.title != UNTITLED, deleted_at=deleted_at)


def _insert_piece(database: Database, messages: Sequence[Message], token_ids: TokenIds) -> None:
    """Add messages and their token ids in one transaction."""
    with database.transaction():
        database.write_many(ADD_MESSAGE, map(message_values, messages))
        database.write_many(
            STORE_IDS,
            (
                (message.id, tokenizer, ids[message.id])
                for tokenizer, ids in token_ids.items()
                for message in messages
                if message.id in ids
            ),
        )


def _pieces(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages in their order, in pieces that are full once they hold PIECE characters."""
    piece: list[Message] = []
    size = 0
    for message in messages:
        piece.append(message)
        size += len(message.text)
        if size >= PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
