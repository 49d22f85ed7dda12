"""All parts in one window, wide and narrow: nothing overlaps, nothing is cut off, every button has a name."""

from collections.abc import Callable
from itertools import combinations

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QAbstractButton, QApplication, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.core.context_budget import ContextBudget
from app.gui import theme
from app.gui.composer import Composer
from app.gui.empty_state import EXAMPLES, EmptyState
from app.gui.gauges import ContextFigures, GaugeStrip, MemoryFigures, SavedFigures
from app.gui.header import Header
from app.gui.notices import Notice, NoticeBar
from app.gui.sidebar import Sidebar, SidebarItem

Shown = Callable[..., QWidget]
MIB, GIB = 1 << 20, 1 << 30
LONG = "A very long name that nobody would choose but somebody certainly will, sooner or later"


class Window(QWidget):
    """The parts as the main window places them, each with the longest words it may have to show."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sidebar, self.header, self.empty = Sidebar(), Header(), EmptyState()
        self.notices, self.composer, self.strip = NoticeBar(), Composer(), GaugeStrip()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        column = QVBoxLayout()
        row.addLayout(column, 1)
        for part in (self.header, self.empty, self.notices, self.composer, self.strip):
            column.addWidget(part, 1 if part is self.empty else 0)
        self.sidebar.set_collapsed(width < 860)
        self.fill()

    def fill(self) -> None:
        """Long words everywhere."""
        self.sidebar.set_conversations([SidebarItem("a", LONG, 0.0, "saved", LONG)])
        self.header.set_conversation(LONG)
        self.header.set_model(LONG, "on NVIDIA GeForce RTX 4090")
        self.empty.set_message(LONG, "Choose a model", LONG)
        self.empty.set_examples(EXAMPLES)
        actions = [("New chat with the same instructions", print), ("Start again", print), ("Settings…", print)]
        self.notices.show_notice(Notice(LONG, "error", actions))
        self.composer.set_queued(True)
        self.composer.set_draft("one\ntwo")
        self.composer.set_budget(ContextBudget(2_000_000, 1_900_000, 1_000_000))
        self.strip.show_context(ContextFigures(129_000, 131_072, 10_000, 119_000))
        self.strip.show_memory(MemoryFigures("GPU", "gpu", 1000 * GIB, 100 * GIB, MIB, 90 * GIB, GIB, GIB, GIB))
        self.strip.show_saved(SavedFigures(900 * MIB, 900 * GIB, 1000 * GIB))


@pytest.fixture(params=[520, 720, 1180])
def window(request: pytest.FixtureRequest, shown: Shown) -> Window:
    """The window at each width."""
    made = Window(request.param)
    shown(made, request.param, 760)
    QApplication.processEvents()
    assert made.width() == request.param, "some part asks for more room than there is"
    return made


def place(widget: QWidget, within: QWidget) -> QRect:
    """Where a widget stands, in the coordinates of another."""
    return QRect(widget.mapTo(within, QPoint(0, 0)), widget.size())


def siblings(within: QWidget) -> list[tuple[QWidget, QWidget]]:
    """Every two visible widgets with the same parent."""
    found = []
    for parent in [within, *within.findChildren(QWidget)]:
        children = [
            child
            for child in parent.children()
            if isinstance(child, QWidget) and child.isVisible() and not child.isWindow() and not child.rect().isEmpty()
        ]
        found += list(combinations(children, 2))
    return found


def test_nothing_overlaps(window: Window) -> None:
    for one, other in siblings(window):
        if type(one.parentWidget()).__module__.startswith("app.") or one.parentWidget() is window:
            assert not one.geometry().intersects(other.geometry()), (one, other)


def test_nothing_is_cut_off(window: Window) -> None:
    for button in window.findChildren(QAbstractButton):
        if button.isVisible() and not isinstance(button.parentWidget(), QLineEdit):  # that one is Qt's own
            assert window.rect().contains(place(button, window)), button
            assert button.width() >= min(button.minimumSizeHint().width(), button.sizeHint().width()), button


def test_the_clear_button_is_always_whole(window: Window) -> None:
    clear = window.strip.clear_button
    assert clear.isVisible()
    assert clear.width() >= clear.sizeHint().width()
    assert window.strip.rect().contains(place(clear, window.strip))


def test_composer_and_notice_stand_in_the_same_column(window: Window) -> None:
    card, notice = place(window.composer.card, window), place(window.notices._card, window)
    assert (card.left(), card.right()) == (notice.left(), notice.right())
    assert card.width() <= theme.COLUMN
    page = place(window.composer, window)
    assert abs((card.left() - page.left()) - (page.right() - card.right())) <= 1


def test_every_button_has_a_name_for_a_screen_reader(window: Window) -> None:
    for button in window.findChildren(QAbstractButton):
        interface = QAccessible.queryAccessibleInterface(button)
        assert interface.text(QAccessible.Text.Name).strip(), button.parentWidget()


def test_what_changes_colour_keeps_its_place(window: Window) -> None:
    before = [place(child, window) for child in window.findChildren(QWidget) if child.isVisible()]
    theme.set_preference("dark")
    QApplication.processEvents()
    assert before == [place(child, window) for child in window.findChildren(QWidget) if child.isVisible()]


def test_the_whole_window_paints_in_every_palette(window: Window) -> None:
    pictures = set()
    for preference in ("light", "dark"):
        theme.set_preference(preference)
        QApplication.processEvents()
        pictures.add(window.grab().toImage().pixelColor(window.width() // 2, 80).name())
    assert pictures == {theme.LIGHT.page.lower(), theme.DARK.page.lower()}
