"""Clear cache: one button, and beside it the menu of what can be cleared."""

from typing import Final

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from app.gui import icons, theme
from app.gui.gauges.clear_menu import ClearMenu
from app.gui.gauges.clearing import Choice
from app.gui.parts import icon_button, name_button, paint_card

NAME: Final = "Clear cache"


class ClearButton(QWidget):
    """A split button that never gives way in a narrow window."""

    clear = Signal()
    """The memory."""
    clear_chat = Signal()
    """The saved state of the open chat."""
    clear_model = Signal()
    """The saved state of the loaded model."""
    clear_all = Signal()
    """All saved state."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.main = QToolButton(self)
        self.main.setProperty("kind", "icon")
        self.main.setProperty("words", True)
        self.main.setFont(theme.font("body"))
        self.main.setText(NAME)
        self.main.setIcon(icons.icon("erase", "text"))
        self.main.setIconSize(icons.SIZE)
        self.main.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.main.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.main.setFixedHeight(32)
        self.main.clicked.connect(self.clear)
        self.arrow = icon_button("up", "What to clear", self, 28)
        self.arrow.setFixedHeight(32)
        self.menu = ClearMenu(4, self)
        self.arrow.clicked.connect(lambda: self.menu.pop_up(self))
        chosen = (self.clear, self.clear_chat, self.clear_model, self.clear_all)
        self.menu.chosen.connect(lambda number: chosen[number].emit())
        name_button(self.main, NAME)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(1)
        row.addWidget(self.main)
        row.addWidget(self.arrow)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_choices(self, choices: tuple[Choice, ...]) -> None:
        """Offer the clearings; the button itself is the first, or says why there is nothing to clear."""
        self.menu.show_choices(choices)
        first = choices[0]
        if self.main.isEnabled() != first.enabled:
            self.main.setEnabled(first.enabled)
        if self.main.toolTip() != first.sentence:
            self.main.setToolTip(first.sentence)
            self.main.setAccessibleDescription(first.sentence)

    def set_icon_shown(self, shown: bool) -> None:
        """Leave the icon out where the words alone have room."""
        style = Qt.ToolButtonStyle
        self.main.setToolButtonStyle(style.ToolButtonTextBesideIcon if shown else style.ToolButtonTextOnly)

    def set_short(self, short: bool) -> None:
        """Say it in one word where two would be cut; the tooltip and a screen reader have the whole."""
        self.main.setText("Clear" if short else NAME)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The common surface and the hairline between the two."""
        painter = QPainter(self)
        paint_card(painter, QRectF(self.rect()), fill="card", line="border", radius=10)
        between = self.arrow.geometry().left() - 1
        painter.fillRect(between, 8, 1, self.height() - 16, theme.color("border"))
        painter.end()
