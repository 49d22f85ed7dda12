"""Where the person is on the page: at the end and following, or reading somewhere that must not move."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QScrollBar

from app.gui.transcript.entry import Entry
from app.gui.transcript.page import Page

_NEAR: Final = 8
"""This close to the end (in pixels) counts as there."""


class Place:
    """A message and where its top stands below the top edge of the view, in pixels."""

    __slots__ = ("below", "message_id")

    def __init__(self, message_id: str, below: float) -> None:
        self.message_id = message_id
        self.below = below


class Scrolling(QObject):
    """Moves the scroll bar so that what the person reads stays where it is."""

    following_changed = Signal()
    moved = Signal()
    """The page has scrolled or has another height: once for all that `kept` holds together."""

    def __init__(self, bar: QScrollBar, page: Page, parent: QObject) -> None:
        super().__init__(parent)
        self._bar = bar
        self._page = page
        self._held = 0
        self._has_moved = False
        self.following = True
        """Whether the view goes along with the end of the conversation."""
        bar.valueChanged.connect(self._on_value)
        bar.rangeChanged.connect(self._on_range)

    def place(self) -> Place | None:
        """What stands at the top edge of the view now; None at the end or on an empty page."""
        if self.following:
            return None
        return self.place_of(self._page.index_at_y(self._bar.value()))

    def place_of(self, index: int) -> Place | None:
        """Where that message stands now."""
        if index < 0:
            return None
        entry = self._page.entries[index]
        return Place(entry.message.id, self._page.rect(entry).top() - self._bar.value())

    def restore(self, place: Place | None) -> None:
        """Bring a place back, or the end if there is none."""
        with self._hold():
            entry = self._page.find(place.message_id) if place is not None else None
            self._page.document.documentLayout().documentSize()  # ends a layout that Qt has put off
            if entry is not None and entry.frame is not None and place is not None:
                self._bar.setValue(round(self._page.rect(entry).top() - place.below))
            elif self.following:
                self._bar.setValue(self._bar.maximum())

    @contextmanager
    def kept(self, place: Callable[[], Place | None] | None = None) -> Iterator[None]:
        """Whatever changes inside, the person stays where they are."""
        before = (place or self.place)()
        with self._hold():
            try:
                yield
            finally:
                self.restore(before)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """What the bar does inside is no wish of the person's; that it moved is said once, at the end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._has_moved and not self._held:
                self._has_moved = False
                self.moved.emit()

    def show(self, entry: Entry, height: float) -> None:
        """Bring a message into a view of that height: all of it, or its beginning."""
        box, value = self._page.rect(entry), self._bar.value()
        if box.top() < value or box.height() > height:
            self._bar.setValue(round(box.top()))
        elif box.bottom() > value + height:
            self._bar.setValue(round(box.bottom() - height))

    def settle(self) -> None:
        """Follow the end if the view is there now: something was shown or hidden in the middle."""
        self.set_following(self._bar.value() >= self._bar.maximum() - _NEAR)

    def to_end(self) -> None:
        """Go to the end and follow it."""
        self.set_following(True)
        self.restore(None)

    def set_following(self, following: bool) -> None:
        """Follow the end, or stay."""
        if following != self.following:
            self.following = following
            self.following_changed.emit()

    def _on_value(self, _value: int) -> None:
        if not self._held:
            self.settle()
        with self._hold():
            self._has_moved = True

    def _on_range(self, _low: int, high: int) -> None:
        follows = self.following and not self._held
        with self._hold():
            self._has_moved = True
            if follows:
                self._bar.setValue(high)
