"""A page with a table of shares, what clearing the chosen one frees and costs, and the button that does it."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.gui import theme
from app.gui.parts import set_tone
from app.gui.saved_shares_model import SIZE, Column, Share, SharesModel

ROW = 32
PADDING = 32
"""Pixels beside the words of a cell; the sign of the order stands there too."""
NARROW_TITLE = 132
"""Pixels that the title keeps, however narrow the table."""


class SharesTable(QTableView):
    """A table whose first column takes what room is left, and that Delete clears from."""

    clear_wanted = Signal()

    def set_up_columns(self, columns: Sequence[Column]) -> None:
        """Give each the width of its widest words; in a narrow table those that can be spared go, the last first."""
        metrics = self.horizontalHeader().fontMetrics()
        self._widths = [
            max(metrics.horizontalAdvance(words) for words in (column.name, column.widest)) + theme.scaled(PADDING)
            for column in columns
        ]
        self._spare = [number for number, column in enumerate(columns) if column.is_spare]
        for number, width in enumerate(self._widths):
            self.horizontalHeader().resizeSection(number, width)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the title what the others leave, but never less than it needs."""
        super().resizeEvent(event)
        room, title = self.viewport().width(), theme.scaled(NARROW_TITLE)
        others, hidden = sum(self._widths[1:]), set[int]()
        for number in reversed(self._spare):
            if title + others > room:
                hidden.add(number)
                others -= self._widths[number]
        for number in self._spare:
            self.setColumnHidden(number, number in hidden)
        self.horizontalHeader().resizeSection(0, max(title, room - others))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete is the Clear button; the rest is the table's."""
        if event.key() == Qt.Key.Key_Delete:
            self.clear_wanted.emit()
        else:
            super().keyPressEvent(event)


class SharesPage(QWidget):
    """Shows shares; says what is chosen, ticked, and to be cleared."""

    chosen = Signal()
    """Another row, or the same with other figures."""
    clear_requested = Signal(str)
    """The key of the row."""

    def __init__(self, name: str, columns: Sequence[Column], hint: str, nothing: str, parent: QWidget) -> None:
        """A page called `name`; `hint` stands above the table, `nothing` in its place while it has no rows."""
        super().__init__(parent)
        self._nothing = nothing
        self.model = SharesModel(columns, self)
        self.table = SharesTable(self)
        self.hint, self.about, self.outcome, self.warning = (
            self._words(tone) for tone in ("soft", "soft", "soft", "warning")
        )
        self.hint.setText(hint)
        self.clear = QPushButton("Clear…", self)
        self.clear.setAutoDefault(False)
        self.clear.setAccessibleDescription("Removes the saved state of the chosen row, after asking.")
        self._set_up_table(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.hint)
        column.addWidget(self.warning)
        column.addWidget(self.table, 1)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.about, 1)
        row.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(row)
        column.addWidget(self.outcome)
        self.clear.clicked.connect(self._clear)
        self.table.clear_wanted.connect(self._clear)
        self.show_about("", can_clear=False)
        self.show_warning("")
        self.show_outcome("")

    # --- what it shows -----------------------------------------------------------------------------------------------

    def show_shares(self, shares: Sequence[Share]) -> None:
        """Show these rows; what was chosen stays chosen."""
        before, top = self.chosen_share(), self.table.verticalScrollBar().value()
        self.model.show(shares)
        row = self.model.row_of(before.key) if before is not None else -1
        if row >= 0 and row != self.table.currentIndex().row():
            self.table.selectRow(row)
            self.table.verticalScrollBar().setValue(top)
        self.table.setVisible(bool(shares))
        self.chosen.emit()

    def chosen_share(self) -> Share | None:
        """The row that is chosen."""
        rows = self.table.selectionModel().selectedRows()
        return self.model.share(rows[0].row()) if rows else None

    def show_about(self, words: str, *, can_clear: bool) -> None:
        """What clearing the chosen row frees and costs, or why there is nothing to clear."""
        self.about.setText(words if self.model.rowCount() else self._nothing)
        self.clear.setEnabled(can_clear)

    def show_warning(self, words: str) -> None:
        """A sentence above the table; empty for none."""
        self.warning.setText(words)
        self.warning.setVisible(bool(words))

    def show_outcome(self, words: str, tone: str = "soft") -> None:
        """What became of the last wish."""
        self.outcome.setText(words)
        set_tone(self.outcome, tone)
        self.outcome.setVisible(bool(words))

    # --- building ----------------------------------------------------------------------------------------------------

    def _set_up_table(self, name: str) -> None:
        table = self.table
        table.setModel(self.model)
        table.setAccessibleName(name)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)  # Tab leaves the table, arrows walk in it
        table.setWordWrap(False)
        table.setShowGrid(False)
        table.setTextElideMode(Qt.TextElideMode.ElideRight)
        table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW)
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(48)
        table.set_up_columns(self.model.columns)
        header.setSortIndicator(SIZE, Qt.SortOrder.DescendingOrder)
        table.setSortingEnabled(True)
        table.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit())

    def _words(self, tone: str) -> QLabel:
        label = QLabel(self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(theme.font("small"))
        label.setWordWrap(True)
        label.setProperty("tone", tone)
        return label

    def _clear(self) -> None:
        share = self.chosen_share()
        if share is not None and self.clear.isEnabled():
            self.clear_requested.emit(share.key)
