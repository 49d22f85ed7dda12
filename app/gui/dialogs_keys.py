"""The page of the keys that the window knows."""

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from app.gui import theme
from app.gui.find_bar import FIND_KEYS
from app.gui.header import EXPORT_KEYS, RENAME_KEYS
from app.gui.model_pill import LIBRARY_KEYS, SETTINGS_KEYS
from app.gui.parts import scrolled
from app.gui.sidebar.panel import BACKUP_KEYS, HELP_KEYS, KEYS_KEYS, SAVED_KEYS, SEARCH_KEYS, WRITE_KEYS
from app.gui.text_size import LARGER_KEYS, SMALLER_KEYS, USUAL_KEYS

Keys = str | QKeySequence.StandardKey
PAGES: Final[tuple[tuple[str, tuple[tuple[Keys, str], ...]], ...]] = (
    (
        "Chats",
        (
            (QKeySequence.StandardKey.New, "New chat"),
            (SEARCH_KEYS, "Search all chats"),
            (FIND_KEYS, "Find in this chat"),
            (RENAME_KEYS, "Rename the chat"),
            ("Del", "Delete the chat that is chosen in the list"),
            (EXPORT_KEYS, "Export this chat"),
            (QKeySequence.StandardKey.Open, "Import chats"),
        ),
    ),
    (
        "Writing",
        (
            ("Enter", "Send the message"),
            ("Shift+Enter", "New line"),
            ("Up", "Edit your last message, from the empty field"),
            ("Esc", "Stop the reply, or leave what was begun"),
            (WRITE_KEYS, "Go to the message field"),
        ),
    ),
    (
        "Messages",
        (
            ("Tab", "From the message field on, to the messages and their actions"),
            ("Menu", "Everything that can be done with a message"),
            (LARGER_KEYS, "Larger text, also with Ctrl and the wheel"),
            (SMALLER_KEYS, "Smaller text"),
            (USUAL_KEYS, "Text in its usual size"),
        ),
    ),
    (
        "Ember",
        (
            (LIBRARY_KEYS, "Models"),
            (SETTINGS_KEYS, "Settings of the model"),
            (SAVED_KEYS, "Saved state"),
            (BACKUP_KEYS, "Back up and restore"),
            (HELP_KEYS, "What is kept?"),
            (KEYS_KEYS, "These keys"),
            (QKeySequence.StandardKey.Quit, "Quit"),
        ),
    ),
)
"""The groups, their keys, and what these do."""


class KeysDialog(QDialog):
    """Keys at the left as this system writes them, words at the right."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(theme.scaled(480), 640)
        self.setMinimumSize(320, 280)
        page = QWidget(self)
        grid = QGridLayout(page)
        grid.setContentsMargins(24, 12, 24, 12)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for title, keys in PAGES:
            heading = QLabel(title, page)
            heading.setFont(theme.font("strong"))
            heading.setContentsMargins(0, 8, 0, 0)
            grid.addWidget(heading, grid.rowCount(), 0, 1, 2)
            for key, words in keys:
                self._add(grid, shown(key), words)
        grid.setRowStretch(grid.rowCount(), 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        buttons.setContentsMargins(24, 0, 24, 16)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scrolled(page, self), 1)
        whole.addWidget(buttons)

    def _add(self, grid: QGridLayout, keys: str, words: str) -> None:
        row = grid.rowCount()
        for column, text in enumerate((keys, words)):
            label = QLabel(text)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(column == 1)
            label.setProperty("tone", "soft" if column == 0 else "")
            grid.addWidget(label, row, column, Qt.AlignmentFlag.AlignTop)


def shown(keys: Keys) -> str:
    """Keys as this system writes them; a standard key that it does not have as a dash."""
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText) or "–"
