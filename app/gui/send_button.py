"""The round button beside the message: it sends, and stops a reply."""

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.gui import icons, theme
from app.gui.parts import name_button


class SendButton(QAbstractButton):
    """The round button: an arrow that sends, a square that stops."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stops = False
        self.setFixedSize(36, 36)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_stops(False)

    def set_stops(self, stops: bool) -> None:
        """Become the Stop button, or Send again."""
        self._stops = stops
        name_button(self, "Stop the reply (Esc)" if stops else "Send (Enter)")
        self.update()

    def stops(self) -> bool:
        """Whether it stops a reply."""
        return self._stops

    def sizeHint(self) -> QSize:
        """A circle of 32 with room for the ring of the focus."""
        return QSize(36, 36)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A disc with its sign; pale while it can do nothing."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ready = self.isEnabled()
        painter.setPen(Qt.PenStyle.NoPen)
        disc = theme.color("accent" if ready else "track")
        if ready and (self.isDown() or self.underMouse()):
            disc = disc.darker(112) if not theme.current().dark else disc.lighter(108)
        painter.setBrush(disc)
        painter.drawEllipse(QRectF(2, 2, 32, 32))
        sign = icons.icon("stop" if self._stops else "send", "accent_text" if ready else "text_faint")
        sign.paint(painter, self.rect().adjusted(9, 9, -9, -9))
        if self.hasFocus():
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QRectF(1, 1, 34, 34))
        painter.end()

    def enterEvent(self, _event: QEvent) -> None:
        """Show that it can be pressed."""
        self.update()

    def leaveEvent(self, _event: QEvent) -> None:
        """Back to calm."""
        self.update()
