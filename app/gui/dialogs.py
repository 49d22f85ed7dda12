"""The dialogs: the chat's instructions, and removing saved state."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.gui.parts import set_kind, small_words


class InstructionsDialog(QDialog):
    """Edits the system prompt of one conversation."""

    def __init__(self, text: str, parent: QWidget, *, is_new: bool) -> None:
        """Show `text`; `text()` after it was accepted. With `is_new` they are also those of later chats."""
        super().__init__(parent)
        self.setWindowTitle("Instructions for new chats" if is_new else "Instructions for this chat")
        self.resize(520, 320)
        also = " Later chats begin with it too." if is_new else ""
        label = QLabel(f"What should the model know, or how should it answer? It reads this first in the chat.{also}")
        label.setWordWrap(True)
        self._edit = QPlainTextEdit(text)
        self._edit.setAccessibleName("Instructions")
        self._edit.setTabChangesFocus(True)
        self._edit.setPlaceholderText("For example: You are a patient teacher. Answer in short sentences.")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        set_kind(buttons.button(QDialogButtonBox.StandardButton.Save), "primary")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 20, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label)
        self._trouble = small_words("", self, "danger")
        self._trouble.hide()
        layout.addWidget(self._edit)
        layout.addWidget(self._trouble)
        layout.addWidget(buttons)

    def tell(self, sentence: str) -> None:
        """Say why what is written could not be kept."""
        self._trouble.setText(sentence)
        self._trouble.show()

    def text(self) -> str:
        """What is written now."""
        return self._edit.toPlainText()


def ask_to_remove(parent: QWidget, what: str, size: str, remove: Callable[[], None]) -> None:
    """Ask whether saved state of many chats shall go (`what`, and `size` if it is known), and let `remove` do it."""
    box = QMessageBox(QMessageBox.Icon.NoIcon, "Clear cache", "", QMessageBox.StandardButton.NoButton, parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setText(f"Remove {what}{f', {size}' if size else ''}?")
    box.setInformativeText(
        "This cannot be undone: each chat is read again when it is next used. All texts stay as they are."
    )
    yes = box.addButton(f"Remove {what}", QMessageBox.ButtonRole.AcceptRole)
    keep = box.addButton("Keep it", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    yes.clicked.connect(lambda: remove())
    box.open()
