"""The field that a message is written in: grows with the text, sends with Enter, takes plain text only."""

from typing import Final

from PySide6.QtCore import QMimeData, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QFocusEvent,
    QFontMetricsF,
    QInputMethodEvent,
    QKeyEvent,
    QResizeEvent,
    QTextCursor,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from app.gui import theme
from app.gui.drop_target import local_files

MAX_LINES: Final = 8
"""At the usual text size; of larger lines fewer, so that the chat keeps its room."""
LONG_LINE: Final = 8_000
"""A longer line is held in pieces: one line of 1 MB would be shaped anew (0.6 s) at every key."""

# Ends a piece of a long line. Being text, it survives undo and redo, which marks on blocks do not.
_JOINT: Final = "\u2063\u2060"

_ENTER: Final = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


def _in_pieces(text: str) -> str:
    """The text with its very long lines broken into blocks that `_joined` puts together again."""
    if len(text) <= LONG_LINE:
        return text
    return "\n".join(line if len(line) <= LONG_LINE else f"{_JOINT}\n".join(_cut(line)) for line in text.split("\n"))


def _cut(line: str) -> list[str]:
    return [line[start : start + LONG_LINE] for start in range(0, len(line), LONG_LINE)]


def _joined(text: str) -> str:
    """The text as it was written."""
    return text.replace(f"{_JOINT}\n", "").replace(_JOINT, "") if _JOINT[0] in text else text


class DraftEdit(QPlainTextEdit):
    """One to eight lines high; Enter and Ctrl+Enter send, Shift+Enter breaks the line."""

    send_pressed = Signal()
    up_pressed = Signal()
    """The Up key, where nothing is written."""
    focus_changed = Signal(bool)
    zoomed = Signal(int)
    """The wheel was turned with Ctrl held: by so many eighths of a degree, away from the person or (below 0) back."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._composing = False
        self._placeholder = ""
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setAccessibleName("Message")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(0)
        self.viewport().setAutoFillBackground(False)
        self.setStyleSheet("QPlainTextEdit { background: transparent; border: none; padding: 0; }")
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._on_text_size()
        theme.notifier().text_size_changed.connect(self._on_text_size)

    def set_placeholder(self, words: str) -> None:
        """What the empty field says, on its one line: shortened where that is too narrow."""
        self._placeholder = words
        self._fit_placeholder()

    def text(self) -> str:
        """What was written."""
        return _joined(self.toPlainText())

    def replace_text(self, text: str) -> None:
        """Put `text` in place of what is there, as an edit that Undo takes back."""
        cursor = self.textCursor()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(_in_pieces(text))
        self.setTextCursor(cursor)

    def start_with(self, text: str) -> None:
        """Begin anew with `text`; Undo does not reach behind it."""
        self.setPlainText(_in_pieces(text))
        self.moveCursor(QTextCursor.MoveOperation.End)

    # --- Qt's side ----------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter sends unless an input method is composing; Up in an empty field asks for the last message."""
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if event.key() == Qt.Key.Key_Up and plain and not self._composing and self.document().isEmpty():
            self.up_pressed.emit()
        elif event.key() not in _ENTER or self._composing:
            super().keyPressEvent(event)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            # Qt's own would insert a line separator, which copies as something else than a line break.
            self.textCursor().insertBlock()
            self.ensureCursorVisible()
        elif not event.isAutoRepeat():
            self.send_pressed.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll; with Ctrl the text gets another size."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(event.angleDelta().y())
            event.accept()
        else:
            super().wheelEvent(event)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Know whether a word is being composed: its Enter belongs to the input method."""
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Words may be dropped here; files are for the window."""
        if local_files(event.mimeData()):
            event.ignore()
        else:
            super().dragEnterEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Words only."""
        return source.hasText()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste or drop the plain text, without the characters that no text has."""
        text = source.text().replace("\0", "")
        self.insertPlainText(_in_pieces(text))
        self.ensureCursorVisible()

    def createMimeDataFromSelection(self) -> QMimeData:
        """Copy what was written, not how it is held."""
        data = QMimeData()
        data.setText(_joined(self.textCursor().selection().toPlainText()))
        return data

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Tell the card around."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Tell the card around; a composition ends with the focus."""
        self._composing = False
        super().focusOutEvent(event)
        self.focus_changed.emit(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, another number of lines."""
        super().resizeEvent(event)
        self._fit_placeholder()
        self._fit(QSizeF())

    # --- inside -------------------------------------------------------------------------------------

    def _on_text_size(self) -> None:
        self.setFont(theme.chat_font())
        self.viewport().setFont(theme.chat_font())  # of the placeholder: a style sheet keeps it from inheriting
        self._fit_placeholder()
        self._fit(QSizeF())

    def _fit_placeholder(self) -> None:
        room = self.viewport().width() - 2
        self.setPlaceholderText(self.fontMetrics().elidedText(self._placeholder, Qt.TextElideMode.ElideRight, room))

    def _fit(self, _size: QSizeF) -> None:
        """As high as the text, between one line and eight; the scroll bar appears beyond."""
        line = QFontMetricsF(self.font()).lineSpacing()
        lines = max(1, round(self.document().size().height()))
        most = min(MAX_LINES, MAX_LINES * 100 // theme.text_size())
        beyond = lines > most
        self.setVerticalScrollBarPolicy(
            Qt.ScrollBarPolicy.ScrollBarAsNeeded if beyond else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )
        height = round(line * min(lines, most)) + 2
        if height != self.height() or self.minimumHeight() != height:
            self.setFixedHeight(height)
