"""Looking for words in the chat that is open: a line above it, opened with Ctrl+F and closed with Esc."""

from typing import Final

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from app.gui import theme
from app.gui.parts import announce, claim_escape, icon_button
from app.gui.transcript.view import TranscriptView

FIND_KEYS: Final = "Ctrl+F"
NOT_FOUND: Final = "Not in this chat"


class _Field(QLineEdit):
    """Enter goes on, with Shift back; Esc closes."""

    stepped = Signal(bool)
    """Whether on to the next place, or back."""
    left = Signal()

    def event(self, event: QEvent) -> bool:
        """Esc belongs to this field before it may stop a reply."""
        return claim_escape(event) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """These three; the rest is typing."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.stepped.emit(not event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class FindBar(QWidget):
    """A field, two buttons for the places before and after, and what was not found."""

    closed = Signal()
    """The keyboard belongs to the message again."""

    def __init__(self, transcript: TranscriptView, parent: QWidget | None = None) -> None:
        """Search the transcript; hidden until `open`."""
        super().__init__(parent)
        self._transcript = transcript
        self.field = _Field(self)
        self.field.setPlaceholderText("Find in this chat")
        self.field.setAccessibleName("Find in this chat")
        self.result = QLabel("", self)
        self.result.setFont(theme.font("small"))
        self.result.setProperty("tone", "soft")
        self.back = icon_button("up", "The place before (Shift+Enter)", self)
        self.on = icon_button("down", "The next place (Enter)", self)
        self.leave = icon_button("close", "Close the search (Esc)", self)
        self._build()
        self.hide()
        self.field.textChanged.connect(self._look)
        self.field.stepped.connect(self._step)
        self.field.left.connect(self.close_bar)
        self.back.clicked.connect(lambda: self._step(False))
        self.on.clicked.connect(lambda: self._step(True))
        self.leave.clicked.connect(self.close_bar)

    def open(self) -> None:
        """Show it, with what is selected in the chat, and put the cursor into it."""
        selected = self._transcript.textCursor().selectedText()
        self.show()
        if selected and "\u2029" not in selected:  # Qt's sign between paragraphs
            self.field.setText(selected)
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def close_bar(self) -> None:
        """Take it away; what was found stays selected."""
        if self.isVisible():
            self.hide()
            self.closed.emit()

    def forget(self) -> None:
        """Another chat is shown: what was found or not is not known any more."""
        self._tell(True)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The page's surface and a hairline below."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("page"))
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme.color("border"))
        painter.end()

    def _build(self) -> None:
        inner = QWidget(self)
        inner.setMaximumWidth(theme.COLUMN)
        inner.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(inner)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.field, 1)
        row.addSpacing(4)
        row.addWidget(self.result)
        for button in (self.back, self.on, self.leave):
            row.addWidget(button)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(16, 6, 16, 7)
        outer.addWidget(inner)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def _look(self) -> None:
        """Other words: look from the beginning of the chat."""
        cursor = self._transcript.textCursor()
        cursor.clearSelection()
        self._transcript.setTextCursor(cursor)
        self._step(True)

    def _step(self, forward: bool) -> None:
        words = self.field.text()
        found = not words.strip() or self._transcript.find_text(words, forward)
        self._tell(found)
        if not found:
            announce(self, NOT_FOUND)

    def _tell(self, found: bool) -> None:
        self.result.setText("" if found else NOT_FOUND)
        for button in (self.back, self.on):
            button.setEnabled(found and bool(self.field.text().strip()))
