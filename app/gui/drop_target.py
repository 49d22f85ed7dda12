"""Files that are dragged onto the window, with a calm hint while they are over it."""

from pathlib import Path
from typing import Final

from PySide6.QtCore import QEvent, QMimeData, QObject, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QWidget

from app.gui import theme

WORDS: Final = "Drop to import"
DETAIL: Final = "Chats of Ember, ChatGPT, Jan, LM Studio, Open WebUI or llama.cpp, also whole folders"
_GRACE_MS: Final = 80
"""How long after the window was left the hint waits for the drag to reach itself."""


def local_files(data: QMimeData) -> list[Path]:
    """The files and folders of this computer that are dragged; none for words and addresses."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


class DropTarget(QWidget):
    """Lies over the window while files are dragged over it, and takes them."""

    dropped = Signal(object)
    """The paths."""

    def __init__(self, window: QWidget) -> None:
        """Hidden; the window takes drags from now on."""
        super().__init__(window)
        self._window = window
        self._is_over = False
        self._leaving = QTimer(self, singleShot=True, interval=_GRACE_MS)
        self._leaving.timeout.connect(self.hide)
        window.setAcceptDrops(True)
        window.installEventFilter(self)
        self.setAcceptDrops(True)
        self.hide()

    # --- the window under it -----------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Appear when files come over the window; what they are over then is this widget."""
        kind = event.type()
        if kind == QEvent.Type.Resize:
            self.setGeometry(self._window.rect())
        elif isinstance(event, QDropEvent) and local_files(event.mimeData()):
            if kind == QEvent.Type.Drop:
                self._take(event)
            else:
                self._appear()
                event.setDropAction(Qt.DropAction.CopyAction)
                event.accept()
            return True
        elif kind == QEvent.Type.DragLeave and not self._is_over:
            self._leaving.start()
        return super().eventFilter(watched, event)

    def _appear(self) -> None:
        self._leaving.stop()
        if self.isHidden():
            self.setGeometry(self._window.rect())
            self.show()
            self.raise_()

    def _take(self, event: QDropEvent) -> None:
        paths = local_files(event.mimeData())
        event.setDropAction(Qt.DropAction.CopyAction)  # a move would let the other program remove them
        event.accept()
        self._is_over = False
        self.hide()
        self.dropped.emit(paths)

    # --- Qt's side ---------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """The drag is over the hint."""
        self._is_over = True
        self._leaving.stop()
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """It may be dropped anywhere."""
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """It was taken elsewhere."""
        self._is_over = False
        self.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the files."""
        self._take(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A veil, and in it where to drop."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(theme.color("page"))
        veil.setAlphaF(0.96)
        painter.fillRect(self.rect(), veil)
        frame = QRectF(self.rect()).adjusted(16, 16, -16, -16)
        pen = QPen(theme.color("writing"), 2, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.drawRoundedRect(frame, 14, 14)
        middle = frame.adjusted(16, 0, -16, 0)
        painter.setPen(theme.color("text"))
        painter.setFont(theme.font("title"))
        line = painter.fontMetrics().height()
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(middle.adjusted(0, middle.height() / 2 - line, 0, 0), flags, WORDS)
        painter.setPen(theme.color("text_soft"))
        painter.setFont(theme.font("small"))
        painter.drawText(middle.adjusted(0, middle.height() / 2 + line / 2, 0, 0), flags, DETAIL)
        painter.end()
