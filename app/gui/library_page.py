"""The page of the models on this computer: a filter, an order, the list, and what can be done with the chosen one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.core.units import format_bytes
from app.gui import icons, theme
from app.gui.flow_layout import FlowLayout
from app.gui.library_rows import Row, RowsView
from app.gui.parts import ElidedLabel, announce, set_tone, small_words
from app.gui.progress_row import StopRow

FIELD: Final = 32
"""The height of a field and of what stands beside it, in pixels."""
NOTHING: Final = "No model is on this computer yet. Find one to download, or add a file."
LOOKING: Final = "Looking for models…"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as the page needs it."""

    row: Row
    found_by: str
    """All words that the filter looks through, in small letters."""
    size: int
    used: float
    """Seconds since 1970; 0 for never."""
    parameters: int
    rank: int
    """The better it fits, the smaller."""
    path: str
    """Where the file is."""
    can_load: bool
    remove_words: str = "Remove…"
    remove_refusal: str = ""
    """Why it cannot be removed; empty where it can."""
    is_useless: bool = False
    """Whether one cannot chat with it; such files come after the others that were never used."""


def _by_name(entry: Entry) -> Any:
    return entry.row.title.casefold()


ORDERS: Final[tuple[tuple[str, Callable[[Entry], Any]], ...]] = (
    ("Last used", lambda entry: (-entry.used, entry.is_useless, _by_name(entry))),
    ("Name", _by_name),
    ("Size", lambda entry: (-entry.size, _by_name(entry))),
    ("Parameters", lambda entry: (-entry.parameters, _by_name(entry))),
    ("Fits best", lambda entry: (entry.rank, -entry.parameters, _by_name(entry))),
)


