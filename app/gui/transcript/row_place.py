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
        self._at: Entry | None = None

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

    def update(self) -> bool:
        """Show the row at its message, or nowhere; whether that is another message than before."""
        before, entry = self._at, self.owner()
        self._at = entry if entry is not None and entry.frame is not None else None
        if self._at is None:
            self._row.hide()
        else:
            self._row.show_for(self._at.message)
            self._row.move(self._corner(self._at))
            self._row.show()
        return self._at is not before

    def stands_at(self, entry: Entry) -> bool:
        """Whether the row shows at that message."""
        return entry is self._at

    def anchor(self, entry: Entry) -> QRectF:
        """The last line of a bubble, or the foot of a reply, as wide as the message; in the document's coordinates."""
        assert entry.frame is not None
        styles = self._page.writer.styles
        if entry.message.role == "assistant":
            box = self._foot_rect(entry)
            return QRectF(self._page.rect(entry).left(), box.top(), box.width(), 2 * styles.foot_middle)
        bubble = card_rect(self._page.document, entry.frame)
        height = BUTTON + 2 * max(0, (styles.bubble_line - BUTTON) // 2)
        return QRectF(bubble.left(), bubble.bottom() - height, bubble.width(), height)

    def _corner(self, entry: Entry) -> QPoint:
        """The row's top left corner in the viewport."""
        scrolled, anchor = self._bar.value(), self.anchor(entry)
        left, top = anchor.left() - _OUTSIDE, anchor.center().y() - self._row.height() / 2
        if entry.message.role == "user":
            left = anchor.left() - self._row.width() - 4
            if left < 0:  # no room beside a wide bubble: under its right end, where nothing else stands
                left, top = anchor.right() - self._row.width(), anchor.bottom() + 1
        return QPoint(round(left), round(top - scrolled))

    def _foot_rect(self, entry: Entry) -> QRectF:
        assert entry.frame is not None
        block = entry.frame.lastCursorPosition().block()
        return self._page.document.documentLayout().blockBoundingRect(block)


def _has_actions(entry: Entry) -> bool:
    message = entry.message
    return entry.frame is not None and not message.streaming and bool(message.actions or message.variants > 1)
