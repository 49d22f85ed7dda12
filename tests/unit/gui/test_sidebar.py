"""The sidebar as a person uses it: clicks, keys, menus, editing in place, and the drawer of a narrow window."""

import time
from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QKeySequence, QPalette, QShortcut
from PySide6.QtWidgets import QApplication, QLineEdit, QMainWindow, QMenu, QWidget
from pytestqt.qtbot import QtBot

from app.gui import theme
from app.gui.sidebar import Sidebar, SidebarItem
from app.gui.sidebar.conversation_list import ConversationList
from app.gui.sidebar.panel import SearchField

NOW = time.time()
ITEMS = [
    SidebarItem("a", "Roman roads", NOW, "memory"),
    SidebarItem("b", "Letter to the tax office", NOW - 1, "saved", "opens in 0.1 s instead of 24 s"),
    SidebarItem("c", "A haiku about rain", NOW - 2),
]

Shown = Callable[..., QWidget]


@pytest.fixture
def sidebar(shown: Shown) -> Sidebar:
    """A sidebar with three chats of today, the first of them open."""
    made = Sidebar()
    made.set_conversations(ITEMS)
    made.set_current("a")
    shown(made, 268, 500)
    return made


@pytest.fixture
def chats(sidebar: Sidebar) -> ConversationList:
    """Its list, with the focus."""
    found = sidebar.findChild(ConversationList)
    assert found is not None
    found.setFocus()
    return found


