"""Finds words in the conversation, also in messages that are not on the page yet."""

from collections.abc import Callable

from PySide6.QtGui import QTextCursor, QTextDocument

from app.gui.transcript import reasoning
from app.gui.transcript.entry import Entry
from app.gui.transcript.layout import Kind, kind_of
from app.gui.transcript.page import Page

_MARKUP = str.maketrans("", "", "*_`~#>\\")
_NOT_WORDS = (Kind.FOOTER, Kind.NAME, Kind.FOLD, Kind.LABEL, Kind.STATUS)


def find_words(
    page: Page, words: str, start: QTextCursor, *, forward: bool, open_at: Callable[[int], None]
) -> QTextCursor | None:
    """The next occurrence from `start`, also around the end; `open_at` brings a message onto the page."""
    if not words.strip() or not page.entries:
        return None
    found = _in_document(page, words, start, forward=forward)
    if found is not None:
        return found
    for index in _others(page, forward=forward):
        entry = page.entries[index]
        if entry.frame is None and not _may_hold(entry, words):
            continue
        if entry.frame is None:
            open_at(index)
        found = _in_entry(page, entry, words, forward=forward)
        if found is not None:
            return found
    return None


def _others(page: Page, *, forward: bool) -> list[int]:
    """The messages in the order in which they are looked through when the page has no more."""
    total = len(page.entries)
    if forward:
        return [(page.high + step) % total for step in range(total)]
    return [(page.low - 1 - step) % total for step in range(total)]


def _may_hold(entry: Entry, words: str) -> bool:
    """Whether the words may stand in a message, as far as its source tells."""
    text = entry.text[reasoning.split(entry.text).answer :] if entry.message.role == "assistant" else entry.text
    wanted = words.casefold()
    text = text.casefold()
    return wanted in text or wanted in text.translate(_MARKUP)


def _in_entry(page: Page, entry: Entry, words: str, *, forward: bool) -> QTextCursor | None:
    frame = entry.frame
    if frame is None:
        return None
    start = frame.firstCursorPosition() if forward else frame.lastCursorPosition()
    found = _in_document(page, words, start, forward=forward)
    if found is None or not frame.firstPosition() <= found.selectionStart() <= frame.lastPosition():
        return None
    return found


def _in_document(page: Page, words: str, start: QTextCursor, *, forward: bool) -> QTextCursor | None:
    flags = QTextDocument.FindFlag(0) if forward else QTextDocument.FindFlag.FindBackward
    found = page.document.find(words, start, flags)
    while not found.isNull() and kind_of(found.block()) in _NOT_WORDS:
        found = page.document.find(words, found, flags)
    return None if found.isNull() else found
