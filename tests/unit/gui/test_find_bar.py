"""Looking for words in the open chat."""

from PySide6.QtCore import Qt

from tests.unit.gui.person import Person

REPLY = "The harbour was measured. " + "Nothing of it. " * 300 + "\n\nThe harbour again."


def selected(person: Person) -> tuple[str, int]:
    """The words that are selected in the chat, and where they begin."""
    cursor = person.window.transcript.textCursor()
    return cursor.selectedText(), cursor.selectionStart()


def find(person: Person, words: str) -> None:
    """Open the bar with its keys, and type."""
    person.qtbot.keyClick(person.composer.edit, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    person.qtbot.keyClicks(person.window.find_bar.field, words)


def test_words_are_found_while_they_are_typed_and_enter_goes_on(talking: Person) -> None:
    talking.say("Why?", REPLY)
    find(talking, "harb")
    bar = talking.window.find_bar
    words, first = selected(talking)
    assert words == "harb" and bar.isVisible() and bar.field.hasFocus()
    talking.qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    second = selected(talking)[1]
    assert second > first
    talking.qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    assert selected(talking)[1] == first
    talking.qtbot.keyClick(bar.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert selected(talking)[1] == second


def test_what_is_not_there_is_said(talking: Person) -> None:
    talking.say("Why?", REPLY)
    find(talking, "bridge")
    bar = talking.window.find_bar
    assert bar.result.text() == "Not in this chat"
    assert not bar.on.isEnabled()
    bar.field.setText("harbour")
    assert bar.result.text() == "" and bar.on.isEnabled()


def test_esc_closes_the_bar_and_stops_no_reply(talking: Person) -> None:
    talking.say("Why?", REPLY)
    talking.send("And then?")
    find(talking, "harbour")
    talking.qtbot.keyClick(talking.window.find_bar.field, Qt.Key.Key_Escape)
    assert not talking.window.find_bar.isVisible()
    assert talking.window.workspace.chats.running is not None
    assert talking.composer.edit.hasFocus()


def test_an_empty_chat_has_nothing_to_find(talking: Person) -> None:
    talking.say("Why?", REPLY)
    find(talking, "harbour")
    talking.window.conversations.new()
    assert not talking.window.find_bar.isVisible()
    find(talking, "")
    assert not talking.window.find_bar.isVisible()
