"""The menu of Clear cache: choices of two lines each, which say beforehand what they free and cost."""

from typing import Final

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QApplication, QSizePolicy, QVBoxLayout, QWidget

from app.gui import theme
from app.gui.gauges.clearing import Choice
from app.gui.gauges.popup import PopupCard

WIDTH: Final = 348
"""Pixels, with text of the usual size."""
_INSET: Final = 12
_WRAPPED: Final = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap


class ChoiceButton(QAbstractButton):
    """A choice: what it frees, and beneath what follows from it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._choice = Choice("", "")
        self._title, self._detail = theme.font("body"), theme.font("small")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_choice(self, choice: Choice) -> None:
        """Show a choice; one that cannot be taken is faint."""
        if choice == self._choice:
            return
        self._choice = choice
        self.setEnabled(choice.enabled)
        self.setText(choice.title.replace("&", "&&"))
        self.setAccessibleName(choice.title)
        self.setAccessibleDescription(choice.detail)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """As high as the words need."""
        width = theme.scaled(WIDTH)
        words = self._words_room(QRect(0, 0, width, 1000))
        wrapped = QFontMetrics(self._detail).boundingRect(words, int(_WRAPPED), self._choice.detail)
        return QSize(width, 8 + QFontMetrics(self._title).height() + 2 + wrapped.height() + 8)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The surface under the pointer or the keyboard, and the words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.hasFocus() or (self.isEnabled() and self.underMouse()):
            painter.setBrush(theme.color("hover"))
            painter.setPen(QPen(theme.color("focus"), 2) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        painter.setFont(self._title)
        painter.setPen(theme.color("text" if self.isEnabled() else "text_faint"))
        title = QRect(_INSET, 8, self.width() - 2 * _INSET, QFontMetrics(self._title).height())
        painter.drawText(title, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._choice.title)
        painter.setFont(self._detail)
        painter.setPen(theme.color("text_soft" if self.isEnabled() else "text_faint"))
        painter.drawText(self._words_room(self.rect()), int(_WRAPPED), self._choice.detail)
        painter.end()

    def _words_room(self, rect: QRect) -> QRect:
        return rect.adjusted(_INSET, 8 + QFontMetrics(self._title).height() + 2, -_INSET, 0)


class ClearMenu(PopupCard):
    """Pops up over the button; arrow keys and Tab move, Enter takes, Esc leaves."""

    chosen = Signal(int)
    """The place of the choice."""

    def __init__(self, choices: int, parent: QWidget) -> None:
        super().__init__("What to clear", parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(0)
        column.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)
        self.buttons = tuple(ChoiceButton(self) for _ in range(choices))
        for number, button in enumerate(self.buttons):
            column.addWidget(button)
            button.clicked.connect(lambda _=False, number=number: self._choose(number))

    def show_choices(self, choices: tuple[Choice, ...]) -> None:
        """Show these, also while it is open."""
        for button, choice in zip(self.buttons, choices, strict=True):
            button.show_choice(choice)

    def pop_up(self, over: QWidget) -> None:
        """Show it over a widget, with the keyboard at the first choice."""
        self.adjustSize()
        self.place_over(over)
        self.show()
        first = next((button for button in self.buttons if button.isEnabled()), None)
        if first is not None:
            first.setFocus(Qt.FocusReason.PopupFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and Down move as Tab does; Enter takes, Esc leaves."""
        key = event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.focusNextPrevChild(key == Qt.Key.Key_Down)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            focus = QApplication.focusWidget()
            if isinstance(focus, ChoiceButton):
                focus.click()
        else:
            super().keyPressEvent(event)

    def _choose(self, number: int) -> None:
        self.close()
        self.chosen.emit(number)
