"""Fills the page at both ends, a slice at a time, while nothing else happens."""

from time import perf_counter
from typing import Final

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QScrollBar, QWidget

from app.gui.transcript.page import Page
from app.gui.transcript.scrolling import Scrolling

_SLICE_S: Final = 0.016
_PAUSE_MS: Final = 200
_LEAST: Final = 4_000
_MOST: Final = 40_000


class Filling(QObject):
    """Writes first the messages below, then those above, until all are on the page."""

    def __init__(self, page: Page, scrolling: Scrolling, bar: QScrollBar, view: QWidget) -> None:
        super().__init__(view)
        self._view = view
        self._page = page
        self._scrolling = scrolling
        self._bar = bar
        self._characters = 5_000
        """How much one slice writes, as measured."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._slice)

    @property
    def busy(self) -> bool:
        """Whether messages still wait."""
        return self._timer.isActive()

    def start(self) -> None:
        """Begin as soon as nothing else happens."""
        if not self._page.is_whole and self._view.isVisible():
            self._timer.start(0)

    def wait(self) -> None:
        """Begin when the view's size has been still for a moment."""
        if not self._page.is_whole and self._view.isVisible():
            self._timer.start(_PAUSE_MS)

    def stop(self) -> None:
        """Leave the page as it is."""
        self._timer.stop()

    def finish(self) -> None:
        """Write all that is missing now."""
        while not self._page.is_whole:
            self._add()
        self._timer.stop()

    def _slice(self) -> None:
        if self._bar.isSliderDown():
            self.wait()  # the page would slip away under the pointer
            return
        started = perf_counter()
        self._add()
        spent = max(perf_counter() - started, 1e-4)
        self._characters = int(min(_MOST, max(_LEAST, self._characters * min(1.5, max(0.7, _SLICE_S / spent)))))
        self.start()

    def _add(self) -> None:
        with self._scrolling.kept():
            if not self._page.add_newer(self._characters):
                self._page.add_older(self._characters)
