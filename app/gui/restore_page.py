"""The page from which the library is restored: the copies there are, and what the chosen one holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.gui import theme
from app.gui.model_fields import words
from app.gui.parts import scrolled, set_tone
from app.gui.progress_row import ProgressRow

ROW: Final = 32
PADDING: Final = 32
"""Pixels beside the words of a cell."""
_ABOUT: Final = "Restoring puts a backup in the place of all chats and settings. What is here now is kept."
_NONE: Final = "There are no copies yet. A backup in another place can be chosen as a file."
_TRUST: Final = (
    "Then its tokens and saved state are used too. They can say other things than the text shows, and the model would "
    "answer to those. Without them each chat is read again."
)


@dataclass(frozen=True, slots=True)
class CopyRow:
    """A copy, in words."""

    path: str
    written: str
    kind: str
    size: str


@dataclass(frozen=True, slots=True)
class Promise:
    """What restoring would bring, in words."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """Names and what stands beside them."""
    what_happens: str
    asks_for_trust: bool = False
    """Whether another installation wrote it."""


class CopiesTable(QTableWidget):
    """The copies, the newest first; Enter restores the chosen one."""

    activated_by_key = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(0, 3, parent)
        self.setHorizontalHeaderLabels(["Written", "Made", "Size"])
        self.setAccessibleName("Copies of the library")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def show_copies(self, rows: Sequence[CopyRow]) -> None:
        """Show these; what was chosen stays chosen, else the first is."""
        before = self.chosen()
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate((row.written, row.kind, row.size)):
                cell = QTableWidgetItem(text)
                cell.setToolTip(row.path)
                cell.setData(Qt.ItemDataRole.UserRole, row.path)
                self.setItem(number, column, cell)
        if rows:
            paths = [row.path for row in rows]
            self.selectRow(paths.index(before) if before in paths else 0)
        self._share_out()

    def chosen(self) -> str | None:
        """The path of the row that is chosen."""
        rows = self.selectionModel().selectedRows()
        return str(rows[0].data(Qt.ItemDataRole.UserRole)) if rows else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The middle column takes what room is left."""
        super().resizeEvent(event)
        self._share_out()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter is the Restore button; the rest is the table's."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.activated_by_key.emit()
        else:
            super().keyPressEvent(event)

    def _share_out(self) -> None:
        metrics = self.fontMetrics()
        written = metrics.horizontalAdvance("30 Sept 2026, 22:22") + PADDING
        size = metrics.horizontalAdvance("1023 MiB") + PADDING
        header = self.horizontalHeader()
        header.resizeSection(0, written)
        header.resizeSection(1, max(theme.scaled(72), self.viewport().width() - written - size))
        header.resizeSection(2, size)


