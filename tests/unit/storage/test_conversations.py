"""Conversations and their messages in the database."""

import logging
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.conversation import (
    UNTITLED,
    Conversation,
    ConversationId,
    Message,
    MessageId,
    new_conversation_id,
    new_message_id,
)
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.storage.conversations import INTERRUPTED, TITLE_LIMIT, ConversationStore
from app.storage.database import Database
from app.storage.records import UNREADABLE_TEXT, PathMessage
from tests.unit.storage.made import CHAT, FIGURES, forked_tree, message, message_id, put, set_raw

NOBODY = ConversationId("0" * 32)


def titles(store: ConversationStore) -> list[str]:
    """The list as it is shown."""
    return [summary.title for summary in store.summaries()]


def started(store: ConversationStore) -> MessageId:
    """A stored conversation with a question and a reply that has just begun; the reply's id."""
    store.create(Conversation(CHAT, title="Roads"))
    store.add_message(message(1, None))
    store.add_message(message(2, 1, "assistant", finish_reason=None))
    return message_id(2)


def test_a_conversation_comes_back_as_it_was_made(store: ConversationStore) -> None:
    made = Conversation(
        CHAT,
        title="Roads",
        system_prompt="Be brief.",
        created=5.0,
        updated=6.0,
        model_path="/models/a.gguf",
        sampler=SamplerSettings(temperature=1.5, seed=0),
        draft="Wh",
    )
    store.create(made)
    assert store.get(CHAT) == made


def test_a_tree_comes_back_with_all_its_branches_in_order(store: ConversationStore) -> None:
    tree = forked_tree()
    put(store, tree)
    assert store.tree(CHAT) == tree
    assert list(store.tree(CHAT).messages) == list(tree.messages)


@pytest.mark.parametrize("leaf", range(1, 7))
def test_a_path_can_be_read_without_the_rest_of_its_tree(store: ConversationStore, leaf: int) -> None:
    tree = forked_tree()
    put(store, tree)
    expected = [PathMessage(each.id, each.role, each.text) for each in tree.path(message_id(leaf))]
    assert store.path(CHAT, message_id(leaf)) == expected


def test_the_path_to_a_message_of_another_conversation_is_empty(store: ConversationStore) -> None:
    put(store, forked_tree())
    assert store.path(NOBODY, message_id(1)) == []
    assert store.path(CHAT, message_id(99)) == []


