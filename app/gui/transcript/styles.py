"""The formats of blocks, characters and frames, made once per theme and shared by all messages."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontInfo,
    QFontMetricsF,
    QTextBlockFormat,
    QTextCharFormat,
    QTextFormat,
    QTextFrameFormat,
    QTextOption,
)

from app.gui import theme
from app.gui.transcript import layout
from app.gui.transcript.layout import FrameKind, Kind

LINE_HEIGHT: Final = 1.45
_HEADINGS: Final = (0, 6, 4, 2, 0, 0, 0)
"""Pixels that a heading of each level is larger than the body, at the usual text size."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How characters look: what Markdown can ask for, and the size and colour of where they stand."""

    color: str = ""
    """A field of the palette; empty for the colour of the page's text."""
    pixels: int = 0
    """Beside the body's size, at the usual text size."""
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    href: str = ""
    spaced: bool = False
    """Whether some space follows each character: in front of code between words, and behind it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block stands and how far from the one above it."""

    kind: Kind = Kind.BODY
    indent: int = 0
    quotes: int = 0
    """A bit for each level of indent that is a quote."""
    top: float = 0
    hanging: bool = False
    """Whether the first line begins one level further out, with a list's marker."""
    code_inside: bool = False
    continues: bool = False
    side: float = 0
    """What the words keep from the frame, left and right."""


class Styles:
    """Formats in the fonts and the palette in use, by what they are for."""

    def __init__(self) -> None:
        self.palette = theme.current()
        self.body_font = theme.chat_font()
        self.mono_font = theme.mono_font()
        self.indent = max(layout.INDENT, theme.in_chat(layout.INDENT))
        """One level of a list or a quote."""
        self.foot_middle = theme.in_chat(layout.FOOT_MIDDLE)
        """From the top of a reply's foot to the middle of its line."""
        self.bubble_line = 2 * layout.BUBBLE_PADDING + theme.in_chat(layout.BUBBLE_LINE)
        """The height of a bubble with one line."""
        self._inks: dict[Ink, QTextCharFormat] = {}
        self._places: dict[Place, QTextBlockFormat] = {}
        self._metrics = QFontMetricsF(self.body_font)

    @cached_property
    def body_pixels(self) -> int:
        """The height of the body's font."""
        return QFontInfo(self.body_font).pixelSize()

    @cached_property
    def tab(self) -> float:
        """Four characters of code."""
        return QFontMetricsF(self.mono_font).horizontalAdvance(" ") * 4

    def advance(self, line: str) -> float:
        """How wide a line of the body is."""
        return self._metrics.horizontalAdvance(line)

    def ink(self, ink: Ink) -> QTextCharFormat:
        """The format of such characters."""
        made = self._inks.get(ink)
        if made is None:
            made = self._inks[ink] = self._make_ink(ink)
        return made

    def _make_ink(self, ink: Ink) -> QTextCharFormat:
        form = QTextCharFormat()
        if ink.code:
            form.setFontFamilies(self.mono_font.families())
            form.setFontFixedPitch(True)
            form.setProperty(layout.IS_CODE, True)
        if ink.pixels or ink.code:
            smaller = 1 if ink.code else 0
            pixels = self.body_pixels + theme.in_chat(ink.pixels - smaller)
            form.setProperty(QTextFormat.Property.FontPixelSize, pixels)
        if ink.bold:
            form.setFontWeight(QFont.Weight.DemiBold)
        if ink.spaced:
            form.setFontLetterSpacingType(QFont.SpacingType.AbsoluteSpacing)
            form.setFontLetterSpacing(layout.CHIP_SPACE)
        form.setFontItalic(ink.italic)
        form.setFontStrikeOut(ink.strike)
        color = "link" if ink.href else ink.color
        if color:
            form.setForeground(QBrush(theme.color(color)))
        if ink.href:
            form.setAnchor(True)
            form.setAnchorHref(ink.href)
            form.setFontUnderline(True)
            # A tooltip that looks like HTML would be shown as such.
            form.setToolTip(ink.href.replace("<", "%3C"))
        return form

    def place(self, place: Place) -> QTextBlockFormat:
        """The format of such a block."""
        made = self._places.get(place)
        if made is None:
            made = self._places[place] = self._make_place(place)
        return made

    def _make_place(self, place: Place) -> QTextBlockFormat:
        form = QTextBlockFormat()
        form.setProperty(layout.KIND, int(place.kind))
        form.setTopMargin(place.top)
        form.setIndent(place.indent)
        if place.side:
            form.setLeftMargin(place.side)
            form.setRightMargin(place.side)
        if place.kind is Kind.NAME:
            form.setBottomMargin(5)
        if place.quotes:
            form.setProperty(layout.QUOTES, place.quotes)
        if place.code_inside:
            form.setProperty(layout.CODE_INSIDE, True)
        if place.continues:
            form.setProperty(layout.CONTINUES, True)
        if place.hanging:
            form.setTextIndent(-self.indent)
            form.setTabPositions([QTextOption.Tab(self.indent, QTextOption.TabType.LeftTab)])
        if place.kind in (Kind.GAP, Kind.RULE):
            form.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        else:
            form.setLineHeight(
                self._line_percent(place.kind), QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
            )
        return form

    def _line_percent(self, kind: Kind) -> float:
        """Qt's per cent of the font's own line, for a line of `LINE_HEIGHT` times the font's size."""
        if kind in (Kind.FOOTER, Kind.NAME, Kind.LABEL):
            return 100
        font = self.mono_font if kind is Kind.CODE else self.body_font
        return 100 * LINE_HEIGHT * QFontInfo(font).pixelSize() / QFontMetricsF(font).height()

    def frame(self, kind: FrameKind) -> QTextFrameFormat:
        """A frame's format, without what depends on the width of the page."""
        form = QTextFrameFormat()
        form.setProperty(layout.KIND, int(kind))
        form.setBorder(0)
        form.setPadding(layout.CARD_PADDING if kind is FrameKind.CARD else 0)
        if kind is FrameKind.USER:
            form.setPadding(layout.BUBBLE_PADDING)
            form.setTopMargin(18)
            form.setBottomMargin(10)
        elif kind is FrameKind.REPLY:
            form.setTopMargin(4)
            form.setBottomMargin(4)
        elif kind is FrameKind.THOUGHT:
            form.setLeftMargin(self.indent)
            form.setTopMargin(8)
        return form

    def heading_ink(self, base: Ink, level: int) -> Ink:
        """The characters of a heading of level 1 to 6."""
        return replace(base, pixels=base.pixels + _HEADINGS[level], bold=True)

    def color(self, role: str) -> QColor:
        """A colour of the palette that these formats were made for."""
        return QColor(getattr(self.palette, role))
