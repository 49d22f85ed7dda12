"""The conversations: the only place that reads and writes them in the database."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from app.core.conversation import (
    UNTITLED,
    Conversation,
    ConversationId,
    ConversationTree,
    Message,
    MessageId,
)
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.core.turn import FinishReason, TurnFigures
from app.storage import search
from app.storage.database import Database, Value
from app.storage.records import (
    ConversationSummary,
    PathMessage,
    SearchHit,
    TokenIds,
    conversation_of,
    message_values,
    messages_of,
    pack_ids,
    path_message_of,
    storable,
    summary_of,
    to_json,
    unpack_ids,
)
from app.storage.tree_insertion import ADD_MESSAGE, STORE_IDS, add_conversation, insert_tree, remove_conversation

_log = logging.getLogger(__name__)

ChangeKind = Literal[
    "created", "title", "system_prompt", "leaf", "draft", "model", "sampler",
    "message", "reply", "deleted", "restored", "purged",
]  # fmt: skip
"""What became different; "reply" is a reply whose text grew or that ended."""
Observer = Callable[[ChangeKind, ConversationId], None]

TITLE_LIMIT: Final = 200
INTERRUPTED: Final = "Ember was closed while this reply was being written; what had come by then is kept."

_SUMMARIES: Final = """
SELECT c.id, c.title, c.created, c.updated, coalesce(m.number, 0) AS messages
FROM conversations c
LEFT JOIN (SELECT conversation, count(*) AS number FROM messages GROUP BY conversation) m
    ON m.conversation = c.id