def test_the_list_without_counts_is_the_same_list(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.create(Conversation(new_conversation_id(), title="Newer", created=300.0, updated=300.0))
    assert store.summaries(counted=False) == [replace(each, messages=0) for each in store.summaries()]


def test_the_list_has_the_most_lately_used_first_with_counts(store: ConversationStore) -> None:
    for title in ("a", "b", "c"):
        store.create(Conversation(new_conversation_id(), title=title, created=1.0, updated=1.0))
    assert titles(store) == ["c", "b", "a"]
    first = store.summaries()[-1].id
    store.add_message(Message(new_message_id(), first, None, "user", "hello"))
    newest = store.summaries()[0]
    assert (newest.id, newest.messages, newest.updated) == (first, 1, 1001.0)


def test_only_using_a_conversation_moves_it_up(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.rename(CHAT, "x")
    store.set_draft(CHAT, "y")
    store.set_leaf(CHAT, None)
    store.set_system_prompt(CHAT, "z")
    assert store.get(CHAT).updated == forked_tree().conversation.updated


def test_each_setting_is_kept(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.rename(CHAT, "  Two\n words ")
    store.set_system_prompt(CHAT, "Rhyme.")
    store.set_leaf(CHAT, message_id(2))
    store.set_draft(CHAT, "And")
    store.set_model(CHAT, "/m.gguf")
    store.set_sampler(CHAT, SamplerSettings(top_k=1))
    found = store.get(CHAT)
    assert (found.title, found.system_prompt, found.draft) == ("Two words", "Rhyme.", "And")
    assert (found.leaf, found.model_path, found.sampler.top_k) == (message_id(2), "/m.gguf", 1)


def test_an_automatic_title_never_replaces_one_that_a_person_gave(store: ConversationStore) -> None:
    store.create(Conversation(CHAT))
    store.rename(CHAT, "First words", by_person=False)
    assert titles(store) == ["First words"]
    store.rename(CHAT, "Mine")
    store.rename(CHAT, "Other words", by_person=False)
    assert titles(store) == ["Mine"]
    store.rename(CHAT, " ")
    assert titles(store) == [UNTITLED]
    store.rename(CHAT, "Other words", by_person=False)
    assert titles(store) == ["Other words"]


def test_a_title_has_a_longest_length(store: ConversationStore) -> None:
    store.create(Conversation(CHAT))
    store.rename(CHAT, "long " * 100)
    assert len(titles(store)[0]) <= TITLE_LIMIT


def test_a_deleted_conversation_is_gone_until_it_is_restored(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.delete(CHAT)
    assert store.summaries() == []
    assert store.search("foundations") == []
    for use in (store.get, store.tree, store.delete, store.resolve):
        with pytest.raises(EmberError) as caught:
            use(CHAT)
        assert caught.value.kind == "no_conversation"
    store.restore(CHAT)
    assert store.tree(CHAT) == forked_tree()
    store.restore(CHAT)
    assert len(store.search("foundations")) == 1


def test_only_what_was_deleted_long_ago_is_purged_with_all_that_belonged_to_it(
    store: ConversationStore, database: Database
) -> None:
    put(store, forked_tree())
    store.store_token_ids("t", {message_id(1): [1, 2]})
    store.create(Conversation(new_conversation_id(), title="kept"))
    assert store.purge_deleted(before=9999.0) == []
    store.delete(CHAT)
    assert store.purge_deleted(before=1.0) == []
    assert store.purge_deleted(before=9999.0) == [CHAT]
    assert titles(store) == ["kept"]
    for table in ("messages", "message_tokens"):
        assert database.rows(f"SELECT * FROM {table}") == []
    with pytest.raises(EmberError):
        store.restore(CHAT)


def test_an_id_is_found_by_its_beginning_when_that_is_enough(store: ConversationStore) -> None:
    for name in ("ab12", "ab34"):
        store.create(Conversation(ConversationId(name + "0" * 28)))
    assert store.resolve(" AB1") == "ab12" + "0" * 28
    for prefix, kind in (("ab", "ambiguous_id"), ("", "no_conversation"), ("%", "no_conversation")):
        with pytest.raises(EmberError) as caught:
            store.resolve(prefix)
        assert caught.value.kind == kind


def test_what_is_not_there_is_said_so(store: ConversationStore) -> None:
    for use in (
        lambda: store.get(NOBODY),
        lambda: store.rename(NOBODY, "x"),
        lambda: store.set_draft(NOBODY, "x"),
        lambda: store.set_leaf(NOBODY, None),
        lambda: store.restore(NOBODY),
        lambda: store.add_message(message(1, None)),
    ):
        with pytest.raises(EmberError, match="There is no conversation"):
            use()
    put(store, forked_tree())
    for use in (
        lambda: store.set_leaf(CHAT, MessageId("nowhere")),
        lambda: store.add_message(message(9, 8)),
        lambda: store.update_reply(message_id(9), text="x"),
    ):
        with pytest.raises(EmberError, match="There is no message"):
            use()


def test_a_message_cannot_answer_one_of_another_conversation(store: ConversationStore) -> None:
    put(store, forked_tree())
    other = new_conversation_id()
    store.create(Conversation(other))
    with pytest.raises(EmberError) as caught:
        store.add_message(Message(new_message_id(), other, message_id(1), "assistant", "x"))
    assert caught.value.kind == "no_message"
    assert store.tree(other).messages == {}


def test_a_new_message_is_shown_unless_told_otherwise(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.add_message(message(7, 6, "assistant"))
    assert store.get(CHAT).leaf == message_id(7)
    store.add_message(message(8, 6, "assistant"), make_leaf=False)
    assert store.get(CHAT).leaf == message_id(7)


# --- a reply while it streams --------------------------------------------------------------------------------


def test_a_reply_grows_and_ends_with_its_figures_and_exact_tokens(store: ConversationStore) -> None:
    reply = started(store)
    store.update_reply(reply, text="They")
    partial = store.tree(CHAT).messages[reply]
    assert (partial.text, partial.finish_reason, partial.model) == ("They", None, "SmolLM2")
    store.update_reply(
        reply, text="They had", finish_reason="stop", figures=FIGURES, tokenizer="t", token_ids=[7, 2**32 - 1]
    )
    done = store.tree(CHAT).messages[reply]
    assert (done.text, done.finish_reason, done.figures) == ("They had", "stop", FIGURES)
    assert store.token_ids(CHAT, "t") == {reply: (7, 2**32 - 1)}


def test_the_ids_of_another_text_are_forgotten(store: ConversationStore) -> None:
    reply = started(store)
    store.update_reply(reply, text="a", finish_reason="length", tokenizer="t", token_ids=[1])
    store.update_reply(reply, text="a", finish_reason="length")
    assert store.token_ids(CHAT, "t") == {reply: (1,)}
    store.update_reply(reply, text="a b")
    assert store.token_ids(CHAT, "t") == {}
    assert store.tree(CHAT).messages[reply].finish_reason is None


def test_a_reply_of_a_deleted_conversation_is_still_written_for_undo(store: ConversationStore) -> None:
    reply = started(store)
    store.delete(CHAT)
    store.update_reply(reply, text="whole", finish_reason="stop")
    store.restore(CHAT)
    assert store.tree(CHAT).messages[reply].text == "whole"


def test_a_reply_that_a_killed_ember_left_is_marked_and_kept(store: ConversationStore) -> None:
    reply = started(store)
    store.update_reply(reply, text="They had")
    assert store.finish_interrupted() == 1
    found = store.tree(CHAT).messages
    assert (found[reply].text, found[reply].finish_reason) == ("They had", "failed")
    assert found[reply].error == INTERRUPTED
    assert found[message_id(1)].finish_reason is None
    assert store.finish_interrupted() == 0


def test_tokens_are_kept_per_tokenizer_and_replaced(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.store_token_ids("a", {message_id(1): [1, 2], message_id(2): []})
    store.store_token_ids("b", {message_id(1): [9]})
    store.store_token_ids("a", {message_id(1): [3], MessageId("purged meanwhile"): [4]})
    assert store.token_ids(CHAT, "a") == {message_id(1): (3,), message_id(2): ()}
    assert store.token_ids(CHAT, "b") == {message_id(1): (9,)}
    assert store.token_ids(CHAT, "c") == {}


def test_tokens_without_a_tokenizer_are_a_bug(store: ConversationStore) -> None:
    reply = started(store)
    with pytest.raises(ValueError, match="tokenizer"):
        store.update_reply(reply, text="x", token_ids=[1])
    with pytest.raises(OverflowError):
        store.store_token_ids("t", {reply: [-1]})


# --- what changed --------------------------------------------------------------------------------------------


def test_observers_hear_what_changed_once_it_is_committed(store: ConversationStore, database: Database) -> None:
    heard: list[tuple[str, ConversationId]] = []
    store.on_change.append(lambda kind, conversation: heard.append((kind, conversation)))
    reply = started(store)
    store.update_reply(reply, text="x")
    store.rename(CHAT, "y", by_person=False)
    store.set_draft(CHAT, "z")
    store.delete(CHAT)
    store.restore(CHAT)
    kinds = ["created", "message", "message", "reply", "title", "draft", "deleted", "restored"]
    assert heard == [(kind, CHAT) for kind in kinds]
    heard.clear()
    with pytest.raises(KeyError), database.transaction():
        store.rename(CHAT, "never")
        assert heard == []
        raise KeyError
    assert (heard, titles(store)) == ([], ["y"])


# --- a tolerant reader ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    ["title", "system_prompt", "created", "updated", "leaf", "model_path", "sampler", "draft"],
)
@pytest.mark.parametrize("value", ["x'ff00'", "'{\"broken'", "9e999", "-1"])
def test_a_broken_field_never_keeps_a_conversation_from_opening(
    store: ConversationStore, database: Database, column: str, value: str
) -> None:
    put(store, forked_tree())
    set_raw(database, f"UPDATE conversations SET {column} = {value}")
    assert list(store.tree(CHAT).messages) == list(forked_tree().messages)
    assert len(store.summaries()) == 1
    store.search("roman")


@pytest.mark.parametrize("column", ["text", "created", "model", "finish_reason", "figures", "error", "parent"])
@pytest.mark.parametrize("value", ["x'ff00'", "'{\"broken'", "'{}'", "9e999"])
def test_a_broken_message_never_takes_the_others_with_it(
    store: ConversationStore, database: Database, column: str, value: str
) -> None:
    put(store, forked_tree())
    set_raw(database, f"UPDATE messages SET {column} = {value} WHERE id = '{message_id(3)}'")
    tree = store.tree(CHAT)
    assert [message.id for message in tree.path()][-3:] == [message_id(n) for n in (3, 4, 5)]
    assert len(tree.messages) == 6
    store.search("which")


def test_a_lost_text_is_said_to_be_lost(store: ConversationStore, database: Database) -> None:
    put(store, forked_tree())
    set_raw(database, f"UPDATE messages SET text = x'00' WHERE id = '{message_id(4)}'")
    lost = store.tree(CHAT).messages[message_id(4)]
    assert (lost.text, lost.error) == ("", UNREADABLE_TEXT)
    assert [each.text for each in store.path(CHAT, message_id(4))][-1] == ""


def test_null_fields_do_no_harm(store: ConversationStore, database: Database) -> None:
    put(store, forked_tree())
    set_raw(database, "PRAGMA writable_schema = ON")
    set_raw(database, "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
    database.close()
    with_nulls = Database.open(database.path, database.path.parent)
    try:
        set_raw(with_nulls, "UPDATE messages SET text = NULL, created = NULL, role = NULL")
        set_raw(with_nulls, "UPDATE conversations SET title = NULL, sampler = NULL, created = NULL")
        again = ConversationStore(with_nulls)
        assert len(again.tree(CHAT).messages) == 6
        assert titles(again) == [UNTITLED]
    finally:
        with_nulls.close()


def test_a_cycle_is_opened_up(store: ConversationStore, database: Database) -> None:
    put(store, forked_tree())
    set_raw(database, f"UPDATE messages SET parent = '{message_id(4)}' WHERE id = '{message_id(1)}'")
    tree = store.tree(CHAT)
    assert tree.messages[message_id(1)].parent is None
    assert len(tree.path()) == 4
    assert [each.id for each in store.path(CHAT, message_id(5))] == [each.id for each in tree.path()]


def test_a_lost_leaf_becomes_the_last_message(store: ConversationStore, database: Database) -> None:
    put(store, forked_tree())
    set_raw(database, "UPDATE conversations SET leaf = 'nowhere'")
    assert store.tree(CHAT).conversation.leaf == message_id(6)


def test_broken_token_ids_are_left_out_and_logged(
    store: ConversationStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, forked_tree())
    store.store_token_ids("t", {message_id(1): [1], message_id(2): [2]})
    set_raw(database, f"UPDATE message_tokens SET ids = x'010203' WHERE message = '{message_id(1)}'")
    with caplog.at_level(logging.WARNING):
        assert store.token_ids(CHAT, "t") == {message_id(2): (2,)}
    assert "broken" in caplog.text


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters()), st.text())
def test_any_text_comes_back(store: ConversationStore, text: str, other: str) -> None:
    chat = new_conversation_id()
    store.create(Conversation(chat))
    reply = Message(new_message_id(), chat, None, "assistant", text)
    store.add_message(reply)
    store.update_reply(reply.id, text=other, finish_reason="stop")
    store.update_reply(reply.id, text=text, finish_reason="stop")
    store.set_draft(chat, text)
    assert store.tree(chat).messages[reply.id].text == text
    assert store.get(chat).draft == text


def test_half_a_surrogate_pair_becomes_a_replacement_and_two_halves_a_character(store: ConversationStore) -> None:
    store.create(Conversation(CHAT))
    store.set_draft(CHAT, "a\ud83d b \ud83d\ude42")
    assert store.get(CHAT).draft == "a\ufffd b 🙂"
