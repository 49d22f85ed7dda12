"""Large conversations are stored in pieces that nobody sees before the last one is there."""

from collections.abc import Callable

import pytest

from app.core.conversation import Conversation, ConversationTree, MessageId, messages_by_id
from app.storage import tree_insertion
from app.storage.conversations import ConversationStore
from app.storage.settings import SettingsStore
from app.storage.tree_insertion import PIECE
from tests.unit.storage.made import CHAT, message, message_id

COUNT = 8


class Broken(Exception):
    """What stops it in the middle."""


@pytest.fixture
def large() -> ConversationTree:
    """Eight messages, each of which fills half a piece."""
    text = "word " * (PIECE // 10 + 1)
    messages = (message(number, number - 1 or None, text=text) for number in range(1, COUNT + 1))
    return ConversationTree(Conversation(CHAT, title="Roads", leaf=message_id(COUNT)), messages_by_id(messages))


@pytest.fixture
def ids(large: ConversationTree) -> dict[str, dict[MessageId, bytes]]:
    return {"a tokenizer": {name: bytes(4) for name in large.messages}}


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something done between the pieces."""

    def use(call: Callable[[], None]) -> None:
        monkeypatch.setattr(tree_insertion.time, "sleep", lambda _seconds: call())

    return use


def test_a_large_one_is_stored_whole(
    store: ConversationStore, large: ConversationTree, ids: dict[str, dict[MessageId, bytes]]
) -> None:
    store.insert_tree(large, ids)
    assert store.tree(CHAT) == large
    assert store.packed_token_ids(CHAT) == ids
    assert [hit.conversation for hit in store.search("word", limit=1)] == [CHAT]


def test_it_is_in_no_list_before_its_end_and_others_write_meanwhile(
    store: ConversationStore, large: ConversationTree, between: Callable[[Callable[[], None]], None]
) -> None:
    settings, seen = SettingsStore(store.database), list[int]()

    def look() -> None:
        settings.set("pieces", len(seen))
        assert not store.summaries()
        assert not store.search("word")
        seen.append(store.database.rows("SELECT count(*) FROM messages")[0][0])

    between(look)
    store.insert_tree(large, {})
    assert seen == [2, 4, 6, 8]
    assert settings.get("pieces", int, 0) == len(seen) - 1
    assert [each.id for each in store.summaries()] == [CHAT]


def test_one_that_cannot_be_stored_to_its_end_leaves_nothing(
    store: ConversationStore, large: ConversationTree, between: Callable[[Callable[[], None]], None]
) -> None:
    def stop() -> None:
        raise Broken

    between(stop)
    with pytest.raises(Broken):
        store.insert_tree(large, {})
    for table in ("conversations", "messages", "message_search_docsize"):
        assert store.database.rows(f"SELECT count(*) FROM {table}")[0][0] == 0


def test_what_a_killed_process_left_of_one_is_purged(
    store: ConversationStore,
    large: ConversationTree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:

        def stop(_seconds: float) -> None:
            patched.setattr(store.database, "write", lambda *_: None)  # as if nothing came after this
            raise Broken

        patched.setattr(tree_insertion.time, "sleep", stop)
        with pytest.raises(Broken):
            store.insert_tree(large, {})
    assert not store.summaries()
    assert store.purge_deleted(before=float("inf")) == [CHAT]
    assert not store.database.rows("SELECT 1 FROM messages")


def test_a_small_one_is_one_transaction(
    store: ConversationStore, between: Callable[[Callable[[], None]], None]
) -> None:
    def stop() -> None:
        raise Broken

    between(stop)
    store.insert_tree(ConversationTree(Conversation(CHAT), messages_by_id([message(1, None)])), {})
    assert [each.id for each in store.summaries()] == [CHAT]
