"""The page on which a backup is made, and on which copies are scheduled."""

from pathlib import Path
from typing import Final

from PySide6.QtCore import QLocale, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.core.units import format_bytes
from app.gui import theme
from app.gui.model_fields import StillWheel, words
from app.gui.parts import ElidedLabel, pad_number, scrolled, set_tone
from app.gui.progress_row import ProgressRow
from app.services.backup_work import Every, Schedule

_HEIGHT: Final = 32
_ABOUT: Final = "A backup is one file with all chats and settings. You can go on writing while it is made."
_EVERY: Final[tuple[tuple[Every, str], ...]] = (("never", "Never"), ("day", "Every day"), ("week", "Every week"))
_STATE: Final = (
    "With it, the next replies read only the new words after a restore too. The file becomes larger by its size."
)
_WHERE: Final = "A folder on another disk is safest: a copy on the same disk is lost together with it."


class BackupPage(QWidget):
    """Says what the person wants to be backed up; `schedule()` is what is chosen for copies."""

    backup_requested = Signal(bool)
    """With True saved state shall be in it."""
    cancel_requested = Signal()
    show_requested = Signal()
    """Show the backup that was written in its folder."""

    def __init__(self, schedule: Schedule, own_folder: Path, parent: QWidget) -> None:
        """Show a schedule; `own_folder` is where copies go if none is chosen."""
        super().__init__(parent)
        self._before, self._folder, self._own_folder = schedule, schedule.folder, own_folder
        self._still = StillWheel(self)
        self._state_bytes = 0
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 12, 12, 0)
        column.setSpacing(8)
        self._add_backup(column)
        column.addSpacing(16)
        self._add_schedule(column)
        column.addStretch(1)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(scrolled(page, self))
        self._show_schedule(schedule)

    # --- what it shows -----------------------------------------------------------------------------------------------

    def show_sizes(self, library: int, state: int, why_not: str) -> None:
        """What the library and the saved state take, in bytes; `why_not` says why there is no state to be had."""
        self.library.setText(f"at most {format_bytes(library)}" if library else "not known")
        self.with_state.setText(f"With saved state, {format_bytes(state)}" if state else "With saved state")
        self.with_state.setEnabled(state > 0)
        if not state:
            self.with_state.setChecked(False)
        self.state_words.setText(why_not or _STATE)
        self._state_bytes = state
        self._explain()

    def show_running(self, *, is_scheduled: bool) -> None:
        """A backup is being written."""
        self.outcome.hide()
        self.show_file.hide()
        self.row.begin("A scheduled copy is being written…" if is_scheduled else "The backup is being written…")
        self._begin.hide()
        self.row.show()

    def show_outcome(self, text: str, tone: str = "soft", *, has_file: bool = False) -> None:
        """No backup is being written any more; `text` says what came of the last."""
        had_focus = self.row.cancel.hasFocus()
        self.row.hide()
        self._begin.show()
        self.outcome.setText(text)
        set_tone(self.outcome, tone)
        self.outcome.setVisible(bool(text))
        self.show_file.setVisible(has_file)
        if had_focus:
            self.make.setFocus()

    def show_failure(self, sentence: str) -> None:
        """Why the last scheduled copy was not made; empty if it was."""
        self.failure.setText(sentence)
        self.failure.setVisible(bool(sentence))

    def schedule(self) -> Schedule:
        """What is chosen now."""
        every = next(value for value, _ in _EVERY if value == self.every.currentData())
        return Schedule(every, self.keep.value(), self._folder, self.copy_state.isChecked())

    # --- building ----------------------------------------------------------------------------------------------------

    def _add_backup(self, column: QVBoxLayout) -> None:
        self.library = words("…", self)
        self.library.setFont(theme.font("body"))
        self.library.setAccessibleName("Size of the backup")
        self.library.setToolTip("What the library takes now. It is packed, so the file becomes smaller.")
        self.with_state = QCheckBox("With saved state", self)
        self.with_state.setEnabled(False)
        self.state_words = words("", self, "faint")
        self.make = QPushButton("Back up now…", self)
        self.make.setProperty("kind", "primary")
        self.make.setAutoDefault(False)
        self.make.clicked.connect(lambda: self.backup_requested.emit(self.with_state.isChecked()))
        self.row = ProgressRow(self)
        self.row.cancelled.connect(self.cancel_requested)
        self.outcome = words("", self)
        self.outcome.hide()
        self.show_file = QPushButton("Show in folder", self)
        self.show_file.setProperty("kind", "link")
        self.show_file.setAutoDefault(False)
        self.show_file.clicked.connect(self.show_requested)
        self.show_file.hide()
        self._begin = QWidget(self)
        row = QHBoxLayout(self._begin)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.make)
        row.addStretch(1)
        self.row.hide()
        form = _form()
        form.addRow("Texts and settings", self.library)
        column.addWidget(words(_ABOUT, self))
        column.addLayout(form)
        column.addWidget(self.with_state)
        column.addWidget(self.state_words)
        column.addSpacing(4)
        column.addWidget(self._begin)
        column.addWidget(self.row)
        below = QHBoxLayout()
        below.addWidget(self.outcome, 1)
        below.addWidget(self.show_file)
        column.addLayout(below)

    def _add_schedule(self, column: QVBoxLayout) -> None:
        heading = QLabel("Scheduled copies", self)
        heading.setFont(theme.font("strong"))
        self.every = QComboBox(self)
        self.every.setMinimumHeight(_HEIGHT)
        self.every.setAccessibleName("How often a copy is made")
        for value, label in _EVERY:
            self.every.addItem(label, value)
        self.keep = QSpinBox(self)
        self.keep.setLocale(QLocale.c())
        self.keep.setRange(1, 1000)
        pad_number(self.keep)
        self.keep.setMinimumHeight(_HEIGHT)
        self.keep.setAccessibleName("How many copies are kept")
        for field in (self.every, self.keep):
            field.installEventFilter(self._still)
        self._form = _form()
        self._form.addRow("Make a copy", _left(self.every))
        self._form.addRow("Keep the newest", _left(self.keep))
        self._form.addRow("In the folder", self._folder_row())
        self.copy_state = QCheckBox("With saved state", self)
        self.copy_words = words("", self, "faint")
        self.failure = words("", self, "warning")
        self.where = words(_WHERE, self, "faint")
        column.addWidget(heading)
        column.addLayout(self._form)
        column.addWidget(self.where)
        column.addWidget(self.copy_state)
        column.addWidget(self.copy_words)
        column.addWidget(self.failure)
        self.every.currentIndexChanged.connect(self._explain)
        self.keep.valueChanged.connect(self._explain)

    def _folder_row(self) -> QHBoxLayout:
        self.folder = ElidedLabel("", self)
        self.folder.setAccessibleName("Folder of the copies")
        self.choose = QPushButton("Choose…", self)
        self.choose.setAccessibleName("Choose the folder of the copies")
        self.choose.clicked.connect(self._choose)
        self.to_default = QPushButton("Default", self)
        self.to_default.setProperty("kind", "quiet")
        self.to_default.clicked.connect(lambda: self._show_folder(""))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.folder, 1)
        for button in (self.choose, self.to_default):
            button.setAutoDefault(False)
            row.addWidget(button)
        return row

    # --- inside ------------------------------------------------------------------------------------------------------

    def _show_schedule(self, schedule: Schedule) -> None:
        self.every.setCurrentIndex(self.every.findData(schedule.every))
        self.keep.setValue(schedule.keep)
        self.copy_state.setChecked(schedule.with_state)
        self._show_folder(schedule.folder)
        self._explain()

    def _show_folder(self, folder: str) -> None:
        self._folder = folder
        shown = folder or str(self._own_folder)
        self.folder.setText(shown)
        self.to_default.setEnabled(bool(folder))

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of the copies", self._folder or str(self._own_folder))
        if chosen:
            self._show_folder(chosen)

    def _explain(self) -> None:
        """What copies take; without them there is nothing to say of them."""
        is_on = self.every.currentData() != "never"
        for row in (1, 2):
            self._form.setRowVisible(row, is_on)
        for widget in (self.where, self.copy_state, self.copy_words):
            widget.setVisible(is_on)
        if not self._state_bytes:
            self.copy_words.setText("There is none to be had now; the copies hold it as soon as there is.")
            return
        each, keep = format_bytes(self._state_bytes), self.keep.value()
        more = f", {format_bytes(keep * self._state_bytes)} to all {keep}" if keep > 1 else ""
        self.copy_words.setText(f"At the moment that adds {each} to each copy{more}.")


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setVerticalSpacing(8)
    form.setHorizontalSpacing(16)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return form


def _left(widget: QWidget) -> QHBoxLayout:
    """As wide as it needs, at the left."""
    row = QHBoxLayout()
    row.addWidget(widget)
    row.addStretch(1)
    return row
