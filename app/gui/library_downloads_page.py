"""The page of the downloads that are not finished, and what can be done with the chosen one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from app.gui.flow_layout import FlowLayout
from app.gui.library_rows import Row, RowsView
from app.gui.parts import announce, set_tone, small_words
from app.services.downloads import DownloadState

NOTHING: Final = "Nothing is being downloaded. What is finished is listed under “On this computer”."
GO_ON: Final[dict[DownloadState, str]] = {
    "waiting": "Pause",
    "running": "Pause",
    "paused": "Go on",
    "failed": "Try again",
}


@dataclass(frozen=True, slots=True)
class DownloadEntry:
    """A download as the page needs it."""

    row: Row
    state: DownloadState
    can_be_first: bool
    """Whether another one would have its turn before this one."""


class DownloadsPage(QWidget):
    """Shows downloads; each signal carries the key of the chosen one."""

    pause_requested = Signal(str)
    resume_requested = Signal(str)
    first_requested = Signal(str)
    cancel_requested = Signal(str)
    about_requested = Signal(str)
    """The repository shall be shown, with its licence and what a token may be needed for."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._entries: dict[str, DownloadEntry] = {}
        self.list = RowsView("Downloads", self)
        self.nothing, self.outcome = small_words(NOTHING, self, "faint"), small_words("", self)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.go_on, self.first, self.about, self.cancel = (
            QPushButton(words, self) for words in ("Pause", "Next in turn", "About it…", "Give up…")
        )
        buttons = FlowLayout()
        for button in (self.go_on, self.first, self.about, self.cancel):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.list, 1)
        column.addWidget(self.nothing, 1)
        column.addWidget(self.outcome)
        column.addLayout(buttons)
        self.outcome.hide()
        self.list.chosen.connect(self._show_chosen)
        self.list.remove_wanted.connect(lambda: self._tell(self.cancel_requested))
        self.list.acted.connect(lambda _key: self._go_on())
        self.go_on.clicked.connect(self._go_on)
        self.first.clicked.connect(lambda: self._tell(self.first_requested))
        self.about.clicked.connect(lambda: self._tell(self.about_requested))
        self.cancel.clicked.connect(lambda: self._tell(self.cancel_requested))
        self.show_entries(())

    def show_entries(self, entries: Sequence[DownloadEntry]) -> None:
        """Show these, in the order of their turn; one is always chosen."""
        self._entries = {entry.row.key: entry for entry in entries}
        self.list.show_rows([entry.row for entry in entries])
        if entries and not self.list.chosen_key():
            self.list.choose(entries[0].row.key)
        self.list.setVisible(bool(entries))
        self.nothing.setVisible(not entries)
        self._show_chosen()

    def say(self, words: str, tone: str = "soft") -> None:
        """What became of the last wish."""
        self.outcome.setText(words)
        set_tone(self.outcome, tone)
        self.outcome.setVisible(bool(words))
        if words:
            announce(self, words)

    def _show_chosen(self) -> None:
        entry = self._entries.get(self.list.chosen_key())
        for button in (self.go_on, self.first, self.about, self.cancel):
            button.setVisible(bool(self._entries))
            button.setEnabled(entry is not None)
        if entry is not None:
            self.go_on.setText(GO_ON[entry.state])
            self.first.setEnabled(entry.can_be_first)

    def _go_on(self) -> None:
        entry = self._entries.get(self.list.chosen_key())
        if entry is not None:
            runs = entry.state in ("waiting", "running")
            self._tell(self.pause_requested if runs else self.resume_requested)

    def _tell(self, signal: Any) -> None:
        key = self.list.chosen_key()
        if key:
            self.say("")
            signal.emit(key)
