"""The view follows the end only for who is there, and keeps still for who reads further up."""

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QStackedWidget, QWidget
from pytestqt.qtbot import QtBot

from app.gui import theme
from app.gui.transcript import ShownMessage, TranscriptView
from app.gui.transcript.jump_button import JumpButton
from app.gui.transcript.layout import FrameKind

from .conftest import Reader, reply, user

WORDS = "Because they were built in layers, and the layers drained. " * 6


def conversation(count: int) -> list[ShownMessage]:
    """So many messages, each naming its number."""
    return [
        user(f"Question {n}?", f"m{n}") if n % 2 == 0 else reply(f"Answer {n}. {WORDS}", f"m{n}") for n in range(count)
    ]


def top_line(view: TranscriptView) -> str:
    """The words at the top edge of the view."""
    return view.cursorForPosition(QPoint(100, 4)).block().text()


def is_at_end(view: TranscriptView) -> bool:
    """Whether the scroll bar stands at its end."""
    bar = view.verticalScrollBar()
    return bar.maximum() > 0 and bar.value() == bar.maximum()


def jump_button(view: TranscriptView) -> JumpButton:
    """The button that leads to the end."""
    button = view.findChild(JumpButton)
    assert button is not None
    return button


def scroll_to(view: TranscriptView, value: int) -> None:
    """Scroll as a person does."""
    view.verticalScrollBar().setValue(value)
    QApplication.processEvents()


def test_a_long_conversation_opens_at_its_end_with_the_last_messages_only(view: TranscriptView, page: Reader) -> None:
    view.set_messages(conversation(400))
    assert is_at_end(view) and view.at_end
    assert 6 <= page.messages() <= 100
    assert not view.is_complete


