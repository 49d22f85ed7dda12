"""The button that floats over a conversation whose end is out of sight."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.gui import icons, theme

_HEIGHT = 32
_ICON = 14


class JumpButton(QAbstractButton):
    """A round pill with an arrow and three words."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setText("Jump to latest")
        self.setAccessibleName("Jump to the latest message")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFont(theme.font("small"))
        self.hide()

    def sizeHint(self) -> QSize:
        """As wide as its words."""
        return QSize(self.fontMetrics().horizontalAdvance(self.text()) + _ICON + 36, _HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the pill."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = QPen(theme.color("focus"), 2) if self.hasFocus() else QPen(theme.color("border"), 1)
        painter.setPen(line)
        painter.setBrush(theme.color("hover" if self.underMouse() or self.isDown() else "card"))
        inset = line.widthF() / 2
        radius = self.height() / 2 - inset
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), radius, radius)
        box = self.rect().adjusted(12, 0, -14, 0)
        icon = icons.icon("down", "text_soft")
        icon.paint(painter, box.left(), (self.height() - _ICON) // 2, _ICON, _ICON)
        painter.setPen(theme.color("text"))
        painter.drawText(box.adjusted(_ICON + 8, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text())
        painter.end()
