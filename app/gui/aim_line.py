"""The line over a message that does not simply go to the end of the chat: where it goes, and the way out."""

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from app.gui import icons, theme
from app.gui.parts import ElidedLabel, announce

_ICON: Final = QSize(15, 15)
_HEIGHT: Final = 36
_RIGHT: Final = 12
"""Pixels from the end of the hairline to the card's inside, which is nearer to the card's edge than at the left."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a message goes."""

    icon: str
    sentence: str
    way_out: str
    """The words of the button that drops it."""


class AimLine(QWidget):
    """Sits at the top of the composer's card, with a hairline below; hidden while there is nothing to say."""

    dropped = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.aim: Aim | None = None
        self.setFixedHeight(_HEIGHT)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self._sign = QLabel(self)
        self._sign.setFixedSize(_ICON)
        self.sentence = ElidedLabel("", self)
        self.sentence.setFont(theme.font("small"))
        self.sentence.setProperty("tone", "soft")
        self.sentence.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.button = QPushButton("Cancel", self)
        self.button.setFont(theme.font("small"))
        self.button.setProperty("kind", "link")
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.button.clicked.connect(self.dropped)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 4)
        row.setSpacing(8)
        for part in (self._sign, self.sentence, self.button):
            row.addWidget(part)
        theme.notifier().changed.connect(self._show_sign)
        self.hide()

    def set_aim(self, aim: Aim | None) -> None:
        """Say where the message goes; None says nothing."""
        self.aim = aim
        if aim is not None:
            self.sentence.setText(aim.sentence)
            self.sentence.setAccessibleName(aim.sentence)
            self.button.setText(aim.way_out)
            self.button.setToolTip(f"{aim.way_out} (Esc)")
            self.button.setAccessibleDescription(aim.sentence)
            self._show_sign()
            announce(self, aim.sentence)
        self.setVisible(aim is not None)

    def _show_sign(self) -> None:
        if self.aim is not None:
            self._sign.setPixmap(icons.icon(self.aim.icon, "accent").pixmap(_ICON, self.devicePixelRatioF()))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A hairline between the line and the message."""
        painter = QPainter(self)
        painter.fillRect(0, self.height() - 3, self.width() - _RIGHT, 1, theme.color("border"))
        painter.end()
