"""What was not read again is summed from the replies' figures."""

import pytest

from app.core.conversation import Conversation, ConversationId, Message, MessageId, new_message_id
from app.core.turn import TokenCounts, TurnFigures
from app.storage import reuse
from app.storage.conversations import ConversationStore
from app.storage.reuse import Reused, reused_tokens

ONE, OTHER = ConversationId("1" * 32), ConversationId("2" * 32)


def talk(store: ConversationStore, conversation: ConversationId, *turns: TurnFigures | None) -> list[MessageId]:
    """A chat whose replies have these figures."""
    store.create(Conversation(conversation))
    replies = []
    for figures in turns:
        reply = Message(new_message_id(), conversation, None, "assistant", "words", figures=figures)
        store.add_message(reply)
        replies.append(reply.id)
    return replies


def spared(memory: int, saved: int) -> TurnFigures:
    """The figures of a turn that reused so many tokens."""
    return TurnFigures(tokens=TokenCounts(prompt=9999, reused_memory=memory, reused_saved=saved, evaluated=7))


def test_both_kinds_of_reuse_count_for_this_chat_and_for_all(store: ConversationStore) -> None:
    talk(store, ONE, spared(100, 0), spared(0, 20), None)
    talk(store, OTHER, spared(3000, 1))
    assert reused_tokens(store.database, ONE) == Reused(here=120, everywhere=3121)
    assert reused_tokens(store.database, None) == Reused(here=0, everywhere=3121)


def test_an_empty_database_has_spared_nothing(store: ConversationStore) -> None:
    assert reused_tokens(store.database, ONE) == Reused(0, 0)


def test_many_messages_are_summed_slice_by_slice(store: ConversationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "SLICE", 2)
    talk(store, ONE, *(spared(1, 0) for _ in range(7)))
    assert reused_tokens(store.database, ONE) == Reused(7, 7)


def test_damaged_figures_count_as_none(store: ConversationStore) -> None:
    first, second, _ = talk(store, ONE, spared(5, 0), spared(6, 0), spared(7, 0))
    with store.database.transaction():
        for reply, figures in ((first, "{no json"), (second, '{"tokens": {"reused_memory": "many"}}')):
            store.database.write("UPDATE messages SET figures = ? WHERE id = ?", (figures, reply))
    assert reused_tokens(store.database, ONE) == Reused(7, 7)


def test_a_reply_that_goes_on_counts_as_it_is_stored_last(store: ConversationStore) -> None:
    (reply,) = talk(store, ONE, spared(5, 0))
    store.set_figures(reply, spared(9, 0))
    assert reused_tokens(store.database, ONE) == Reused(9, 9)
