"""The same conversation once more: what a file has of it that is not here, added without changing what is."""

from dataclasses import replace

import pytest

from app.core.conversation import ConversationId, ConversationTree, Message, MessageId, messages_by_id
from app.core.errors import EmberError
from app.storage.archive_format import ImportedConversation
from app.storage.conversations import ConversationStore
from app.storage.merge import add_new, compare, difference
from app.storage.records import pack_ids
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put, set_raw


def more(*messages: Message) -> ImportedConversation:
    """The forked conversation with some more messages, as a file has it."""
    tree = forked_tree()
    return ImportedConversation(
        ConversationTree(tree.conversation, {**tree.messages, **messages_by_id(messages)}), {}, None
    )


TWO_BRANCHES = more(
    message(7, 2, text="Tell me more."), message(8, 7, "assistant"), message(9, 1, "assistant", "Sand.")
)


HERE = dict.fromkeys(forked_tree().messages, True)
"""Its messages are here, and read the same."""


def test_the_same_messages_are_no_difference() -> None:
    assert difference(HERE, forked_tree().messages).is_none


def test_what_is_here_beyond_the_file_is_no_difference() -> None:
    messages = forked_tree().messages
    few = {key: messages[key] for key in list(messages)[:2]}
    assert difference(HERE, few).is_none


def test_new_messages_are_found_with_the_branches_that_they_make() -> None:
    found = difference(HERE, TWO_BRANCHES.tree.messages)
    assert found.new == (message_id(7), message_id(8), message_id(9))
    assert found.branches == 2
    assert found.can_be_added


def test_what_follows_other_words_does_not_fit() -> None:
    tree = TWO_BRANCHES.tree.messages
    there = HERE | {message_id(2): False}
    found = difference(there, tree)
    assert found.differing == {message_id(2)}
    assert not found.can_be_added
    assert not found.is_none
    fits = {key: each for key, each in tree.items() if key not in (message_id(7), message_id(8))}
    assert difference(there, fits).can_be_added  # another reply to the same question


def test_the_place_the_role_and_the_words_of_a_stored_message_are_compared(store: ConversationStore) -> None:
    put(store, forked_tree())
    for each in forked_tree().messages.values():
        assert store.reads_as(each)
    reply = forked_tree().messages[message_id(2)]
    for other in (replace(reply, text=reply.text + " "), replace(reply, role="user"), replace(reply, parent=None)):
        assert store.reads_as(other) is False
    assert store.reads_as(replace(reply, id=message_id(99))) is None
    assert store.reads_as(replace(reply, conversation=ConversationId("d" * 32))) is None


def test_only_what_is_new_is_added_and_all_else_stays(store: ConversationStore) -> None:
    put(store, forked_tree())
    before = store.tree(CHAT)
    added = add_new(store, TWO_BRANCHES)
    after = store.tree(CHAT)
    assert added == (message_id(7), message_id(8), message_id(9))
    assert {key: after.messages[key] for key in before.messages} == dict(before.messages)
    assert after.messages[message_id(8)].parent == message_id(7)
    assert replace(after.conversation, updated=0) == replace(before.conversation, updated=0)
    assert add_new(store, TWO_BRANCHES) == ()


def test_a_reply_that_never_ended_in_the_file_says_so_here(store: ConversationStore) -> None:
    put(store, forked_tree())
    add_new(store, more(message(7, 1, "assistant", "And then", finish_reason=None)))
    assert store.tree(CHAT).messages[message_id(7)].finish_reason == "failed"


def test_what_was_added_can_be_taken_away_again_and_nothing_else_goes(store: ConversationStore) -> None:
    put(store, forked_tree())
    before = store.tree(CHAT).messages
    added = add_new(store, TWO_BRANCHES)
    store.set_leaf(CHAT, message_id(8))
    store.remove_messages(CHAT, added)
    after = store.tree(CHAT)
    assert after.messages == before
    assert after.conversation.leaf == message_id(2)
    assert not store.search("Sand")


def test_what_was_gone_on_from_is_not_taken_away(store: ConversationStore) -> None:
    put(store, forked_tree())
    added = add_new(store, TWO_BRANCHES)
    store.add_message(message(10, 8, text="Go on."))
    with pytest.raises(EmberError, match="gone on") as refused:
        store.remove_messages(CHAT, added)
    assert refused.value.kind == "in_use"
    assert len(store.tree(CHAT).messages) == 10


def test_the_saved_state_of_what_is_taken_away_is_owed(store: ConversationStore) -> None:
    put(store, forked_tree())
    added = add_new(store, TWO_BRANCHES)
    set_raw(store.database, f"INSERT INTO kv_roots VALUES ('{message_id(8)}', '{CHAT}', x'01', x'02')")
    store.remove_messages(CHAT, added)
    assert [row["tip"] for row in store.database.rows("SELECT tip FROM kv_drops")] == [b"\x02"]


def test_a_message_that_another_chat_has_is_not_added_a_second_time(store: ConversationStore) -> None:
    put(store, forked_tree())
    other = ConversationId("d" * 32)
    taken = replace(message(9, None), conversation=other)
    put(store, ConversationTree(replace(forked_tree().conversation, id=other, leaf=None), messages_by_id([taken])))
    found = compare(store, TWO_BRANCHES.tree)
    assert found is not None
    assert not found.can_be_added
    with pytest.raises(EmberError, match="as a copy"):
        add_new(store, TWO_BRANCHES)
    assert len(store.tree(CHAT).messages) == 6


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_conversation_that_is_not_here_is_compared_with_nothing(is_deleted: bool, store: ConversationStore) -> None:
    if is_deleted:
        put(store, forked_tree())
        store.delete(CHAT)
    assert compare(store, forked_tree()) is None


def test_token_ids_are_taken_only_where_trusted_and_never_over_those_that_are_here(store: ConversationStore) -> None:
    put(store, forked_tree())
    store.store_token_ids("t", {message_id(2): [1, 2]})
    ids: dict[MessageId, bytes] = {
        message_id(2): pack_ids([9]),
        message_id(3): pack_ids([3]),
        message_id(8): pack_ids([8]),
    }
    imported = replace(TWO_BRANCHES, token_ids={"t": ids})
    add_new(store, imported)
    assert store.token_ids(CHAT, "t") == {message_id(2): (1, 2)}
    add_new(store, imported, trust_token_ids=True)
    assert store.token_ids(CHAT, "t") == {message_id(2): (1, 2), message_id(3): (3,), message_id(8): (8,)}
