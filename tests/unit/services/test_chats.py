"""Turns without an engine: what is stored when, what waits, and what goes back to the person."""

import sqlite3
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import ConversationId, Message, MessageId, was_cut
from app.core.errors import EmberError
from app.services import reply_storing
from app.services.chats import Chats
from app.services.turns import TurnOutcome, TurnRequest
from app.storage.conversations import INTERRUPTED, ConversationStore
from tests.unit.services.fakes import FakeClient, model_info


@pytest.fixture
def ended(chats: Chats) -> list[TurnOutcome]:
    """The turns that have ended."""
    seen: list[TurnOutcome] = []
    chats.turn_ended.connect(seen.append)
    return seen


@pytest.fixture
def refused(chats: Chats) -> list[tuple[TurnRequest, str]]:
    """The turns that could not begin, each with why."""
    seen: list[tuple[TurnRequest, str]] = []
    chats.refused.connect(lambda request, kind, _sentence: seen.append((request, kind)))
    return seen


@pytest.fixture
def chat(chats: Chats) -> ConversationId:
    """A conversation without messages."""
    return chats.new_conversation().id


def path(store: ConversationStore, chat: ConversationId) -> list[Message]:
    return store.tree(chat).path()


def words(store: ConversationStore, chat: ConversationId) -> list[tuple[str, str]]:
    """Roles and texts, as stored."""
    return [(message.role, message.text) for message in path(store, chat)]


# --- a turn -----------------------------------------------------------------------------------------------------------


