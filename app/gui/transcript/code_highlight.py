"""Colours for code: Pygments' tokens as ranges over laid-out lines, in slices that nothing waits for."""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from time import perf_counter
from typing import Final

import shiboken6
from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QTextBlock, QTextCharFormat, QTextCursor, QTextFrame, QTextLayout

from app.core.code_colors import CODE_MAX, ROLES, lexer_for, role_of
from app.gui.transcript.clean_text import PIECE
from app.gui.transcript.code_card import code_blocks
from app.gui.transcript.styles import Styles

_AT_ONCE: Final = 1_200
"""Characters that are coloured while they are written; more is left to idle slices."""
_SLICE_S: Final = 0.005
_WINDOW: Final = 30
"""Lines that are read again to colour a line that just arrived."""

Span = tuple[int, int, str]
"""Where a coloured run begins in its line, its length, and the palette's field."""


def line_spans(code: str, language: str) -> Iterator[list[Span]]:
    """The coloured runs of each line in turn; nothing for a language without a lexer."""
    lexer = lexer_for(language)
    if lexer is None:
        return
    spans: list[Span] = []
    column = 0
    for _at, kind, value in lexer.get_tokens_unprocessed(code):
        role = role_of(kind)
        for number, part in enumerate(value.split("\n")):
            if number:
                yield spans
                spans, column = [], 0
            length = _units(part)
            if role and spans and spans[-1][2] == role and sum(spans[-1][:2]) == column:
                spans[-1] = (spans[-1][0], spans[-1][1] + length, role)
            elif role and part:
                spans.append((column, length, role))
            column += length
    yield spans


def _units(words: str) -> int:
    """The length as Qt counts it, in UTF-16 units."""
    return len(words) if words.isascii() else len(words.encode("utf-16-le")) // 2


@lru_cache(maxsize=128)
def _spans_of(code: str, language: str) -> tuple[list[Span], ...]:
    return tuple(line_spans(code, language))


def can_highlight(code: str, language: str) -> bool:
    """Whether such code gets colours."""
    return len(code) <= CODE_MAX and lexer_for(language) is not None and max(map(len, code.split("\n"))) < PIECE


class Highlighter(QObject):
    """Colours cards: small ones at once, the others in idle slices, the newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[tuple[QTextFrame, str, str]] = deque()
        self._job: tuple[QTextFrame, QTextBlock, Iterator[list[Span]]] | None = None
        self._formats: dict[str, QTextCharFormat] = {}
        self.later = False
        """Whether every card waits for an idle slice, as when many messages are written at once."""
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._work)

    def use(self, styles: Styles) -> None:
        """Colour in these styles' palette from now on; what still waits is forgotten."""
        self._formats.clear()
        for _kind, role in ROLES:
            form = QTextCharFormat()
            form.setForeground(styles.color(role))
            self._formats[role] = form
        self.clear()

    def clear(self) -> None:
        """Forget the cards that wait."""
        self._waiting.clear()
        self._job = None
        self._timer.stop()

    def pause(self) -> None:
        """Leave what waits for later: nobody sees it."""
        self._timer.stop()

    def go_on(self) -> None:
        """Go on with what waits."""
        if self.busy:
            self._timer.start()

    @property
    def busy(self) -> bool:
        """Whether cards wait for their colours."""
        return self._job is not None or bool(self._waiting)

    def card(self, frame: QTextFrame, code: str, language: str) -> None:
        """Colour a whole card, now or soon."""
        code = code.removesuffix("\n")
        if not can_highlight(code, language):
            return
        if len(code) <= _AT_ONCE and not self.later:
            _colour(code_blocks(frame), iter(_spans_of(code, language)), self._formats)
            return
        self._waiting.append((frame, code, language))
        self._timer.start()

    def last_line(self, frame: QTextFrame, language: str) -> None:
        """Colour the last line of a card that still grows, from the lines before it."""
        if lexer_for(language) is None:
            return
        blocks: list[QTextBlock] = []
        block, first = frame.lastCursorPosition().block(), frame.firstPosition()
        while len(blocks) < _WINDOW and block.position() > first and block.length() < PIECE:
            blocks.append(block)
            block = block.previous()
        if blocks:
            code = "\n".join(each.text() for each in reversed(blocks))
            *_before, spans = line_spans(code, language)
            _colour(blocks[:1], iter([spans]), self._formats)

    def _work(self) -> None:
        end = perf_counter() + _SLICE_S
        while perf_counter() < end:
            if self._job is None and not self._begin():
                self._timer.stop()
                return
            self._go_on(end)

    def _begin(self) -> bool:
        while self._waiting:
            frame, code, language = self._waiting.pop()
            if shiboken6.isValid(frame):
                block = frame.firstCursorPosition().block().next()
                self._job = frame, block, line_spans(code, language)
                return True
        return False

    def _go_on(self, end: float) -> None:
        """Colour lines of the current card until the slice ends."""
        if self._job is None:
            return
        frame, block, spans = self._job
        if not shiboken6.isValid(frame) or not block.isValid():
            self._job = None
            return
        lines: list[list[Span]] = []
        done = False
        while not done and (perf_counter() < end or not lines):
            line = next(spans, None)
            done = line is None
            if line is not None:
                lines.append(line)
        blocks: list[QTextBlock] = []
        last = frame.lastPosition()
        for _line in lines:
            if not block.isValid() or block.position() > last:
                done = True
                break
            blocks.append(block)
            block = block.next()
        _colour(blocks, iter(lines), self._formats)
        self._job = None if done else (frame, block, spans)


def _colour(blocks: list[QTextBlock], spans: Iterator[list[Span]], formats: dict[str, QTextCharFormat]) -> None:
    """Lay colours over lines; the document's own text and formats stay as they are."""
    if not blocks:
        return
    edit = QTextCursor(blocks[0])
    edit.beginEditBlock()
    for block, line in zip(blocks, spans, strict=False):
        ranges = []
        for start, length, role in line:
            part = QTextLayout.FormatRange()
            part.start, part.length, part.format = start, length, formats[role]
            ranges.append(part)
        block.layout().setFormats(ranges)
    edit.endEditBlock()