def click(qtbot: QtBot, chats: ConversationList, row: int, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
    """Click in the middle of a row."""
    place = chats.visualRect(chats.model().index(row, 0)).center()
    qtbot.mouseClick(chats.viewport(), button, pos=place)


def test_a_click_opens_a_chat(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.waitSignal(sidebar.opened) as opened:
        click(qtbot, chats, 2)
    assert opened.args == ["b"]
    assert sidebar.current() == "b"


def test_a_heading_cannot_be_opened(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.assertNotEmitted(sidebar.opened):
        click(qtbot, chats, 0)


def test_the_right_button_opens_no_chat(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.assertNotEmitted(sidebar.opened):
        click(qtbot, chats, 2, Qt.MouseButton.RightButton)
    assert sidebar.current() == "a"


def test_sweeping_over_the_list_opens_only_where_it_began(
    qtbot: QtBot, sidebar: Sidebar, chats: ConversationList
) -> None:
    opened: list[str] = []
    sidebar.opened.connect(opened.append)
    middle = [chats.visualRect(chats.model().index(row, 0)).center() for row in range(4)]
    qtbot.mousePress(chats.viewport(), Qt.MouseButton.LeftButton, pos=middle[2])
    qtbot.mouseMove(chats.viewport(), middle[3])
    qtbot.mouseRelease(chats.viewport(), Qt.MouseButton.LeftButton, pos=middle[3])
    assert opened == ["b"]


def test_the_arrow_keys_open_the_next_chat_and_stop_at_the_first(
    qtbot: QtBot, sidebar: Sidebar, chats: ConversationList
) -> None:
    opened: list[str] = []
    sidebar.opened.connect(opened.append)
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Up):
        qtbot.keyClick(chats, key)
    assert opened == ["b", "c", "b", "a"]


def test_typing_opens_the_chat_that_begins_so(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.waitSignal(sidebar.opened) as opened:
        qtbot.keyClicks(chats, "let")
    assert opened.args == ["b"]


def test_typing_never_finds_a_heading(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.assertNotEmitted(sidebar.opened):
        qtbot.keyClicks(chats, "tod")
    assert chats.currentIndex().data() == "Roman roads"


def test_marking_the_open_chat_reports_nothing(qtbot: QtBot, sidebar: Sidebar) -> None:
    with qtbot.assertNotEmitted(sidebar.opened):
        sidebar.set_current("c")
        sidebar.set_current(None)
        sidebar.set_conversations(ITEMS)
    assert sidebar.current() is None


def test_the_open_chat_stays_marked_when_the_rows_change(sidebar: Sidebar, chats: ConversationList) -> None:
    sidebar.set_current("c")
    sidebar.update_item(SidebarItem("d", "A new one", NOW + 5))
    assert chats.currentIndex().data() == "A haiku about rain"


def test_only_delete_asks_to_delete(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.assertNotEmitted(sidebar.delete_requested):
        qtbot.keyClick(chats, Qt.Key.Key_Backspace)
        qtbot.keyClick(chats, Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
    with qtbot.waitSignal(sidebar.delete_requested) as asked:
        qtbot.keyClick(chats, Qt.Key.Key_Delete)
    assert asked.args == ["a"]


def test_delete_in_the_search_field_deletes_no_chat(qtbot: QtBot, sidebar: Sidebar) -> None:
    field = sidebar.findChild(SearchField)
    assert field is not None
    with qtbot.assertNotEmitted(sidebar.delete_requested):
        qtbot.keyClicks(field, "abc")
        qtbot.keyClick(field, Qt.Key.Key_Delete)
        qtbot.keyClick(field, Qt.Key.Key_Backspace)


def editor_of(chats: ConversationList) -> QLineEdit:
    """The open editor."""
    found = chats.viewport().findChild(QLineEdit)
    assert found is not None
    return found


def test_f2_renames_in_place(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    qtbot.keyClick(chats, Qt.Key.Key_F2)
    editor = editor_of(chats)
    assert editor.selectedText() == "Roman roads"
    qtbot.keyClicks(editor, "  Via   Appia ")
    with qtbot.waitSignal(sidebar.rename_requested) as renamed:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert renamed.args == ["a", "Via Appia"]


def test_escape_and_an_empty_title_rename_nothing(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    with qtbot.assertNotEmitted(sidebar.rename_requested):
        qtbot.keyClick(chats, Qt.Key.Key_F2)
        qtbot.keyClicks(editor_of(chats), "x")
        qtbot.keyClick(editor_of(chats), Qt.Key.Key_Escape)
        chats.closePersistentEditor(chats.currentIndex())
        QApplication.sendPostedEvents(None, 0)
        QApplication.processEvents()
        qtbot.keyClick(chats, Qt.Key.Key_F2)
        qtbot.keyClicks(editor_of(chats), "   ")
        qtbot.keyClick(editor_of(chats), Qt.Key.Key_Return)


def test_typing_a_title_survives_a_reply_that_ends_elsewhere(
    qtbot: QtBot, sidebar: Sidebar, chats: ConversationList
) -> None:
    qtbot.keyClick(chats, Qt.Key.Key_F2)
    editor = editor_of(chats)
    qtbot.keyClicks(editor, "Half")
    sidebar.update_item(SidebarItem("c", "A haiku about rain", NOW + 9, "memory"))
    qtbot.keyClicks(editor, " typed")
    with qtbot.waitSignal(sidebar.rename_requested) as renamed:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert renamed.args == ["a", "Half typed"]
    assert chats.model().index(1, 0).data() == "A haiku about rain"


def action(menu: QMenu, words: str) -> None:
    """Choose an entry by its words."""
    next(entry for entry in menu.actions() if entry.text() == words).trigger()


def test_the_menu_of_a_chat_exports_renames_and_deletes_that_chat(
    qtbot: QtBot, sidebar: Sidebar, chats: ConversationList
) -> None:
    menu = chats.build_menu(ITEMS[1])
    with qtbot.waitSignal(sidebar.export_requested) as exported:
        action(menu, "Export…")
    assert exported.args == ["b"]
    with qtbot.waitSignal(sidebar.delete_requested) as deleted:
        action(menu, "Delete")
    assert deleted.args == ["b"]
    action(menu, "Rename")
    assert editor_of(chats).text() == "Letter to the tax office"
    menu.close()


def test_the_menu_key_opens_the_current_chats_menu(qtbot: QtBot, chats: ConversationList) -> None:
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(1, 1), chats.mapToGlobal(QPoint(1, 1)))
    QApplication.sendEvent(chats.viewport(), event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert "Delete" in [entry.text() for entry in menu.actions()]
    menu.close()


def test_the_search_field_filters_and_says_when_nothing_is_found(qtbot: QtBot, sidebar: Sidebar) -> None:
    field = sidebar.findChild(SearchField)
    panel = sidebar._panel
    assert field is not None
    with qtbot.waitSignal(sidebar.filter_changed):
        qtbot.keyClicks(field, "rain")
    assert [panel.list.model().index(row, 0).data() for row in range(2)] == [None, "A haiku about rain"]
    qtbot.keyClicks(field, "bow")
    assert panel.empty.isVisible()
    assert panel.empty.text() == ""  # the texts are still being searched
    sidebar.set_found({})
    assert panel.empty.text() == "No chat holds “rainbow”."
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert field.text() == ""
    assert panel.list.isVisible()


def test_enter_in_the_search_field_opens_the_first_chat_and_leaves_the_list(qtbot: QtBot, sidebar: Sidebar) -> None:
    field = sidebar.findChild(SearchField)
    assert field is not None
    qtbot.keyClicks(field, "letter")
    with qtbot.waitSignals([sidebar.opened, sidebar.settled]):
        qtbot.keyClick(field, Qt.Key.Key_Return)
    assert sidebar.current() == "b"


def test_a_click_on_a_chat_leaves_the_list_and_the_arrow_keys_do_not(
    qtbot: QtBot, sidebar: Sidebar, chats: ConversationList
) -> None:
    with qtbot.waitSignal(sidebar.opened), qtbot.assertNotEmitted(sidebar.settled):
        qtbot.keyClick(chats, Qt.Key.Key_Down)
    with qtbot.waitSignal(sidebar.settled):
        click(qtbot, chats, 3)


def test_f2_renames_the_chat_that_the_keyboard_is_on_in_the_list(sidebar: Sidebar, chats: ConversationList) -> None:
    assert sidebar.rename_current()
    assert chats.findChild(QLineEdit) is not None
    sidebar.focus_search()
    assert not sidebar.rename_current()


def test_down_in_the_search_field_goes_to_the_list(qtbot: QtBot, sidebar: Sidebar, chats: ConversationList) -> None:
    sidebar.focus_search()
    assert not chats.hasFocus()
    qtbot.keyClick(sidebar._panel.search, Qt.Key.Key_Down)
    assert chats.hasFocus()


def test_what_the_search_field_asks_for_can_be_read(sidebar: Sidebar) -> None:
    shown = sidebar._panel.search.palette().color(QPalette.ColorRole.PlaceholderText)
    assert shown == QColor(theme.current().text_faint)


def test_with_no_chats_it_says_what_happens_here(sidebar: Sidebar) -> None:
    sidebar.set_conversations([])
    assert sidebar._panel.empty.isVisible()
    assert sidebar._panel.empty.text() == "No chats yet.\nWhat you write is kept here."


def test_the_buttons_report(qtbot: QtBot, sidebar: Sidebar) -> None:
    with qtbot.waitSignal(sidebar.new_chat):
        sidebar._panel.new_button.click()
    with qtbot.waitSignal(sidebar.import_requested):
        sidebar._panel.import_button.click()


def test_the_colours_change_from_the_menu_and_are_reported(qtbot: QtBot, sidebar: Sidebar) -> None:
    menu = sidebar._panel.settings_button.menu()
    with qtbot.waitSignal(sidebar.theme_chosen) as chosen:
        action(menu, "Dark")
    assert chosen.args == ["dark"]
    assert theme.current() is theme.DARK
    menu.aboutToShow.emit()
    assert [entry.text() for entry in menu.actions() if entry.isChecked()] == ["Dark"]


def test_the_settings_of_saved_state_are_in_the_same_menu(qtbot: QtBot, sidebar: Sidebar) -> None:
    with qtbot.waitSignal(sidebar.saved_settings), qtbot.assertNotEmitted(sidebar.theme_chosen):
        action(sidebar._panel.settings_button.menu(), "Saved state…")


def test_a_screen_reader_hears_title_and_state(chats: ConversationList) -> None:
    words = chats.model().index(2, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert words == "Letter to the tax office, opens in 0.1 s instead of 24 s"


def test_a_chat_without_a_state_has_no_sign_before_its_title(sidebar: Sidebar, chats: ConversationList) -> None:
    def colours(row: int) -> set[int]:
        area = chats.visualRect(chats.model().index(row, 0))
        image = chats.viewport().grab(area.adjusted(8, 12, 24 - area.width(), -12)).toImage()
        return {image.pixel(x, y) for x in range(image.width()) for y in range(image.height())}

    sidebar.set_current(None)
    accent = theme.color("accent").rgb()
    assert accent in colours(1)
    assert accent in colours(2)
    assert len(colours(3)) == 1


# --- collapsed -----------------------------------------------------------------------------------------


@pytest.fixture
def narrow(shown: Shown, sidebar: Sidebar) -> QMainWindow:
    """A narrow window with the sidebar collapsed in it."""
    window = QMainWindow()
    around = QWidget(window)
    window.setCentralWidget(around)
    sidebar.setParent(around)
    sidebar.set_collapsed(True)
    sidebar.show()
    shown(window, 520, 400)
    return window


def test_collapsed_it_is_a_rail(sidebar: Sidebar) -> None:
    sidebar.set_collapsed(True)
    assert sidebar.sizeHint().width() == 56
    assert not sidebar._panel.isVisible()
    sidebar.set_collapsed(False)
    assert sidebar.sizeHint().width() == 268
    assert sidebar._panel.isVisible()


def test_the_drawer_opens_over_the_window_and_closes_with_a_choice(
    qtbot: QtBot, narrow: QMainWindow, sidebar: Sidebar
) -> None:
    sidebar.open_drawer()
    panel = sidebar._panel
    assert panel.isVisible()
    assert panel.mapTo(narrow, QPoint(0, 0)) == QPoint(0, 0)
    assert panel.height() == narrow.height()
    with qtbot.waitSignal(sidebar.opened) as opened:
        click(qtbot, panel.list, 2)
    assert opened.args == ["b"]
    assert not panel.isVisible()


def test_passing_chats_with_the_arrow_keys_leaves_the_drawer_open(
    qtbot: QtBot, narrow: QMainWindow, sidebar: Sidebar
) -> None:
    sidebar.open_drawer()
    qtbot.keyClick(sidebar._panel.list, Qt.Key.Key_Down)
    assert sidebar._panel.isVisible()
    qtbot.keyClick(sidebar._panel.list, Qt.Key.Key_Return)
    assert not sidebar._panel.isVisible()


def test_escape_and_a_click_beside_it_close_the_drawer(qtbot: QtBot, narrow: QMainWindow, sidebar: Sidebar) -> None:
    sidebar.open_drawer()
    qtbot.keyClick(sidebar._panel.list, Qt.Key.Key_Escape)
    assert not sidebar._panel.isVisible()
    sidebar.open_drawer()
    qtbot.mouseClick(sidebar._panel.parentWidget(), Qt.MouseButton.LeftButton, pos=QPoint(400, 100))
    assert not sidebar._panel.isVisible()


def test_escape_belongs_to_the_drawer_before_the_window(qtbot: QtBot, narrow: QMainWindow, sidebar: Sidebar) -> None:
    stops: list[bool] = []
    shortcut = QShortcut(QKeySequence(Qt.Key.Key_Escape), narrow)
    shortcut.activated.connect(lambda: stops.append(True))
    sidebar.open_drawer()
    qtbot.keyClick(sidebar._panel.list, Qt.Key.Key_Escape)
    assert not sidebar._panel.isVisible()
    assert not stops
    qtbot.keyClick(narrow, Qt.Key.Key_Escape)
    assert stops


def test_the_drawer_follows_the_windows_size_and_goes_when_it_widens(narrow: QMainWindow, sidebar: Sidebar) -> None:
    sidebar.open_drawer()
    narrow.resize(560, 500)
    QApplication.processEvents()
    assert sidebar._panel.height() == 500
    sidebar.set_collapsed(False)
    assert sidebar._panel.parentWidget() is sidebar
    assert sidebar._panel.isVisible()


def test_the_scroll_bar_of_the_list_is_slim(sidebar: Sidebar, chats: ConversationList) -> None:
    assert chats.verticalScrollBar().sizeHint().width() <= 8
