"""A selection over several groups of messages: Qt alone would take the whole of each group that it leaves."""

from itertools import groupby

from PySide6.QtCore import QObject
from PySide6.QtGui import QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit

from app.gui import theme
from app.gui.transcript.entry import Entry
from app.gui.transcript.page import Page


class Selecting(QObject):
    """Keeps the view's own cursor within the group where the selection began, and marks the rest beside it.

    As between any two messages, messages that are not wholly passed over are selected as a whole.
    """

    def __init__(self, view: QTextEdit, page: Page) -> None:
        super().__init__(view)
        self._view = view
        self._page = page
        self._beyond: list[QTextCursor] = []
        self._own = QTextCursor()
        """The view's cursor that goes with those; with another one they are over."""
        view.selectionChanged.connect(self._on_selection)

    def cursors(self) -> list[QTextCursor]:
        """All that is selected, from the top on."""
        return sorted([self._view.textCursor(), *self._beyond], key=QTextCursor.selectionStart)

    def reach(self, y: float) -> None:
        """The pointer has taken the selection to this height of the document."""
        cursor = self._view.textCursor()
        to = self._page.index_at_y(y)
        if not cursor.hasSelection() or to < 0:
            return
        anchor = cursor.anchor()
        begun = self._begun(anchor, to)
        parts = [
            list(part)
            for _, part in groupby(self._page.entries[min(begun, to) : max(begun, to) + 1], key=_group_position)
        ]
        if len(parts) < 2:
            self._mark([])
            return
        down = to > begun
        own = parts.pop(0 if down else -1)
        frame = self._page.entries[begun].frame
        assert frame is not None
        if not frame.firstPosition() <= anchor <= frame.lastPosition():
            anchor = _edges([self._page.entries[begun]])[0 if down else 1]
        cursor.setPosition(anchor)
        cursor.setPosition(_edges(own)[1 if down else 0], QTextCursor.MoveMode.KeepAnchor)
        self._own = cursor
        self._view.setTextCursor(cursor)
        self._mark([_edges(part) for part in parts])

    def _on_selection(self) -> None:
        if self._beyond and self._view.textCursor() != self._own:
            self._mark([])

    def _begun(self, anchor: int, to: int) -> int:
        """The message where the selection began; between two messages the one towards `to`."""
        index = self._page.index_before(anchor)
        frame = self._page.entries[index].frame
        between = frame is not None and anchor > frame.lastPosition()
        return index + 1 if between and to > index else index

    def _mark(self, ranges: list[tuple[int, int]]) -> None:
        """Select these ranges too, in the look of the view's own selection."""
        look = QTextCharFormat()
        look.setBackground(theme.color("selection"))
        look.setForeground(theme.color("text"))
        self._beyond, marks = [], []
        for start, end in ranges:
            mark = QTextEdit.ExtraSelection()
            cursor = QTextCursor(self._page.document)
            cursor.setPosition(start)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            mark.cursor, mark.format = cursor, look
            self._beyond.append(cursor)
            marks.append(mark)
        self._view.setExtraSelections(marks)


def _group_position(entry: Entry) -> int:
    """Where the group of a message begins."""
    assert entry.frame is not None
    return entry.frame.parentFrame().firstPosition()


def _edges(entries: list[Entry]) -> tuple[int, int]:
    """The gap above the first of some messages of one group, and the gap below the last."""
    first, last = entries[0].frame, entries[-1].frame
    assert first is not None and last is not None
    return first.firstPosition() - 1, last.lastPosition() + 1
