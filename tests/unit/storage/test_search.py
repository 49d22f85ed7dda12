"""Search in titles and messages."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.conversation import Conversation, ConversationTree, Message, new_conversation_id, new_message_id
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.schema import MIGRATIONS
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put


@pytest.fixture
def filled(store: ConversationStore) -> ConversationStore:
    """A store with one conversation."""
    put(store, forked_tree())
    return store


def found(store: ConversationStore, words: str) -> list[str | None]:
    """The messages found; None for a title."""
    return [hit.message for hit in store.search(words)]


def test_titles_come_first_then_the_newest_message_of_each_conversation(filled: ConversationStore) -> None:
    assert found(filled, "roman") == [None, message_id(6)]


def test_a_word_that_stands_in_every_message_of_one_chat_hides_no_other(store: ConversationStore) -> None:
    harbours = [new_conversation_id() for _ in range(2)]
    for conversation in harbours:
        store.create(Conversation(conversation, title="Harbour"))
        for _ in range(8):
            store.add_message(Message(new_message_id(), conversation, None, "user", "The harbour is old."))
    hits = [hit for hit in store.search("harbour", 2) if hit.message is not None]
    assert [hit.conversation for hit in hits] == harbours[::-1]


def test_a_hit_shows_where_the_words_are(filled: ConversationStore) -> None:
    (hit,) = filled.search("deep FOUND")
    assert (hit.conversation, hit.title, hit.message) == (CHAT, "Roman roads", message_id(3))
    assert [hit.excerpt[start:end] for start, end in hit.matches] == ["Deep", "foundations"]


def test_all_words_must_occur_and_a_word_may_be_the_beginning_of_one(filled: ConversationStore) -> None:
    assert found(filled, "bridg last") == [message_id(6)]
    assert found(filled, "bridges layers") == []
    assert found(filled, "que") == [message_id(3)]


def test_a_reply_is_found_once_it_has_ended(filled: ConversationStore) -> None:
    filled.add_message(message(7, 6, "assistant", "concrete", finish_reason=None))
    assert found(filled, "concrete") == []
    filled.update_reply(message_id(7), text="concrete and lime")
    assert found(filled, "concrete") == []
    filled.update_reply(message_id(7), text="pozzolana and lime", finish_reason="stop")
    assert found(filled, "pozzolana") == [message_id(7)]
    filled.update_reply(message_id(7), text="only lime", finish_reason="stop")
    assert found(filled, "pozzolana") == []


def test_a_renamed_conversation_is_found_by_its_new_title_only(filled: ConversationStore) -> None:
    filled.rename(CHAT, "Vias")
    assert found(filled, "vias") == [None]
    assert found(filled, "roads") == [message_id(1)]


def test_purged_words_are_gone(filled: ConversationStore) -> None:
    filled.delete(CHAT)
    filled.purge_deleted(before=1e9)
    put(filled, ConversationTree(Conversation(new_conversation_id(), title="x"), {}))
    assert found(filled, "roman") == []


def test_there_are_never_more_titles_and_texts_than_asked_for(filled: ConversationStore) -> None:
    put(filled, ConversationTree(Conversation(new_conversation_id(), title="A Roman holiday"), {}))
    assert [len(filled.search("roman", limit)) for limit in (0, 1, 2, 9)] == [0, 2, 3, 3]


@pytest.mark.parametrize(
    "words", ["", "  ", '"', '""', "*", "!!! ???", "\0", "^", "( )", "'; DROP TABLE messages; --", "nosuchword"]
)
def test_what_finds_nothing_is_harmless(filled: ConversationStore, words: str) -> None:
    assert filled.search(words) == []


@pytest.mark.parametrize("words", ["roman !!!", '"roman"', "roman*", "-roman", "title:roman roman", "ROMAN\0roads"])
def test_operators_are_only_text(filled: ConversationStore, words: str) -> None:
    assert filled.search(words) or "title" in words


TYPED = st.text() | st.sampled_from(["\ud800", '"', "*", "(", " AND ", " NEAR(", "\0", "-", "{title}:", "roman"])


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(TYPED, max_size=8).map("".join))
def test_anything_may_be_typed(filled: ConversationStore, words: str) -> None:
    filled.search(words)


def test_a_whole_page_may_be_typed(filled: ConversationStore) -> None:
    assert filled.search("Roman " * 5000) != []


LONG = "beginning " + "🛣 word " * 150_000 + "ending"


def index_is_sound(store: ConversationStore) -> bool:
    """Whether the index holds the texts that are stored, no more and no less; SQLite raises where it does not."""
    with store.database.transaction():
        store.database.write("INSERT INTO message_search (message_search) VALUES ('integrity-check')")
    return True


def test_of_a_very_long_message_the_beginning_is_found_however_it_changes(store: ConversationStore) -> None:
    put(store, ConversationTree(Conversation(CHAT, "Long"), {message_id(1): message(1, None, text=LONG)}))
    assert (found(store, "beginning"), found(store, "ending")) == ([message_id(1)], [])
    assert index_is_sound(store)
    with store.database.transaction():
        store.database.write("UPDATE messages SET text = 'an ending of ' || substr(text, 11)")
    assert (found(store, "beginning"), found(store, "ending")) == ([], [message_id(1)])
    assert index_is_sound(store)
    store.delete(CHAT)
    store.purge_deleted(1e12)
    assert index_is_sound(store)


def test_a_very_long_message_that_an_older_ember_took_up_whole_is_taken_up_anew(tmp_path: Path) -> None:
    with closing(Database.open(tmp_path / "ember.db", tmp_path, migrations=MIGRATIONS[:3])) as old:
        put(ConversationStore(old), ConversationTree(Conversation(CHAT), {message_id(1): message(1, None, text=LONG)}))
    with closing(Database.open(tmp_path / "ember.db", tmp_path)) as database:
        store = ConversationStore(database)
        assert (found(store, "beginning"), found(store, "ending")) == ([message_id(1)], [])
        assert index_is_sound(store)
        store.delete(CHAT)
        store.purge_deleted(1e12)
        assert index_is_sound(store)


def test_of_a_very_long_message_the_piece_where_the_first_word_stands_is_shown(store: ConversationStore) -> None:
    """With FTS5's own snippets this takes minutes."""
    store.create(Conversation(CHAT))
    store.add_message(Message(new_message_id(), CHAT, None, "user", "x " * 50 + "The harbour. " + "the " * 150_000))
    (hit,) = store.search("the harbour", 10)
    assert hit.excerpt.startswith("x x x x x x x x x x The harbour. the the") and len(hit.excerpt) == 160
    (hit,) = store.search("thé", 10)
    assert hit.excerpt.startswith("x x x x")
