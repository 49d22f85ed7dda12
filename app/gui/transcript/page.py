"""The messages on the page: a window of the conversation that grows at both ends in idle slices."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from PySide6.QtCore import QRectF, QSizeF
from PySide6.QtGui import QTextCursor, QTextDocument, QTextFrame, QTextOption

from app.gui.transcript import layout
from app.gui.transcript.code_highlight import Highlighter
from app.gui.transcript.entry import Entry
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.message_frame import MessageWriter
from app.gui.transcript.shown import ShownMessage
from app.gui.transcript.styles import Place, Styles

FIRST_MESSAGES: Final = 100
"""The most messages that are written before the first paint."""
_FIRST_CHARACTERS: Final = 30_000
_FEWEST: Final = 6
_BATCH_MESSAGES: Final = 60
KEPT_AT_RESIZE: Final = 120
"""With more messages on the page, a change of the page's width keeps these and fills in the others again."""
GROUP: Final = 64
"""The most messages in one group. At each edit Qt goes through all frames of the document's own and through those
of the edited group: with 2,000 frames in one row that took 2 ms of every streaming frame."""


class Page:
    """Owns the messages and their frames in one document; `low` to `high` are the ones on the page.

    Their frames stand in frames without looks, the groups. Around each frame there is an empty block, a gap.
    """

    def __init__(self, document: QTextDocument, highlighter: Highlighter) -> None:
        self.document = document
        self.highlighter = highlighter
        self.entries: list[Entry] = []
        self.low = 0
        self.high = 0
        self._by_id: dict[str, Entry] = {}
        self.writer = MessageWriter(Styles(), highlighter, 0)
        document.setUndoRedoEnabled(False)
        document.setDocumentMargin(layout.MARGIN)
        self.use(self.writer.styles)

    def use(self, styles: Styles) -> None:
        """Write in these styles from now on; what is on the page must be written anew by `open_at`."""
        self.writer.styles = styles
        self.highlighter.use(styles)
        self.document.setDefaultFont(styles.body_font)
        self.document.setIndentWidth(styles.indent)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        option.setTabStopDistance(styles.tab)
        self.document.setDefaultTextOption(option)

    # The messages

    def take(self, messages: Iterable[ShownMessage]) -> None:
        """Be another conversation; nothing is on the page until `open_at`."""
        kept = {each.message.id: each.unfolded for each in self.entries if each.unfolded}
        self.entries = [Entry(message) for message in messages]
        self._by_id = {each.message.id: each for each in self.entries}
        for each in self.entries:
            each.unfolded = kept.get(each.message.id, False)
        self.low = self.high = 0

    def find(self, message_id: str) -> Entry | None:
        """The message with that id."""
        return self._by_id.get(message_id)

    def index(self, entry: Entry) -> int:
        """Where a message stands in the conversation."""
        if entry.frame is not None:
            at = self.index_before(entry.frame.firstPosition())
            if self.entries[at] is entry:
                return at
        return self.entries.index(entry)

    @property
    def shown(self) -> Sequence[Entry]:
        """The messages on the page."""
        return self.entries[self.low : self.high]

    @property
    def is_whole(self) -> bool:
        """Whether every message is on the page."""
        return self.low == 0 and self.high == len(self.entries)

    # Building

    def wipe(self) -> None:
        """Take all messages off the page."""
        self.highlighter.clear()
        for each in self.shown:
            each.frame = each.live = None
        self.high = self.low
        if self.document.characterCount() > 1:
            self.document.clear()

    def open_at(self, index: int | None = None, share: float = 1) -> None:
        """Clear the page and write the messages around that one, or the last ones; a `share` of the usual."""
        self.wipe()
        QTextCursor(self.document).setBlockFormat(self.writer.styles.place(Place(Kind.GAP)))
        total = len(self.entries)
        messages, characters = int(share * FIRST_MESSAGES), int(share * _FIRST_CHARACTERS)
        if index is None:
            self.low = self._reach_back(total, messages, characters)
            self.high = total
        else:
            self.low = self._reach_back(index, messages // 2, characters // 2)
            self.high = self._reach_on(index, messages // 2, characters // 2)
        self.highlighter.later = True  # colours come after the first paint
        self._write_below(self.low, self.high)
        self.highlighter.later = False

    def add_older(self, characters: int) -> int:
        """Write about that many characters of messages above the others; how many messages there were."""
        new_low = self._reach_back(self.low, _BATCH_MESSAGES, characters, fewest=1)
        count, old_low, self.low = self.low - new_low, self.low, new_low
        if count:
            self._write_above(new_low, old_low)
        return count

    def add_newer(self, characters: int) -> int:
        """Write about that many characters of messages below the others; how many messages there were."""
        old_high = self.high
        self.high = self._reach_on(old_high, _BATCH_MESSAGES, characters, fewest=1)
        if self.high > old_high:
            self._write_below(old_high, self.high)
        return self.high - old_high

    def _reach_back(self, index: int, messages: int, characters: int, fewest: int = _FEWEST) -> int:
        """How far back a window goes that ends before `index`."""
        low, used = index, 0
        while low > 0 and index - low < messages and (used < characters or index - low < fewest):
            low -= 1
            used += len(self.entries[low].text) + 100
        return low

    def _reach_on(self, index: int, messages: int, characters: int, fewest: int = _FEWEST) -> int:
        """How far on a window goes that begins at `index`."""
        high, used = index, 0
        while high < len(self.entries) and high - index < messages:
            if used >= characters and high - index >= fewest:
                break
            used += len(self.entries[high].text) + 100
            high += 1
        return high

    def _write_below(self, first: int, last: int) -> None:
        """Write messages at the end of the page, as one change of the document."""
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        group = self._group(first - 1)
        while first < last:
            room = GROUP - len(group.childFrames()) if group is not None else 0
            if group is None or room <= 0:
                group, room = self._add_group(self.document.characterCount() - 1), GROUP
            part = self.entries[first : min(last, first + room)]
            self._write(part, group.lastPosition())
            first += len(part)
        cursor.endEditBlock()

    def _write_above(self, first: int, last: int) -> None:
        """Write messages at the beginning of the page, as one change of the document."""
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        group = self._group(last)
        while first < last:
            room = GROUP - len(group.childFrames()) if group is not None else 0
            if group is None or room <= 0:
                group, room = self._add_group(0), GROUP
            part = self.entries[max(first, last - room) : last]
            self._write(part, group.firstPosition())
            last -= len(part)
        cursor.endEditBlock()

    def _group(self, index: int) -> QTextFrame | None:
        """The group that a message's frame stands in; None for a message that is not on the page."""
        frame = self.entries[index].frame if 0 <= index < len(self.entries) else None
        return frame.parentFrame() if frame is not None else None

    def _add_group(self, position: int) -> QTextFrame:
        """A new group at a gap between groups."""
        cursor = QTextCursor(self.document)
        cursor.setPosition(position)
        group = cursor.insertFrame(self.writer.styles.frame(FrameKind.GROUP))
        gap = self.writer.styles.place(Place(Kind.GAP))
        for each in (group.firstPosition(), group.lastPosition() + 1):
            cursor.setPosition(each)
            cursor.setBlockFormat(gap)
        return group

    def _write(self, entries: Sequence[Entry], position: int) -> None:
        """Write messages at a gap in a group."""
        cursor = QTextCursor(self.document)
        cursor.setPosition(position)
        for each in entries:
            self.writer.write(each, cursor)

    # Changing

    def append(self, message: ShownMessage) -> Entry:
        """Add a message at the end; it is written if the page reaches that far."""
        entry = Entry(message)
        reaches = self.high == len(self.entries)
        self.entries.append(entry)
        self._by_id[message.id] = entry
        if reaches:
            self.high += 1
            self._write_below(self.high - 1, self.high)
        return entry

    def remove(self, entry: Entry) -> None:
        """Take a message away."""
        at = self.index(entry)
        if entry.frame is not None:
            self._erase(entry.frame)
            entry.frame = entry.live = None
            self.high -= 1
        elif at < self.low:
            self.low -= 1
            self.high -= 1
        del self.entries[at]
        del self._by_id[entry.message.id]

    def rewrite(self, entry: Entry) -> None:
        """Write a message that is on the page anew."""
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        self.writer.rewrite(entry)
        cursor.endEditBlock()

    def rewrite_foot(self, entry: Entry) -> None:
        """Write what stands below a message's words anew; a bubble is written as a whole."""
        if entry.message.role == "user":
            self.rewrite(entry)
            return
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        self.writer.rewrite_foot(entry)
        cursor.endEditBlock()

    def _erase(self, frame: QTextFrame) -> None:
        """Take a message's frame off the page, and its group with the last one in it."""
        group = frame.parentFrame()
        if len(group.childFrames()) == 1:
            frame = group
        cursor = QTextCursor(self.document)
        cursor.setPosition(frame.firstPosition() - 1)
        cursor.setPosition(frame.lastPosition() + 1, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()

    def fit_column(self, width: float, around: int | None) -> None:
        """Fit the bubbles to another width of the column; the page's new width must be set afterwards.

        Of a long conversation only the messages around that one (or the last ones) stay on the page: writing
        them anew is quicker than laying out all of them.
        """
        self.writer.width = width
        long = self.high - self.low > KEPT_AT_RESIZE
        if long:
            self.wipe()
        # Without a size the document changes without being laid out: once, for all of it, is enough.
        self.document.setPageSize(QSizeF())
        if long:
            self.open_at(around, share=0.3)
            return
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        for each in self.shown:
            if each.message.role == "user":
                self.writer.place_bubble(each)
        cursor.endEditBlock()

    # Where things are

    def entry_at(self, position: int) -> Entry | None:
        """The message around a position in the document."""
        if self.low == self.high:
            return None
        entry = self.entries[self.index_before(position)]
        frame = entry.frame
        return entry if frame is not None and position <= frame.lastPosition() else None

    def index_at_y(self, y: float) -> int:
        """The message at a height of the document, or the nearest one above it; -1 for an empty page."""
        if self.low == self.high:
            return -1
        at = bisect_right(self.entries, y, self.low, self.high, key=lambda each: self.rect(each).top())
        return max(self.low, at - 1)

    def rect(self, entry: Entry) -> QRectF:
        """Where a message stands in the document; empty while it is not on the page."""
        if entry.frame is None:
            return QRectF()
        return self.document.documentLayout().frameBoundingRect(entry.frame)

    def index_before(self, position: int) -> int:
        """The message that a position of the document is in, or the nearest one above it; the page is not empty."""

        def first(entry: Entry) -> int:
            return entry.frame.firstPosition() if entry.frame is not None else -1

        return max(self.low, bisect_right(self.entries, position, self.low, self.high, key=first) - 1)
