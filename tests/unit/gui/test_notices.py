"""Notices: one at a time, nothing lost, and none that goes while someone is at it."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.gui.notices import Notice, NoticeBar

Shown = Callable[..., QWidget]


@pytest.fixture
def bar(shown: Shown) -> NoticeBar:
    """An empty bar in a window."""
    window = QWidget()
    column = QVBoxLayout(window)
    made = NoticeBar(window)
    column.addWidget(made)
    column.addStretch(1)
    shown(window, 800, 300)
    return made


def deleted(undo: Callable[[], None], timeout: int | None = 60_000) -> Notice:
    """The notice after a deletion."""
    return Notice("“A haiku about rain” was deleted.", actions=[("Undo", undo)], timeout_ms=timeout, key="undo")


def test_with_nothing_to_say_there_is_nothing_to_see(bar: NoticeBar) -> None:
    assert not bar.isVisible()


def test_an_action_is_done_once_and_takes_the_notice_away(bar: NoticeBar) -> None:
    done: list[str] = []
    bar.show_notice(deleted(lambda: done.append("undone")))
    assert bar.words.text() == "“A haiku about rain” was deleted."
    assert [button.text() for button in bar.buttons if button.isVisible()] == ["Undo"]
    bar.buttons[0].click()
    assert done == ["undone"]
    assert not bar.isVisible()
    assert not bar.is_counting()


def test_an_action_may_show_the_next_notice(bar: NoticeBar) -> None:
    bar.show_notice(deleted(lambda: bar.show_notice(Notice("It is back."))))
    bar.buttons[0].click()
    assert bar.words.text() == "It is back."


def test_the_newest_shows_and_those_before_come_back(bar: NoticeBar) -> None:
    bar.show_notice(Notice("First.", "error"))
    bar.show_notice(Notice("Second.", "warning"))
    assert bar.words.text() == "Second."
    bar.close_button.click()
    assert bar.words.text() == "First."
    bar.close_button.click()
    assert not bar.isVisible()


def test_the_same_key_takes_the_place_of_the_one_before(bar: NoticeBar) -> None:
    bar.show_notice(Notice("10 %", key="load"))
    bar.show_notice(Notice("Other."))
    bar.show_notice(Notice("20 %", key="load"))
    assert [notice.text for notice in bar.notices()] == ["Other.", "20 %"]
    bar.dismiss("load")
    assert bar.words.text() == "Other."
    bar.dismiss("load")
    assert bar.words.text() == "Other."


def test_the_same_sentence_is_not_told_twice(bar: NoticeBar) -> None:
    bar.show_notice(Notice("The disk is full.", "error", key="send"))
    bar.show_notice(deleted(lambda: None))
    bar.show_notice(Notice("The disk is full.", "error", key="store"))
    assert [notice.text for notice in bar.notices()] == ["“A haiku about rain” was deleted.", "The disk is full."]


def test_an_offer_to_undo_goes_by_itself(qtbot: QtBot, bar: NoticeBar) -> None:
    bar.show_notice(deleted(lambda: None, timeout=1))
    qtbot.waitUntil(lambda: not bar.isVisible())
    assert bar.notices() == ()


def test_what_has_no_timeout_stays(bar: NoticeBar) -> None:
    bar.show_notice(Notice("The engine stopped.", "error"))
    assert not bar.is_counting()


def test_nothing_goes_away_under_the_pointer(bar: NoticeBar) -> None:
    bar.show_notice(deleted(lambda: None))
    assert bar.is_counting()
    QApplication.sendEvent(bar, QEnterEvent(QPointF(1, 1), QPointF(1, 1), QPointF(1, 1)))
    assert not bar.is_counting()
    QApplication.sendEvent(bar, QEvent(QEvent.Type.Leave))
    assert bar.is_counting()


def test_nothing_goes_away_while_it_has_the_focus(shown: Shown, bar: NoticeBar) -> None:
    bar.show_notice(deleted(lambda: None))
    bar.buttons[0].setFocus()
    assert not bar.is_counting()
    bar.buttons[0].clearFocus()
    bar.window().setFocus()
    assert bar.is_counting()


def test_no_time_passes_while_nobody_can_see_it(bar: NoticeBar) -> None:
    bar.show_notice(deleted(lambda: None))
    bar.window().hide()
    assert not bar.is_counting()
    bar.window().show()
    assert bar.is_counting()


def test_a_notice_that_waits_does_not_count(bar: NoticeBar) -> None:
    bar.show_notice(deleted(lambda: None))
    bar.show_notice(Notice("The engine stopped.", "error"))
    assert not bar.is_counting()
    bar.close_button.click()
    assert bar.is_counting()
    bar.dismiss_all()
    assert not bar.is_counting()


def test_screen_readers_are_told_errors_at_once(bar: NoticeBar, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[tuple[str, bool]] = []
    monkeypatch.setattr("app.gui.notices.announce", lambda _widget, words, *, urgent: spoken.append((words, urgent)))
    bar.show_notice(Notice("Saved."))
    bar.show_notice(Notice("Not saved.", "error"))
    assert spoken == [("Saved.", False), ("Not saved.", True)]
    assert bar.accessibleName() == "Not saved."


def test_four_actions_are_too_many() -> None:
    with pytest.raises(ValueError, match="three actions"):
        Notice("?", actions=[("a", print), ("b", print), ("c", print), ("d", print)])


def test_long_actions_move_under_the_sentence_in_a_narrow_window(qtbot: QtBot, bar: NoticeBar) -> None:
    actions = [("New chat with the same instructions", print), ("Start again", print)]
    bar.show_notice(Notice("This chat is full. What you wrote is kept here.", "warning", actions))
    bar.window().resize(480, 300)
    qtbot.waitUntil(lambda: all(button.y() > bar.words.geometry().bottom() for button in bar.buttons[:2]))
    card = bar.close_button.parentWidget().rect()
    assert all(card.contains(button.geometry()) for button in bar.buttons[:2])
    bar.window().resize(1000, 300)
    qtbot.waitUntil(lambda: all(button.x() > bar.words.geometry().right() for button in bar.buttons[:2]))


def test_an_action_too_long_for_a_line_of_its_own_is_cut_and_has_its_words_in_the_tooltip(
    qtbot: QtBot, bar: NoticeBar
) -> None:
    label, button = "Keep the chat's memory (KV) at half the size & use a context of 1,024 tokens", bar.buttons[0]
    bar.show_notice(Notice("It does not fit.", "error", [(label, print), ("Settings…", print)]))
    bar.window().resize(480, 300)
    qtbot.waitUntil(lambda: button.text().endswith("…") and button.width() >= button.sizeHint().width())
    assert (button.toolTip(), button.accessibleName()) == (label, label)
    bar.window().resize(1000, 300)
    qtbot.waitUntil(lambda: button.text() == label.replace("&", "&&"))
    assert button.toolTip() == ""


def test_enter_on_the_close_button_dismisses(qtbot: QtBot, bar: NoticeBar) -> None:
    bar.show_notice(Notice("Saved."))
    qtbot.keyClick(bar.close_button, Qt.Key.Key_Space)
    assert not bar.isVisible()
