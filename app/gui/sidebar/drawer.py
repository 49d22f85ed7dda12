"""The sidebar's contents laid over a narrow window until a chat is chosen."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.gui.parts import claim_escape


def application() -> QApplication:
    """The one application, typed."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return app


class Drawer(QWidget):
    """Covers the window with a shade; holds a panel at the left. A click beside it or Esc closes it."""

    closed = Signal()

    def __init__(self, window: QWidget, panel: QWidget, width: int) -> None:
        super().__init__(window)
        self._panel = panel
        self._width = width
        self._window = window
        panel.setParent(self)
        window.installEventFilter(self)
        self._fit(window)
        panel.show()
        self.show()
        self.raise_()
        application().focusChanged.connect(self._on_focus)

    def release(self) -> QWidget:
        """Give the panel back and go away."""
        application().focusChanged.disconnect(self._on_focus)
        self._window.removeEventFilter(self)
        self._panel.setParent(None)
        self.hide()
        self.deleteLater()
        return self._panel

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window's size."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self._fit(watched)
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        """Esc closes the drawer before it may stop a reply."""
        return claim_escape(event) or super().event(event)

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """A click on the shade."""
        self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc that nothing inside has taken."""
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The shade."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0, 90))
        painter.end()

    def _on_focus(self, _before: QWidget | None, now: QWidget | None) -> None:
        """Whoever tabs on to the window behind is done here."""
        if now is not None and now.window() is self._window and not self.isAncestorOf(now):
            self.closed.emit()

    def _fit(self, window: QWidget) -> None:
        self.setGeometry(window.rect())
        self._panel.setGeometry(0, 0, min(self._width, max(160, self.width() - 48)), self.height())
