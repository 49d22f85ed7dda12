"""Variants of a message: a faint mark at rest, and a switch after which nothing has moved away."""

from PySide6.QtCore import QEvent, QPoint, QRect, Qt
from PySide6.QtGui import QHelpEvent, QImage
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from app.gui.transcript import ShownMessage, TranscriptView
from app.gui.transcript.action_row import ActionRow
from app.gui.transcript.layout import FrameKind
from app.gui.transcript.painting import card_rect

from .conftest import Reader, reply, user

ALT = Qt.KeyboardModifier.AltModifier
LONG = "A line of a reply that is long.\n\n" * 12


def row_of(view: TranscriptView) -> ActionRow:
    """The row of buttons."""
    row = view.findChild(ActionRow)
    assert row is not None
    return row


def bubble(view: TranscriptView, page: Reader) -> QRect:
    """The person's words in the viewport."""
    box = card_rect(view.document(), page.frames(FrameKind.USER)[0]).toRect()
    return box.translated(0, -view.verticalScrollBar().value())


def beside(view: TranscriptView, page: Reader) -> QImage:
    """What shows at the left of the person's words."""
    box = bubble(view, page)
    return view.viewport().grab(QRect(box.left() - 70, box.top(), 66, box.height())).toImage()


def chat(question: ShownMessage) -> list[ShownMessage]:
    return [question, reply("Because.", "2")]


def test_a_message_with_variants_is_marked_until_its_buttons_show(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.set_messages(chat(user("Why?", "1")))
    nothing = beside(view, page)
    view.set_messages(chat(user("Why?", "1", variant=2, variants=3)))
    marked = beside(view, page)
    assert marked != nothing
    qtbot.mouseMove(view.viewport(), bubble(view, page).center())
    assert row_of(view).variant_words == "2/3"
    row_of(view).hide()
    assert beside(view, page) == nothing  # the buttons would stand on the mark


def test_the_buttons_of_a_wide_bubble_stand_below_it(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.resize(420, 600)
    view.set_messages(chat(user("word " * 40, "1", variant=2, variants=3, actions=("copy", "edit"))))
    qtbot.mouseMove(view.viewport(), bubble(view, page).center())
    row = row_of(view)
    assert row.message_id == "1"
    assert row.geometry().top() > bubble(view, page).bottom()
    assert row.geometry().right() <= bubble(view, page).right() + 1


def test_a_switch_leaves_the_buttons_where_they_are(view: TranscriptView, qtbot: QtBot) -> None:
    before = [reply(LONG, str(number)) for number in range(6)]
    after = [reply(LONG, str(number)) for number in range(8, 12)]
    view.set_messages([*before, reply(LONG * 2, "6", variant=2, variants=2), *after])
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    while view.focused_message != "6":
        qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    view.verticalScrollBar().setValue(view.verticalScrollBar().value() + 200)
    row = row_of(view)
    where = row.geometry().topLeft()
    view.show_variant("6", "7", [*before, reply(LONG, "7", variant=1, variants=2), *after])
    assert row.message_id == "7"
    assert row.geometry().topLeft() == where
    assert view.focused_message == "7"


def test_a_switch_at_the_end_stays_at_the_end(view: TranscriptView) -> None:
    before = [reply(LONG, str(number)) for number in range(3)]
    view.set_messages([*before, reply("Short.", "6", variant=2, variants=2)])
    assert view.at_end
    view.show_variant("6", "7", [*before, reply(LONG, "7", variant=1, variants=2)])
    assert view.at_end
    assert view.verticalScrollBar().value() == view.verticalScrollBar().maximum()


def test_the_figures_are_explained_in_the_menu(view: TranscriptView) -> None:
    view.set_messages([reply("Yes.", "2", figures="read 5", figures_detail="Of 5 tokens, 5 were read.\nIt was quick.")])
    entry = view._page.entries[0]
    menu = view._deeds.menu(entry)
    lines = [line for line in menu.actions() if not line.isSeparator()]
    assert [line.text() for line in lines] == ["Copy", "Of 5 tokens, 5 were read.", "It was quick."]
    assert not lines[1].isEnabled()
    menu.deleteLater()


def test_the_figures_are_explained_where_the_pointer_is_on_them(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages([reply("Yes.", "2", figures="read 5", figures_detail="Of 5 tokens, 5 were read.")])
    words = view.cursorRect(view.document().find("read")).center() - QPoint(4, 0)
    for where, said in (
        (words, "Of 5 tokens, 5 were read."),
        (words + QPoint(0, 60), ""),
        (words - QPoint(200, 0), ""),
    ):
        event = QHelpEvent(QEvent.Type.ToolTip, where, view.viewport().mapToGlobal(where))
        QApplication.sendEvent(view.viewport(), event)
        qtbot.waitUntil(lambda said=said: QToolTip.text() == said)  # type: ignore[misc]


def test_more_of_a_finished_reply_streams_in_behind_its_words(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply("- one\n- tw", "2", notice="The reply was cut at its limit.")])
    view.update_message(reply("- one\n- tw", "2", streaming=True))
    with qtbot.waitSignal(view.text_shown):
        view.append_text("2", "o\n- three")
    view.update_message(reply("- one\n- two\n- three", "2"))
    grown = page.signature()
    view.set_messages([reply("- one\n- two\n- three", "2")])
    assert page.signature() == grown
