"""What importing shows: which files, how far it is, what it asks, and the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.core.conversation import ConversationId
from app.gui import import_words, theme
from app.gui.import_words import ReportRow
from app.gui.parts import ElidedLabel, announce, paint_card
from app.services.import_files import Known, Undecided

FILTER: Final = "Chats (*.ember *.json *.jsonl *.zip *.md *.markdown);;All files (*)"
SIZE: Final = QSize(720, 480)
MINIMUM: Final = QSize(380, 320)
SHOW_AFTER_MS: Final = 400
"""What is over before that shows no progress."""
_STEPS: Final = 200
_ROW: Final = 32
_MESSAGES: Final = 1
"""The column that goes first in a narrow window."""
_NARROW: Final = 560


def import_paths(parent: QWidget) -> list[Path]:
    """Ask which files to import."""
    names, _ = QFileDialog.getOpenFileNames(parent, "Import chats", "", FILTER)
    return [Path(name) for name in names]


def import_folder(parent: QWidget) -> Path | None:
    """Ask which folder to import."""
    name = QFileDialog.getExistingDirectory(parent, "Import a folder of chats")
    return Path(name) if name else None


class ImportStrip(QWidget):
    """A calm line over the composer: how far an import is, and a way to stop it."""

    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Hidden; `begin` shows it after a moment."""
        super().__init__(parent)
        self.words = ElidedLabel("", self)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Importing")
        self.stop = QPushButton("Stop", self)
        self.stop.setProperty("kind", "link")
        self.stop.setAccessibleName("Stop importing")
        self.stop.clicked.connect(self._stop)
        self._later = QTimer(self, singleShot=True, interval=SHOW_AFTER_MS)
        self._later.timeout.connect(self._appear)
        card = QHBoxLayout()
        card.setContentsMargins(14, 6, 6, 6)
        card.setSpacing(12)
        card.addWidget(self.words, 2)
        card.addWidget(self.bar, 1)
        card.addWidget(self.stop)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 4, 16, 4)
        row.addLayout(card)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.hide()

    def begin(self, words: str) -> None:
        """Something is imported; it is said if it takes longer than a moment."""
        self.show_progress(words, 0, 0)
        self.stop.setEnabled(True)
        if self.isHidden():
            self._later.start()

    def show_progress(self, words: str, done: int, total: int) -> None:
        """How far it is; `total` 0 while that is not known."""
        self.words.setText(words)
        self.bar.setRange(0, _STEPS if total else 0)
        self.bar.setValue(_STEPS * done // max(total, 1))  # in steps: it paints itself for each

    def end(self) -> None:
        """It is over."""
        self._later.stop()
        self.hide()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The same card as a notice's, in the same column."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("page"))
        paint_card(painter, self._card(), fill="card", line="border", radius=12)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """No wider than the text above."""
        super().resizeEvent(event)
        side = max(16, (self.width() - theme.COLUMN) // 2)
        layout = self.layout()
        if layout is not None and layout.contentsMargins().left() != side:
            layout.setContentsMargins(side, 4, side, 4)

    def _card(self) -> QRectF:
        layout = self.layout()
        assert layout is not None
        return QRectF(layout.contentsRect())

    def _appear(self) -> None:
        self.show()
        announce(self, self.words.text())

    def _stop(self) -> None:
        self.stop.setEnabled(False)
        self.words.setText("Stopping …")
        self.stop_requested.emit()


def ask_about_known(parent: QWidget, undecided: Sequence[Undecided], answer: Callable[[Known | None], None]) -> None:
    """Ask what becomes of conversations that are here already; None leaves them as they are."""
    box = _question(parent, "Import", import_words.question_about_known(undecided))
    box.setInformativeText(import_words.known_detail(undecided))
    label = import_words.add_label(undecided)
    add = box.addButton(label, QMessageBox.ButtonRole.AcceptRole) if label else None
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


class ReportDialog(QDialog):
    """What an import of several conversations took, and what it did not, and why."""

    opened = Signal(str)
    """A conversation's id."""

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
        self.open_chat.clicked.connect(self._open)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        column.addWidget(self.summary)
        column.addWidget(self.table, 1)
        column.addWidget(self.detail)
        column.addWidget(buttons)
        self.table.itemSelectionChanged.connect(self._show_detail)
        self.table.itemActivated.connect(lambda _item: self._open())
        if rows:
            self.table.selectRow(0)
        self._show_detail()
        self.table.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the titles need the room."""
        super().resizeEvent(event)
        self.table.setColumnHidden(_MESSAGES, self.width() < theme.scaled(_NARROW))

    def _table(self) -> QTableWidget:
        table = QTableWidget(len(self._rows), 3, self)
        table.setAccessibleName("What was imported")
        table.setHorizontalHeaderLabels(["Chat or file", "Messages", "What became of it"])
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for at, row in enumerate(self._rows):
            for column, words in enumerate((" ".join(row.title.split()), row.messages, row.words)):
                item = QTableWidgetItem(words)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                if column == _MESSAGES:
                    item.setTextAlignment(right)
                if column == 2 and row.is_trouble:
                    item.setForeground(theme.color("warning"))
                table.setItem(at, column, item)
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
        table.model().setHeaderData(_MESSAGES, Qt.Orientation.Horizontal, right, Qt.ItemDataRole.TextAlignmentRole)
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
