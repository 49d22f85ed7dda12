"""Which message the row of actions belongs to, and where it stands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QPoint, QRectF
from PySide6.QtWidgets import QScrollBar

from app.gui.transcript.action_row import ActionRow
from app.gui.transcript.entry import Entry
from app.gui.transcript.layout import BUTTON
from app.gui.transcript.page import Page
from app.gui.transcript.painting import card_rect

_OUTSIDE: Final = 6
"""The space in a button around its icon: the first icon stands where the words begin."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Whether keyboard and pointer are at a message, and which of its variant buttons has the focus, if one has."""

    focused: bool
    hovered: bool
    step: int


class RowPlace:
    """Moves one row of buttons to the message under the keyboard, under the pointer, or to the last reply."""

    def __init__(self, row: ActionRow, page: Page, bar: QScrollBar, has_keyboard: Callable[[], bool]) -> None:
        self._row = row
        self._page = page
        self._bar = bar
        self._has_keyboard = has_keyboard
        self.focused: Entry | None = None
        """The message that the keyboard is on."""
        self.hovered: Entry | None = None
        """The message that the pointer is on."""

    def owner(self) -> Entry | None:
        """The message that the row belongs to now."""
        focused = self.focused if self._has_keyboard() else None
        for entry in (focused, self.hovered, self.focused):
            if entry is not None and _has_actions(entry):
                return entry
        last = self._page.entries[-1] if self._page.entries else None
        return last if last is not None and last.message.role == "assistant" and _has_actions(last) else None

    def forget(self, entry: Entry | None = None) -> None:
        """Let go of a message that is taken away, or of all."""
        if entry is None or entry is self.focused:
            self.focused = None
        if entry is None or entry is self.hovered:
            self.hovered = None

    def marks(self, entry: Entry | None) -> Marks:
        """What is at a message now."""
        if entry is None:
            return Marks(focused=False, hovered=False, step=0)
        step = self._row.focused_step if self._row.message_id == entry.message.id else 0
        return Marks(focused=self.focused is entry, hovered=self.hovered is entry, step=step)

    def put_back(self, entry: Entry, marks: Marks) -> None:
        """Let keyboard and pointer be at a message that stands in another's place."""
        self.focused = entry if marks.focused else self.focused
        self.hovered = entry if marks.hovered else self.hovered
        self.update()
        if marks.step:
            self._row.focus_step(marks.step)

    def update(self) -> None:
        """Show the row at its message, or nowhere."""
        entry = self.owner()
        if entry is None or entry.frame is None:
            self._row.hide()
            return
        self._row.show_for(entry.message)
        self._row.move(self._corner(entry))
        self._row.show()

    def _corner(self, entry: Entry) -> QPoint:
        """The row's top left corner in the viewport."""
        assert entry.frame is not None
        scrolled = self._bar.value()
        if entry.message.role == "assistant":
            box = self._foot_rect(entry)
            left = self._page.rect(entry).left() - _OUTSIDE
            return QPoint(round(left), round(box.top() + 7 - self._row.height() / 2 - scrolled))
        bubble = card_rect(self._page.document, entry.frame)
        left = bubble.left() - self._row.width() - 4
        top = bubble.bottom() - self._row.height() - max(0, (42 - BUTTON) // 2)
        if left < 0:  # no room beside a wide bubble: under its right end, where nothing else stands
            left, top = bubble.right() - self._row.width(), bubble.bottom() + 1
        return QPoint(round(left), round(top - scrolled))

    def _foot_rect(self, entry: Entry) -> QRectF:
        assert entry.frame is not None
        block = entry.frame.lastCursorPosition().block()
        return self._page.document.documentLayout().blockBoundingRect(block)


def _has_actions(entry: Entry) -> bool:
    message = entry.message
    return entry.frame is not None and not message.streaming and bool(message.actions or message.variants > 1)
