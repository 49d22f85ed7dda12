"""Markdown that grows: closed blocks are written once, only the open tail is written again."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtGui import QTextCursor

from app.gui.transcript.code_card import OpenCard, code_of
from app.gui.transcript.code_highlight import Highlighter
from app.gui.transcript.layout import Kind
from app.gui.transcript.markdown_parser import (
    Fence,
    completed,
    fence_at,
    held_back,
    parse,
    split_closed,
)
from app.gui.transcript.markdown_writer import CARD_TOP, MarkdownWriter
from app.gui.transcript.styles import Ink, Place
from app.gui.transcript.table_writer import OpenTable, first_table
from app.gui.transcript.writer import Writer

if TYPE_CHECKING:
    from markdown_it.token import Token

_LONGEST: Final = {"paragraph_open": 3_000}
_LONGEST_OTHER: Final = 12_000
"""A tail that gets longer is divided, so that a frame costs the same however much there is."""
_LINES_AT_ONCE: Final = 3
"""More new lines of code than these are coloured together, not each with the lines around it."""


class StreamWriter:
    """Writes growing Markdown into an empty block at its pen, up to where `end` says its region ends."""

    def __init__(self, writer: Writer, highlighter: Highlighter, end: Callable[[], int]) -> None:
        self._writer = writer
        self._highlighter = highlighter
        self._end = end
        self._tail = ""
        self._shown: str | None = ""
        """The part of the tail that is in the document; None for something else there."""
        self._env: dict[str, Any] = {}
        self._card: OpenCard | None = None
        self._fence = Fence(0, "```", "")
        self._line_shown = 0
        self._table: OpenTable | None = None
        self._table_heading = ""
        self._first = True
        self._continues = False
        """Whether the tail goes on with a list whose earlier items are closed."""
        self._resume: int | None = None
        """The number of the tail's first item, if that list is ordered."""
        self._start = QTextCursor(writer.cursor)
        self._start.setKeepPositionOnInsert(True)
        self.frozen_blocks = 0
        """How many of Markdown's top blocks are written for good."""
        self.divided = False
        """Whether a part was written otherwise than all of it together would be."""

    # From the outside

    def show_status(self, words: str) -> None:
        """Show words in the place of the text, before there is any."""
        self._erase_tail()
        self._writer.block(Place(Kind.STATUS))
        self._writer.text(words, Ink("text_faint"))
        self._shown = None

    def clear(self) -> None:
        """Take away what stands in the place of the text."""
        self._erase_tail()
        self._shown = ""

    def start_here(self) -> None:
        """Begin in the empty block that the pen is in now: something was written in front of it."""
        self._start.setPosition(self._writer.cursor.block().position())
        self._first = False

    def feed(self, piece: str) -> None:
        """Take in clean text; it shows at the next `render`."""
        self._tail += piece

    def render(self, *, final: bool = False) -> None:
        """Bring the document up to what was fed; with `final` nothing waits for more any longer."""
        if self._card is not None and not self._go_on_with_card(final=final):
            return
        if self._table is not None and not self._go_on_with_table(final=final):
            return
        held = 0 if final else held_back(self._tail)
        shown = self._tail[: len(self._tail) - held]
        if shown == self._shown and not final:
            return
        self._erase_tail()
        tokens = parse(shown if final else completed(shown), self._env)
        if tokens is None:
            self._freeze_plain(shown)
            self._tail = self._tail[len(shown) :]
        elif final:
            self._freeze(tokens)
            self._tail = ""
            self._drop_empty_block()
            self.divided = self.divided or bool(self._env.get("references"))
        else:
            self._divide(tokens, shown)

    # What is closed, what is open

    def _divide(self, tokens: "list[Token]", shown: str) -> None:
        """Write what is closed for good, and what is open so that it can be written again."""
        split = split_closed(tokens)
        if split.closed:
            self._freeze(split.closed, in_list=split.in_list)
            at = _offset(shown, split.line)
            self._tail, shown = self._tail[at:], shown[at:]
        kind = split.tail[0].type if split.tail else ""
        if (kind == "fence" and self._begin_card()) or (kind == "table_open" and self._begin_table(split.tail)):
            self.render()
        elif len(shown) > _LONGEST.get(kind, _LONGEST_OTHER):
            self._cut(_LONGEST.get(kind, _LONGEST_OTHER))
        else:
            self._pen().write(split.tail, self._resume, in_list=split.in_list)
            self._shown = shown

    def _pen(self) -> MarkdownWriter:
        return MarkdownWriter(self._writer, self._highlighter, first=self._first, continues=self._continues)

    def _freeze(self, tokens: "Sequence[Token]", *, in_list: bool = False) -> None:
        """Write blocks for good; with `in_list` more items of the last one are to come."""
        if not tokens:
            return
        pen = self._pen()
        pen.write(tokens, self._resume)
        tops = [token for token in tokens if token.level == 0 and token.nesting >= 0]
        ordered = in_list and bool(tops) and tops[-1].type == "ordered_list_open"
        self._resume = pen.next_number if ordered else None
        self._continues = in_list
        self.frozen_blocks += len(tops)
        self._behind()

    def _freeze_plain(self, words: str) -> None:
        """Write words as they are: reading them as Markdown would cost too much."""
        self._writer.lines(words, Place(top=0 if self._first else 10))
        self.divided = True
        self.frozen_blocks += 1
        self._continues, self._resume = False, None
        self._behind()

    def _behind(self) -> None:
        """Let the tail begin in an empty block behind what is written."""
        self._first = False
        self._shown = ""
        if not self._writer.fresh:
            self._writer.block(Place(Kind.GAP))
            self._writer.fresh = True
        self._start.setPosition(self._writer.cursor.block().position())

    def _drop_empty_block(self) -> None:
        """Take the empty block away that waits for more, unless it is all there is."""
        cursor = self._writer.cursor
        if self._writer.fresh and not self._first:
            form = cursor.block().previous().blockFormat()
            cursor.deletePreviousChar()
            cursor.setBlockFormat(form)
            self._writer.fresh = False

    def _erase_tail(self) -> None:
        cursor = self._writer.cursor
        cursor.setPosition(self._start.position())
        cursor.setPosition(self._end(), QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.setBlockFormat(self._writer.styles.place(Place(Kind.GAP)))
        self._writer.fresh = True

    def _cut(self, size: int) -> None:
        """Divide a tail that has grown too long: at a line's end, or at a space that a word follows."""
        tail = self._tail
        at = tail.rfind("\n", size // 2, size) + 1
        if not at:
            spaces = (i for i in range(size - 1, size // 2, -1) if tail[i] == " " and tail[i + 1].isalpha())
            at = next(spaces, size - 1) + 1
        head, rest = tail[:at], tail[at:]
        tokens = parse(head, self._env)
        if tokens is None:
            self._freeze_plain(head)
        else:
            self._freeze(tokens)
        self._tail, self.divided = rest, True
        self.render()

    # Cards

    def _begin_card(self) -> bool:
        """Turn the tail into a card that grows line by line, once the line that opens it is whole."""
        line, feed, rest = self._tail.partition("\n")
        fence = fence_at(line)
        if fence is None or not feed:
            return False
        pen = self._pen()
        self._fence, self._tail, self._line_shown = fence, rest, 0
        self._card = OpenCard(self._writer, fence.language, pen.card_top)
        return True

    def _go_on_with_card(self, *, final: bool) -> bool:
        """Write what is new of the open card; whether it is closed now."""
        if self._card is None:
            return True
        new_lines = self._tail.count("\n")
        while (end := self._tail.find("\n")) >= 0:
            line, self._tail = self._tail[:end], self._tail[end + 1 :]
            if self._fence.is_closed_by(line):
                return self._close_card()
            self._card.add(self._bare(line)[self._line_shown :] + "\n")
            self._line_shown = 0
            if new_lines <= _LINES_AT_ONCE and not final:
                self._highlighter.last_line(self._card.frame, self._card.language)
        if new_lines > _LINES_AT_ONCE and not final:
            self._highlighter.card(self._card.frame, code_of(self._card.frame), self._card.language)
        if final:
            if self._tail.strip(" \t") and not self._fence.is_closed_by(self._tail):
                self._card.add(self._bare(self._tail)[self._line_shown :])
            self._tail = ""
            return self._close_card()
        if not self._fence.may_be_closed_by(self._tail):
            line = self._bare(self._tail)
            self._card.add(line[self._line_shown :])
            self._line_shown = len(line)
        return False

    def _bare(self, line: str) -> str:
        """A line without the spaces that its fence is indented by."""
        spaces = len(line) - len(line.lstrip(" "))
        return line[min(spaces, self._fence.indent) :]

    def _close_card(self) -> bool:
        card, self._card = self._card, None
        if card is not None:
            self._line_shown = 0
            card.close()
            self._highlighter.card(card.frame, code_of(card.frame), card.language)
            self.frozen_blocks += 1
            self._behind()
        return True

    # Tables

    def _begin_table(self, tokens: "Sequence[Token]") -> bool:
        """Turn the tail into a table that grows row by row, once the two lines that open it are whole."""
        end = _offset(self._tail, 2) if self._tail.count("\n") >= 2 else 0
        heading = self._tail[:end]
        opened = first_table(parse(heading) or [])
        if not opened or not first_table(tokens):
            return False
        self._table = OpenTable(self._writer, opened, Place(Kind.GAP, top=0 if self._first else CARD_TOP))
        self._table_heading, self._tail = heading, self._tail[end:]
        return True

    def _go_on_with_table(self, *, final: bool) -> bool:
        """Write the whole rows that came in; whether the table is closed now."""
        if self._table is None:
            return True
        whole = len(self._tail) if final else self._tail.rfind("\n") + 1
        rows = self._tail[:whole]
        tokens = first_table(parse(self._table_heading + rows) or [])
        at = _offset(rows, self._table.add(tokens))
        self._tail = self._tail[at:]
        if not final and at == whole and not self._table.is_full:
            return False
        self.divided = self.divided or self._table.is_full
        self._table.close()
        self._table = None
        self.frozen_blocks += 1
        self._behind()
        return True


def _offset(text: str, line: int) -> int:
    """Where a line of the text begins."""
    at = 0
    for _ in range(line):
        at = text.find("\n", at) + 1 or len(text)
    return at
