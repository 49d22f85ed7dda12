"""What is painted under the words: bubbles, cards, the bars of quotes, code between words, the focus mark."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QTextBlock, QTextCursor, QTextDocument, QTextFrame, QTextLine

from app.gui import icons
from app.gui.transcript import layout
from app.gui.transcript.layout import FrameKind, Kind, frame_kind, kind_of
from app.gui.transcript.styles import Styles

_ICON: Final = 15
_CHIP_RADIUS: Final = 4
AROUND: Final = 40
"""What a frame reaches beyond the words in it, at most: its padding, its margins, the mark of the focus."""


def card_rect(document: QTextDocument, frame: QTextFrame) -> QRectF:
    """A card's or a bubble's surface, in the document's coordinates."""
    form = frame.frameFormat()
    box = document.documentLayout().frameBoundingRect(frame)
    return box.adjusted(form.leftMargin(), form.topMargin(), -form.rightMargin(), -form.bottomMargin())


def copy_rect(card: QRectF) -> QRectF:
    """Where a click copies the code of a card whose surface is `card`."""
    side = layout.COPY_SIDE
    return QRectF(card.right() - side - 6, card.top() + 6, side, side)


def frames_around(block: QTextBlock) -> Iterator[QTextFrame]:
    """The frames that a block stands in, from the innermost to the message's own."""
    frame: QTextFrame | None = QTextCursor(block).currentFrame()
    while frame is not None and frame_kind(frame) is not FrameKind.GROUP and frame.parentFrame() is not None:
        yield frame
        frame = frame.parentFrame()


@dataclass(slots=True)
class _Shown:
    """A block in the strip that is painted."""

    block: QTextBlock
    box: QRectF
    frames: list[QTextFrame]
    """From the innermost to the message's own."""


