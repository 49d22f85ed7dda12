"""A person talks with the starter model in the real window."""

import os
import signal

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot

from app.gui import dialogs, dialogs_import
from app.gui.transcript import ShownMessage
from tests.end2end.conftest import REPLY_MS, Ember, Start, use_greedy
from tests.unit.gui.person import export

LONG_STORY = "Tell me a very long story about the sea, a ship and its captain."


def test_the_window_is_there_before_the_model(start: Start) -> None:
    ember = start()
    assert ember.window.isVisible()
    assert ember.workspace.engine.model is None
    ember.type("Can I write already?")
    assert ember.window.composer.draft() == "Can I write already?"
    ember.wait_for_model()
    assert "SmolLM2 135M" in ember.window.header.pill.words()


def test_a_message_sent_while_the_model_loads_is_answered_when_it_is_there(start: Start) -> None:
    ember = start()
    use_greedy(ember, max_tokens=6)
    ember.qtbot.waitUntil(lambda: ember.workspace.engine.is_loading, timeout=10_000)
    ember.say("Name a colour.")
    assert ember.shown.count("Name a colour.") == 1
    assert ember.workspace.store.summaries()[0].messages == 2


def test_the_second_turn_reads_only_the_new_tokens(ember: Ember) -> None:
    use_greedy(ember, max_tokens=24)
    ember.say("Name a colour.")
    ember.say("And another one?")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    replies = [m for m in ember.workspace.store.tree(conversation).path() if m.role == "assistant"]
    first, second = (reply.figures for reply in replies)
    assert first is not None and second is not None
    held = first.tokens.prompt + first.tokens.generated
    assert second.tokens.reused_memory >= held - 1
    assert second.tokens.evaluated == second.tokens.prompt - second.tokens.reused_memory
    assert f"reused {second.tokens.reused_memory}" in ember.shown


def test_a_reply_streams_into_the_transcript(ember: Ember) -> None:
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    running = ember.workspace.chats.running
    assert running is not None
    seen = running.text.split()[0]
    ember.qtbot.waitUntil(lambda: seen in ember.shown, timeout=5_000)
    ember.window.chat.stop()
    ember.wait_until_idle()


def test_stop_keeps_the_partial_reply(ember: Ember) -> None:
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    ember.qtbot.keyClick(ember.window.composer.edit, Qt.Key.Key_Escape)
    ember.wait_until_idle()
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    reply = ember.workspace.store.tree(conversation).path()[-1]
    assert reply.finish_reason == "cancelled"
    assert reply.text
    assert "Stopped." in ember.shown


def test_stop_works_during_prefill(ember: Ember) -> None:
    ember.window.composer.set_draft("word " * 6000)
    with ember.qtbot.waitSignal(ember.workspace.chats.prefill_progress, timeout=REPLY_MS):
        ember.press_send()
    ember.window.composer.button.click()
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=10_000) as ended:
        pass
    assert ended.args[0].reply.finish_reason == "cancelled"
    assert ended.args[0].reply.text == ""
    assert "Stopped before the first word." in ember.shown


def test_conversations_are_there_after_a_restart_with_what_was_typed(start: Start) -> None:
    ember = start()
    ember.wait_for_model()
    use_greedy(ember, max_tokens=12)
    ember.say("Name a river.")
    shown = ember.workspace.store.summaries()[0]
    ember.type("not sent yet")
    ember.close()
    again = start()
    assert again.workspace.store.summaries()[0].title == shown.title == "Name a river."
    assert "Name a river." in again.shown
    assert again.window.composer.draft() == "not sent yet"
    again.wait_for_model()
    use_greedy(again, max_tokens=8)
    again.window.composer.set_draft("")
    again.say("And another?")
    figures = again.workspace.store.tree(again.workspace.store.summaries()[0].id).path()[-1].figures
    assert figures is not None
    assert figures.tokens.reused_saved > 0
    assert figures.reread is None
    assert "reused" in again.shown


def test_closing_the_window_during_a_reply_keeps_what_has_come(start: Start) -> None:
    ember = start()
    ember.wait_for_model()
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    running = ember.workspace.chats.running
    assert running is not None
    written = running.text
    ember.close()
    again = start()
    reply = again.workspace.store.tree(again.workspace.store.summaries()[0].id).path()[-1]
    assert reply.text == written
    assert reply.finish_reason == "cancelled"


def test_a_killed_engine_is_said_and_replaced_and_the_reply_kept(ember: Ember) -> None:
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    engine = ember.workspace.engine
    first = engine.pid
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=10_000) as ended:
        os.kill(first, signal.SIGKILL)
    reply = ended.args[0].reply
    assert reply.text
    assert reply.finish_reason == "failed"
    assert reply.error is not None
    assert any("starts again by itself" in notice.text for notice in ember.window.notices.notices())
    assert not any(reply.error in notice.text for notice in ember.window.notices.notices())
    ember.wait_for_model()
    assert engine.pid != first
    use_greedy(ember, max_tokens=6)
    ember.say("Are you still there?")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    assert ember.workspace.store.tree(conversation).path()[-1].finish_reason in ("stop", "length")


