"""The transcript's keys: from message to message, and what can be done with each."""

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QScrollBar, QWidget

from app.gui.parts import announce
from app.gui.transcript import reasoning
from app.gui.transcript.deeds import Deeds
from app.gui.transcript.entry import Entry
from app.gui.transcript.page import Page
from app.gui.transcript.row_place import RowPlace
from app.gui.transcript.scrolling import Scrolling

_SPOKEN: Final = 300
"""Characters of a message that a screen reader is given when the keyboard comes to it."""
_STEP: Final = (Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier)


class Keys(QObject):
    """Moves a mark from message to message and does what keys ask for there."""

    moved = Signal()

    def __init__(
        self, view: QWidget, page: Page, place: RowPlace, scrolling: Scrolling, bar: QScrollBar, deeds: Deeds
    ) -> None:
        super().__init__(view)
        self._view = view
        self._page = page
        self._place = place
        self._scrolling = scrolling
        self._bar = bar
        self._deeds = deeds
        self.to_end: Callable[[], None] = scrolling.to_end

    def handle(self, event: QKeyEvent, *, selection: bool) -> bool:
        """Do what a key asks for; whether it asked for something. `selection`: whether words are selected."""
        key = event.key()
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        entry = self._place.focused
        if modifiers in _STEP and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.step(-1 if key == Qt.Key.Key_Up else 1)
            return True
        if modifiers == Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            if entry is not None:
                self._deeds.step(entry, -1 if key == Qt.Key.Key_Left else 1)
            return True
        if modifiers == Qt.KeyboardModifier.NoModifier and key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self._go(home=key == Qt.Key.Key_Home)
            return True
        return entry is not None and self._handle_at(entry, event, selection=selection)

    def _handle_at(self, entry: Entry, event: QKeyEvent, *, selection: bool) -> bool:
        key, plain = event.key(), event.modifiers() == Qt.KeyboardModifier.NoModifier
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Menu):
            self._deeds.open_menu(entry, self._corner(entry))
        elif key == Qt.Key.Key_Escape:
            self.focus(None)
        elif key == Qt.Key.Key_Space and plain and _has_thought(entry):
            self._deeds.toggle_thought(entry)
        elif event.matches(QKeySequence.StandardKey.Copy) and not selection:
            self._deeds.copy(entry)
        else:
            return False
        return True

    def step(self, step: int) -> None:
        """Go one message up (-1) or down (1); the first time to the last message in view."""
        if not self._page.entries:
            return
        if self._place.focused is None:
            index = self._page.index_at_y(self._bar.value() + self._bar.pageStep() - 1)
        else:
            index = self._page.index(self._place.focused) + step
        index = min(max(index, 0), len(self._page.entries) - 1)
        while index < self._page.low:
            with self._scrolling.kept():
                self._page.add_older(1)
        while index >= self._page.high:
            self._page.add_newer(1)
        self.focus(self._page.entries[index])

    def focus(self, entry: Entry | None) -> None:
        """Mark a message, bring it into view and let a screen reader say it."""
        if entry is self._place.focused:
            return
        self._place.focused = entry
        if entry is not None:
            self._scrolling.show(entry, self._bar.pageStep())
            words = reasoning.answer_of(entry.text)[:_SPOKEN]
            announce(self._view, f"{entry.message.author}: {words}")
        self.moved.emit()

    def _go(self, *, home: bool) -> None:
        if home:
            self._bar.setValue(0)
        else:
            self.to_end()

    def _corner(self, entry: Entry) -> QPoint:
        """Where the menu of a message opens, on the screen."""
        box = self._page.rect(entry)
        y = min(max(box.top() - self._bar.value() + 24, 0), self._view.height() - 40)
        return self._view.mapToGlobal(QPoint(round(box.left()) + 8, round(y)))


def _has_thought(entry: Entry) -> bool:
    return entry.message.role == "assistant" and reasoning.split(entry.text).present
