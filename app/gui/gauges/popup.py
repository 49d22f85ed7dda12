"""What pops up over the strip: a card with a hairline that Esc or a click elsewhere closes."""

from PySide6.QtCore import QEvent, QPoint, QRectF, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.gui.parts import paint_card


class PopupCard(QWidget):
    """A frameless window of its own, above a widget and within its window where that is wide enough."""

    def __init__(self, name: str, parent: QWidget) -> None:
        """`name` is for a screen reader."""
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_NoMouseReplay)  # a click on what opened it closes it
        if QGuiApplication.platformName() != "xcb":
            self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setWindowFlag(Qt.WindowType.NoDropShadowWindowHint)
        self.setAccessibleName(name)

    def place_over(self, over: QWidget) -> None:
        """Stand above a widget: their middles in line, as far as the window's sides and the screen allow."""
        corner, window, screen = over.mapToGlobal(QPoint()), over.window().geometry(), over.screen().availableGeometry()
        left = corner.x() + (over.width() - self.width()) // 2
        left = max(window.left() + 8, min(left, window.right() - 8 - self.width()))
        left = max(screen.left(), min(left, screen.right() - self.width()))
        self.move(left, max(screen.top(), corner.y() - self.height() - 4))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc leaves."""
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Another palette is another painting."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A card with a hairline."""
        painter = QPainter(self)
        paint_card(painter, QRectF(self.rect()), fill="card", line="border", radius=10)
        painter.end()
