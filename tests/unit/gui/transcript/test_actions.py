"""A message's actions stand at the message under the pointer or the keyboard, and the keyboard reaches all."""

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QMenu, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView
from app.gui.transcript.action_row import ActionRow
from app.gui.transcript.layout import FrameKind, Kind

from .conftest import Reader, reply, user

ALT = Qt.KeyboardModifier.AltModifier
TWO = [user("Why?", "1", actions=("copy", "edit")), reply("Because.", "2", actions=("copy", "regenerate"))]


def row_of(view: TranscriptView) -> ActionRow:
    """The row of buttons."""
    row = view.findChild(ActionRow)
    assert row is not None
    return row


def labels(row: ActionRow) -> list[str]:
    """The names of the row's buttons."""
    return [button.accessibleName() for button in row.buttons.values()]


def center(view: TranscriptView, page: Reader, kind: FrameKind) -> QPoint:
    """The middle of a message in the viewport."""
    box = view.document().documentLayout().frameBoundingRect(page.frames(kind)[0])
    return QPoint(int(box.right()) - 40, int(box.center().y()) - view.verticalScrollBar().value())


def menu_of(view: TranscriptView) -> QMenu:
    """The menu that is open."""
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def choose(view: TranscriptView, words: str) -> None:
    """Choose a line of the open menu."""
    menu = menu_of(view)
    line = next(line for line in menu.actions() if line.text() == words)
    line.trigger()
    menu.close()


def test_at_rest_the_actions_stand_under_the_last_reply(view: TranscriptView, page: Reader) -> None:
    view.set_messages(TWO)
    row = row_of(view)
    assert row.isVisible()
    assert labels(row) == ["Copy", "Write this reply again"]
    (footer,) = page.blocks(Kind.FOOTER)
    box = view.document().documentLayout().blockBoundingRect(footer)
    assert abs(row.geometry().center().y() + view.verticalScrollBar().value() - box.center().y()) < 4


def test_the_pointer_brings_the_actions_to_its_message(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages(TWO)
    qtbot.mouseMove(view.viewport(), center(view, page, FrameKind.USER))
    assert labels(row_of(view)) == ["Copy", "Edit"]
    qtbot.mouseMove(view.viewport(), center(view, page, FrameKind.REPLY))
    assert labels(row_of(view)) == ["Copy", "Write this reply again"]


def test_a_reply_that_streams_has_no_actions_yet(view: TranscriptView) -> None:
    view.set_messages(TWO)
    view.append_message(reply("Half", "3", streaming=True))
    assert not row_of(view).isVisible()
    view.update_message(reply("Half done.", "3"))
    assert row_of(view).isVisible()


def test_the_buttons_do_what_they_say(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(TWO)
    with qtbot.waitSignal(view.action_requested) as signal:
        qtbot.mouseClick(row_of(view).buttons["regenerate"], Qt.MouseButton.LeftButton)
    assert signal.args == ["2", "regenerate"]
    with qtbot.waitSignal(view.copied) as signal:
        qtbot.mouseClick(row_of(view).buttons["copy"], Qt.MouseButton.LeftButton)
    assert signal.args == ["Because."]
    assert row_of(view).buttons["copy"].accessibleName() == "Copied"


def test_variants_show_only_where_there_are_several(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages([reply("Because.", "2", variant=2, variants=3)])
    row = row_of(view)
    assert row.variant_words == "2/3"
    with qtbot.waitSignal(view.variant_requested) as signal:
        qtbot.mouseClick(row.back, Qt.MouseButton.LeftButton)
    assert signal.args == ["2", -1]
    view.set_messages([reply("Because.", "2", variant=3, variants=3)])
    assert row.back.isEnabled() and not row.on.isEnabled()
    view.set_messages([reply("Because.", "2")])
    assert not row.back.isVisible()


def test_alt_and_the_arrows_go_from_message_to_message(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(TWO)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    assert view.focused_message == "2"
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    assert view.focused_message == "1"
    assert labels(row_of(view)) == ["Copy", "Edit"]
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    assert view.focused_message == "1"
    qtbot.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert view.focused_message == "2"
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert view.focused_message == ""


def test_the_message_that_the_keyboard_is_on_is_marked(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(TWO)
    view.setFocus()
    before = view.grab().toImage()
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    assert view.grab().toImage() != before


def test_the_keyboard_reaches_messages_that_are_not_on_the_page_yet(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages([user(f"Question {n}?", str(n)) for n in range(300)])
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Home)
    for _ in range(260):
        qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    assert int(view.focused_message) < 60


def test_tab_goes_into_the_transcript_to_its_buttons_and_on(shown: Callable[..., QWidget], qtbot: QtBot) -> None:
    window = QWidget()
    rows = QVBoxLayout(window)
    before, after, view = QPushButton("before"), QPushButton("after"), TranscriptView()
    for widget in (before, view, after):
        rows.addWidget(widget)
    shown(window, 900, 600)
    view.set_messages([user("Why?", "1"), reply("[a](https://example.org) [b](https://example.org)", "2")])
    before.setFocus()
    visited = []
    for _ in range(3):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        visited.append(QApplication.focusWidget())
    assert visited == [view, row_of(view).buttons["copy"], after]
    assert view.focused_message == "2"


def test_enter_opens_all_that_a_message_offers(view: TranscriptView, qtbot: QtBot) -> None:
    text = "See [this](https://example.org/a).\n\n```python\nx = 1\n```\n\n```js\ny\n```"
    view.set_messages([reply("<think>hm</think>" + text, "2", actions=("copy", "branch"), variants=2)])
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    lines = [line.text() for line in menu_of(view).actions() if not line.isSeparator()]
    assert lines == [
        "Copy",
        "Branch from here",
        "The variant before",
        "The next variant",
        "Show the thinking",
        "Copy with the thinking",
        "Copy code 1 (python)",
        "Copy code 2 (js)",
        "Open https://example.org/a",
    ]
    choose(view, "Copy code 2 (js)")
    assert QGuiApplication.clipboard().text() == "y"


def test_a_link_in_the_menu_is_only_announced(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages([reply("See [this](https://example.org/a).", "2")])
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    qtbot.keyClick(view, Qt.Key.Key_Menu)
    with qtbot.waitSignal(view.link_activated) as signal:
        choose(view, "Open https://example.org/a")
    assert signal.args == ["https://example.org/a"]


def test_a_click_on_a_link_is_only_announced(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply("[a long link that is easy to hit](https://example.org/a)", "2")])
    (block,) = page.blocks(Kind.BODY)
    box = view.document().documentLayout().blockBoundingRect(block)
    where = QPoint(int(box.left()) + 40, int(box.center().y()))
    qtbot.mouseMove(view.viewport(), where)
    with qtbot.waitSignal(view.link_activated) as signal:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert signal.args == ["https://example.org/a"]


def test_ctrl_c_without_a_selection_copies_the_message_of_the_keyboard(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(TWO)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up, ALT)
    qtbot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "Because."


def test_everything_has_a_name_for_a_screen_reader(view: TranscriptView) -> None:
    view.set_messages(TWO)
    assert view.accessibleName() == "Conversation"
    row = row_of(view)
    assert row.accessibleName() == "Actions for the message by SmolLM2"
    assert all(button.accessibleName() for button in row.buttons.values())


def test_an_action_that_is_not_known_here_is_named_by_itself(view: TranscriptView) -> None:
    view.set_messages([reply("Yes.", "2", actions=("read_aloud",))])
    assert labels(row_of(view)) == ["Read aloud"]
