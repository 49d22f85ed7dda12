"""Messages stand in groups, so that a streaming frame costs the same in a short and in a long conversation."""

import re

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QTextFrame
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView
from app.gui.transcript.layout import FrameKind
from app.gui.transcript.page import GROUP

from .conftest import Reader, reply, user


def questions(first: int, last: int) -> list[str]:
    """What the messages of that range say."""
    return [f"Question {n}?" for n in range(first, last)]


def sizes(page: Reader) -> list[int]:
    """How many messages each group holds; every frame of the document's own is a group."""
    groups = page.frames(FrameKind.GROUP)
    root: QTextFrame = page.view.document().rootFrame()
    assert [each.firstPosition() for each in root.childFrames()] == [each.firstPosition() for each in groups]
    return [len(each.childFrames()) for each in groups]


def test_a_long_conversation_stands_in_few_groups_in_its_order(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.set_messages(user(words, str(n)) for n, words in enumerate(questions(0, 400)))
    qtbot.waitUntil(lambda: view.is_complete)
    assert page.body() == questions(0, 400)
    assert max(sizes(page)) == GROUP
    assert len(sizes(page)) == 400 // GROUP + 1


def test_a_page_that_grows_at_both_ends_keeps_its_order(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages(user(words, str(n)) for n, words in enumerate(questions(0, 400)))
    assert view.find_text("Question 170?")
    assert 0 < page.messages() < 400
    qtbot.waitUntil(lambda: view.is_complete)
    assert page.body() == questions(0, 400)
    assert max(sizes(page)) == GROUP and len(sizes(page)) <= 400 // GROUP + 2


def test_new_messages_fill_the_last_group_and_then_begin_another(view: TranscriptView, page: Reader) -> None:
    for n, words in enumerate(questions(0, GROUP + 2)):
        view.append_message(user(words, str(n)))
    assert sizes(page) == [GROUP, 2]
    assert page.body() == questions(0, GROUP + 2)


def test_a_group_goes_with_its_last_message(view: TranscriptView, page: Reader) -> None:
    view.set_messages(user(words, str(n)) for n, words in enumerate(questions(0, 3)))
    height = view.document().size().height()
    for n in range(3, GROUP + 1):
        view.append_message(user(f"Question {n}?", str(n)))
    assert sizes(page) == [GROUP, 1]
    view.remove_message(str(GROUP))
    assert sizes(page) == [GROUP]
    for n in range(GROUP - 1, 2, -1):
        view.remove_message(str(n))
    assert view.document().size().height() == height
    for n in range(3):
        view.remove_message(str(n))
    assert sizes(page) == [] and page.messages() == 0
    view.append_message(reply("Here again.", "r"))
    assert page.body() == ["Here again."] and sizes(page) == [1]


def test_the_buttons_are_placed_once_for_each_frame(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([*(user(f"Question {n}?", str(n)) for n in range(20)), reply("", "r", streaming=True)])
    moved: list[int] = []
    view._scrolling.moved.connect(lambda: moved.append(view.verticalScrollBar().value()))
    for frame in range(1, 4):
        with qtbot.waitSignal(view.text_shown):
            view.append_text("r", "A line of the reply.\n\n")
        assert len(moved) == frame and moved[-1] == view.verticalScrollBar().maximum()


def drag(qtbot: QtBot, view: TranscriptView, *way: int) -> None:
    """Select with the mouse from the words of one message to those of others."""
    bar, entries = view.verticalScrollBar(), view._page.entries
    boxes = [view._page.rect(entries[n]) for n in way]
    bar.setValue(round(min(box.top() for box in boxes)) - 40)
    points = [QPoint(round(box.right()) - 60, round(box.center().y()) - bar.value()) for box in boxes]
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(view.viewport(), left, pos=points[0])
    for point in (points[0] + QPoint(8, 0), *points[1:], points[-1] + QPoint(4, 0)):
        at = QPointF(point)
        there = QPointF(view.viewport().mapToGlobal(point))
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(view.viewport(), QMouseEvent(QEvent.Type.MouseMove, at, there, left, left, none))
    qtbot.mouseRelease(view.viewport(), left, pos=points[-1])


def selected(view: TranscriptView) -> list[str]:
    """The messages that would be copied."""
    return re.findall(r"Question \d+\?", view.selected_text())


@pytest.mark.parametrize(
    ("first", "last"),
    [(GROUP - 1, GROUP), (GROUP, GROUP - 1), (GROUP - 2, GROUP + 2), (GROUP + 2, GROUP - 2), (GROUP - 5, GROUP - 2)],
)
def test_a_selection_over_two_groups_takes_the_messages_between_its_ends(
    view: TranscriptView, qtbot: QtBot, first: int, last: int
) -> None:
    view.set_messages(user(words, str(n)) for n, words in enumerate(questions(0, 100)))
    names = questions(0, 100)
    drag(qtbot, view, first, last)
    assert selected(view) == names[min(first, last) : max(first, last) + 1]
    view.copy()
    assert re.findall(r"Question \d+\?", QApplication.clipboard().text()) == selected(view)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    assert view.selected_text() == "" and view.extraSelections() == []


def test_a_selection_that_comes_back_into_its_group_ends_there(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(user(words, str(n)) for n, words in enumerate(questions(0, 100)))
    drag(qtbot, view, GROUP - 2, GROUP + 1, GROUP - 1)
    assert selected(view) == questions(GROUP - 2, GROUP)
    assert view.extraSelections() == []
