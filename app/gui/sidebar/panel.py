"""What stands around the list: the name, New chat, the search field, and the row at the bottom."""

from collections.abc import Callable, Mapping
from datetime import date

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QMenu, QStackedLayout, QVBoxLayout, QWidget

from app.gui import icons, theme
from app.gui.model_pill import LIBRARY_KEYS
from app.gui.parts import ElidedLabel, claim_escape, icon_button, popup_menu, show_keys
from app.gui.sidebar.conversation_list import ConversationList
from app.gui.sidebar.model import ConversationModel

_PREFERENCES: tuple[tuple[theme.Preference, str], ...] = (
    ("system", "Colours like the system"),
    ("light", "Light"),
    ("dark", "Dark"),
)
SAVED_KEYS = "Ctrl+,"
BACKUP_KEYS = "Ctrl+Shift+B"
HELP_KEYS = "F1"
KEYS_KEYS = "Ctrl+/"
SEARCH_KEYS = "Ctrl+K"
WRITE_KEYS = "Ctrl+L"
"""Open the settings of saved state, the backups, the help, and the keys; go to the search, and to the message."""


class SearchField(QLineEdit):
    """Filters while typing; Esc empties it, Down goes to the list."""

    down_pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Search chats")
        self.setAccessibleName("Search the titles and texts of all chats")
        glass = self.addAction(icons.icon("search", "text_faint"), QLineEdit.ActionPosition.LeadingPosition)
        glass.setText("Search")
        glass.triggered.connect(self.setFocus)
        self._clear = self.addAction(icons.icon("close", "text_faint"), QLineEdit.ActionPosition.TrailingPosition)
        self._clear.setText("Clear the search")
        self._clear.setVisible(False)
        self._clear.triggered.connect(self.clear)
        self.textChanged.connect(lambda text: self._clear.setVisible(bool(text)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc and Down; the rest is typing."""
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        elif event.key() == Qt.Key.Key_Down:
            self.down_pressed.emit()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Esc empties the field before it may stop a reply."""
        return (bool(self.text()) and claim_escape(event)) or super().event(event)


def settings_menu(
    parent: QWidget,
    choose: Callable[[theme.Preference], None],
    open_models: Callable[[], None],
    open_saved: Callable[[], None],
    open_backups: Callable[[], None],
    open_help: Callable[[], None],
    open_keys: Callable[[], None],
    export_all: Callable[[], None],
) -> QMenu:
    """The system's colours; the models; saved state; backups; exporting everything; what is kept; the keys."""
    menu = popup_menu(parent)
    colours = []
    for preference, words in _PREFERENCES:
        action = menu.addAction(words)
        action.setCheckable(True)
        action.setData(preference)
        action.triggered.connect(lambda _=False, preference=preference: choose(preference))
        colours.append(action)
    menu.addSeparator()
    for words, keys, call in (
        ("Models…", LIBRARY_KEYS, open_models),
        ("Saved state…", SAVED_KEYS, open_saved),
        ("Back up and restore…", BACKUP_KEYS, open_backups),
        ("Export all chats…", "", export_all),
        ("What is kept?", HELP_KEYS, open_help),
        ("Keyboard shortcuts", KEYS_KEYS, open_keys),
    ):
        entry = menu.addAction(icons.blank(), words)
        show_keys(entry, keys)
        entry.triggered.connect(lambda _=False, call=call: call())

    def mark() -> None:
        for action in colours:
            chosen = action.data() == theme.preference()
            action.setChecked(chosen)
            action.setIcon(icons.icon("check") if chosen else icons.blank())

    mark()
    menu.aboutToShow.connect(mark)
    return menu


def paint_surface(widget: QWidget) -> None:
    """The side's surface, and the hairline at its right."""
    painter = QPainter(widget)
    painter.fillRect(widget.rect(), theme.color("sidebar"))
    painter.fillRect(widget.width() - 1, 0, 1, widget.height(), theme.color("border"))
    painter.end()


class Panel(QWidget):
    """The sidebar at its full width."""

    new_chat = Signal()
    filter_changed = Signal(str)
    import_requested = Signal()
    export_all_requested = Signal()
    theme_chosen = Signal(str)
    saved_settings = Signal()
    backups_requested = Signal()
    models_requested = Signal()
    help_requested = Signal()
    keys_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ConversationModel(self)
        self.list = ConversationList(self.model, self)
        self.search = SearchField(self)
        self.empty = QLabel(self)
        self._build()
        self.search.textChanged.connect(self._on_filter)
        self.search.returnPressed.connect(self._on_search)
        self.search.down_pressed.connect(self._to_list)
        self.model.modelReset.connect(lambda: self._show_emptiness())
        self._show_emptiness()

    def set_found(self, found: Mapping[str, str]) -> None:
        """Show these too, whose texts hold the words of the search; if there are none at all that can be said now."""
        self.model.set_found(found)
        self._show_emptiness(is_answered=True)

    def sought(self, conversation: str) -> str:
        """The words of the search, if a conversation is shown because its text holds them; else empty."""
        return " ".join(self.search.text().split()) if self.model.found(conversation) is not None else ""

    def refresh_dates(self) -> None:
        """Group anew if midnight has passed."""
        self.model.set_today(date.today())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Its surface."""
        paint_surface(self)

    # --- building -----------------------------------------------------------------------------------

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 13, 8)
        column.setSpacing(0)
        column.addLayout(self._top_row())
        column.addSpacing(8)
        column.addWidget(self.search)
        column.addSpacing(4)
        middle = QWidget(self)
        self._stack = QStackedLayout(middle)
        self.empty.setFont(theme.font("small"))
        self.empty.setWordWrap(True)
        self.empty.setProperty("tone", "faint")
        self.empty.setTextFormat(Qt.TextFormat.PlainText)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        around = QWidget(middle)
        margins = QVBoxLayout(around)
        margins.setContentsMargins(16, 40, 16, 0)
        margins.addWidget(self.empty)
        self._stack.addWidget(self.list)
        self._stack.addWidget(around)
        column.addWidget(middle, 1)
        column.addSpacing(8)
        column.addLayout(self._bottom_row())

    def _top_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        name = QLabel("Ember", self)
        name.setFont(theme.font("title"))
        self.new_button = icon_button("new_chat", "New chat", self)
        self.new_button.clicked.connect(self.new_chat)
        row.addWidget(name)
        row.addStretch(1)
        row.addWidget(self.new_button)
        return row

    def _bottom_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(0)
        self.settings_button = icon_button("settings", "Settings", self)
        self.settings_button.setMenu(
            settings_menu(
                self.settings_button,
                self._on_theme,
                self.models_requested.emit,
                self.saved_settings.emit,
                self.backups_requested.emit,
                self.help_requested.emit,
                self.keys_requested.emit,
                self.export_all_requested.emit,
            )
        )
        self.import_button = icon_button("import", "Import chats…", self)
        self.import_button.clicked.connect(self.import_requested)
        promise = ElidedLabel("Nothing leaves this computer", self)
        promise.setFont(theme.font("small"))
        promise.setProperty("tone", "faint")
        promise.setAlignment(Qt.AlignmentFlag.AlignRight)
        row.addWidget(self.settings_button)
        row.addWidget(self.import_button)
        row.addSpacing(8)
        row.addWidget(promise, 1)
        return row

    # --- reactions ----------------------------------------------------------------------------------

    def _on_filter(self, text: str) -> None:
        self.model.set_filter(text)
        self._show_emptiness()
        self.filter_changed.emit(text)

    def _on_search(self) -> None:
        if self.search.text().strip() and self.model.first().isValid():
            self.list.open_first()
            self.list.settled.emit()

    def _to_list(self) -> None:
        if self.model.first().isValid():
            self.list.setFocus(Qt.FocusReason.TabFocusReason)
            if not self.list.currentIndex().isValid():
                self.list.open_first()

    def _on_theme(self, preference: theme.Preference) -> None:
        theme.set_preference(preference)
        self.theme_chosen.emit(preference)

    def _show_emptiness(self, *, is_answered: bool = False) -> None:
        nothing = not self.model.first().isValid()
        if nothing and self.model.is_filtered() and self.model.item_count():
            self.empty.setText(f"No chat holds “{self.search.text().strip()}”." if is_answered else "")
        elif nothing:
            self.empty.setText("No chats yet.\nWhat you write is kept here.")
        self._stack.setCurrentIndex(1 if nothing else 0)