class RestorePage(QWidget):
    """Shows the copies; then that one is tried; then what it holds, with the question."""

    prepare_requested = Signal(str)
    """The path of a copy."""
    other_requested = Signal()
    """Choose a file."""
    show_requested = Signal(str)
    """Show this copy in its folder."""
    cancel_requested = Signal()
    """End the trying."""
    back_requested = Signal()
    """The person does not want the backup that was tried."""
    restore_requested = Signal(bool)
    """Put it in place; with True what another installation says of tokens and state is taken too."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.row = ProgressRow(self)
        self.row.cancelled.connect(self.cancel_requested)
        trying = QWidget(self)
        column = QVBoxLayout(trying)
        column.setContentsMargins(0, 12, 0, 0)
        column.addWidget(self.row)
        column.addStretch(1)
        self._pages = QStackedWidget(self)
        for page in (self._build_list(), trying, self._build_question()):
            self._pages.addWidget(page)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._pages)
        self.show_copies(())

    # --- what it shows -----------------------------------------------------------------------------------------------

    def show_copies(self, rows: Sequence[CopyRow]) -> None:
        """The copies there are."""
        self.table.show_copies(rows)
        self.table.setVisible(bool(rows))
        self.none.setVisible(not rows)
        for button in (self.prepare, self.show_file):
            button.setVisible(bool(rows))

    def show_trying(self, name: str) -> None:
        """A backup is tried on a copy."""
        self.row.begin(f"“{name}” is tried on a copy. Nothing is changed by that…")
        self._pages.setCurrentIndex(1)
        self.row.cancel.setFocus()

    def show_promise(self, promise: Promise) -> None:
        """It can be restored: what it holds, what happens, and the question."""
        self.title.setText(promise.title)
        while self._facts.rowCount():
            self._facts.removeRow(0)
        for name, fact in promise.facts:
            label = words(fact, self, "")
            label.setFont(theme.font("body"))
            label.setAccessibleName(name)
            self._facts.addRow(name, label)
        self.what_happens.setText(promise.what_happens)
        self.trust.setChecked(False)
        for widget in (self.trust, self.trust_words):
            widget.setVisible(promise.asks_for_trust)
        self.restore.setEnabled(True)
        self._pages.setCurrentIndex(2)
        self.back.setFocus()

    def show_list(self, outcome: str = "", tone: str = "warning") -> None:
        """The copies again, with a sentence about what came of the last try."""
        self.outcome.setText(outcome)
        set_tone(self.outcome, tone)
        self.outcome.setVisible(bool(outcome))
        self._pages.setCurrentIndex(0)
        (self.table if not self.table.isHidden() else self.other).setFocus()

    # --- building ----------------------------------------------------------------------------------------------------

    def _build_list(self) -> QWidget:
        self.table = CopiesTable(self)
        self.none = words(_NONE, self, "faint")
        self.outcome = words("", self)
        self.outcome.hide()
        self.prepare = QPushButton("Restore…", self)
        self.prepare.setProperty("kind", "primary")
        self.other = QPushButton("Another file…", self)
        self.show_file = QPushButton("Show in folder", self)
        self.show_file.setProperty("kind", "quiet")
        self.prepare.clicked.connect(self._prepare_chosen)
        self.table.activated_by_key.connect(self._prepare_chosen)
        self.table.cellDoubleClicked.connect(lambda _row, _column: self._prepare_chosen())
        self.other.clicked.connect(self.other_requested)
        self.show_file.clicked.connect(self._show_chosen)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.prepare, self.other, self.show_file):
            button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch(1)
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(words(_ABOUT, self))
        column.addWidget(self.outcome)
        column.addWidget(self.table, 1)
        column.addWidget(self.none)
        column.addLayout(row)
        column.addStretch(0)
        return page

    def _build_question(self) -> QWidget:
        self.title = QLabel(self)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setFont(theme.font("title"))
        self.title.setWordWrap(True)
        self._facts = QFormLayout()
        self._facts.setVerticalSpacing(6)
        self._facts.setHorizontalSpacing(16)
        self._facts.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.what_happens = words("", self)
        self.trust = QCheckBox("I trust where it comes from", self)
        self.trust_words = words(_TRUST, self, "faint")
        self.restore = QPushButton("Restore and open again", self)
        self.restore.setProperty("kind", "primary")
        self.back = QPushButton("Back", self)
        self.restore.clicked.connect(self._restore)
        self.back.clicked.connect(self.back_requested)
        inner = QWidget(self)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 12, 12, 0)
        column.setSpacing(10)
        column.addWidget(self.title)
        column.addLayout(self._facts)
        column.addSpacing(4)
        for widget in (self.what_happens, self.trust, self.trust_words):
            column.addWidget(widget)
        column.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        for button in (self.back, self.restore):
            button.setAutoDefault(False)
            row.addWidget(button)
        page = QWidget(self)
        around = QVBoxLayout(page)
        around.setContentsMargins(0, 0, 0, 0)
        around.setSpacing(8)
        around.addWidget(scrolled(inner, self), 1)
        around.addLayout(row)
        return page

    # --- reactions ---------------------------------------------------------------------------------------------------

    def _prepare_chosen(self) -> None:
        chosen = self.table.chosen()
        if chosen is not None:
            self.prepare_requested.emit(chosen)

    def _show_chosen(self) -> None:
        chosen = self.table.chosen()
        if chosen is not None:
            self.show_requested.emit(chosen)

    def _restore(self) -> None:
        self.restore.setEnabled(False)
        self.restore_requested.emit(self.trust.isChecked())
