"""Which saved state belongs to which chat: tips in the engine's store, and those that it still has to remove."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from app.core.conversation import ConversationId, MessageId
from app.storage.database import Database
from app.storage.records import storable

_FEW: Final = 200
"""With more chats that changed, all are read again."""
UNTOLD = b""
"""The tip that is owed for turns that were broken off before they told theirs."""


@dataclass(frozen=True, slots=True)
class SavedModel:
    """The model that a fingerprint belongs to: the file it was loaded from, and its name."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class SavedTip:
    """Where the saved state of the branch that ends with a message ends."""

    message: MessageId
    root: bytes
    tip: bytes


def saved_models(database: Database) -> dict[bytes, SavedModel]:
    """The models by fingerprint, also from a database that can only be read."""
    rows = database.rows("SELECT root, model_path, model_name FROM kv_models")
    return {row["root"]: SavedModel(row["model_path"], row["model_name"]) for row in rows}


class SavedRoots:
    """The tables `kv_roots`, `kv_models` and `kv_drops`."""

    def __init__(self, database: Database) -> None:
        """Use the database."""
        self._database = database
        self._tips: dict[ConversationId, tuple[bytes, ...]] | None = None
        """What `tips` returned last, which is asked for after each turn; None before that."""
        self._changed: set[ConversationId] = set()
        """The chats whose tips may be others since; also another thread adds to it, while it holds the database."""
        database.follow("kv_roots", "conversation", self._changed.add)

    def record(self, message: MessageId, root: bytes, tip: bytes, model: SavedModel) -> bool:
        """Note where the saved state of a reply's branch ends; False if its chat is gone meanwhile: then it is owed."""
        with self._database.transaction():
            self._database.write(
                "INSERT OR REPLACE INTO kv_models (root, model_path, model_name) VALUES (?, ?, ?)",
                (root, storable(model.path), storable(model.name)),
            )
            wanted = self._database.write(
                "INSERT OR REPLACE INTO kv_roots (message, conversation, root, tip) "
                "SELECT m.id, c.id, ?, ? FROM messages m JOIN conversations c ON c.id = m.conversation "
                "WHERE m.id = ? AND c.deleted_at IS NULL AND c.save_state",
                (root, tip, message),
            )
            if not wanted:
                self._database.write("INSERT OR IGNORE INTO kv_drops (tip) VALUES (?)", (tip,))
            return bool(wanted)

    def adopt(self, tips: Iterable[SavedTip], models: Mapping[bytes, SavedModel]) -> None:
        """Note where state that came with an archive ends; a model that is known already stays as it is."""
        with self._database.transaction():
            self._database.write_many(
                "INSERT OR IGNORE INTO kv_models (root, model_path, model_name) VALUES (?, ?, ?)",
                ((root, storable(model.path), storable(model.name)) for root, model in models.items()),
            )
            self._database.write_many(
                "INSERT OR REPLACE INTO kv_roots (message, conversation, root, tip) "
                "SELECT id, conversation, ?, ? FROM messages WHERE id = ?",
                ((tip.root, tip.tip, tip.message) for tip in tips),
            )

    def of(self, conversation: ConversationId) -> list[SavedTip]:
        """Where a chat's saved state ends, by message."""
        rows = self._database.rows("SELECT message, root, tip FROM kv_roots WHERE conversation = ?", (conversation,))
        return [SavedTip(MessageId(row["message"]), row["root"], row["tip"]) for row in rows]

    def tips(self) -> dict[ConversationId, tuple[bytes, ...]]:
        """The tips of each chat that has any; only those that changed since the last call are read; for one thread."""
        changed = tuple(self._changed)
        self._changed.difference_update(changed)
        kept, self._tips = self._tips, None  # where reading fails, all are read the next time
        if kept is None or len(changed) > _FEW:
            kept = self._read_tips("")
        elif changed:
            found = self._read_tips(f" WHERE conversation IN ({', '.join('?' * len(changed))})", changed)
            for conversation in changed:
                kept.pop(conversation, None)
            kept.update(found)
        self._tips = kept
        return dict(kept)

    def _read_tips(self, where: str, values: tuple[str, ...] = ()) -> dict[ConversationId, tuple[bytes, ...]]:
        found: dict[ConversationId, dict[bytes, None]] = {}  # not sets: half the time with ten thousand chats
        for conversation, tip in self._database.rows(f"SELECT conversation, tip FROM kv_roots{where}", values):
            if isinstance(tip, bytes):
                found.setdefault(conversation, {})[tip] = None
        return {conversation: tuple(tips) for conversation, tips in found.items()}

    def wanted(self) -> tuple[bytes, ...]:
        """The tips of all chats."""
        return tuple({tip for tips in self.tips().values() for tip in tips})

    def models(self) -> dict[bytes, SavedModel]:
        """The models by fingerprint."""
        return saved_models(self._database)

    def forget(self, conversation: ConversationId | None = None) -> None:
        """A chat's state (None: every chat's) is to be removed; what it was is owed."""
        which, values = ("", ()) if conversation is None else (" WHERE conversation = ?", (conversation,))
        with self._database.transaction():
            self._database.write(f"INSERT OR IGNORE INTO kv_drops (tip) SELECT tip FROM kv_roots{which}", values)
            self._database.write("INSERT OR IGNORE INTO kv_drops (tip) VALUES (?)", (UNTOLD,))
            self._database.write(f"DELETE FROM kv_roots{which}", values)

    def owed(self) -> tuple[bytes, ...]:
        """The tips that the engine has still to remove."""
        return tuple(row["tip"] for row in self._database.rows("SELECT tip FROM kv_drops"))

    def settled(self, tips: Iterable[bytes]) -> None:
        """The engine has removed what belonged to these tips alone."""
        with self._database.transaction():
            self._database.write_many("DELETE FROM kv_drops WHERE tip = ?", ((tip,) for tip in tips))

    def may_save(self, conversation: ConversationId) -> bool:
        """Whether the person lets this chat's state be saved."""
        row = self._database.row("SELECT save_state FROM conversations WHERE id = ?", (conversation,))
        return row is None or bool(row["save_state"])

    def set_may_save(self, conversation: ConversationId, may: bool) -> None:
        """Let this chat's state be saved, or not any more: what is saved of it is owed then."""
        with self._database.transaction():
            self._database.write("UPDATE conversations SET save_state = ? WHERE id = ?", (may, conversation))

    def never_saved(self) -> frozenset[ConversationId]:
        """The chats whose state the person does not let be saved."""
        return self._chosen("SELECT id FROM conversations WHERE NOT save_state")

    def pinned(self) -> frozenset[ConversationId]:
        """The chats whose saved state stays, whatever the budget."""
        return self._chosen("SELECT id FROM conversations WHERE pin_state")

    def _chosen(self, query: str) -> frozenset[ConversationId]:
        return frozenset(ConversationId(row["id"]) for row in self._database.rows(query))

    def pinned_tips(self) -> tuple[bytes, ...]:
        """Their tips."""
        query = "SELECT DISTINCT tip FROM kv_roots WHERE conversation IN (SELECT id FROM conversations WHERE pin_state)"
        return tuple(sorted(row["tip"] for row in self._database.rows(query) if isinstance(row["tip"], bytes)))

    def set_pinned(self, conversation: ConversationId, pinned: bool) -> None:
        """Let this chat's saved state stay whatever the budget, or be evicted as any other."""
        with self._database.transaction():
            self._database.write("UPDATE conversations SET pin_state = ? WHERE id = ?", (pinned, conversation))
