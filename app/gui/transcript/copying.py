"""A selection as readable text: who said what, markers and cells kept, figures and buttons left out."""

from collections.abc import Iterable, Iterator
from typing import Final

from PySide6.QtGui import QTextBlock, QTextCursor, QTextTable

from app.gui.transcript import layout
from app.gui.transcript.entry import Entry
from app.gui.transcript.layout import Kind, kind_of
from app.gui.transcript.page import Page

_LEFT_OUT: Final = (Kind.GAP, Kind.NAME, Kind.FOLD, Kind.STATUS, Kind.LABEL, Kind.FOOTER)


def selected_text(page: Page, selections: Iterable[QTextCursor]) -> str:
    """The selected words, from the top on; several messages each begin with their author."""
    parts: list[tuple[Entry | None, str]] = []
    for each in selections:
        start, end = each.selectionStart(), each.selectionEnd()
        for entry, block in _blocks(page, start, end):
            words = _words(block, start, end)
            if parts and parts[-1][0] is entry:
                parts[-1] = (entry, parts[-1][1] + _between(block) + words)
            else:
                parts.append((entry, words))
    if len(parts) == 1:
        return parts[0][1]
    return "\n\n".join(f"{entry.message.author}:\n{words}" if entry else words for entry, words in parts)


def _blocks(page: Page, start: int, end: int) -> Iterator[tuple[Entry | None, QTextBlock]]:
    block = page.document.findBlock(start)
    while block.isValid() and block.position() <= end:
        if kind_of(block) not in _LEFT_OUT:
            yield page.entry_at(block.position()), block
        block = block.next()


def _words(block: QTextBlock, start: int, end: int) -> str:
    if kind_of(block) is Kind.RULE:
        return "---"
    first = max(0, start - block.position())
    words = _utf16_slice(block.text(), first, end - block.position())
    words = words.replace("\u2028", "\n")
    if block.blockFormat().textIndent() < 0:
        words = words.replace("\t", " ", 1).replace("\u2003", " ", 1)
        return "  " * (block.blockFormat().indent() - 1) + words
    return words


def _between(block: QTextBlock) -> str:
    """What separates a block from the one above it."""
    form = block.blockFormat()
    if form.boolProperty(layout.CONTINUES):
        return ""
    if kind_of(block) is Kind.CELL:
        cursor = QTextCursor(block)
        table = cursor.currentTable()
        if isinstance(table, QTextTable):
            cell = table.cellAt(cursor)
            if cell.column():
                return "\t"
            return "\n" if cell.row() else "\n\n"
    if kind_of(block) is Kind.CODE and kind_of(block.previous()) is not Kind.LABEL:
        return "\n"
    spaced = form.topMargin() >= 8 or kind_of(block.previous()) in (Kind.LABEL, Kind.CODE, Kind.CELL)
    return "\n\n" if spaced else "\n"


def _utf16_slice(text: str, first: int, last: int) -> str:
    """A slice between positions as Qt counts them, in UTF-16 units."""
    if text.isascii() or (first <= 0 and last >= 2 * len(text)):
        return text[max(0, first) : max(0, last)]
    raw = text.encode("utf-16-le", "surrogatepass")
    return raw[2 * max(0, first) : 2 * max(0, last)].decode("utf-16-le", "replace")
