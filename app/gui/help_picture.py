"""The picture on the help page: one prompt as a bar, and what of it is kept when it goes on or is changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.units import format_count
from app.gui import theme

Speaker = Literal["instructions", "you", "model", "earlier"]
Fate = Literal["kept", "read", "left"]
"""Still there · to be read · no part of the prompt any more."""
MOST_PARTS: Final = 9
BAR, GAP, LINE = 22, 4, 18
"""Pixels: a bar's height, between its parts' words, a line of words of the usual size."""
NAMES: Final[dict[Speaker, str]] = {
    "instructions": "Instructions",
    "you": "You",
    "model": "Reply",
    "earlier": "Earlier messages",
}
EXAMPLE: Final[tuple[tuple[Speaker, int], ...]] = (
    ("instructions", 120),
    ("you", 60),
    ("model", 240),
    ("you", 50),
    ("model", 210),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the prompt."""

    speaker: Speaker
    tokens: int
    fate: Fate = "kept"


@dataclass(frozen=True, slots=True)
class Bar:
    """A prompt with what becomes of it."""

    title: str
    parts: tuple[Part, ...]

    def tokens(self, fate: Fate) -> int:
        """The tokens of that fate."""
        return sum(part.tokens for part in self.parts if part.fate == fate)

    @property
    def words(self) -> str:
        """The same in words."""
        return f"{format_count(self.tokens('kept'))} kept · {format_count(self.tokens('read'))} read"


def example() -> tuple[Part, ...]:
    """A short chat, for where there is none."""
    return tuple(Part(speaker, tokens) for speaker, tokens in EXAMPLE)


def shortened(parts: Sequence[Part]) -> tuple[Part, ...]:
    """A long chat with what is between its instructions and its last messages as one part."""
    if len(parts) <= MOST_PARTS:
        return tuple(parts)
    first = 1 if parts[0].speaker == "instructions" else 0
    last = len(parts) - (MOST_PARTS - first - 1)
    earlier = Part("earlier", sum(part.tokens for part in parts[first:last]))
    return (*parts[:first], earlier, *parts[last:])


def bars(parts: Sequence[Part]) -> tuple[Bar, Bar, Bar]:
    """A follow-up, the last message edited, other instructions."""
    asked = [number for number, part in enumerate(parts) if part.speaker == "you"]
    usual = parts[asked[-1]].tokens if asked else 1
    edited = asked[-1] if asked else 0
    after_edit = (*parts[:edited], *(replace(part, fate="left") for part in parts[edited + 1 :]))
    return (
        Bar("You send the next message", (*parts, Part("you", usual, "read"))),
        Bar(
            "You edit your last message",
            (*after_edit[:edited], Part("you", usual, "read"), *after_edit[edited:]),
        ),
        Bar("You change the instructions", tuple(replace(part, fate="read") for part in parts)),
    )


def row() -> int:
    """What a bar takes with its words above and below, in pixels."""
    return 2 * theme.scaled(LINE) + BAR + 16


class PromptPicture(QWidget):
    """Paints the bars one below the other; what they say is its accessible description too."""

    def __init__(self, shown: Sequence[Bar], parent: QWidget) -> None:
        """Show these bars, all to the same scale."""
        super().__init__(parent)
        self._bars = tuple(shown)
        self._scale = max(sum(part.tokens for part in bar.parts) for bar in self._bars) or 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(200)
        self.setAccessibleName("What is kept of the prompt")
        self.setAccessibleDescription(" ".join(f"{bar.title}: {bar.words}." for bar in self._bars))
        theme.notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """A row for each bar, and the legend."""
        return QSize(480, row() * len(self._bars) + theme.scaled(LINE))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The bars, then what their colours mean."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, bar in enumerate(self._bars):
            self._paint_bar(painter, bar, number * row())
        self._paint_legend(painter, row() * len(self._bars))
        painter.end()

    def _paint_bar(self, painter: QPainter, bar: Bar, top: int) -> None:
        line = theme.scaled(LINE)
        painter.setFont(theme.font("small_strong"))
        figures = QFontMetrics(theme.font("small")).horizontalAdvance(bar.words) + 1
        title = QRectF(0, top, max(0, self.width() - figures - 12), line)  # which gives way, the figures do not
        self._words(painter, title, bar.title, "text")
        painter.setFont(theme.font("small"))
        right = QRectF(self.width() - figures, top, figures, line)
        self._words(painter, right, bar.words, "text_soft", Qt.AlignmentFlag.AlignRight)
        left = 0.0
        for part in bar.parts:
            wide = self.width() * part.tokens / self._scale
            block = QRectF(left, top + line + 2, max(1.0, wide - 1), BAR)
            self._paint_part(painter, block, part.fate)
            painter.setFont(theme.font("tiny"))
            below = QRectF(left, top + line + BAR + 2, max(0.0, wide - GAP), line)
            name = NAMES[part.speaker]
            if QFontMetrics(painter.font()).horizontalAdvance(name) < below.width():
                self._words(painter, below, name, "text_faint")
            left += wide

    def _paint_part(self, painter: QPainter, block: QRectF, fate: Fate) -> None:
        """Kept is full, to be read is striped, left out is only a line: no colour alone says it."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("kv_used") if fate == "kept" else Qt.BrushStyle.NoBrush)
        if fate == "read":
            painter.setBrush(theme.color("track"))
        painter.drawRoundedRect(block, 3, 3)
        if fate == "read":
            stripes = QColor(theme.color("text_faint"))
            painter.setBrush(stripes)
            painter.setBrush(Qt.BrushStyle.BDiagPattern)
            painter.setPen(QPen(stripes, 1))
            painter.drawRoundedRect(block.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        elif fate == "left":
            painter.setPen(QPen(theme.color("text_faint"), 1, Qt.PenStyle.DotLine))
            painter.drawRoundedRect(block.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)

    def _paint_legend(self, painter: QPainter, top: int) -> None:
        painter.setFont(theme.font("tiny"))
        left, line = 0.0, theme.scaled(LINE)
        meanings: tuple[tuple[Fate, str], ...] = (
            ("kept", "kept"),
            ("read", "read"),
            ("left", "stays in the old branch"),
        )
        for fate, words in meanings:
            self._paint_part(painter, QRectF(left, top + (line - 10) / 2, 16, 10), fate)
            wide = QFontMetrics(painter.font()).horizontalAdvance(words) + 4
            self._words(painter, QRectF(left + 22, top, wide, line), words, "text_faint")
            left += 22 + wide + 16

    def _words(
        self,
        painter: QPainter,
        place: QRectF,
        words: str,
        role: str,
        side: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    ) -> None:
        painter.setPen(theme.color(role))
        elided = QFontMetrics(painter.font()).elidedText(words, Qt.TextElideMode.ElideRight, int(place.width()))
        painter.drawText(place, side | Qt.AlignmentFlag.AlignVCenter, elided)
