"""What to do where a hub did not answer as hoped: the sentence, another try, the network, a token."""

from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.gui import theme
from app.gui.flow_layout import FlowLayout
from app.gui.parts import announce, small_words

WANTS_TOKEN: Final = frozenset(("gated", "bad_token", "no_repository", "forbidden", "no_keyring"))
"""Kinds of refusals that a token may help against."""
OFFLINE: Final = "offline"
ABOUT_TOKEN: Final = (
    "A token of your account is kept in this system's keyring, and is sent to the hub only when it demands one."
)


class TroubleBox(QWidget):
    """Hidden until `show_trouble`."""

    retry_requested = Signal()
    network_requested = Signal()
    """Ember shall not stay offline any more."""
    page_requested = Signal()
    """The model's page, where its conditions can be read and accepted."""
    token_given = Signal(str)
    """A token; empty: the one that is kept shall be forgotten."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.sentence = small_words("", self, "warning")
        self.sentence.setFont(theme.font("body"))
        self.retry, self.network, self.page, self.forget = (
            QPushButton(words, self)
            for words in ("Try again", "Allow the network", "Open its page", "Forget the kept token")
        )
        self._build()
        self.retry.clicked.connect(self.retry_requested)
        self.network.clicked.connect(self.network_requested)
        self.page.clicked.connect(self.page_requested)
        self.use.clicked.connect(self._give)
        self.forget.clicked.connect(lambda: self.token_given.emit(""))
        self.token.returnPressed.connect(self._give)
        self.token.textChanged.connect(lambda text: self.use.setEnabled(bool(text.strip())))
        self.hide()

    def show_trouble(self, kind: str, sentence: str, *, has_page: bool = False) -> None:
        """Say what went wrong, and offer what helps against it; an empty sentence hides the box."""
        self.sentence.setText(sentence)
        self.network.setVisible(kind == OFFLINE)
        self.retry.setVisible(kind != OFFLINE)
        self.page.setVisible(has_page)
        for widget in (self._token_row, self.forget):
            widget.setVisible(kind in WANTS_TOKEN and has_page)
        self.setVisible(bool(sentence))
        if sentence:
            announce(self, sentence)

    def _build(self) -> None:
        self._token_row = QWidget(self)
        about = small_words(ABOUT_TOKEN, self._token_row, "faint")
        self.token = QLineEdit(self._token_row)
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText("Token, such as hf_…")
        self.token.setAccessibleName("Token for private and gated models")
        self.use = QPushButton("Keep and use it", self._token_row)
        self.use.setEnabled(False)
        field = QHBoxLayout()
        field.setSpacing(8)
        field.addWidget(self.token, 1)
        field.addWidget(self.use)
        rows = QVBoxLayout(self._token_row)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(8)
        rows.addWidget(about)
        rows.addLayout(field)
        buttons = FlowLayout()
        for button in (self.retry, self.network, self.page, self.forget):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.setSpacing(8)
        column.addWidget(self.sentence)
        column.addLayout(buttons)
        column.addWidget(self._token_row)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)

    def _give(self) -> None:
        token = self.token.text().strip()
        if token:
            self.token.clear()
            self.token_given.emit(token)
