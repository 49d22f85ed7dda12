"""Which saved state came with an archive, and which belongs to a conversation."""

from collections.abc import Callable

import pytest

from app.core.conversation import Conversation, ConversationId, Message, MessageId
from app.core.errors import EmberError
from app.storage import saved_roots
from app.storage.conversations import ConversationStore
from app.storage.saved_roots import SavedModel, SavedRoots, SavedTip
from tests.unit.storage.made import CHAT, forked_tree, message_id, put

KNOWN, NEW = b"k" * 32, b"n" * 32
TIP = b"t" * 32
OTHER = ConversationId("o" * 32)
MODEL = SavedModel("/models/a.gguf", "A")


def test_adopted_tips_belong_to_their_chat_and_known_models_stay_as_they_are(store: ConversationStore) -> None:
    put(store, forked_tree())
    roots = SavedRoots(store.database)
    model = SavedModel("/models/a.gguf", "A")
    roots.record(message_id(2), KNOWN, TIP, model)
    tips = [SavedTip(message_id(3), KNOWN, b"u" * 32), SavedTip(message_id(5), NEW, b"v" * 32)]
    roots.adopt(tips, {KNOWN: SavedModel("", "says who"), NEW: SavedModel("", "B")})
    assert roots.models() == {KNOWN: model, NEW: SavedModel("", "B")}
    assert set(roots.of(CHAT)) == {SavedTip(message_id(2), KNOWN, TIP), *tips}
    assert set(roots.wanted()) == {TIP, b"u" * 32, b"v" * 32}


def test_tips_of_messages_that_are_not_there_are_not_noted(store: ConversationStore) -> None:
    put(store, forked_tree())
    roots = SavedRoots(store.database)
    roots.adopt([SavedTip(message_id(99), NEW, TIP)], {})
    assert roots.of(CHAT) == [] and roots.wanted() == ()


# --- the tips of all chats, which are kept in memory ------------------------------------------------------------------


@pytest.fixture
def roots(store: ConversationStore) -> SavedRoots:
    """Two chats with tips, which were asked for already."""
    put(store, forked_tree())
    store.create(Conversation(OTHER))
    store.add_message(Message(message_id(20), OTHER, None, "assistant", "words"))
    made = SavedRoots(store.database)
    for number in (2, 3, 20):
        made.record(message_id(number), KNOWN, bytes([number]) * 32, MODEL)
    made.tips()
    return made


def stored(store: ConversationStore) -> dict[ConversationId, set[bytes]]:
    """The tips as somebody finds them who has never asked before."""
    return {chat: set(tips) for chat, tips in SavedRoots(store.database).tips().items()}


CHANGES: dict[str, Callable[[ConversationStore, SavedRoots], object]] = {
    "nothing": lambda store, roots: None,
    "recorded": lambda store, roots: roots.record(message_id(5), KNOWN, TIP, MODEL),
    "recorded anew": lambda store, roots: roots.record(message_id(2), KNOWN, TIP, MODEL),
    "adopted": lambda store, roots: roots.adopt([SavedTip(message_id(3), NEW, TIP)], {NEW: MODEL}),
    "forgotten": lambda store, roots: roots.forget(CHAT),
    "all forgotten": lambda store, roots: roots.forget(),
    "deleted": lambda store, roots: store.delete(CHAT),
    "never saved": lambda store, roots: roots.set_may_save(OTHER, False),
    "purged": lambda store, roots: (store.delete(OTHER), store.purge_deleted(1e10)),
    "its row removed": lambda store, roots: remove_row(store, message_id(20)),
}


def remove_row(store: ConversationStore, message: MessageId) -> None:
    """A cascade takes the tip along."""
    with store.database.transaction():
        store.database.write("DELETE FROM messages WHERE id = ?", (message,))


@pytest.mark.parametrize("change", CHANGES)
def test_the_tips_in_memory_are_those_of_the_database_whatever_changed(
    change: str, store: ConversationStore, roots: SavedRoots
) -> None:
    CHANGES[change](store, roots)
    assert {chat: set(tips) for chat, tips in roots.tips().items()} == stored(store)


def test_what_was_taken_back_leaves_the_tips_as_they_were(store: ConversationStore, roots: SavedRoots) -> None:
    before = roots.tips()
    with pytest.raises(RuntimeError), store.database.transaction():
        roots.forget(CHAT)
        raise RuntimeError
    assert roots.tips() == before == {CHAT: before[CHAT], OTHER: (bytes([20]) * 32,)}


def test_only_the_chats_that_changed_are_read_again(
    store: ConversationStore, roots: SavedRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    rows = store.database.rows
    monkeypatch.setattr(
        store.database,
        "rows",
        lambda *query: read.append(len(found := rows(*query))) or found,  # type: ignore[func-returns-value]
    )
    roots.tips()
    assert read == []
    roots.record(message_id(20), NEW, TIP, MODEL)
    read.clear()
    assert set(roots.tips()[OTHER]) == {TIP, bytes([20]) * 32}
    assert read == [2]


def test_tips_that_could_not_be_read_are_read_the_next_time(
    store: ConversationStore, roots: SavedRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots.record(message_id(5), KNOWN, TIP, MODEL)

    def fail(*_query: object) -> None:
        raise EmberError("The disk is gone.", "database_unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(store.database, "rows", fail)
        with pytest.raises(EmberError):
            roots.tips()
    assert TIP in roots.tips()[CHAT]


def test_after_many_changes_at_once_all_is_read(
    store: ConversationStore, roots: SavedRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_roots, "_FEW", 1)
    roots.forget()
    roots.record(message_id(5), KNOWN, TIP, MODEL)
    assert roots.tips() == {CHAT: (TIP,)}