class LibraryPage(QWidget):
    """Shows entries; says what is wanted with them. Each signal carries the key of the chosen row."""

    load_requested = Signal(str)
    settings_requested = Signal(str)
    reveal_requested = Signal(str)
    verify_requested = Signal(str)
    remove_requested = Signal(str)
    stop_requested = Signal()
    """The verification shall end."""
    add_requested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._entries: dict[str, Entry] = {}
        self._is_verifying = False
        self._is_looking = True
        self._build()
        self._connect()
        self._show()

    # --- what it shows -----------------------------------------------------------------------------------------------

    def show_entries(self, entries: Sequence[Entry], *, is_looking: bool) -> None:
        """Show these; `is_looking`: there may be more in a moment."""
        self._entries = {entry.row.key: entry for entry in entries}
        self._is_looking = is_looking
        self._show()

    def show_progress(self, done: int, total: int) -> None:
        """A verification runs; bytes, `total` 0 while it begins."""
        self._is_verifying = True
        self.progress.setRange(0, 1000)
        self.progress.setValue(1000 * done // total if total else 0)
        self.progress_words.setText(f"{format_bytes(done)} of {format_bytes(total)} read" if total else "Reading…")
        self._show_progress()

    def end_progress(self) -> None:
        """The verification is over."""
        had_focus = self.stop.hasFocus()
        self._is_verifying = False
        self._show_progress()
        if had_focus:
            self.verify.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_outcome(self, words: str, tone: str = "soft") -> None:
        """What became of the last wish."""
        self.outcome.setText(words)
        set_tone(self.outcome, tone)
        self.outcome.setVisible(bool(words))
        if words:
            announce(self, words)

    # --- building ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        top = self._build_top()
        self.list = RowsView("Models on this computer", self)
        self.nothing, self.about, self.outcome = (small_words("", self, tone) for tone in ("faint", "faint", "soft"))
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.path = ElidedLabel("", self)
        self.path.setFont(theme.font("small"))
        self.path.setProperty("tone", "faint")
        self.load, self.settings, self.reveal, self.verify, self.remove = (
            QPushButton(words, self) for words in ("Load", "Settings…", "Show in folder", "Verify", "Remove…")
        )
        self.load.setProperty("kind", "primary")
        self.verify.setToolTip("Reads the file through and compares it with what was published, where that is known.")
        buttons = FlowLayout()
        for button in (self.load, self.settings, self.reveal, self.verify, self.remove):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.list, 1)
        column.addWidget(self.nothing, 1)
        column.addWidget(self.path)
        column.addWidget(self.about)
        column.addLayout(buttons)
        column.addWidget(self._build_progress())
        column.addWidget(self.outcome)
        self.outcome.hide()
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)

    def _build_top(self) -> QHBoxLayout:
        """The filter, the order, and adding a file."""
        self.filter = QLineEdit(self)
        self.filter.setPlaceholderText("Filter models")
        self.filter.setAccessibleName("Filter models by any of their words")
        self.filter.setClearButtonEnabled(True)
        self.filter.addAction(icons.icon("search", "text_faint"), QLineEdit.ActionPosition.LeadingPosition)
        self.order = QComboBox(self)
        self.order.addItems([words for words, _key in ORDERS])
        self.order.setAccessibleName("Order of the models")
        self.order.setMinimumHeight(FIELD)
        self.order.setToolTip("What the list is ordered by")
        self.add = QPushButton("Add a file…", self)
        self.add.setToolTip("Lists a GGUF file where it lies; nothing is copied.")
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.filter, 1)
        top.addWidget(self.order)
        top.addWidget(self.add)
        return top

    def _build_progress(self) -> QWidget:
        self._progress_row = row = StopRow(self)
        self.progress, self.progress_words, self.stop = row.bar, row.words, row.stop
        self.progress.setAccessibleName("Verifying the model")
        return self._progress_row

    def _connect(self) -> None:
        self.filter.textChanged.connect(self._show)
        self.order.currentIndexChanged.connect(self._show)
        self.list.chosen.connect(self._show_chosen)
        self.list.acted.connect(lambda _key: self._tell(self.load_requested, self.load))
        self.list.remove_wanted.connect(lambda: self._tell(self.remove_requested, self.remove))
        self.add.clicked.connect(self.add_requested)
        self.stop.clicked.connect(self.stop_requested)
        for button, signal in (
            (self.load, self.load_requested),
            (self.settings, self.settings_requested),
            (self.reveal, self.reveal_requested),
            (self.verify, self.verify_requested),
            (self.remove, self.remove_requested),
        ):
            button.clicked.connect(lambda _=False, button=button, signal=signal: self._tell(signal, button))

    # --- inside ------------------------------------------------------------------------------------------------------

    def chosen(self) -> Entry | None:
        """The entry of the chosen row."""
        return self._entries.get(self.list.chosen_key())

    def _show(self) -> None:
        words = self.filter.text().casefold().split()
        entries = [entry for entry in self._entries.values() if all(word in entry.found_by for word in words)]
        entries.sort(key=ORDERS[self.order.currentIndex()][1])
        self.list.show_rows([entry.row for entry in entries])
        self.list.setVisible(bool(entries))
        self.nothing.setVisible(not entries)
        nothing = f"No model has “{self.filter.text().strip()}” in its words." if self._entries else NOTHING
        self.nothing.setText(LOOKING if self._is_looking and not self._entries else nothing)

    def _show_chosen(self) -> None:
        entry = self.chosen()
        is_there = entry is not None
        self.load.setEnabled(entry is not None and entry.can_load)
        self.settings.setEnabled(entry is not None and entry.can_load)
        self.reveal.setEnabled(is_there)
        self.verify.setEnabled(is_there and not self._is_verifying)
        refusal = entry.remove_refusal if entry is not None else ""
        self.remove.setText(entry.remove_words if entry is not None else "Remove…")
        self.remove.setEnabled(is_there and not refusal)
        self.remove.setToolTip(refusal)
        self.remove.setAccessibleDescription(refusal)
        self.path.setText(entry.path if entry is not None else "")
        self.about.setText(refusal)

    def _show_progress(self) -> None:
        self._progress_row.setVisible(self._is_verifying)
        self._show_chosen()

    def _tell(self, signal: Any, button: QPushButton) -> None:
        key = self.list.chosen_key()
        if key and button.isEnabled():
            self.show_outcome("")
            signal.emit(key)