def test_another_conversation_waits_for_the_reply_and_can_be_taken_back(ember: Ember) -> None:
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    first = ember.window.chat.conversation_id
    ember.window.conversations.new()
    ember.type("Me too, please.")
    ember.press_send()
    second = ember.window.chat.conversation_id
    assert first is not None and second is not None and first != second
    assert ember.workspace.chats.waiting(second) is not None
    assert "Me too, please." in ember.shown
    ember.window.composer.take_back_button.click()
    assert ember.workspace.chats.waiting(second) is None
    assert ember.window.composer.draft() == "Me too, please."
    assert "Me too, please." not in ember.shown
    ember.press_send()
    ember.window.conversations.open(first)
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=REPLY_MS):
        ember.window.chat.stop()
    ember.qtbot.waitUntil(lambda: ember.workspace.chats.is_running(second), timeout=5_000)
    ember.workspace.chats.stop()
    ember.wait_until_idle()


def test_a_reply_can_be_written_again_and_both_are_kept(ember: Ember) -> None:
    use_greedy(ember, max_tokens=8)
    ember.say("Name a colour.")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    first = ember.workspace.store.tree(conversation).path()[-1]
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=REPLY_MS):
        ember.window.transcript.action_requested.emit(first.id, "regenerate")
    tree = ember.workspace.store.tree(conversation)
    assert len(tree.siblings(first.id)) == 2
    assert tree.path()[-1].id != first.id
    ember.window.transcript.variant_requested.emit(tree.path()[-1].id, -1)
    assert ember.workspace.store.tree(conversation).path()[-1].id == first.id


def test_a_deleted_conversation_comes_back_with_undo(ember: Ember) -> None:
    use_greedy(ember, max_tokens=4)
    ember.say("Name a colour.")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    ember.window.conversations.delete(conversation)
    assert ember.workspace.store.summaries() == []
    assert "Name a colour." not in ember.shown
    notice = next(notice for notice in ember.window.notices.notices() if notice.actions)
    notice.actions[0][1]()
    assert ember.workspace.store.summaries()[0].id == conversation
    assert "Name a colour." in ember.shown


def test_a_conversation_can_be_renamed(ember: Ember) -> None:
    use_greedy(ember, max_tokens=4)
    ember.say("Name a colour.")
    ember.window.header.rename_requested.emit("Colours")
    assert ember.workspace.store.summaries()[0].title == "Colours"
    assert ember.window.header.title.title() == "Colours"
    assert "Colours" in ember.window.windowTitle()


def test_clearing_gives_memory_back_and_the_text_stays(ember: Ember) -> None:
    use_greedy(ember, max_tokens=8)
    ember.say("Name a colour.")
    before = ember.shown
    with ember.qtbot.waitSignal(ember.workspace.engine.statistics, timeout=10_000) as told:
        pass
    assert told.args[0].memory[0].kv_used > 0
    ember.window.strip.clear.emit()
    ember.qtbot.waitUntil(
        lambda: any("given back" in notice.text for notice in ember.window.notices.notices()), timeout=10_000
    )
    with ember.qtbot.waitSignal(
        ember.workspace.engine.statistics,
        timeout=10_000,
        check_params_cb=lambda statistics: statistics.context_used == 0,
    ) as told:
        pass
    assert told.args[0].memory[0].kv_reserved == 0
    assert ember.shown == before
    ember.say("And another?")
    figures = ember.workspace.store.tree(ember.workspace.store.summaries()[0].id).path()[-1].figures
    assert figures is not None
    assert figures.tokens.reused_saved > 0  # from the disk: only the memory was given back
    assert figures.reread is None


def test_a_message_that_does_not_fit_says_so_before_sending(ember: Ember) -> None:
    ember.window.composer.set_draft("word " * 9000)
    ember.qtbot.waitUntil(lambda: not ember.window.composer.fits(), timeout=10_000)
    assert "it has 9,001 tokens, and 8,128 fit" in ember.window.composer.sentence.text()
    ember.press_send()
    assert ember.window.composer.draft().startswith("word")
    assert ember.workspace.store.summaries() == []


