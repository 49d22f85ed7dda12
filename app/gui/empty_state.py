"""The page before the first message: one sentence, one button, a few examples or other ways to begin."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.gui import theme
from app.gui.flow_layout import FlowLayout
from app.gui.parts import announce

_MARGIN: Final = 24
_CONTENTS: Final = 190
"""Pixels that the sentence and the examples take."""
_LOW: Final = 250
"""Pixels of height under which there is no room for all."""
EXAMPLES = (
    "Explain how a rainbow forms",
    "Write a haiku about rain",
    "Plan a simple dinner for two",
)


class EmptyState(QWidget):
    """Says what to do next."""

    action = Signal()
    """The button was pressed."""
    example_chosen = Signal(str)
    """The words of an example, to be put into the composer."""
    choice_made = Signal(str)
    """The key of another way to begin."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.sentence = QLabel(self)
        self.sentence.setFont(theme.font("title"))
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setWordWrap(True)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.detail = QLabel(self)
        self.detail.setProperty("tone", "faint")
        self.detail.setTextFormat(Qt.TextFormat.PlainText)
        self.detail.setWordWrap(True)
        self.detail.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.button = QPushButton(self)
        self.button.setProperty("kind", "primary")
        self.button.setMinimumHeight(36)
        self.button.clicked.connect(self.action)
        self.examples: tuple[QPushButton, ...] = ()
        self.choices: tuple[QPushButton, ...] = ()
        self._build()
        self.set_message("", None)

    def set_message(self, sentence: str, button: str | None, detail: str = "") -> None:
        """What to do next, the button that does it (None: no button), and a fainter line beneath."""
        changed = sentence != self.sentence.text()
        self.sentence.setText(sentence)
        self.detail.setText(detail)
        self._show_detail()
        self.button.setText((button or "").replace("&", "&&"))
        self.button.setVisible(button is not None)
        if changed and self.isVisible():
            announce(self, sentence)

    def set_examples(self, examples: Sequence[str]) -> None:
        """Offer these beginnings; none hides them."""
        for old in self.examples:
            self._column_of_examples.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.examples = tuple(self._example(words) for words in examples)
        for button in self.examples:
            self._column_of_examples.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)

    def set_choices(self, choices: Sequence[tuple[str, str]]) -> None:
        """Offer other ways than the button: each a key and its words; none hides them."""
        for old in self.choices:
            self._row_of_choices.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.choices = tuple(self._quiet(words, partial(self.choice_made.emit, key)) for key, words in choices)
        for button in self.choices:
            self._row_of_choices.addWidget(button)
        self._show_detail()

    def _build(self) -> None:
        middle = QWidget(self)
        middle.setMaximumWidth(540)
        middle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.sentence)
        column.addWidget(self.detail)
        column.addSpacing(8)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(4)
        self._row_of_choices = FlowLayout(is_centred=True)
        column.addLayout(self._row_of_choices)
        self._column_of_examples = QVBoxLayout()
        self._column_of_examples.setSpacing(8)
        column.addLayout(self._column_of_examples)
        row = QHBoxLayout()
        row.addWidget(middle)  # narrower than its place at most: Qt puts it into the middle
        self._outer = QVBoxLayout(self)
        self._outer.addLayout(row)
        self._outer.addStretch(1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The sentence stands at the same height, whatever comes beneath it."""
        super().resizeEvent(event)
        self._show_detail()
        above = min(self.height() * 3 // 10, self.height() - _CONTENTS - _MARGIN)
        self._outer.setContentsMargins(_MARGIN, max(_MARGIN, above), _MARGIN, _MARGIN)

    def _show_detail(self) -> None:
        """In the lowest window the ways to begin need its place."""
        is_crowded = bool(self.choices) and self.height() < theme.scaled(_LOW)
        self.detail.setVisible(bool(self.detail.text()) and not is_crowded)

    def _example(self, words: str) -> QPushButton:
        return self._quiet(words, partial(self.example_chosen.emit, words))

    def _quiet(self, words: str, what: Callable[[], None]) -> QPushButton:
        button = QPushButton(words.replace("&", "&&"), self)
        button.setProperty("kind", "quiet")
        button.clicked.connect(lambda _=False: what())
        return button
