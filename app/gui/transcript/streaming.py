"""Brings growing replies onto the page at most thirty times a second."""

from time import perf_counter
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QTextCursor

from app.gui.transcript import reasoning, repaint
from app.gui.transcript.entry import Entry
from app.gui.transcript.page import Page
from app.gui.transcript.scrolling import Scrolling

FRAME_MS: Final = 33
_SHARE: Final = 5
"""A frame that takes long is followed by a pause this many times as long: the window stays free."""


class Streaming(QObject):
    """Collects pieces and writes them when the timer ends."""

    wrote = Signal()

    def __init__(self, page: Page, scrolling: Scrolling, parent: QObject) -> None:
        super().__init__(parent)
        self._page = page
        self._scrolling = scrolling
        self._grown: dict[str, Entry] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self.flush)

    def append(self, entry: Entry, piece: str) -> None:
        """Take in a piece of a reply; it shows at the next frame."""
        entry.pieces.append(piece)
        if entry.live is not None:
            entry.live.feed(piece)
        if entry.frame is not None:
            self._grown[entry.message.id] = entry
            if not self._timer.isActive():
                self._timer.start()

    def append_shown(self, entry: Entry, more: str) -> None:
        """Take in what an entry's text has already grown by."""
        if entry.live is not None:
            entry.live.feed(more)
            self._grown[entry.message.id] = entry
            if not self._timer.isActive():
                self._timer.start()

    def forget(self) -> None:
        """Drop what waits: the page is written anew from the whole texts."""
        self._grown.clear()
        self._timer.stop()

    def flush(self) -> None:
        """Write what came in since the last frame."""
        self._timer.stop()
        if not self._grown:
            return
        started = perf_counter()
        grown, self._grown = list(self._grown.values()), {}
        with self._scrolling.kept(), repaint.from_change_down(self._page.document):
            for entry in grown:
                self._render(entry)
        self._timer.setInterval(max(FRAME_MS, int(1e3 * (perf_counter() - started) * _SHARE)))
        self.wrote.emit()

    def finish(self, entry: Entry) -> None:
        """End a reply's streaming."""
        self._grown.pop(entry.message.id, None)
        cursor = QTextCursor(self._page.document)
        cursor.beginEditBlock()
        self._page.writer.finish(entry)
        cursor.endEditBlock()

    def _render(self, entry: Entry) -> None:
        live = entry.live
        if live is None:
            self._page.rewrite(entry)
            return
        if live.misread:
            live.misread = False
            if reasoning.split(entry.text).present:
                self._page.rewrite(entry)
                return
        cursor = QTextCursor(self._page.document)
        cursor.beginEditBlock()
        live.render()
        cursor.endEditBlock()
