"""What importing shows: which files, what it asks, and the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QMessageBox,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.core.conversation import ConversationId
from app.gui import import_words, theme
from app.gui.import_words import ReportRow
from app.gui.parts import set_kind
from app.services.import_files import Known, Undecided

FILTER: Final = "Chats (*.ember *.json *.jsonl *.zip *.md *.markdown);;All files (*)"
SIZE: Final = QSize(720, 480)
MINIMUM: Final = QSize(380, 320)
_ROW: Final = 32
_MESSAGES: Final = 1
"""The column that goes first in a narrow window."""
_NARROW: Final = 560
_NOWHERE: Final = QModelIndex()


def import_paths(parent: QWidget) -> list[Path]:
    """Ask which files to import."""
    names, _ = QFileDialog.getOpenFileNames(parent, "Import chats", "", FILTER)
    return [Path(name) for name in names]


def import_folder(parent: QWidget) -> Path | None:
    """Ask which folder to import."""
    name = QFileDialog.getExistingDirectory(parent, "Import a folder of chats")
    return Path(name) if name else None


def ask_about_known(parent: QWidget, undecided: Sequence[Undecided], answer: Callable[[Known | None], None]) -> None:
    """Ask what becomes of conversations that are here already; None leaves them as they are."""
    box = _question(parent, "Import", import_words.question_about_known(undecided))
    box.setInformativeText(import_words.known_detail(undecided))
    label = import_words.add_label(undecided)
    add = box.addButton(label, QMessageBox.ButtonRole.AcceptRole) if label else None
    if add is not None:
        set_kind(add, "primary")
    many = len(undecided) > 1
    copy = box.addButton("Import copies" if many else "Import as a copy", QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton("Leave them" if many else "Leave it", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(add or leave)
    box.setEscapeButton(leave)

    def finished() -> None:
        clicked = box.clickedButton()
        answer("merge" if add is not None and clicked is add else "copy" if clicked is copy else None)

    box.finished.connect(lambda _result: finished())
    box.open()


def ask_to_trust(parent: QWidget, titles: Sequence[str], answer: Callable[[bool], None]) -> None:
    """Ask whether state that another installation wrote may be used; the texts are in already."""
    box = _question(parent, "Saved state", f"Use the saved state that came with {import_words.names(titles)}?")
    box.setInformativeText(
        "The text is in, and nothing more is needed to go on with it. The file also holds what a model had read of it. "
        "That was written on another computer or by another installation of Ember, and nothing can check that it "
        "says the same as the text: the model may answer to other words than those you see, in this chat and in "
        "others that begin alike.\n\n"
        "Use it only if you trust where the file comes from. Without it the model reads the text once more, "
        "and nothing is lost."
    )
    use = box.addButton("Use it", QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton("Read the text instead", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(leave)
    box.setEscapeButton(leave)
    box.finished.connect(lambda _result: answer(box.clickedButton() is use))
    box.open()


def _question(parent: QWidget, title: str, text: str) -> QMessageBox:
    box = QMessageBox(QMessageBox.Icon.NoIcon, title, "", QMessageBox.StandardButton.NoButton, parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setTextFormat(Qt.TextFormat.PlainText)  # titles come from the file
    box.setText(text)
    return box


class _ReportModel(QAbstractTableModel):
    """The rows of a report; a hundred thousand are no more work than those in sight."""

    _HEADS: Final = ("Chat or file", "Messages", "What became of it")
    _RIGHT: Final = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter

    def __init__(self, rows: Sequence[ReportRow], parent: QObject) -> None:
        super().__init__(parent)
        self._rows = rows

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        """The rows; none below one."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, _parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        """Title, messages, and what became of it."""
        return len(self._HEADS)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What a cell shows, and how."""
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return (" ".join(row.title.split()), row.messages, row.words)[column]
        if role == Qt.ItemDataRole.TextAlignmentRole and column == _MESSAGES:
            return self._RIGHT
        if role == Qt.ItemDataRole.ForegroundRole and column == 2 and row.is_trouble:
            return theme.color("warning")
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The heads of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._HEADS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and section == _MESSAGES:
            return self._RIGHT
        return None


class ReportDialog(QDialog):
    """What an import of several conversations took, and what it did not, and why."""

    opened = Signal(str)
    """A conversation's id."""
    library_requested = Signal()
    """The model that a chat was written with is missing."""

    def __init__(self, summary: str, rows: Sequence[ReportRow], parent: QWidget) -> None:
        """Show it."""
        super().__init__(parent)
        self.setWindowTitle("Import")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumSize(MINIMUM)
        self.resize(SIZE.boundedTo(parent.window().size().expandedTo(MINIMUM)))
        self._rows = rows
        self.summary = _label(summary)
        self.table = self._table()
        self.detail = _label("")
        self.detail.setFont(theme.font("small"))
        self.detail.setProperty("tone", "soft")
        self.detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.open_chat = buttons.addButton("Open this chat", QDialogButtonBox.ButtonRole.ActionRole)
        set_kind(self.open_chat, "primary")
        self.open_chat.clicked.connect(self._open)
        self.models = buttons.addButton("Models…", QDialogButtonBox.ButtonRole.ActionRole)
        self.models.setToolTip("Look for the model that this chat was written with")
        self.models.setVisible(any(row.lacks_model for row in rows))
        self.models.clicked.connect(self._open_library)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        column.addWidget(self.summary)
        column.addWidget(self.table, 1)
        column.addWidget(self.detail)
        column.addWidget(buttons)
        self.table.selectionModel().selectionChanged.connect(self._show_detail)
        self.table.activated.connect(self._open)
        if rows:
            self.table.selectRow(0)
        self._show_detail()
        self.table.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the titles need the room."""
        super().resizeEvent(event)
        self.table.setColumnHidden(_MESSAGES, self.width() < theme.scaled(_NARROW))

    def _table(self) -> QTableView:
        table = QTableView(self)
        table.setModel(_ReportModel(self._rows, table))
        table.setAccessibleName("What was imported")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        table.setShowGrid(False)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(_ROW)
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        return table

    def _chosen(self) -> ReportRow | None:
        chosen = self.table.selectionModel().selectedRows()
        return self._rows[chosen[0].row()] if chosen else None

    def _show_detail(self) -> None:
        row = self._chosen()
        self.detail.setText(row.detail if row is not None else "")
        self.open_chat.setEnabled(row is not None and row.conversation is not None)
        self.models.setEnabled(row is not None and row.lacks_model)

    def _open_library(self) -> None:
        self.accept()
        self.library_requested.emit()

    def _open(self) -> None:
        row = self._chosen()
        if row is not None and row.conversation is not None:
            self.opened.emit(ConversationId(row.conversation))
            self.accept()


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