def test_a_message_is_stored_before_the_engine_is_asked(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Why did Roman roads last?"))
    assert words(store, chat) == [("user", "Why did Roman roads last?"), ("assistant", "")]
    assert store.get(chat).title == "Why did Roman roads last?"
    assert [message.text for message in fake.turns[0].messages] == ["Why did Roman roads last?"]


def test_a_reply_is_stored_with_its_figures_and_its_exact_ids(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, ended: list[TurnOutcome]
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.say("Hel", 4)
    fake.finish("Hello", 4, 5)
    question, reply = path(store, chat)
    assert (reply.text, reply.finish_reason) == ("Hello", "stop")
    assert reply.figures is not None
    assert store.token_ids(chat, model_info().tokenizer_key) == {question.id: (1, 2), reply.id: (4, 5)}
    assert ended[0].reply.id == reply.id
    assert chats.running is None


def test_the_next_turn_sends_the_exact_ids_again(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.finish("Hello", 4, 5)
    chats.ask(TurnRequest(chat, "More"))
    assert [message.token_ids for message in fake.turns[1].messages] == [(1, 2), (4, 5), None]


def test_another_model_gets_the_text_and_not_the_ids_of_the_first(
    chats: Chats, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.finish("Hello", 4, 5)
    fake.set_model(model_info("/models/b.gguf"))
    chats.ask(TurnRequest(chat, "More"))
    assert [(m.text, m.token_ids) for m in fake.turns[1].messages] == [("Hi", None), ("Hello", None), ("More", None)]


def test_the_system_prompt_comes_first_and_blank_ones_not_at_all(chats: Chats, fake: FakeClient) -> None:
    for prompt, roles in (("Be brief.", ["system", "user"]), (" \n", ["user"])):
        chats.ask(TurnRequest(chats.new_conversation(prompt).id, "Hi"))
        assert [message.role for message in fake.turns[-1].messages] == roles
        fake.finish("Hello", 4)


def test_answering_again_makes_a_second_reply_to_the_same_message(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.finish("Hello", 4)
    question, first = path(store, chat)
    chats.ask(TurnRequest(chat, answers=question.id))
    fake.finish("Hey", 5)
    second = path(store, chat)[-1]
    assert {m.id for m in store.tree(chat).siblings(second.id)} == {first.id, second.id}


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_message_is_refused_and_stores_nothing(
    text: str, chats: Chats, store: ConversationStore, chat: ConversationId
) -> None:
    with pytest.raises(EmberError) as refusal:
        chats.ask(TurnRequest(chat, text))
    assert refusal.value.kind == "empty_prompt"
    assert path(store, chat) == []


@pytest.mark.parametrize("text", ["a\0b", "\u202eשלום", "👨\u200d👩\u200d👧", "<|im_end|>", "a\ufdd0"])
def test_any_text_arrives_as_it_was_typed(
    text: str, chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, text))
    assert fake.turns[0].messages[0].text == text
    assert words(store, chat)[0] == ("user", text)


def test_halves_of_a_character_are_replaced_and_leave_no_draft(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "a\ud800b \ud83d\udd25"))
    assert fake.turns[0].messages[0].text == "a\ufffdb 🔥"
    assert store.get(chat).draft == ""


# --- partial replies --------------------------------------------------------------------------------------------------


def test_a_streaming_reply_is_stored_again_and_again(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, qtbot: QtBot
) -> None:
    chats._storing._timer.setInterval(1)
    chats.ask(TurnRequest(chat, "Hi"))
    for piece, stored in (("One", "One"), (" two", "One two")):
        fake.say(piece, 4)
        qtbot.waitUntil(lambda stored=stored: path(store, chat)[-1].text == stored)  # type: ignore[misc]
    assert path(store, chat)[-1].finish_reason is None


def test_it_is_stored_once_a_second_by_default() -> None:
    assert reply_storing.PARTIAL_INTERVAL_MS == 1000


def test_a_dead_engine_leaves_what_has_come_and_why_no_more_did(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, ended: list[TurnOutcome]
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.say("Half a sen", 4, 5)
    fake.fail()
    reply = path(store, chat)[-1]
    assert (reply.text, reply.finish_reason, reply.error) == ("Half a sen", "failed", "The engine ended.")
    assert store.token_ids(chat, model_info().tokenizer_key)[reply.id] == (4, 5)
    assert ended[0].failure is not None


def test_a_stop_asks_the_engine_and_keeps_what_has_come(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.say("Half", 4)
    chats.stop()
    assert fake.cancelled == [fake.turns[0].id]
    fake.finish("Half", 4, reason="cancelled")
    assert (path(store, chat)[-1].text, path(store, chat)[-1].finish_reason) == ("Half", "cancelled")


def test_closing_in_the_middle_keeps_what_has_come(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.say("Half", 4)
    chats.close()
    assert (path(store, chat)[-1].text, path(store, chat)[-1].finish_reason) == ("Half", "cancelled")


# --- another version of a message -------------------------------------------------------------------------------------


@pytest.fixture
def told(chats: Chats, fake: FakeClient, chat: ConversationId, store: ConversationStore) -> list[Message]:
    """Two questions with their replies, as they are stored."""
    for question, answer, token in (("Hi", "Hello", 4), ("And you?", "Well.", 5)):
        chats.ask(TurnRequest(chat, question))
        fake.finish(answer, token)
    return path(store, chat)


@pytest.mark.parametrize(("which", "before"), [(0, []), (2, ["Hi", "Hello"])], ids=["the first", "a later one"])
def test_an_edited_message_stands_beside_the_old_one_and_is_answered(
    which: int,
    before: list[str],
    chats: Chats,
    store: ConversationStore,
    fake: FakeClient,
    chat: ConversationId,
    told: list[Message],
) -> None:
    chats.ask(TurnRequest(chat, "Rather this", edits=told[which].id))
    assert [message.text for message in fake.turns[-1].messages] == [*before, "Rather this"]
    fake.finish("Gladly.", 6)
    assert [text for _, text in words(store, chat)] == [*before, "Rather this", "Gladly."]
    tree = store.tree(chat)
    edited = tree.path()[which]
    assert [each.text for each in tree.siblings(edited.id)] == [told[which].text, "Rather this"]
    assert tree.path(tree.newest_leaf(told[which].id)) == told


def test_what_was_being_written_stays_the_draft_while_an_edit_waits_and_after_it(
    chats: Chats,
    store: ConversationStore,
    fake: FakeClient,
    chat: ConversationId,
    told: list[Message],
) -> None:
    store.set_draft(chat, "half a thought")
    chats.ask(TurnRequest(chats.new_conversation().id, "Another chat first"))
    chats.ask(TurnRequest(chat, "Rather this", edits=told[2].id))
    assert store.get(chat).draft == "Rather this\n\nhalf a thought"
    fake.finish("Done", 6)
    assert store.get(chat).draft == "half a thought"


def test_an_edit_that_does_not_fit_goes_back_and_the_old_branch_is_shown(
    chats: Chats,
    store: ConversationStore,
    fake: FakeClient,
    chat: ConversationId,
    told: list[Message],
    refused: list[tuple[TurnRequest, str]],
) -> None:
    store.set_draft(chat, "half a thought")
    chats.ask(TurnRequest(chat, "Far too long", edits=told[2].id))
    fake.fail("context_full", "It does not fit.")
    assert path(store, chat) == told
    assert store.get(chat).draft == "Far too long\n\nhalf a thought"
    assert refused[0][0].edits == told[2].id


def test_an_edit_of_a_message_that_is_not_there_is_refused(
    chats: Chats, store: ConversationStore, chat: ConversationId, refused: list[tuple[TurnRequest, str]]
) -> None:
    chats.ask(TurnRequest(chat, "Rather this", edits=MessageId("0" * 32)))
    assert refused[0][1] == "no_message"
    assert path(store, chat) == []
    assert store.get(chat).draft == "Rather this"


# --- branches ---------------------------------------------------------------------------------------------------------


def test_a_message_follows_the_one_it_is_told_to_follow(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, told: list[Message]
) -> None:
    chats.ask(TurnRequest(chat, "Or else?", parent=told[1].id))
    fake.finish("Else.", 6)
    assert [text for _, text in words(store, chat)] == ["Hi", "Hello", "Or else?", "Else."]


def test_a_waiting_message_goes_where_it_was_sent_whatever_is_shown_by_then(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, told: list[Message]
) -> None:
    chats.ask(TurnRequest(chats.new_conversation().id, "Another chat first"))
    chats.ask(TurnRequest(chat, "And then?"))
    store.set_leaf(chat, told[1].id)
    fake.finish("Done", 6)
    fake.finish("Then this.", 7)
    assert [text for _, text in words(store, chat)] == ["Hi", "Hello", "And you?", "Well.", "And then?", "Then this."]


def test_a_reply_is_stored_in_its_branch_while_another_is_shown(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, told: list[Message]
) -> None:
    chats.ask(TurnRequest(chat, answers=told[2].id))
    fake.say("Qui", 6)
    store.set_leaf(chat, told[3].id)
    fake.finish("Quite well.", 6, 7)
    tree = store.tree(chat)
    assert tree.path() == told
    assert [each.text for each in tree.siblings(told[3].id)] == ["Well.", "Quite well."]


def test_a_message_that_does_not_fit_leaves_the_branch_that_was_chosen_since(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, told: list[Message]
) -> None:
    chats.ask(TurnRequest(chat, "Far too long"))
    store.set_leaf(chat, told[1].id)
    fake.fail("context_full", "It does not fit.")
    assert path(store, chat) == told[:2]


# --- a reply that was cut ---------------------------------------------------------------------------------------------


@pytest.fixture
def cut(chats: Chats, fake: FakeClient, chat: ConversationId, store: ConversationStore) -> Message:
    """A reply that was cut at its limit."""
    chats.ask(TurnRequest(chat, "Tell me a story"))
    fake.finish("Once upon", 4, 5, reason="length")
    return path(store, chat)[-1]


def ids_of(store: ConversationStore, message: Message) -> tuple[int, ...] | None:
    """The exact ids that are stored of a message for the fake's model."""
    return store.token_ids(message.conversation, model_info().tokenizer_key).get(message.id)


def test_a_reply_that_was_cut_grows_in_place(
    chats: Chats,
    store: ConversationStore,
    fake: FakeClient,
    chat: ConversationId,
    cut: Message,
    ended: list[TurnOutcome],
) -> None:
    chats.ask(TurnRequest(chat, continues=cut.id))
    asked = fake.turns[-1]
    assert asked.continues
    assert [(each.text, each.token_ids) for each in asked.messages] == [
        ("Tell me a story", (1, 2)),
        ("Once upon", (4, 5)),
    ]
    fake.say(" a time", 6)
    fake.finish("Once upon a time.", 4, 5, 6, 7)
    (reply,) = [each for each in path(store, chat) if each.role == "assistant"]
    assert (reply.id, reply.text, reply.finish_reason) == (cut.id, "Once upon a time.", "stop")
    assert reply.figures is not None and reply.figures.tokens.generated == 4
    assert ids_of(store, reply) == (4, 5, 6, 7)
    assert ended[-1].reply == reply


def test_the_stored_text_of_a_growing_reply_never_gets_shorter(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, cut: Message, qtbot: QtBot
) -> None:
    chats._storing._timer.setInterval(1)
    seen: set[str] = set()
    store.on_change.append(lambda _kind, _chat: seen.add(path(store, chat)[-1].text))
    chats.ask(TurnRequest(chat, continues=cut.id))
    assert path(store, chat)[-1] == cut  # a killed Ember leaves it as it was
    fake.say(" a", 6)
    qtbot.waitUntil(lambda: path(store, chat)[-1].text == "Once upon a")
    assert path(store, chat)[-1].finish_reason is None
    assert ids_of(store, cut) == (4, 5, 6)
    fake.fail()
    reply = path(store, chat)[-1]
    assert (reply.text, reply.finish_reason, reply.error) == ("Once upon a", "failed", "The engine ended.")
    assert all(text.startswith("Once upon") for text in seen)


def test_a_killed_ember_keeps_the_old_words_and_the_new_ones(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, cut: Message, qtbot: QtBot
) -> None:
    chats._storing._timer.setInterval(1)
    chats.ask(TurnRequest(chat, continues=cut.id))
    fake.say(" a", 6)
    qtbot.waitUntil(lambda: path(store, chat)[-1].text == "Once upon a")
    assert store.finish_interrupted() == 1  # as at the next start
    reply = path(store, chat)[-1]
    assert (reply.text, reply.finish_reason, reply.error) == ("Once upon a", "failed", INTERRUPTED)
    assert was_cut(reply)


def test_going_on_that_comes_to_nothing_leaves_the_reply_as_it_was(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, cut: Message
) -> None:
    chats.ask(TurnRequest(chat, continues=cut.id))
    fake.finish("Once upon", 4, 5, reason="cancelled")
    assert path(store, chat)[-1] == cut
    chats.ask(TurnRequest(chat, continues=cut.id))
    chats.close()
    assert path(store, chat)[-1] == cut
    assert ids_of(store, cut) == (4, 5)


def test_going_on_that_fails_at_once_says_why_below_the_old_words(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, cut: Message
) -> None:
    chats.ask(TurnRequest(chat, continues=cut.id))
    fake.fail("context_full", "The context is full.")
    reply = path(store, chat)[-1]
    assert (reply.text, reply.finish_reason, reply.error) == ("Once upon", "length", "The context is full.")
    assert reply.figures == cut.figures


def test_another_model_goes_on_with_the_words_and_its_ids_are_known_at_the_end(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, cut: Message, qtbot: QtBot
) -> None:
    fake.set_model(model_info("/models/b.gguf"))
    key = model_info("/models/b.gguf").tokenizer_key
    chats._storing._timer.setInterval(1)
    chats.ask(TurnRequest(chat, continues=cut.id))
    fake.say(" a", 60)
    qtbot.waitUntil(lambda: path(store, chat)[-1].text == "Once upon a")
    assert cut.id not in store.token_ids(chat, key)
    fake.finish("Once upon a time", 40, 60, 61)
    assert store.token_ids(chat, key)[cut.id] == (40, 60, 61)


def test_words_that_another_models_tokens_do_not_give_exactly_stay_as_they_are(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, cut: Message
) -> None:
    fake.set_model(model_info("/models/b.gguf"))
    chats.ask(TurnRequest(chat, continues=cut.id))
    fake.say(" a time", 60)
    fake.finish(" Once  upon a time", 40, 60)
    assert path(store, chat)[-1].text == "Once upon a time"
    assert cut.id not in store.token_ids(chat, model_info("/models/b.gguf").tokenizer_key)


def test_only_the_last_reply_of_a_branch_that_was_cut_is_gone_on_with(
    chats: Chats,
    fake: FakeClient,
    chat: ConversationId,
    cut: Message,
    store: ConversationStore,
    refused: list[tuple[TurnRequest, str]],
) -> None:
    chats.ask(TurnRequest(chat, "Go on"))
    fake.finish("So be it.", 8)
    for each in (cut, path(store, chat)[-1]):
        chats.ask(TurnRequest(chat, continues=each.id))
    assert [kind for _, kind in refused] == ["not_cut", "not_cut"]
    assert chats.running is None


# --- a database that cannot be written --------------------------------------------------------------------------------


def lock(store: ConversationStore) -> sqlite3.Connection:
    """Another program that writes to the database and does not end."""
    store.database._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(store.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_reply_that_cannot_be_stored_is_said_kept_and_stored_as_soon_as_it_can_be(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, qtbot: QtBot
) -> None:
    chats._storing._timer.setInterval(1)
    told: list[str] = []
    chats.storing_failed.connect(told.append)
    chats.ask(TurnRequest(chat, "Hi"))
    other = lock(store)
    fake.say("Hel", 4)
    qtbot.waitUntil(lambda: bool(told))
    fake.finish("Hello", 4, 5)
    assert chats.running is None
    assert path(store, chat)[-1].text == ""
    other.execute("ROLLBACK")
    other.close()
    qtbot.waitUntil(lambda: path(store, chat)[-1].text == "Hello")
    qtbot.waitUntil(lambda: told[-1] == "")
    assert "Another program is writing" in told[0]


def test_a_message_that_cannot_be_stored_is_refused_and_nothing_half_done(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    other = lock(store)
    with pytest.raises(EmberError) as refusal:
        chats.ask(TurnRequest(chat, "Hi"))
    other.close()
    assert refusal.value.kind == "database_busy"
    assert (fake.turns, path(store, chat), chats.running) == ([], [], None)


def test_a_reply_whose_conversation_was_deleted_for_good_stops_nothing(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId, ended: list[TurnOutcome]
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    store.delete(chat)
    store.purge_deleted(before=1e11)
    fake.finish("Hello", 4)
    assert len(ended) == 1
    other = chats.new_conversation().id
    chats.ask(TurnRequest(other, "Hi"))
    fake.finish("Hey", 5)
    assert path(store, other)[-1].text == "Hey"


def test_undo_brings_back_a_reply_that_ended_after_its_conversation_was_deleted(
    chats: Chats, store: ConversationStore, fake: FakeClient, chat: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    store.delete(chat)
    fake.finish("Hello", 4)
    store.restore(chat)
    assert path(store, chat)[-1].text == "Hello"


# --- the queue --------------------------------------------------------------------------------------------------------


@pytest.fixture
def other(chats: Chats) -> ConversationId:
    """A second conversation."""
    return chats.new_conversation().id


def test_a_second_conversation_waits_and_is_next(
    chats: Chats, fake: FakeClient, chat: ConversationId, other: ConversationId, store: ConversationStore
) -> None:
    chats.ask(TurnRequest(chat, "First"))
    chats.ask(TurnRequest(other, "Second"))
    assert chats.waiting(other) is not None
    assert path(store, other) == []
    assert store.get(other).draft == "Second"
    fake.finish("Done", 4)
    assert chats.is_running(other)
    assert store.get(other).draft == ""


def test_a_waiting_message_can_be_taken_back(
    chats: Chats, fake: FakeClient, chat: ConversationId, other: ConversationId, store: ConversationStore
) -> None:
    chats.ask(TurnRequest(chat, "First"))
    chats.ask(TurnRequest(other, "Second"))
    assert chats.take_back(other) == "Second"
    fake.finish("Done", 4)
    assert (chats.running, path(store, other), store.get(other).draft) == (None, [], "Second")


def test_a_conversation_that_is_being_answered_takes_no_second_message(
    chats: Chats, chat: ConversationId, other: ConversationId
) -> None:
    chats.ask(TurnRequest(chat, "First"))
    chats.ask(TurnRequest(other, "Second"))
    for busy in (chat, other):
        with pytest.raises(EmberError) as refusal:
            chats.ask(TurnRequest(busy, "Again"))
        assert refusal.value.kind == "busy"


def test_waiting_messages_stay_drafts_when_the_window_closes(
    chats: Chats, chat: ConversationId, other: ConversationId, store: ConversationStore
) -> None:
    chats.ask(TurnRequest(chat, "First"))
    chats.ask(TurnRequest(other, "Second"))
    chats.close()
    assert store.get(other).draft == "Second"


def test_a_turn_asked_while_a_model_loads_begins_when_it_is_there(
    chats: Chats, fake: FakeClient, chat: ConversationId
) -> None:
    fake.set_model(None, is_loading=True)
    chats.ask(TurnRequest(chat, "Hi"))
    assert fake.turns == []
    fake.set_model(model_info())
    assert len(fake.turns) == 1


def test_a_turn_waits_for_the_model_that_replaces_the_one_that_is_there(
    chats: Chats, fake: FakeClient, chat: ConversationId, store: ConversationStore
) -> None:
    """It would be answered by the new one, under the old one's tokenizer."""
    fake.is_loading = True
    chats.ask(TurnRequest(chat, "Hi"))
    assert fake.turns == []
    fake.set_model(model_info("/models/b.gguf"))
    fake.finish("Hello", 4)
    assert store.token_ids(chat, model_info("/models/b.gguf").tokenizer_key)
    assert not store.token_ids(chat, model_info().tokenizer_key)


def test_a_load_that_fails_gives_waiting_messages_to_the_model_that_stays(
    chats: Chats, fake: FakeClient, chat: ConversationId
) -> None:
    fake.is_loading = True
    chats.ask(TurnRequest(chat, "Hi"))
    fake.is_loading = False
    fake.load_failed.emit("not_gguf", "It is no model.")
    assert len(fake.turns) == 1


def test_a_load_that_fails_without_another_model_hands_waiting_messages_back(
    chats: Chats,
    fake: FakeClient,
    chat: ConversationId,
    store: ConversationStore,
    refused: list[tuple[TurnRequest, str]],
) -> None:
    fake.set_model(None, is_loading=True)
    chats.ask(TurnRequest(chat, "Hi"))
    fake.is_loading = False
    fake.load_failed.emit("not_gguf", "It is no model.")
    assert [(request.text, kind) for request, kind in refused] == [("Hi", "not_gguf")]
    assert store.get(chat).draft == "Hi"


def test_without_a_model_nothing_is_sent_and_nothing_stored(
    chats: Chats, fake: FakeClient, chat: ConversationId, store: ConversationStore
) -> None:
    fake.set_model(None)
    with pytest.raises(EmberError) as refusal:
        chats.ask(TurnRequest(chat, "Hi"))
    assert refusal.value.kind == "no_model"
    assert path(store, chat) == []


def test_a_message_that_does_not_fit_goes_back_to_the_person(
    chats: Chats,
    fake: FakeClient,
    chat: ConversationId,
    store: ConversationStore,
    refused: list[tuple[TurnRequest, str]],
) -> None:
    chats.ask(TurnRequest(chat, "Hi"))
    fake.finish("Hello", 4)
    chats.ask(TurnRequest(chat, "Far too long"))
    fake.fail("context_full", "It does not fit.")
    assert words(store, chat) == [("user", "Hi"), ("assistant", "Hello")]
    assert store.get(chat).draft == "Far too long"
    assert refused[0][1] == "context_full"


def test_a_conversation_that_is_not_there_is_refused(chats: Chats, tmp_path: Path) -> None:
    with pytest.raises(EmberError) as refusal:
        chats.ask(TurnRequest(ConversationId("0" * 32), "Hi"))
    assert refusal.value.kind == "no_conversation"
    assert chats.running is None