def test_older_messages_fill_in_and_the_view_stays_at_the_end(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages(conversation(400))
    qtbot.waitUntil(lambda: view.is_complete)
    assert page.messages() == 400
    assert is_at_end(view)


def test_what_the_person_reads_stays_where_it_is_while_older_messages_fill_in(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.set_messages(conversation(400))
    scroll_to(view, view.verticalScrollBar().maximum() // 2)
    before, on_page = top_line(view), page.messages()
    qtbot.waitUntil(lambda: view.is_complete)
    assert page.messages() > on_page
    assert top_line(view) == before


def test_a_growing_reply_is_followed_at_the_end(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(conversation(20))
    view.append_message(reply("", streaming=True))
    for _ in range(5):
        view.append_text("r", WORDS + "\n\n")
        qtbot.waitSignal(view.text_shown).wait()
        assert is_at_end(view)


def test_a_growing_reply_moves_nothing_for_who_reads_further_up(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(conversation(20))
    view.append_message(reply("", streaming=True))
    scroll_to(view, view.verticalScrollBar().maximum() - 300)
    value, before = view.verticalScrollBar().value(), top_line(view)
    assert not view.at_end
    view.append_text("r", WORDS + "\n\n" + WORDS)
    qtbot.waitSignal(view.text_shown).wait()
    assert (view.verticalScrollBar().value(), top_line(view)) == (value, before)


def test_scrolling_back_to_the_end_follows_again(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    scroll_to(view, 0)
    assert not view.at_end
    scroll_to(view, view.verticalScrollBar().maximum())
    assert view.at_end


def test_the_button_to_the_end_shows_only_away_from_it(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(conversation(20))
    assert not jump_button(view).isVisible()
    scroll_to(view, 0)
    assert jump_button(view).isVisible()
    qtbot.mouseClick(jump_button(view), Qt.MouseButton.LeftButton)
    assert is_at_end(view) and view.at_end
    assert not jump_button(view).isVisible()


def test_the_persons_own_message_is_brought_into_view(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    scroll_to(view, 0)
    view.append_message(user("And now?"))
    assert is_at_end(view)


def test_a_reply_that_begins_does_not_take_the_reader_along(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    scroll_to(view, 0)
    view.append_message(reply("", streaming=True))
    assert view.verticalScrollBar().value() == 0


def test_another_conversation_opens_at_its_end(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    scroll_to(view, 0)
    view.set_messages([reply(f"Other {n}. {WORDS}", f"other{n}") for n in range(20)])
    assert is_at_end(view)


def test_the_same_conversation_in_another_variant_keeps_the_readers_place(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    scroll_to(view, view.verticalScrollBar().maximum() // 2)
    before = top_line(view)
    view.set_messages([*conversation(19), reply("Another end", "new")])
    assert top_line(view) == before


def test_a_wider_window_only_moves_the_column(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    width = view.document().pageSize().width()
    changes: list[float] = []
    view.document().documentLayout().documentSizeChanged.connect(lambda size: changes.append(size.width()))
    view.resize(1200, 600)
    assert view.document().pageSize().width() == width
    assert changes == []
    left = view.viewport().geometry().left()
    assert abs(left + width / 2 - 600) <= 1


def test_in_a_narrow_window_words_and_bubbles_fit_and_the_place_is_kept(view: TranscriptView, page: Reader) -> None:
    view.set_messages([*conversation(21), user("A long question. " * 20, "long"), reply(WORDS)])
    scroll_to(view, view.verticalScrollBar().maximum() // 2)
    before = top_line(view)
    view.resize(420, 600)
    QApplication.processEvents()
    assert view.document().size().width() <= view.viewport().width()
    assert top_line(view) == before
    layout = view.document().documentLayout()
    bubbles = [layout.frameBoundingRect(frame) for frame in page.frames(FrameKind.USER)]
    column = view.document().pageSize().width() - 32
    widths = [
        box.width() - frame.frameFormat().leftMargin()
        for box, frame in zip(bubbles, page.frames(FrameKind.USER), strict=True)
    ]
    assert max(widths) <= 0.75 * column + 1
    assert min(widths) < 0.5 * column


def test_a_long_conversation_in_a_narrower_window_keeps_the_place_and_fills_in_again(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.set_messages(conversation(400))
    qtbot.waitUntil(lambda: view.is_complete)
    scroll_to(view, view.verticalScrollBar().maximum() // 2)
    before = top_line(view)
    view.resize(500, 600)
    assert page.messages() < 400
    assert top_line(view) == before
    qtbot.waitUntil(lambda: view.is_complete)
    assert top_line(view) == before


def test_the_wheel_scrolls_beside_the_column_too(view: TranscriptView) -> None:
    view.set_messages(conversation(20))
    beside = QPointF(10, 100)
    wheel = QWheelEvent(
        beside,
        view.mapToGlobal(beside),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    before = view.verticalScrollBar().value()
    QApplication.sendEvent(view, wheel)
    assert view.verticalScrollBar().value() < before


def test_a_change_of_theme_writes_the_page_anew_and_keeps_the_place(view: TranscriptView, page: Reader) -> None:
    view.set_messages(conversation(20))
    scroll_to(view, view.verticalScrollBar().maximum() // 2)
    before = top_line(view)
    theme.set_preference("dark")
    assert top_line(view) == before
    name = page.frames(FrameKind.REPLY)[0].firstCursorPosition()
    name.movePosition(name.MoveOperation.NextCharacter)
    assert name.charFormat().foreground().color() == theme.color("text_soft")


def test_a_message_that_is_taken_away_leaves_the_others(view: TranscriptView, page: Reader) -> None:
    view.set_messages([user("one", "1"), reply("two\n\n```\ncode\n```", "2"), user("three", "3")])
    view.remove_message("2")
    assert page.body() == ["one", "three"]
    assert view.message_ids() == ["1", "3"]
    view.remove_message("3")
    view.remove_message("1")
    assert page.messages() == 0
    view.append_message(user("again", "4"))
    assert page.body() == ["again"]


def test_a_message_that_is_there_already_is_not_added_twice(view: TranscriptView, page: Reader) -> None:
    view.set_messages([user("one", "1"), reply("two", "2")])
    view.append_message(reply("two, changed", "2"))
    assert page.body() == ["one", "two, changed"]


def test_messages_that_are_not_on_the_page_yet_can_change(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages(conversation(400))
    view.update_message(reply("Changed.", "m1"))
    view.remove_message("m0")
    qtbot.waitUntil(lambda: view.is_complete)
    assert page.messages() == 399
    assert page.body()[0] == "Changed."


def test_a_conversation_that_is_the_first_to_be_shown_shows_its_end_too(qtbot: QtBot) -> None:
    pages = QStackedWidget()
    qtbot.addWidget(pages)
    empty, view = QWidget(), TranscriptView()
    pages.addWidget(empty)
    pages.addWidget(view)
    pages.resize(600, 400)
    pages.show()
    qtbot.waitExposed(pages)
    view.set_messages([user("Why?"), reply(f"# Roads\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n{WORDS * 8}")])
    pages.setCurrentWidget(view)
    QApplication.processEvents()
    assert is_at_end(view) and view.at_end
    pages.close()
