"""A person edits, goes through variants, branches and goes on with replies, in the real window with a real model."""

import os
import signal

from PySide6.QtCore import Qt

from app.core.conversation import Message
from tests.end2end.conftest import REPLY_MS, Ember, Start, use_greedy

ALT = Qt.KeyboardModifier.AltModifier
LONG_STORY = "Tell me a very long story about the sea, a ship and its captain."


def path(ember: Ember) -> list[Message]:
    """The branch that is stored as shown."""
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    return ember.workspace.store.tree(conversation).path()


def on_page(ember: Ember) -> list[str]:
    return ember.window.transcript.message_ids()


def act(ember: Ember, at: int, action: str) -> None:
    ember.window.transcript.trigger(on_page(ember)[at], action)


def go_on(ember: Ember) -> None:
    """Continue the last reply, and wait for its end."""
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=REPLY_MS):
        act(ember, len(on_page(ember)) - 1, "continue")


def test_editing_variants_branching_and_going_on(ember: Ember) -> None:
    use_greedy(ember, max_tokens=12)
    ember.say("Name a colour.")
    ember.say("And a river?")
    first = path(ember)

    # The last message is edited with the keyboard; up to it nothing is read again.
    edit = ember.window.composer.edit
    edit.setFocus()
    ember.qtbot.keyClick(edit, Qt.Key.Key_Up)
    assert ember.window.composer.draft() == "And a river?"
    edit.selectAll()
    ember.say("And a mountain?")
    second = path(ember)
    assert [message.id for message in second[:2]] == [message.id for message in first[:2]]
    assert second[2].text == "And a mountain?"
    before, after = first[1].figures, second[3].figures
    assert before is not None and after is not None
    assert after.tokens.reused_memory >= before.tokens.prompt + before.tokens.generated - 1

    # The old branch is one key away, and back.
    transcript = ember.window.transcript
    transcript.setFocus()
    ember.qtbot.keyClick(transcript, Qt.Key.Key_Up, ALT)
    ember.qtbot.keyClick(transcript, Qt.Key.Key_Up, ALT)
    ember.qtbot.keyClick(transcript, Qt.Key.Key_Left, ALT)
    assert path(ember) == first
    assert on_page(ember) == [message.id for message in first]
    ember.qtbot.keyClick(transcript, Qt.Key.Key_Right, ALT)
    assert path(ember) == second

    # A third branch from the first reply.
    act(ember, 1, "branch")
    ember.say("And a tree?")
    third = path(ember)
    assert [message.text for message in third[:3]] == ["Name a colour.", first[1].text, "And a tree?"]
    conversation = ember.workspace.store.tree(third[0].conversation)
    assert [each.text for each in conversation.siblings(third[2].id)] == [
        "And a river?",
        "And a mountain?",
        "And a tree?",
    ]

    # A reply that was cut goes on where it was, and reads nothing but its last token.
    use_greedy(ember, max_tokens=6)
    ember.say("Tell me about it.")
    cut = path(ember)[-1]
    assert cut.finish_reason == "length"
    go_on(ember)
    grown = path(ember)[-1]
    assert grown.id == cut.id
    assert grown.text.startswith(cut.text) and len(grown.text) > len(cut.text)
    assert grown.figures is not None and grown.figures.tokens.evaluated == 1
    assert f"reused {grown.figures.tokens.reused_memory} · read 1" in ember.shown


def test_a_reply_in_two_parts_is_the_reply_in_one(ember: Ember) -> None:
    use_greedy(ember, max_tokens=24)
    ember.say("What is a rainbow?")
    whole = path(ember)[-1]
    use_greedy(ember, max_tokens=12)
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=REPLY_MS):
        act(ember, 1, "regenerate")
    go_on(ember)
    assert path(ember)[-1].text == whole.text
    assert path(ember)[-1].id != whole.id


def test_another_variant_is_read_while_a_reply_is_being_written(ember: Ember) -> None:
    use_greedy(ember, max_tokens=8)
    ember.say(LONG_STORY)
    first = path(ember)
    use_greedy(ember)
    act(ember, 1, "regenerate")
    ember.wait_for_words()
    running = ember.workspace.chats.running
    assert running is not None
    ember.window.transcript.variant_requested.emit(running.reply.id, -1)
    assert on_page(ember) == [message.id for message in first]
    words = len(running.text)
    ember.qtbot.waitUntil(lambda: len(running.text) > words, timeout=REPLY_MS)
    ember.window.composer.show_reply_button.click()
    ember.qtbot.waitUntil(lambda: running.text[:40] in ember.shown, timeout=5_000)
    ember.window.chat.stop()
    ember.wait_until_idle()
    assert path(ember)[-1].text == running.text
    tree = ember.workspace.store.tree(first[0].conversation)
    assert tree.messages[first[1].id] == first[1]


def test_going_on_survives_a_killed_engine(ember: Ember) -> None:
    use_greedy(ember, max_tokens=8)
    ember.say(LONG_STORY)
    cut = path(ember)[-1]
    use_greedy(ember)
    act(ember, 1, "continue")
    running = ember.workspace.chats.running
    assert running is not None
    ember.qtbot.waitUntil(lambda: len(running.text) > len(cut.text), timeout=REPLY_MS)
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=10_000):
        os.kill(ember.workspace.engine.pid, signal.SIGKILL)
    broken = path(ember)[-1]
    assert broken.finish_reason == "failed"
    assert broken.text.startswith(cut.text) and len(broken.text) > len(cut.text)
    ember.wait_for_model()
    use_greedy(ember, max_tokens=4)
    go_on(ember)
    assert path(ember)[-1].text.startswith(broken.text)
    assert path(ember)[-1].error is None


def test_an_edit_and_the_draft_beneath_it_outlive_the_app(start: Start) -> None:
    ember = start()
    ember.wait_for_model()
    use_greedy(ember, max_tokens=4)
    ember.say("Name a colour.")
    ember.type("half a thought")
    act(ember, 0, "edit")
    ember.type(" Or a river?")
    ember.close()
    again = start()
    assert again.window.composer.draft() == "Name a colour. Or a river?"
    assert again.window.composer.aim_line.isVisible()
    again.qtbot.waitUntil(again.window.composer.edit.hasFocus)
    again.qtbot.keyClick(again.window.composer.edit, Qt.Key.Key_Escape)
    assert again.window.composer.draft() == "half a thought"
