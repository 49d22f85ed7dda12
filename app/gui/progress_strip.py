"""A quiet line over the composer for work that takes a while: what it is, how far it is, and a way to cancel it."""

from typing import Final

from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

from app.gui import theme
from app.gui.parts import ElidedLabel, announce, paint_card

PATIENCE_MS: Final = 400
"""What is done sooner than that does not flash up."""
_BAR: Final = 160
STEPS: Final = 1000


class ProgressStrip(QWidget):
    """Shows one piece of work, from a moment after it began until it ends."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_running = False
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._appear)
        self._build()
        self.hide()

    def begin(self, words: str) -> None:
        """Something began that is called `words`."""
        self._is_running = True
        self.cancel.setEnabled(True)
        self.show_progress(words, None)
        self._patience.start()

    def show_progress(self, words: str, fraction: float | None) -> None:
        """How far it is, from 0 to 1; None while that is not known."""
        self.words.setText(words)
        self.bar.setRange(0, 0 if fraction is None else STEPS)
        if fraction is not None:
            self.bar.setValue(round(STEPS * fraction))

    def end(self) -> None:
        """It is over."""
        self._is_running = False
        self._patience.stop()
        self.hide()

    # --- Qt's side ---------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A card as the notices have it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("page"))
        paint_card(painter, QRectF(self._card.geometry()), fill="card", line="border", radius=12)
        painter.end()

    def changeEvent(self, event: QEvent) -> None:
        """Larger fonts make it higher."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.updateGeometry()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._card = QWidget(self)
        self._card.setMaximumWidth(theme.COLUMN)
        self.words = ElidedLabel("", self._card)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar(self._card)
        self.bar.setTextVisible(False)
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.bar.setMinimumWidth(_BAR // 3)  # in a narrow window the words are worth more
        self.bar.setMaximumWidth(_BAR)
        self.bar.setAccessibleName("Progress")
        self.cancel = QPushButton("Cancel", self._card)
        self.cancel.setProperty("kind", "link")
        self.cancel.setFont(theme.font("strong"))
        self.cancel.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.cancel.clicked.connect(self._cancel)
        row = QHBoxLayout(self._card)
        row.setContentsMargins(14, 6, 6, 6)
        row.setSpacing(12)
        row.addWidget(self.words, 3)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(16, 4, 16, 4)
        outer.addWidget(self._card)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def _appear(self) -> None:
        if self._is_running:
            self.show()
            announce(self, self.words.text())

    def _cancel(self) -> None:
        self.cancel.setEnabled(False)
        self.cancelled.emit()