def test_instructions_are_kept_with_the_conversation(ember: Ember, monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(dialog: dialogs.InstructionsDialog) -> int:
        dialog._edit.setPlainText("Answer like a pirate.")
        buttons = dialog.findChild(QDialogButtonBox)
        assert buttons is not None
        buttons.button(QDialogButtonBox.StandardButton.Save).click()
        return dialog.result()

    monkeypatch.setattr(dialogs.InstructionsDialog, "exec", accept)
    ember.window.header.instructions_requested.emit()
    use_greedy(ember, max_tokens=4)
    ember.say("Who are you?")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    assert ember.workspace.store.get(conversation).system_prompt == "Answer like a pirate."


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_a_conversation_is_exported_and_reloaded(
    ember: Ember, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    use_greedy(ember, max_tokens=8)
    ember.say("Name a colour.")
    path = tmp_path_factory.mktemp("export") / "colours.ember"
    monkeypatch.setattr(dialogs_import, "import_paths", lambda *_: [path])
    original = ember.window.chat.conversation_id
    assert original is not None
    texts = [m.text for m in ember.workspace.store.tree(original).path()]
    export(ember.window, ember.qtbot, path, "ember")
    ember.workspace.store.delete(original)
    ember.window.header.import_requested.emit()
    ember.qtbot.waitUntil(lambda: ember.window.chat.conversation_id != original, timeout=10_000)
    copy = ember.window.chat.conversation_id
    assert copy is not None
    assert [m.text for m in ember.workspace.store.tree(copy).path()] == texts
    assert "(copy)" in ember.workspace.store.get(copy).title


def test_a_file_that_is_no_model_is_refused_in_the_window(ember: Ember, tmp_path: object, qtbot: QtBot) -> None:
    from pathlib import Path

    broken = Path(str(tmp_path)) / "broken.gguf"
    broken.write_bytes(b"nothing of the kind")
    with qtbot.waitSignal(ember.workspace.engine.load_failed, timeout=10_000):
        ember.window.model.load(broken)
    assert any("“broken.gguf” could not be loaded." in notice.text for notice in ember.window.notices.notices())
    assert ember.workspace.engine.model is not None


def test_what_was_typed_in_a_new_chat_is_there_after_a_restart(start: Start) -> None:
    ember = start()
    ember.type("half a thought")
    ember.close()
    assert start().window.composer.draft() == "half a thought"


def test_deleting_a_conversation_leaves_the_new_chats_draft_alone(ember: Ember) -> None:
    use_greedy(ember, max_tokens=3)
    ember.say("Name a colour.")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    ember.window.conversations.new()
    ember.type("half a thought")
    ember.window.conversations.open(conversation)
    ember.type("words of the other chat")
    ember.window.conversations.delete(conversation)
    assert ember.window.composer.draft() == "half a thought"
    notice = next(notice for notice in ember.window.notices.notices() if notice.actions)
    notice.actions[0][1]()
    assert ember.window.composer.draft() == "words of the other chat"


def test_nothing_typed_while_a_message_waits_is_lost(ember: Ember) -> None:
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    ember.window.conversations.new()
    ember.type("First words.")
    ember.press_send()
    ember.type("Second words.")
    waiting = ember.window.chat.conversation_id
    assert waiting is not None
    ember.window.conversations.new()
    ember.window.conversations.open(waiting)
    assert ember.window.composer.draft() == "Second words."
    ember.window.composer.take_back_button.click()
    assert ember.window.composer.draft() == "First words.\n\nSecond words."
    ember.window.composer.set_draft("First words.")
    ember.press_send()
    ember.type("Second words.")
    ember.workspace.chats.stop()
    ember.qtbot.waitUntil(lambda: ember.workspace.chats.is_running(waiting), timeout=10_000)
    assert ember.window.composer.draft() == "Second words."
    ember.workspace.chats.stop()
    ember.wait_until_idle()


def test_a_message_that_does_not_fit_comes_back_and_the_chat_goes_on(ember: Ember) -> None:
    use_greedy(ember, max_tokens=3)
    too_long = "word " * 9000
    with ember.qtbot.waitSignal(ember.workspace.chats.refused, timeout=REPLY_MS):
        ember.window.chat.send(too_long)  # before its tokens were counted
    assert ember.window.composer.draft() == too_long
    assert any("does not fit" in notice.text for notice in ember.window.notices.notices())
    ember.window.composer.set_draft("")
    ember.say("Name a colour.")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    path = ember.workspace.store.tree(conversation).path()
    assert path[0].text == "Name a colour."
    assert path[-1].finish_reason in ("stop", "length")


def test_unloading_during_a_reply_stops_it_and_hands_back_what_waits(ember: Ember) -> None:
    use_greedy(ember)
    ember.type(LONG_STORY)
    ember.press_send()
    ember.wait_for_words()
    ember.window.conversations.new()
    ember.type("Me too.")
    ember.press_send()
    ember.window.header.unload.emit()
    ember.wait_until_idle()
    assert ember.workspace.engine.model is None
    assert ember.window.composer.draft() == "Me too."
    assert "Me too." not in ember.shown


def test_a_turn_adds_to_the_page_and_does_not_lay_it_out_again(ember: Ember, monkeypatch: pytest.MonkeyPatch) -> None:
    use_greedy(ember, max_tokens=4)
    ember.say("Name a colour.")
    transcript = ember.window.transcript
    whole: list[int] = []
    set_messages = transcript.set_messages

    def counted(messages: list[ShownMessage]) -> None:
        whole.append(len(messages))
        set_messages(messages)

    monkeypatch.setattr(transcript, "set_messages", counted)
    ember.say("And another?")
    assert whole == []
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    assert transcript.message_ids() == [m.id for m in ember.workspace.store.tree(conversation).path()]
