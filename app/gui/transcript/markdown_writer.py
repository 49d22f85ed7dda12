"""Markdown's blocks into the document: paragraphs, headings, lists, quotes, code, tables, rules."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.gui.transcript import layout
from app.gui.transcript.clean_text import clean
from app.gui.transcript.code_card import write_card
from app.gui.transcript.code_highlight import Highlighter
from app.gui.transcript.inline_writer import has_code, write_inline
from app.gui.transcript.layout import Kind
from app.gui.transcript.markdown_parser import language_of
from app.gui.transcript.styles import Place
from app.gui.transcript.table_writer import write_table
from app.gui.transcript.writer import Writer

if TYPE_CHECKING:
    from markdown_it.token import Token

_PARAGRAPH_TOP = 10.0
_ITEM_TOP = 5.0
CARD_TOP = 10.0
_HEADING_TOPS = (0.0, 20.0, 18.0, 14.0, 12.0, 12.0, 12.0)
_BULLETS = ("•", "◦", "▪")
_BOXES = {"[ ] ": "☐", "[x] ": "☑"}


@dataclass(slots=True)
class _Level:
    """One list or quote that is open."""

    quote: bool = False
    number: int | None = None
    """The next item's number, in an ordered list."""


class MarkdownWriter:
    """Writes tokens with a pen; each call of `write` begins and ends outside of lists and quotes."""

    def __init__(
        self, writer: Writer, highlighter: Highlighter, *, first: bool = True, continues: bool = False
    ) -> None:
        self.writer = writer
        self._highlighter = highlighter
        self._levels: list[_Level] = []
        self._marker = ""
        self._heading = 0
        self._first = first
        self._tight = continues
        self.next_number: int | None = None
        """The number that the item after the last written one would have."""

    def write(self, tokens: "Sequence[Token]", resume: int | None = None, *, in_list: bool = False) -> None:
        """Write blocks; with `in_list` they go on with a list, an ordered one at the number `resume`."""
        self._levels.clear()
        self._tight = self._tight or in_list
        at = 0
        if in_list and tokens and tokens[0].type == "list_item_open":
            self._levels.append(_Level(number=resume))
        while at < len(tokens):
            token = tokens[at]
            if token.type == "table_open":
                end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
                self._table(tokens[at:end])
                at = end
            else:
                self._token(token, resume if at == 0 else None)
            at += 1
        self._end_item()

    @property
    def card_top(self) -> float:
        """What to leave above a card that comes next."""
        return 2.0 if self._first else CARD_TOP

    def wrote(self) -> None:
        """Something else was written with the same pen: what comes next is not the first."""
        self._first = False

    def _token(self, token: "Token", resume: int | None) -> None:
        match token.type:
            case "inline":
                self._inline(token)
            case "heading_open":
                self._heading = int(token.tag[1:])
            case "heading_close":
                self._heading = 0
            case "bullet_list_open":
                self._open(_Level())
            case "ordered_list_open":
                start = int(token.attrs.get("start", 1)) if resume is None else resume
                self._open(_Level(number=start))
            case "blockquote_open":
                self._open(_Level(quote=True))
            case "bullet_list_close" | "ordered_list_close" | "blockquote_close":
                self._close()
            case "list_item_open":
                self._begin_item()
            case "list_item_close":
                self._end_item()
            case "fence" | "code_block":
                self._card(token)
            case "hr":
                self._end_item()
                self._block(Kind.RULE, 14)
            case _ if token.content:
                self.writer.lines(clean(token.content), self._place(Kind.BODY, self._top(_PARAGRAPH_TOP)))

    def _open(self, level: _Level) -> None:
        self._end_item()
        self._levels.append(level)

    def _close(self) -> None:
        self._end_item()
        if self._levels:
            self._levels.pop()
        self._tight = bool(self._levels)

    def _begin_item(self) -> None:
        """Remember the marker: it goes in front of the item's first words."""
        level = self._levels[-1]
        if level.number is None:
            depth = sum(1 for each in self._levels if not each.quote and each.number is None)
            self._marker = _BULLETS[(depth - 1) % len(_BULLETS)]
        else:
            self._marker = f"{level.number}."
            level.number += 1
            if len(self._levels) == 1:
                self.next_number = level.number

    def _end_item(self) -> None:
        """Write the marker of an item that had no words in front of what came next."""
        if self._marker:
            self._marked_block(replace(self._place(Kind.BODY, self._top(_ITEM_TOP)), hanging=True))

    def _marked_block(self, place: Place, *, rtl: bool = False) -> None:
        marker, self._marker = self._marker, ""
        self.writer.block(place)
        space = "\u2003" if rtl else "\t" if len(marker) < 4 else " "
        self.writer.text(marker + space, self.writer.base)
        self._first = False
        self._tight = True

    def _inline(self, token: "Token") -> None:
        children = list(token.children or [])
        self._take_box(children)
        ink = self.writer.base
        top = _PARAGRAPH_TOP
        if self._heading:
            ink, top = self.writer.styles.heading_ink(ink, self._heading), _HEADING_TOPS[self._heading]
        if self._marker:
            top = _ITEM_TOP if self._tight else _PARAGRAPH_TOP - 2
        elif self._levels and not self._heading:
            top = _PARAGRAPH_TOP - 2
        place = replace(self._place(Kind.BODY, self._top(top)), code_inside=has_code(children))
        if self._marker:
            self._marked_block(replace(place, hanging=True), rtl=_is_rtl(token.content))
        else:
            self.writer.block(place)
        self._first = False
        write_inline(self.writer, children, ink)

    def _take_box(self, children: "list[Token]") -> None:
        """An item of a list of things to do has a box in the place of its marker."""
        if self._marker in _BULLETS and children and children[0].type == "text":
            box, words = _BOXES.get(children[0].content[:4].lower()), children[0].content[4:]
            if box is not None:
                self._marker = box
                children[0] = children[0].copy(content=words)

    def _block(self, kind: Kind, top: float) -> None:
        self.writer.block(self._place(kind, self._top(top)))
        self._first = False

    def _card(self, token: "Token") -> None:
        self._end_item()
        language = language_of(token.info)
        place = self._place(Kind.GAP)
        code = clean(token.content)
        frame = write_card(self.writer, code, language, place.indent, place.quotes, self.card_top)
        self._first = False
        self._highlighter.card(frame, code, language)

    def _table(self, tokens: "Sequence[Token]") -> None:
        self._end_item()
        write_table(self.writer, tokens, self._place(Kind.GAP, self._top(CARD_TOP)))
        self._first = False

    def _top(self, wanted: float) -> float:
        return 0 if self._first else wanted

    def _place(self, kind: Kind, top: float = 0) -> Place:
        """A place at the current depth."""
        indent = min(len(self._levels), layout.MAX_INDENT)
        quotes = sum(1 << at for at, level in enumerate(self._levels[:indent]) if level.quote)
        return Place(kind, indent, quotes, top)


def _is_rtl(words: str) -> bool:
    """Whether words read from the right, by their first letter; a tab there has no width."""
    strong = (unicodedata.bidirectional(char) for char in words[:200])
    return next((kind in ("R", "AL") for kind in strong if kind in ("L", "R", "AL")), False)