WHERE c.deleted_at IS NULL ORDER BY c.updated DESC, c.number DESC
"""
_SUMMARIES_UNCOUNTED: Final = """
SELECT id, title, created, updated, 0 AS messages FROM conversations
WHERE deleted_at IS NULL ORDER BY updated DESC, number DESC
"""
# As `messages_of` reads them: a parent stands before its child, so there are no cycles.
_PATH: Final = """
WITH RECURSIVE path (position, parent, id, role, text) AS (
    SELECT position, parent, id, role, text FROM messages WHERE conversation = ?1 AND id = ?2
    UNION ALL
    SELECT m.position, m.parent, m.id, m.role, m.text FROM path JOIN messages m ON m.id = path.parent
    WHERE m.conversation = ?1 AND m.position < path.position
)
SELECT id, role, text FROM path ORDER BY position
"""


class ConversationStore:
    """Conversations as trees of messages; each method is one transaction, or a part of the open one.

    Methods that take a conversation's id raise EmberError of kind "no_conversation" if it does not exist or
    is deleted.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Use the tables of `database`; `clock` gives Unix time in seconds."""
        self.database = database
        self.on_change: list[Observer] = []
        """Called after each commit, in the thread that wrote, with what changed and where."""
        self._clock = clock

    # --- reading ---------------------------------------------------------------------------------------

    def summaries(self, *, counted: bool = True) -> list[ConversationSummary]:
        """All conversations, the most lately used first; counting 200,000 messages is half of the time it takes."""
        return [summary_of(row) for row in self.database.rows(_SUMMARIES if counted else _SUMMARIES_UNCOUNTED)]

    def get(self, conversation: ConversationId) -> Conversation:
        """A conversation without its messages."""
        row = self.database.row("SELECT * FROM conversations WHERE id = ? AND deleted_at IS NULL", (conversation,))
        if row is None:
            raise _no_conversation(conversation)
        return conversation_of(row)

    def tree(self, conversation: ConversationId) -> ConversationTree:
        """A conversation with its messages, parents before children; a lost leaf becomes the last one."""
        found = self.get(conversation)
        rows = self.database.rows("SELECT * FROM messages WHERE conversation = ? ORDER BY position", (conversation,))
        messages = messages_of(rows)
        if found.leaf is not None and found.leaf not in messages:
            _log.warning("Conversation %s shows a message that it does not have", conversation)
            found = replace(found, leaf=next(reversed(messages), None))
        return ConversationTree(found, messages)

    def path(self, conversation: ConversationId, leaf: MessageId) -> list[PathMessage]:
        """The messages from the root to `leaf`, without the rest of the tree; none if there is no such message."""
        return [path_message_of(row) for row in self.database.rows(_PATH, (conversation, leaf))]

    def resolve(self, prefix: str) -> ConversationId:
        """The conversation whose id begins with `prefix`; EmberError "ambiguous_id" for several."""
        wanted = prefix.strip().lower()
        rows = self.database.rows(
            "SELECT id FROM conversations WHERE deleted_at IS NULL AND substr(id, 1, ?) = ? LIMIT 2",
            (len(wanted), storable(wanted)),
        )
        if not wanted or not rows:
            raise _no_conversation(prefix)
        if len(rows) > 1:
            raise EmberError(
                f"More than one conversation has an id that begins with “{wanted}”; give more of it.",
                kind="ambiguous_id",
            )
        return ConversationId(rows[0]["id"])

    def search(self, words: str, limit: int = 50) -> list[SearchHit]:
        """Where all `words` occur in titles and messages; anything may be typed."""
        return search.find(self.database, words, limit)

    # --- conversations ---------------------------------------------------------------------------------

    def create(self, conversation: Conversation) -> None:
        """Add a conversation that has no messages yet."""
        with self.database.transaction():
            add_conversation(self.database, conversation, title_by_person=False)
            self._changed("created", conversation.id)

    def rename(self, conversation: ConversationId, title: str, *, by_person: bool = True) -> None:
        """Give a title, made one line of at most 200 characters; an empty one takes the person's title back.

        A title that was made automatically (`by_person=False`) never replaces one that a person gave.
        """
        line = " ".join(title.split())[:TITLE_LIMIT]
        with self.database.transaction():
            self._require(conversation)
            changed = self.database.write(
                "UPDATE conversations SET title = ?, title_by_person = ? WHERE id = ? AND title_by_person <= ?",
                (storable(line) or UNTITLED, by_person and bool(line), conversation, by_person),
            )
            if changed:
                self._changed("title", conversation)

    def set_system_prompt(self, conversation: ConversationId, text: str) -> None:
        """Replace the system prompt; "" for none."""
        self._set(conversation, "system_prompt", storable(text), "system_prompt")

    def set_leaf(self, conversation: ConversationId, leaf: MessageId | None) -> None:
        """Show the path that ends at `leaf`; EmberError "no_message" if it is not there."""
        with self.database.transaction():
            self._require(conversation)
            if leaf is not None:
                self._require_message(conversation, leaf)
            self._set(conversation, "leaf", leaf, "leaf")

    def set_draft(self, conversation: ConversationId, text: str) -> None:
        """Keep what was typed and not sent."""
        self._set(conversation, "draft", storable(text), "draft")

    def set_model(self, conversation: ConversationId, model_path: str | None) -> None:
        """Keep which GGUF file was used here; None for the one that is loaded."""
        self._set(conversation, "model_path", None if model_path is None else storable(model_path), "model")

    def set_sampler(self, conversation: ConversationId, sampler: SamplerSettings) -> None:
        """Keep the sampler's settings."""
        self._set(conversation, "sampler", to_json(sampler), "sampler")

    def delete(self, conversation: ConversationId) -> None:
        """Take a conversation out of every list; `restore` brings it back until it is purged."""
        self._set(conversation, "deleted_at", self._clock(), "deleted")

    def restore(self, conversation: ConversationId) -> None:
        """Undo `delete`; does nothing if it is not deleted."""
        with self.database.transaction():
            restored = self.database.write(
                "UPDATE conversations SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL",
                (conversation,),
            )
            if restored:
                self._changed("restored", conversation)
            else:
                self._require(conversation)

    def purge_deleted(self, before: float) -> list[ConversationId]:
        """Remove for good what was deleted before that Unix time; the ids that are gone now."""
        with self.database.transaction():
            rows = self.database.rows("SELECT id FROM conversations WHERE deleted_at < ?", (before,))
            gone = [ConversationId(row["id"]) for row in rows]
            for conversation in gone:
                remove_conversation(self.database, conversation)
                self._changed("purged", conversation)
        return gone

    def insert_tree(self, tree: ConversationTree, token_ids: TokenIds) -> None:
        """Add a whole conversation, its messages in their order and its token ids: there at once, or not at all."""
        insert_tree(
            self.database, tree, token_ids, self._clock(), lambda: self._changed("created", tree.conversation.id)
        )

    def knows_any(self, conversation: ConversationId, messages: Iterable[MessageId]) -> bool:
        """Whether that conversation (also a deleted one) or any of those messages is in the database."""
        if self.database.row("SELECT 1 FROM conversations WHERE id = ?", (conversation,)):
            return True
        return self.knows_any_message(messages)

    def knows_any_message(self, messages: Iterable[MessageId]) -> bool:
        """Whether any of those messages is in the database, in whatever conversation."""
        return any(self.database.row("SELECT 1 FROM messages WHERE id = ?", (message,)) for message in messages)

    def reads_as(self, message: Message) -> bool | None:
        """Whether the message that is stored has this place, role and text; None where its conversation has none.

        SQLite compares them, so that a large conversation does not come into memory once more.
        """
        row = self.database.row(
            "SELECT parent IS ? AND role = ? AND text = ? FROM messages WHERE id = ? AND conversation = ?",
            (message.parent, message.role, storable(message.text), message.id, message.conversation),
        )
        return None if row is None else bool(row[0])

    # --- messages --------------------------------------------------------------------------------------

    def add_message(self, message: Message, *, make_leaf: bool = True) -> None:
        """Add a message below its parent, and show it unless told not to.

        Raises EmberError "no_message" if the parent is not a message of the same conversation.
        """
        with self.database.transaction():
            self._require(message.conversation)
            if message.parent is not None:
                self._require_message(message.conversation, message.parent)
            self.database.write(ADD_MESSAGE, message_values(message))
            if make_leaf:
                self.database.write(
                    "UPDATE conversations SET leaf = ? WHERE id = ?", (message.id, message.conversation)
                )
            self._touch(message.conversation)
            self._changed("message", message.conversation)

    def add_messages(self, conversation: ConversationId, messages: Sequence[Message]) -> None:
        """Add messages whose parents are there or stand before them; what is shown stays."""
        with self.database.transaction():
            self._require(conversation)
            self.database.write_many(ADD_MESSAGE, map(message_values, messages))
            self._touch(conversation)
            self._changed("message", conversation)

    def remove_messages(self, conversation: ConversationId, messages: Collection[MessageId]) -> None:
        """Undo `add_messages`; where one of them was shown, what stands above is shown.

        Raises EmberError "in_use" if the conversation has gone on below one of them; then all stay.
        """
        with self.database.transaction():
            tree = self.tree(conversation)
            gone = set(messages)
            if any(each.parent in gone and each.id not in gone for each in tree.messages.values()):
                raise EmberError(
                    f"“{tree.conversation.title}” has gone on from what was added, so all of it stays.", kind="in_use"
                )
            if tree.conversation.leaf in gone:
                kept = [message.id for message in tree.path() if message.id not in gone]
                self._set(conversation, "leaf", kept[-1] if kept else None, "leaf")
            self.database.write_many(
                "INSERT OR IGNORE INTO kv_drops (tip) SELECT tip FROM kv_roots WHERE message = ?",
                ((message,) for message in gone),
            )
            self.database.write_many("DELETE FROM messages WHERE id = ?", ((message,) for message in gone))
            self._changed("message", conversation)

    def update_reply(
        self,
        message: MessageId,
        *,
        text: str,
        finish_reason: FinishReason | None = None,
        figures: TurnFigures | None = None,
        error: str | None = None,
        model: str | None = None,
        tokenizer: str | None = None,
        token_ids: Iterable[int] | None = None,
    ) -> None:
        """Write what a reply is by now: once a second while it streams (no finish reason), and at its end.

        `figures` and `model` stay as they are where None is given. Token ids that belonged to another text
        are forgotten. Works for a deleted conversation too, so that undo brings all of it back. Raises
        EmberError "no_message" if the reply is gone.
        """
        if (tokenizer is None) != (token_ids is None):
            raise ValueError("token ids need the tokenizer they belong to")
        text = storable(text)
        with self.database.transaction():
            row = self.database.row("SELECT conversation, text FROM messages WHERE id = ?", (message,))
            if row is None:
                raise _no_message(message)
            self.database.write(
                "UPDATE messages SET text = ?, finish_reason = ?, error = ?, "
                "figures = coalesce(?, figures), model = coalesce(?, model) WHERE id = ?",
                (text, finish_reason, error, None if figures is None else to_json(figures), model, message),
            )
            if row["text"] != text:
                self.database.write("DELETE FROM message_tokens WHERE message = ?", (message,))
            if tokenizer is not None and token_ids is not None:
                self.database.write(STORE_IDS, (message, tokenizer, pack_ids(token_ids)))
            conversation = ConversationId(row["conversation"])
            if finish_reason is not None:
                self._touch(conversation)
            self._changed("reply", conversation)

    def set_figures(self, message: MessageId, figures: TurnFigures) -> None:
        """Replace the figures of a reply that has ended; does nothing if it is gone."""
        with self.database.transaction():
            self.database.write("UPDATE messages SET figures = ? WHERE id = ?", (to_json(figures), message))

    def finish_interrupted(self) -> int:
        """At start: mark the replies that a killed Ember left unfinished as failed; how many there were."""
        with self.database.transaction():
            return self.database.write(
                "UPDATE messages SET finish_reason = 'failed', error = coalesce(error, ?) "
                "WHERE role = 'assistant' AND finish_reason IS NULL",
                (INTERRUPTED,),
            )

    # --- token ids -------------------------------------------------------------------------------------

    def token_ids(self, conversation: ConversationId, tokenizer: str) -> dict[MessageId, tuple[int, ...]]:
        """The exact token ids of the messages that were read or written with that tokenizer."""
        packed = self.packed_token_ids(conversation).get(tokenizer, {})
        return {message: unpack_ids(ids) for message, ids in packed.items()}

    def packed_token_ids(self, conversation: ConversationId) -> dict[str, dict[MessageId, bytes]]:
        """The token ids of a conversation for all tokenizers, as they are stored."""
        rows = self.database.rows(
            "SELECT t.message, t.tokenizer, t.ids FROM messages m JOIN message_tokens t ON t.message = m.id "
            "WHERE m.conversation = ? ORDER BY m.position, t.tokenizer",
            (conversation,),
        )
        found: dict[str, dict[MessageId, bytes]] = {}
        for row in rows:
            if not isinstance(row["ids"], bytes) or len(row["ids"]) % 4:
                _log.warning("The token ids of message %s are broken and left out", row["message"])
                continue
            found.setdefault(row["tokenizer"], {})[MessageId(row["message"])] = row["ids"]
        return found

    def store_token_ids(self, tokenizer: str, ids: Mapping[MessageId, Iterable[int]]) -> None:
        """Keep the token ids that messages have with a tokenizer."""
        with self.database.transaction():
            self.database.write_many(STORE_IDS, ((message, tokenizer, pack_ids(each)) for message, each in ids.items()))

    # --- parts -----------------------------------------------------------------------------------------

    def _set(self, conversation: ConversationId, column: str, value: Value, kind: ChangeKind) -> None:
        """Write one column of a conversation that is not deleted."""
        with self.database.transaction():
            changed = self.database.write(
                f"UPDATE conversations SET {column} = ? WHERE id = ? AND deleted_at IS NULL",
                (value, conversation),
            )
            if not changed:
                raise _no_conversation(conversation)
            self._changed(kind, conversation)

    def _touch(self, conversation: ConversationId) -> None:
        """Note that the conversation was used now."""
        self.database.write(
            "UPDATE conversations SET updated = max(updated, ?) WHERE id = ?", (self._clock(), conversation)
        )

    def _changed(self, kind: ChangeKind, conversation: ConversationId) -> None:
        """Tell the observers once the transaction is committed."""
        self.database.after_commit(lambda: self._tell(kind, conversation))

    def _tell(self, kind: ChangeKind, conversation: ConversationId) -> None:
        """Tell the observers now."""
        for observer in tuple(self.on_change):
            observer(kind, conversation)

    def _require(self, conversation: ConversationId) -> None:
        """Raise unless the conversation exists and is not deleted."""
        if not self.database.row("SELECT 1 FROM conversations WHERE id = ? AND deleted_at IS NULL", (conversation,)):
            raise _no_conversation(conversation)

    def _require_message(self, conversation: ConversationId, message: MessageId) -> None:
        """Raise unless the message belongs to the conversation."""
        if not self.database.row("SELECT 1 FROM messages WHERE id = ? AND conversation = ?", (message, conversation)):
            raise _no_message(message)


def _no_conversation(which: str) -> EmberError:
    """The error for an id that no conversation has."""
    return EmberError(f"There is no conversation “{which}”; nothing was changed.", kind="no_conversation")


def _no_message(which: str) -> EmberError:
    """The error for an id that no message of the conversation has."""
    return EmberError(f"There is no message “{which}” in this conversation; nothing was changed.", kind="no_message")
