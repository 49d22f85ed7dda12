"""The card that a gauge opens: its last ten minutes, its exact figures, and what there is to say about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.gui import theme
from app.gui.gauges.popup import PopupCard
from app.gui.gauges.section import CHART, LOW_CHART, WIDTH, Record, SectionView
from app.gui.parts import set_tone

_MARGIN: Final = 14
_STEP: Final = 40
"""Pixels that an arrow key scrolls."""


@dataclass(frozen=True, slots=True)
class CardFigures:
    """What a card shows."""

    name: str
    """For a screen reader."""
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    """Sentences beneath, the first of them the heaviest."""
    sentence: str = ""
    """What it is."""


class HistoryCard(PopupCard):
    """Sections one below the other, then words; what is taller than the screen is scrolled."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("The last ten minutes", parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._content = QWidget()
        self._column = QVBoxLayout(self._content)
        self._column.setContentsMargins(_MARGIN, _MARGIN - 2, _MARGIN, _MARGIN)
        self._column.setSpacing(12)
        self._sections: list[SectionView] = []
        self._over: QWidget = parent
        self._notes, self._sentence = self._label("", "small"), self._label("faint", "tiny")
        self._column.addWidget(self._notes)
        self._column.addWidget(self._sentence)
        self._scroll = QScrollArea(self)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidgetResizable(True)
        self._scroll.setWidget(self._content)
        for each in (self._scroll.viewport(), self._content):  # the card's own surface shows through
            each.setAutoFillBackground(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(1, 1, 1, 1)
        whole.addWidget(self._scroll)

    def _label(self, tone: str, role: theme.FontRole) -> QLabel:
        label = QLabel(self._content)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(theme.font(role))
        label.setFixedWidth(theme.scaled(WIDTH))
        set_tone(label, tone)
        return label

    def words(self) -> str:
        """Everything that it says, as a screen reader hears it."""
        sections = (f"{each.accessibleName()}: {each.accessibleDescription()}" for each in self._sections)
        return "\n".join(filter(None, (*sections, self._notes.text(), self._sentence.text())))

    def show_figures(self, figures: CardFigures) -> None:
        """Show these, also while it is open."""
        self._fit_sections(figures.records)
        chart_height = CHART if len(figures.records) == 1 else LOW_CHART
        for section, record in zip(self._sections, figures.records, strict=True):
            section.show_record(record, chart_height)
        for label, words in ((self._notes, "\n".join(figures.notes)), (self._sentence, figures.sentence)):
            label.setText(words)
            label.setVisible(bool(words))
        self.setAccessibleName(f"{figures.name}: the last ten minutes")
        self.setAccessibleDescription(self.words())
        self._fit()

    def _fit_sections(self, records: Sequence[Record]) -> None:
        while len(self._sections) > len(records):
            section = self._sections.pop()
            self._column.removeWidget(section)
            section.hide()  # it goes only when the event loop comes round
            section.deleteLater()
        while len(self._sections) < len(records):
            section = SectionView(self._content)
            self._column.insertWidget(len(self._sections), section)
            section.show()  # else it has no room before the event loop comes round
            self._sections.append(section)

    def open_over(self, over: QWidget, figures: CardFigures) -> None:
        """Show it over a gauge, with the keyboard."""
        self._over = over
        self.show_figures(figures)
        self.show()
        self.setFocus(Qt.FocusReason.PopupFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrows and the page keys scroll; Esc leaves."""
        moves = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        pages = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}
        bar, key = self._scroll.verticalScrollBar(), Qt.Key(event.key())
        if key in moves:
            bar.setValue(bar.value() + moves[key] * _STEP)
        elif key in pages:
            bar.setValue(bar.value() + pages[key] * bar.pageStep())
        else:
            super().keyPressEvent(event)

    def _fit(self) -> None:
        """Be as tall as the words need and the screen allows, and stand over the gauge."""
        self._column.activate()
        wanted = self._content.sizeHint().height() + 2
        height = min(wanted, self._over.screen().availableGeometry().height() * 9 // 10)
        bar = self._scroll.verticalScrollBar().sizeHint().width() if height < wanted else 0
        size = QSize(theme.scaled(WIDTH) + 2 * _MARGIN + 2 + bar, height)
        if size != self.size() or not self.isVisible():
            self.setFixedSize(size)
            self.place_over(self._over)
