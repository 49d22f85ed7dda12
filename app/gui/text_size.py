"""How large the chat's text is: by keys, by the wheel with Ctrl, and kept for the next start."""

import logging
from typing import Final

from PySide6.QtCore import QObject
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from app.core.errors import EmberError
from app.gui import theme
from app.gui.composer import Composer
from app.gui.parts import announce
from app.gui.transcript.view import TranscriptView
from app.services.workspace import Workspace

logger = logging.getLogger(__name__)

LARGER_KEYS: Final = "Ctrl++"
SMALLER_KEYS: Final = "Ctrl+-"
USUAL_KEYS: Final = "Ctrl+0"
TEXT_SIZE: Final = "window.text_size"
"""The setting: per cent."""
_NOTCH: Final = 120
"""Of a wheel, in eighths of a degree; a touchpad turns it in smaller steps."""


class TextSize(QObject):
    """Steps through the sizes."""

    def __init__(self, transcript: TranscriptView, composer: Composer, workspace: Workspace, window: QWidget) -> None:
        """Listen to the window's keys, and to the wheel over the chat's text."""
        super().__init__(window)
        self._transcript = transcript
        self._workspace = workspace
        self._turned = 0
        for keys, call in (
            # The sign shares its key with another on most keyboards: both are taken.
            ([LARGER_KEYS, "Ctrl+="], lambda: self.step(1)),
            ([SMALLER_KEYS, "Ctrl+_"], lambda: self.step(-1)),
            ([USUAL_KEYS], lambda: self._take(100)),
        ):
            shortcut = QShortcut(window)
            shortcut.setKeys([QKeySequence(each) for each in keys])
            shortcut.activated.connect(call)
        for turned in (transcript.zoomed, composer.edit.zoomed):
            turned.connect(self._turn)

    def step(self, steps: int) -> None:
        """Go so many sizes up, or down; the smallest and the largest stay."""
        at = theme.TEXT_SIZES.index(theme.text_size()) + steps
        self._take(theme.TEXT_SIZES[min(max(at, 0), len(theme.TEXT_SIZES) - 1)])

    def _turn(self, eighths: int) -> None:
        if eighths * self._turned < 0:
            self._turned = 0  # turned back before a notch was full
        self._turned += eighths
        notches = int(self._turned / _NOTCH)
        self._turned -= notches * _NOTCH
        if notches:
            self.step(notches)

    def _take(self, percent: int) -> None:
        if percent == theme.text_size():
            return
        theme.set_text_size(percent)
        announce(self._transcript, f"Text size {percent} per cent.")
        try:
            self._workspace.settings.set(TEXT_SIZE, percent)
        except EmberError as error:
            logger.error("the text size was not stored: %s", error)
