"""The faint "2/3" at a message of which there are several variants, where its row of actions does not show."""

from collections.abc import Iterator
from typing import Final

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from app.gui import theme
from app.gui.transcript.entry import Entry
from app.gui.transcript.page import Page
from app.gui.transcript.row_place import RowPlace

_SIZE: Final = 60, 24
_BESIDE: Final = 12
"""From the mark to a bubble, in pixels."""


class VariantMarks:
    """Paints the marks of one strip of the page."""

    def __init__(self, page: Page, place: RowPlace) -> None:
        """Look at the messages of `page`; `place` knows where the row stands."""
        self._page = page
        self._place = place

    def paint(self, painter: QPainter, strip: QRectF) -> None:
        """Paint what lies in `strip`; painter and strip are in the document's coordinates."""
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("text_faint"))
        for entry in self._in(strip):
            message = entry.message
            if message.variants > 1 and not message.streaming and not self._place.stands_at(entry):
                sided = Qt.AlignmentFlag.AlignRight if message.role == "user" else Qt.AlignmentFlag.AlignLeft
                words = f"{message.variant}/{message.variants}"
                painter.drawText(self.rect(entry), sided | Qt.AlignmentFlag.AlignVCenter, words)

    def rect(self, entry: Entry) -> QRectF:
        """Where the mark of a message stands: before the last line of a bubble, or at the foot of a reply."""
        width, height = _SIZE
        anchor, side = self._place.anchor(entry), entry.message.role
        left = anchor.left() - width - _BESIDE if side == "user" else anchor.left()
        return QRectF(left, anchor.center().y() - height / 2, width, height)

    def _in(self, strip: QRectF) -> Iterator[Entry]:
        at = self._page.index_at_y(strip.top())
        for entry in self._page.entries[max(at, self._page.low) : self._page.high] if at >= 0 else ():
            if self._page.rect(entry).top() > strip.bottom():
                return
            yield entry
