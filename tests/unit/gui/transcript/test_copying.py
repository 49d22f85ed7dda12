"""What is copied is what was written: exact for a message and for code, readable for a selection."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QTextCursor
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.painting import card_rect, copy_rect

from .conftest import Reader, reply, user


def select_all(view: TranscriptView) -> None:
    """Select the whole page."""
    cursor = view.textCursor()
    cursor.select(QTextCursor.SelectionType.Document)
    view.setTextCursor(cursor)


def copied(view: TranscriptView) -> str:
    """What Ctrl+C copies."""
    view.copy()
    return QGuiApplication.clipboard().text()


def test_a_replys_button_copies_its_exact_source(view: TranscriptView, qtbot: QtBot) -> None:
    source = "# A *heading*\n\n1. one\r\n\n```py\nx = 1\n```\n  <b>&amp;\n"
    view.set_messages([reply(source, figures="read 3", notice="Stopped.")])
    with qtbot.waitSignal(view.copied) as signal:
        view.trigger("r", "copy")
    assert signal.args == [source]
    assert QGuiApplication.clipboard().text() == source


def test_a_replys_answer_is_copied_without_its_reasoning(view: TranscriptView) -> None:
    view.set_messages([reply("<think>\nhm\n</think>\n\nThe *answer*.")])
    view.trigger("r", "copy")
    assert QGuiApplication.clipboard().text() == "The *answer*."


def test_the_persons_words_are_copied_exactly(view: TranscriptView) -> None:
    view.set_messages([user("  two spaces\n\ttab <think> no thought")])
    view.trigger("u", "copy")
    assert QGuiApplication.clipboard().text() == "  two spaces\n\ttab <think> no thought"


def test_a_growing_reply_is_copied_up_to_its_last_piece(view: TranscriptView) -> None:
    view.append_message(reply("One", streaming=True))
    view.append_text("r", " two **th")
    view.trigger("r", "copy")
    assert QGuiApplication.clipboard().text() == "One two **th"


def test_a_click_in_a_cards_corner_copies_its_code(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    code = "def f():\n\n\treturn '🏛'  # " + "long " * 1_600
    view.set_messages([reply(f"Text\n\n```python\n{code}\n```\n")])
    view.verticalScrollBar().setValue(0)
    (card,) = page.frames(FrameKind.CARD)
    where = copy_rect(card_rect(view.document(), card)).center().toPoint()
    with qtbot.waitSignal(view.copied) as signal:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert signal.args == [code]


def test_a_click_beside_that_corner_copies_nothing(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply("```python\ncode\n```\n")])
    box = card_rect(view.document(), page.frames(FrameKind.CARD)[0])
    with qtbot.assertNotEmitted(view.copied):
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(60, int(box.top()) + 20))


def test_a_selection_in_one_message_has_only_its_words(view: TranscriptView) -> None:
    view.set_messages([reply("One *two*.\n\n- a\n- b\n  - c\n\n1. d\n\nLast", figures="read 3")])
    select_all(view)
    assert copied(view) == "One two.\n\n• a\n• b\n  ◦ c\n\n1. d\n\nLast"


def test_a_selection_across_messages_says_who_speaks(view: TranscriptView) -> None:
    view.set_messages([user("Why?\nReally", "1"), reply("Because.", "2", figures="read 3")])
    select_all(view)
    assert copied(view) == "You:\nWhy?\nReally\n\nSmolLM2:\nBecause."


def test_code_and_tables_stay_readable_in_a_selection(view: TranscriptView) -> None:
    view.set_messages([reply("Look:\n\n```py\na = 1\n\n  b\n```\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\nEnd")])
    select_all(view)
    assert copied(view) == "Look:\n\na = 1\n\n  b\n\nx\ty\n1\t2\n\nEnd"


def test_part_of_a_line_is_copied_as_that_part(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("🏛 Roman roads last")])
    (block,) = page.blocks(Kind.BODY)
    cursor = view.textCursor()
    cursor.setPosition(block.position() + 3)
    cursor.setPosition(block.position() + 8, QTextCursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    assert copied(view) == "Roman"


def test_a_long_line_that_was_cut_into_blocks_is_copied_as_one_line(view: TranscriptView) -> None:
    line = "word " * 4_000 + "end"
    view.set_messages([user(line)])
    select_all(view)
    assert copied(view) == line


@pytest.mark.parametrize("action", ["regenerate", "branch", "edit"])
def test_other_actions_are_left_to_the_window(view: TranscriptView, qtbot: QtBot, action: str) -> None:
    view.set_messages([reply("Yes.", actions=("copy", action))])
    with qtbot.assertNotEmitted(view.copied), qtbot.waitSignal(view.action_requested) as signal:
        view.trigger("r", action)
    assert signal.args == ["r", action]