class Painting:
    """Paints one strip of the page."""

    def __init__(self, document: QTextDocument, styles: Styles) -> None:
        self._document = document
        self._styles = styles
        self.hovered_card = -1
        """The first position of the card whose copy button the pointer is on."""
        self.copied_card = -1
        """The first position of the card whose code was just copied."""

    def use(self, styles: Styles) -> None:
        """Paint in these styles' palette from now on."""
        self._styles = styles

    def forget(self) -> None:
        """Forget the cards: the page is written anew."""
        self.hovered_card = self.copied_card = -1

    def paint(self, painter: QPainter, strip: QRectF) -> None:
        """Paint what lies in `strip`; painter and strip are in the document's coordinates."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shown = self._shown_in(strip.adjusted(0, -AROUND, 0, AROUND))
        frames: dict[int, QTextFrame] = {}
        for each in shown:
            for frame in reversed(each.frames):
                frames.setdefault(frame.firstPosition(), frame)
        for frame in frames.values():
            self._paint_frame(painter, frame)
        self._paint_quotes(painter, shown)
        for each in shown:
            self._paint_block(painter, each)

    def paint_focus(self, painter: QPainter, frame: QTextFrame) -> None:
        """Mark the message that the keyboard is on: a ring around a bubble, a bar beside a reply."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = card_rect(self._document, frame)
        if frame_kind(frame) is FrameKind.USER:
            painter.setPen(QPen(self._styles.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box.adjusted(-2, -2, 2, 2), layout.BUBBLE_RADIUS + 2, layout.BUBBLE_RADIUS + 2)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._styles.color("focus"))
        painter.drawRoundedRect(QRectF(box.left() - 12, box.top(), 3, box.height() - 4), 1.5, 1.5)

    def _shown_in(self, strip: QRectF) -> list[_Shown]:
        """The blocks in `strip`: found by halves, as they stand below one another."""
        document, rect = self._document, self._document.documentLayout().blockBoundingRect
        above = bisect_right(
            range(document.blockCount()), strip.top(), key=lambda number: rect(document.findBlockByNumber(number)).top()
        )
        block = document.findBlockByNumber(max(0, above - 1))
        # A row of a table may reach into the strip with another cell.
        while kind_of(block) is Kind.CELL and block.previous().isValid():
            block = block.previous()
        shown: list[_Shown] = []
        inner: QTextFrame | None = None
        frames: list[QTextFrame] = []
        while block.isValid() and (box := rect(block)).top() <= strip.bottom():
            frame = QTextCursor(block).currentFrame()
            if frame is not inner:
                inner, frames = frame, list(frames_around(block))
            shown.append(_Shown(block, box, frames))
            block = block.next()
        return shown

    def _paint_frame(self, painter: QPainter, frame: QTextFrame) -> None:
        kind = frame_kind(frame)
        if kind is FrameKind.USER:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._styles.color("bubble"))
            radius = layout.BUBBLE_RADIUS
            painter.drawRoundedRect(card_rect(self._document, frame), radius, radius)
        elif kind is FrameKind.CARD:
            self._paint_card(painter, frame)
        elif kind is FrameKind.THOUGHT:
            box = card_rect(self._document, frame)
            self._bar(painter, box.left() - 16, box.top(), box.bottom())

    def _paint_card(self, painter: QPainter, frame: QTextFrame) -> None:
        box = card_rect(self._document, frame)
        painter.setPen(QPen(self._styles.color("border"), 1))
        painter.setBrush(self._styles.color("code"))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), layout.CARD_RADIUS, layout.CARD_RADIUS)
        first, button = frame.firstPosition(), copy_rect(box)
        hovered = first == self.hovered_card
        if hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._styles.color("hover"))
            painter.drawRoundedRect(button, 8, 8)
        target = QRect(0, 0, _ICON, _ICON)
        target.moveCenter(button.center().toPoint())
        name = "check" if first == self.copied_card else "copy"
        icons.icon(name, "text" if hovered else "text_faint").paint(painter, target)

    def _paint_quotes(self, painter: QPainter, shown: list[_Shown]) -> None:
        """A bar for each level of quote, without a gap between the paragraphs of one quote."""
        below: dict[int, float] = {}
        for each in shown:
            bits = each.block.blockFormat().intProperty(layout.QUOTES)
            frame = each.frames[0] if each.frames else None
            base = float(layout.MARGIN)
            if frame is not None and not bits:
                bits = frame.frameFormat().intProperty(layout.QUOTES)
            elif frame is not None and frame_kind(frame) is FrameKind.THOUGHT:
                base += self._styles.indent
            if not bits:
                below.clear()
                continue
            for level in range(layout.MAX_INDENT):
                if not bits >> level & 1:
                    below.pop(level, None)
                    continue
                top = min(below.get(level, each.box.top()), each.box.top())
                self._bar(painter, base + level * self._styles.indent + 4, top, each.box.bottom())
                below[level] = each.box.bottom()

    def _bar(self, painter: QPainter, x: float, top: float, bottom: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._styles.color("border"))
        painter.drawRect(QRectF(x, top, layout.QUOTE_BAR, bottom - top))

    def _paint_block(self, painter: QPainter, shown: _Shown) -> None:
        form = shown.block.blockFormat()
        if kind_of(shown.block) is Kind.RULE:
            box, right = shown.box, self._document.pageSize().width() - layout.MARGIN
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._styles.color("border"))
            painter.drawRect(QRectF(box.left(), box.top(), right - box.left(), 1))
        elif form.boolProperty(layout.CODE_INSIDE):
            self._paint_chips(painter, shown.block, shown.box.topLeft())

    def _paint_chips(self, painter: QPainter, block: QTextBlock, origin: QPointF) -> None:
        """A soft ground under each run of code between words."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._styles.color("bubble"))
        text = block.layout()
        for start, end in code_runs(block):
            first, last = text.lineForTextPosition(start), text.lineForTextPosition(end - 1)
            if not first.isValid() or not last.isValid():
                continue
            for number in range(first.lineNumber(), last.lineNumber() + 1):
                line = text.lineAt(number)
                left = _x(line, max(start, line.textStart()))
                right = _x(line, min(end, line.textStart() + line.textLength()))
                top, height = line.y() + 0.5, line.ascent() + line.descent() - 1
                space = layout.CHIP_SPACE if number == last.lineNumber() else 0
                box = QRectF(min(left, right) - 2, top, abs(right - left) + 4 - space, height)
                painter.drawRoundedRect(box.translated(origin), _CHIP_RADIUS, _CHIP_RADIUS)


def _x(line: QTextLine, position: int) -> float:
    """Where a position of the text stands on its line; the binding says it with the position beside it."""
    x, _position = cast(tuple[float, int], line.cursorToX(position))
    return x


def code_runs(block: QTextBlock) -> list[tuple[int, int]]:
    """Where code between words begins and ends, within the block; its last character has a format of its own."""
    runs: list[tuple[int, int]] = []
    fragments = block.begin()
    while not fragments.atEnd():
        fragment = fragments.fragment()
        if fragment.charFormat().boolProperty(layout.IS_CODE):
            start = fragment.position() - block.position()
            if runs and runs[-1][1] == start:
                start, _ = runs.pop()
            runs.append((start, fragment.position() - block.position() + fragment.length()))
        fragments += 1
    return runs
