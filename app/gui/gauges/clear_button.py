"""Clear cache: one button, and beside it the menu of what can be cleared."""

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from app.gui import icons, theme
from app.gui.parts import icon_button, name_button, paint_card, popup_menu

_WHAT = "Frees the memory of the context. Every word stays; the next reply reads the conversation again."


class ClearButton(QWidget):
    """A split button that never gives way in a narrow window."""

    clear = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.main = QToolButton(self)
        self.main.setProperty("kind", "icon")
        self.main.setProperty("words", True)
        self.main.setFont(theme.font("body"))
        self.main.setText("Clear cache")
        self.main.setIcon(icons.icon("erase", "text"))
        self.main.setIconSize(icons.SIZE)
        self.main.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.main.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.main.setFixedHeight(32)
        self.main.clicked.connect(self.clear)
        self.arrow = icon_button("up", "What to clear", self, 28)
        self.arrow.setFixedHeight(32)
        menu = popup_menu(self.arrow)
        action = menu.addAction("Clear this conversation’s context from memory")
        action.setToolTip(_WHAT)
        action.triggered.connect(lambda _=False: self.clear.emit())
        self.arrow.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(1)
        row.addWidget(self.main)
        row.addWidget(self.arrow)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.set_enabled(True, "")

    def set_enabled(self, enabled: bool, reason: str = "") -> None:
        """Offer the clearing, or say in a sentence why there is nothing to clear."""
        for button in (self.main, self.arrow):
            button.setEnabled(enabled)
        name_button(self.main, "Clear cache")
        self.main.setToolTip(_WHAT if enabled else reason)
        self.main.setAccessibleDescription(_WHAT if enabled else reason)

    def set_icon_shown(self, shown: bool) -> None:
        """Leave the icon out where the words alone have room."""
        style = Qt.ToolButtonStyle
        self.main.setToolButtonStyle(style.ToolButtonTextBesideIcon if shown else style.ToolButtonTextOnly)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The common surface and the hairline between the two."""
        painter = QPainter(self)
        paint_card(painter, QRectF(self.rect()), fill="card", line="border", radius=10)
        between = self.arrow.geometry().left() - 1
        painter.fillRect(between, 8, 1, self.height() - 16, theme.color("border"))
        painter.end()
