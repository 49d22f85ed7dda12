"""The row of buttons that belongs to one message at a time: the one under the pointer or the keyboard."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from app.gui import icons, theme
from app.gui.parts import icon_button, name_button
from app.gui.transcript.layout import BUTTON
from app.gui.transcript.shown import ShownMessage

_ICON: Final = QSize(15, 15)
_TOLD_MS: Final = 1_500


@dataclass(frozen=True, slots=True)
class Action:
    """How an action shows: its icon, and its words for either role."""

    icon: str
    on_user: str
    on_assistant: str


ACTIONS: Final = {
    "copy": Action("copy", "Copy", "Copy"),
    "regenerate": Action("regenerate", "Answer again", "Write this reply again"),
    "continue": Action("continue", "Continue", "Continue this reply"),
    "branch": Action("branch", "Branch from here", "Branch from here"),
    "edit": Action("edit", "Edit", "Edit"),
    "more": Action("more", "More", "More"),
}


def action_label(name: str, role: str) -> str:
    """The words for an action; one that is not in the table is named by itself."""
    known = ACTIONS.get(name)
    if known is None:
        return name.replace("_", " ").capitalize()
    return known.on_user if role == "user" else known.on_assistant


class ActionRow(QWidget):
    """Real buttons, so that the keyboard and a screen reader find them."""

    triggered = Signal(str)
    """The name of an action of the message that the row belongs to."""
    stepped = Signal(int)
    """One variant back (-1) or on (1)."""

    def __init__(self, parent: QWidget, before: QWidget) -> None:
        """Stand in `parent`; Tab comes here from `before`."""
        super().__init__(parent)
        self._before = before
        self.message_id = ""
        self._shown: tuple[str, tuple[str, ...]] = ("", ())
        self._buttons: dict[str, QToolButton] = {}
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self.back = icon_button("left", "The variant before", self, BUTTON - 7)
        self.on = icon_button("right", "The next variant", self, BUTTON - 7)
        self._number = QLabel(self)
        self._number.setFont(theme.font("small"))
        self._number.setProperty("tone", "soft")
        for button in (self.back, self.on):
            button.setIconSize(QSize(12, 12))
        self.back.clicked.connect(lambda: self.stepped.emit(-1))
        self.on.clicked.connect(lambda: self.stepped.emit(1))
        self._untell = QTimer(self)
        self._untell.setSingleShot(True)
        self._untell.setInterval(_TOLD_MS)
        self._untell.timeout.connect(self._forget_copied)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.hide()

    def show_for(self, message: ShownMessage) -> None:
        """Be the row of that message."""
        if message.id != self.message_id:
            self._forget_copied()
        self.message_id = message.id
        wanted = (message.role, message.actions)
        if wanted != self._shown:
            self._shown = wanted
            self._build(message)
        several = message.variants > 1
        for part in (self.back, self._number, self.on):
            part.setVisible(several)
        if several:
            self._number.setText(f"{message.variant}/{message.variants}")
            self._number.setAccessibleName(f"Variant {message.variant} of {message.variants}")
            self.back.setEnabled(message.variant > 1)
            self.on.setEnabled(message.variant < message.variants)
        self.setAccessibleName(f"Actions for the message by {message.author}")
        self.adjustSize()

    def _build(self, message: ShownMessage) -> None:
        for old in self._buttons.values():
            self._row.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._buttons.clear()
        for part in (self.back, self._number, self.on):
            self._row.removeWidget(part)
        for name in message.actions:
            button = self._buttons[name] = self._make(name, message.role)
            self._row.addWidget(button)
            button.show()
        for part in (self.back, self._number, self.on):
            self._row.addWidget(part)
        self._chain()

    def _make(self, name: str, role: str) -> QToolButton:
        known = ACTIONS.get(name)
        button = icon_button(known.icon if known else "more", action_label(name, role), self, BUTTON)
        button.setIconSize(_ICON)
        button.setIcon(icons.icon(known.icon if known else "more", "text_faint"))
        button.clicked.connect(lambda: self.triggered.emit(name))
        return button

    def _chain(self) -> None:
        """Let Tab walk the row from left to right."""
        order: list[QWidget] = [self._before, *self._buttons.values(), self.back, self.on]
        for before, after in pairwise(order):
            QWidget.setTabOrder(before, after)

    @property
    def buttons(self) -> dict[str, QToolButton]:
        """The buttons by the name of their action."""
        return self._buttons

    @property
    def variant_words(self) -> str:
        """Which variant of how many shows, as in "2/3"."""
        return self._number.text()

    @property
    def has_keyboard(self) -> bool:
        """Whether one of the buttons has the focus."""
        return any(button.hasFocus() for button in (*self._buttons.values(), self.back, self.on))

    @property
    def focused_step(self) -> int:
        """Which button of the variants has the focus: -1 the one back, 1 the one on, 0 neither."""
        return -1 if self.back.hasFocus() else 1 if self.on.hasFocus() else 0

    def focus_step(self, step: int) -> None:
        """Give the focus to that button, or to the other one where there is no further variant."""
        wanted, other = (self.back, self.on) if step < 0 else (self.on, self.back)
        (wanted if wanted.isEnabled() else other).setFocus(Qt.FocusReason.OtherFocusReason)

    def tell_copied(self) -> None:
        """Show for a moment that the copying was done."""
        button = self._buttons.get("copy")
        if button is not None:
            button.setIcon(icons.icon("check", "text_soft"))
            name_button(button, "Copied")
            self._untell.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Start anew with the next message."""
        super().hideEvent(event)
        self._forget_copied()

    def _forget_copied(self) -> None:
        self._untell.stop()
        button = self._buttons.get("copy")
        if button is not None:
            button.setIcon(icons.icon("copy", "text_faint"))
            name_button(button, "Copy")
