"""Rows with a bar that shows how much of something is done, and a way to stop it."""

from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from app.core.units import format_bytes
from app.gui import theme
from app.gui.model_fields import words

_STEPS: Final = 1000


class ProgressRow(QWidget):
    """What is being done, how far it is, and Cancel."""

    cancelled = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.what, self.amount = words("", self), words("", self, "faint")
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.cancel = QPushButton("Cancel", self)
        self.cancel.setAutoDefault(False)
        self.cancel.clicked.connect(self.cancelled)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.what)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        column.addLayout(row)
        column.addWidget(self.amount)

    def begin(self, what: str) -> None:
        """Show that something has begun; how much there is to do is not known yet."""
        self.what.setText(what)
        self.bar.setAccessibleName(what)
        self.bar.setRange(0, 0)
        self.amount.setText("")
        self.cancel.setEnabled(True)

    def show_progress(self, done: int, to_do: int) -> None:
        """Bytes done, and those to do."""
        self.bar.setRange(0, _STEPS)
        self.bar.setValue(_STEPS * done // max(to_do, 1))
        self.amount.setText(f"{format_bytes(done)} of {format_bytes(to_do)}")


class StopRow(QWidget):
    """A bar, a few words and Stop in one line; hidden until something is done."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.words = QLabel(self)
        self.words.setFont(theme.font("small"))
        self.words.setProperty("tone", "soft")
        self.stop = QPushButton("Stop", self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.bar, 1)
        row.addWidget(self.words)
        row.addWidget(self.stop)
        self.hide()
