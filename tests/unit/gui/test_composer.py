"""Writing, sending and stopping."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt
from PySide6.QtGui import QInputMethodEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.core.context_budget import ContextBudget
from app.gui import theme
from app.gui.aim_line import Aim
from app.gui.composer import Composer
from app.gui.draft_edit import LONG_LINE, MAX_LINES, DraftEdit

Shown = Callable[..., QWidget]


@pytest.fixture
def composer(shown: Shown) -> Composer:
    """A composer with the cursor in it."""
    made = Composer()
    shown(made, 800, 300)
    made.focus_draft()
    return made


def paste(edit: DraftEdit, text: str, html: str | None = None) -> None:
    """Paste as from the clipboard."""
    data = QMimeData()
    data.setText(text)
    if html is not None:
        data.setHtml(html)
    edit.insertFromMimeData(data)


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
@pytest.mark.parametrize(
    "modifier", [Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier], ids=["plain", "ctrl"]
)
def test_enter_sends_and_empties_the_field(
    qtbot: QtBot, composer: Composer, key: Qt.Key, modifier: Qt.KeyboardModifier
) -> None:
    qtbot.keyClicks(composer.edit, "Why did they last?")
    with qtbot.waitSignal(composer.send) as sent:
        qtbot.keyClick(composer.edit, key, modifier)
    assert sent.args == ["Why did they last?"]
    assert composer.draft() == ""


def test_shift_enter_breaks_the_line(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(composer.edit, "one")
    with qtbot.assertNotEmitted(composer.send):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(composer.edit, "two")
    assert composer.draft() == "one\ntwo"


def test_nothing_but_blanks_is_not_sent(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(composer.edit, "  ")
    with qtbot.assertNotEmitted(composer.send):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert composer.draft() == "  "


def test_enter_belongs_to_the_input_method_while_a_word_is_composed(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(composer.edit, "x")
    QApplication.sendEvent(composer.edit, QInputMethodEvent("にほ", []))
    with qtbot.assertNotEmitted(composer.send):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    done = QInputMethodEvent("", [])
    done.setCommitString("日本")
    QApplication.sendEvent(composer.edit, done)
    with qtbot.waitSignal(composer.send) as sent:
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert "日本" in sent.args[0]


def test_the_button_sends_while_there_is_something_to_send(qtbot: QtBot, composer: Composer) -> None:
    assert not composer.button.isEnabled()
    qtbot.keyClicks(composer.edit, "Hello")
    with qtbot.waitSignal(composer.send):
        composer.button.click()
    assert not composer.button.isEnabled()


def test_undo_brings_back_what_was_sent(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(composer.edit, "Hello")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    composer.edit.undo()
    assert composer.draft() == "Hello"


def test_a_draft_that_comes_back_can_be_undone(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(composer.edit, "Hello")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    composer.set_draft("Hello")
    assert composer.draft() == "Hello"
    composer.edit.undo()
    assert composer.draft() == ""


def test_undo_does_not_reach_into_another_conversation(composer: Composer) -> None:
    composer.open_draft("the first chat's")
    composer.open_draft("the second chat's")
    composer.edit.undo()
    assert composer.draft() == "the second chat's"


def test_every_change_of_the_draft_is_reported(qtbot: QtBot, composer: Composer) -> None:
    drafts: list[str] = []
    composer.draft_changed.connect(drafts.append)
    qtbot.keyClicks(composer.edit, "ab")
    assert drafts == ["a", "ab"]


# --- a reply is being written --------------------------------------------------------------------------


def test_send_becomes_stop(qtbot: QtBot, composer: Composer) -> None:
    composer.set_streaming(True)
    assert composer.button.accessibleName() == "Stop the reply (Esc)"
    with qtbot.waitSignal(composer.stop), qtbot.assertNotEmitted(composer.send):
        composer.button.click()
    composer.set_streaming(False)
    assert composer.button.accessibleName() == "Send (Enter)"


def test_escape_stops_only_while_there_is_something_to_stop(qtbot: QtBot, composer: Composer) -> None:
    with qtbot.assertNotEmitted(composer.stop):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)
    composer.set_streaming(True)
    with qtbot.waitSignal(composer.stop):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)


def test_enter_during_a_reply_keeps_the_words_and_says_why(qtbot: QtBot, composer: Composer) -> None:
    composer.set_streaming(True)
    qtbot.keyClicks(composer.edit, "And then?")
    with qtbot.assertNotEmitted(composer.send):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert composer.draft() == "And then?"
    assert composer.sentence.text() == "The reply is still being written: Esc stops it."
    composer.set_streaming(False)
    assert not composer.sentence.isVisible()


def test_a_waiting_message_can_be_taken_back(qtbot: QtBot, composer: Composer) -> None:
    composer.set_queued(True)
    assert composer.sentence.text() == "Waiting for another reply to finish."
    qtbot.keyClicks(composer.edit, "more")
    with qtbot.assertNotEmitted(composer.send):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    with qtbot.waitSignal(composer.take_back):
        composer.take_back_button.click()
    composer.set_queued(False)
    assert not composer.take_back_button.isVisible()


def test_without_a_model_one_may_write_and_is_told_why_nothing_can_be_sent(qtbot: QtBot, composer: Composer) -> None:
    composer.set_enabled_reason("Choose a model above to begin.")
    qtbot.keyClicks(composer.edit, "Hello")
    assert composer.draft() == "Hello"
    assert composer.sentence.text() == "Choose a model above to begin."
    assert not composer.button.isEnabled()
    composer.set_enabled_reason(None)
    assert composer.button.isEnabled()


# --- the count of tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "words", "tone"),
    [
        (None, "", "faint"),
        (ContextBudget(8192, 3847), "4,281 left", "faint"),
        (ContextBudget(8192, 3847, 12), "12 tokens · 4,269 left", "faint"),
        (ContextBudget(8192, 3847, 5000), "719 tokens too long", "warning"),
        (ContextBudget(8192, 7000), "nearly full · 1,128 left", "warning"),
        (ContextBudget(8192, 7000, 28), "nearly full · 1,100 left", "warning"),
        (ContextBudget(8192, 8140), "no room left", "warning"),
        (ContextBudget(8192, 8128), "no room left", "warning"),
    ],
)
def test_it_says_how_much_room_is_left(composer: Composer, budget: ContextBudget | None, words: str, tone: str) -> None:
    composer.set_budget(budget)
    assert composer.tokens.text() == words
    assert composer.tokens.property("tone") == tone
    assert composer.fits() is (tone == "faint" or "nearly full" in words)


def test_a_narrow_card_says_it_shorter(composer: Composer) -> None:
    composer.resize(400, 200)
    composer.set_budget(ContextBudget(8192, 3847, 12))
    assert composer.tokens.text() == "4,269 left"
    composer.set_budget(ContextBudget(8192, 7000))
    assert (composer.tokens.text(), composer.tokens.property("tone")) == ("nearly full · 1,128 left", "warning")


def test_the_count_explains_itself(composer: Composer) -> None:
    composer.set_budget(ContextBudget(8192, 3847, 12))
    assert composer.tokens.toolTip() == (
        "Of the 8,192 tokens of the context 3,847 are in use, 64 are kept for the reply, 12 are this message's, "
        "and 4,269 are left."
    )


@pytest.mark.parametrize(
    ("budget", "sentence", "offers_new_chat"),
    [
        (
            ContextBudget(8192, 0, 9001),
            "This message is too long: it has 9,001 tokens, and 8,128 fit. Shorten it to send it.",
            False,
        ),
        (
            ContextBudget(8192, 4128, 5000),
            "This message is too long for this chat: it has 5,000 tokens, and 4,000 fit.",
            True,
        ),
        (
            ContextBudget(8192, 4128, 9001),
            "This message is too long for this chat: it has 9,001 tokens, and 4,000 fit.",
            False,
        ),
        (ContextBudget(8192, 8150), "This chat is full: 8,150 of 8,192 tokens are in use.", True),
        (ContextBudget(64, 0), "The model's context of 64 tokens is too short for a chat.", False),
    ],
    ids=["first message", "later message", "too long for any chat", "full chat", "tiny context"],
)
def test_what_does_not_fit_is_not_sent_and_said(
    qtbot: QtBot, composer: Composer, budget: ContextBudget, sentence: str, offers_new_chat: bool
) -> None:
    composer.set_draft("word " * 9)
    composer.set_budget(budget)
    assert composer.sentence.isVisible()
    assert composer.sentence.text() == composer.button.accessibleDescription() == sentence
    assert composer.edit.accessibleDescription() == sentence
    assert not composer.button.isEnabled()
    assert composer.new_chat_button.isVisible() == offers_new_chat
    with qtbot.assertNotEmitted(composer.send):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert composer.draft() == "word " * 9
    composer.set_budget(ContextBudget(8192, 0, 9))
    assert composer.button.isEnabled()
    assert composer.button.accessibleDescription() == ""
    assert not composer.sentence.isVisible()


@pytest.mark.parametrize("width", [800, 460])
def test_the_count_takes_no_width_from_a_long_draft(composer: Composer, width: int) -> None:
    composer.resize(width, 300)
    composer.set_budget(ContextBudget(8192, 3847, 12))
    composer.set_draft("Hello")
    QApplication.processEvents()
    beside = composer.edit.width()
    middle = composer.card.height() / 2
    assert abs(composer.button.geometry().center().y() + composer._tail.y() - middle) <= 1
    composer.set_draft("word " * 80)
    QApplication.processEvents()
    assert composer.edit.width() == composer.card.width() - 36 > beside
    bottom = composer.edit.mapTo(composer.card, composer.edit.rect().bottomLeft()).y()
    assert composer.tokens.mapTo(composer.card, QPoint()).y() > bottom
    composer.set_draft("Hello")
    QApplication.processEvents()
    assert composer.edit.width() == beside


def test_the_place_of_the_count_does_not_depend_on_where_it_was(composer: Composer) -> None:
    """At every length the card looks the same whether the words were added or taken away."""
    composer.set_budget(ContextBudget(8192, 3847, 12))

    def heights(lengths: range) -> list[int]:
        seen = []
        for length in lengths:
            composer.set_draft("i" * length)
            QApplication.processEvents()
            seen.append(composer.card.height())
        return seen

    grown = heights(range(0, 400, 7))
    assert heights(range(399, -1, -7))[::-1] == grown
    assert grown == sorted(grown)


def test_the_line_of_the_card_is_calm_and_alive_while_one_writes(composer: Composer) -> None:
    def line() -> str:
        return composer.card.grab().toImage().pixelColor(composer.card.width() // 2, 0).name()

    assert line() == theme.current().writing.lower()
    composer.edit.clearFocus()
    assert line() == theme.current().border.lower()


def test_the_field_names_who_will_read(composer: Composer) -> None:
    composer.set_model_name("SmolLM2 135M")
    assert composer.edit.placeholderText() == "Message SmolLM2 135M …"
    composer.set_model_name(None)
    assert composer.edit.placeholderText() == "Write a message …"


# --- what goes into the field ----------------------------------------------------------------------------


def test_it_grows_with_the_text_up_to_eight_lines(composer: Composer) -> None:
    one = composer.edit.height()
    composer.set_draft("\n" * 3)
    four = composer.edit.height()
    composer.set_draft("\n" * 7)
    eight = composer.edit.height()
    composer.set_draft("\n" * 40)
    assert one < four < eight == composer.edit.height()
    assert eight <= one * MAX_LINES
    composer.set_draft("")
    assert composer.edit.height() == one


def test_long_words_wrap_and_make_it_grow(composer: Composer) -> None:
    one = composer.edit.height()
    composer.set_draft("word " * 60)
    assert composer.edit.height() > one


def test_only_plain_text_is_pasted(composer: Composer) -> None:
    paste(composer.edit, "bold\0 words", "<b>bold words</b>")
    assert composer.draft() == "bold words"


@pytest.mark.parametrize(
    "text",
    ["lorem ipsum " * 90_000, "a line of words\n" * 60_000, "x" * (3 * LONG_LINE) + "\n\n" + "y" * LONG_LINE],
    ids=["one line", "many lines", "without blanks"],
)
def test_a_huge_paste_comes_back_as_it_was(qtbot: QtBot, composer: Composer, text: str) -> None:
    paste(composer.edit, text)
    assert composer.draft() == text
    assert max(len(line) for line in composer.edit.toPlainText().split("\n")) <= LONG_LINE + 2
    composer.edit.undo()
    assert composer.draft() == ""
    composer.edit.redo()
    with qtbot.waitSignal(composer.send) as sent:
        qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert sent.args == [text]


def test_copying_a_huge_line_copies_it_as_it_was(composer: Composer) -> None:
    text = "lorem ipsum " * 3000
    paste(composer.edit, text)
    composer.edit.selectAll()
    assert composer.edit.createMimeDataFromSelection().text() == text


def test_tab_leaves_the_field(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(composer.edit, "x")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Tab)
    assert not composer.edit.hasFocus()
    assert composer.draft() == "x"


def test_a_click_beside_the_text_goes_to_the_field(qtbot: QtBot, composer: Composer) -> None:
    composer.button.setFocus()
    qtbot.mouseClick(composer.card, Qt.MouseButton.LeftButton, pos=composer.card.rect().topLeft())
    assert composer.edit.hasFocus()


# --- a message that does not simply go to the end ----------------------------------------------------------------

AIM = Aim("edit", "Editing your message.", "Cancel")


def test_a_line_says_where_the_message_goes_and_leads_out(qtbot: QtBot, composer: Composer) -> None:
    assert not composer.aim_line.isVisible()
    composer.set_aim(AIM)
    assert composer.aim_line.isVisible()
    assert composer.aim_line.sentence.text() == "Editing your message."
    assert composer.edit.accessibleName() == "Message. Editing your message."
    with qtbot.waitSignal(composer.aim_dropped):
        composer.aim_line.button.click()
    composer.set_aim(None)
    assert not composer.aim_line.isVisible()
    assert composer.edit.accessibleName() == "Message"


def test_tab_reaches_the_way_out(qtbot: QtBot, composer: Composer) -> None:
    composer.set_aim(AIM)
    visited = set()
    for _ in range(6):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        visited.add(QApplication.focusWidget())
    assert composer.aim_line.button in visited


def test_escape_leads_out_but_first_stops_a_reply(qtbot: QtBot, composer: Composer) -> None:
    composer.set_aim(AIM)
    with qtbot.waitSignal(composer.aim_dropped):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)
    composer.set_streaming(True)
    with qtbot.waitSignal(composer.stop), qtbot.assertNotEmitted(composer.aim_dropped):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)


def test_up_asks_for_the_last_message_only_where_nothing_is_written(qtbot: QtBot, composer: Composer) -> None:
    with qtbot.waitSignal(composer.edit_last):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Up)
    with qtbot.assertNotEmitted(composer.edit_last):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
        qtbot.keyClicks(composer.edit, "x")
        qtbot.keyClick(composer.edit, Qt.Key.Key_Up)


def test_a_reply_out_of_sight_is_said_and_can_be_shown(qtbot: QtBot, composer: Composer) -> None:
    composer.set_streaming(True, elsewhere=True)
    assert composer.sentence.text() == "The reply is being written in another branch."
    with qtbot.waitSignal(composer.show_reply):
        composer.show_reply_button.click()
    composer.set_streaming(True)
    assert not composer.show_reply_button.isVisible()
    composer.set_streaming(False, elsewhere=True)
    assert not composer.show_reply_button.isVisible()
