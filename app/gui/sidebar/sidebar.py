"""The sidebar: the panel of conversations, or a narrow rail that lays the panel over the window."""

from collections.abc import Mapping, Sequence
from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QSizePolicy, QVBoxLayout, QWidget

from app.gui import theme
from app.gui.parts import icon_button
from app.gui.sidebar.drawer import Drawer
from app.gui.sidebar.item import SidebarItem
from app.gui.sidebar.panel import Panel, paint_surface

WIDTH: Final = 268
RAIL: Final = 56


class Sidebar(QWidget):
    """Conversations grouped by date, with what is kept of each; reports what the person wants with them."""

    opened = Signal(str)
    """A conversation's id."""
    settled = Signal()
    """A chat was chosen, not only passed by the arrow keys: the keyboard belongs to the message now."""
    new_chat = Signal()
    rename_requested = Signal(str, str)
    """Id and new title."""
    delete_requested = Signal(str)
    export_requested = Signal(str)
    export_all_requested = Signal()
    import_requested = Signal()
    filter_changed = Signal(str)
    """The words that are searched for; `set_found` answers."""
    focus_released = Signal()
    """The laid-over list has closed and had the keyboard, which belongs to the message now."""
    theme_chosen = Signal(str)
    """`system`, `light` or `dark`, already in effect; to be remembered."""
    saved_settings = Signal()
    """Show the settings of saved state."""
    backups_requested = Signal()
    """Show the backups, to make one or to restore one."""
    models_requested = Signal()
    """Show the library of models."""
    help_requested = Signal()
    """Show what is kept, and why."""
    keys_requested = Signal()
    """Show the keys that the window knows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._drawer: Drawer | None = None
        self._panel = Panel(self)
        self._rail = self._build_rail()
        self._rail.hide()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self._connect()

    # --- what it shows ------------------------------------------------------------------------------

    def set_conversations(self, items: Sequence[SidebarItem]) -> None:
        """Show these conversations, in any order."""
        self._panel.refresh_dates()
        self._panel.model.set_items(items)

    def update_item(self, item: SidebarItem) -> None:
        """Show one conversation anew, or a new one."""
        self._panel.refresh_dates()
        self._panel.model.update_item(item)

    def update_states(self, items: Sequence[SidebarItem]) -> None:
        """Show some conversations with other states."""
        self._panel.model.update_states(items)

    def remove_item(self, conversation: str) -> None:
        """Show one conversation no more."""
        self._panel.model.remove_item(conversation)

    def set_found(self, found: Mapping[str, str]) -> None:
        """Show these beside those whose title holds the search: by id, a piece of the text around the words."""
        self._panel.set_found(found)

    def sought(self, conversation: str) -> str:
        """The words of the search, if a conversation is shown because its text holds them; else empty."""
        return self._panel.sought(conversation)

    def set_current(self, conversation: str | None) -> None:
        """Mark the open conversation; None for a new one that is not kept yet. Reports nothing."""
        self._panel.list.set_current(conversation)

    def current(self) -> str | None:
        """The marked conversation's id."""
        return self._panel.list.current

    def rename_current(self) -> bool:
        """Open the field of the chat that the keyboard is on in the list; False where it is elsewhere."""
        return self._panel.list.hasFocus() and self._panel.list.rename_current()

    def set_collapsed(self, collapsed: bool) -> None:
        """Shrink to a rail of buttons, or show everything."""
        if collapsed == self._collapsed:
            return
        self.close_drawer()
        self._collapsed = collapsed
        self._panel.setVisible(not collapsed)
        self._rail.setVisible(collapsed)
        self.updateGeometry()
        self._place()

    def is_collapsed(self) -> bool:
        """Whether only the rail shows."""
        return self._collapsed

    def focus_search(self) -> None:
        """Put the cursor into the search field (for a shortcut of the window)."""
        if self._collapsed:
            self.open_drawer()
        self._panel.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._panel.search.selectAll()

    def open_drawer(self) -> None:
        """Lay the whole sidebar over the window, while it is collapsed."""
        if self._collapsed and self._drawer is None:
            self._drawer = Drawer(self.window(), self._panel, WIDTH)
            self._drawer.closed.connect(self.close_drawer)
            self._panel.list.setFocus(Qt.FocusReason.TabFocusReason)

    def close_drawer(self) -> None:
        """Take the laid-over sidebar away."""
        if self._drawer is not None:
            drawer, self._drawer = self._drawer, None
            focus = QApplication.focusWidget()
            had_focus = focus is not None and drawer.isAncestorOf(focus)
            drawer.release()
            self._panel.setParent(self)
            self._panel.setVisible(not self._collapsed)
            self._place()
            if had_focus:
                self.focus_released.emit()

    # --- Qt's side ----------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """As wide as the panel or the rail."""
        return QSize(RAIL if self._collapsed else WIDTH, 400)

    def minimumSizeHint(self) -> QSize:
        """The same width; the height gives way."""
        return QSize(self.sizeHint().width(), 200)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Panel and rail fill the height."""
        super().resizeEvent(event)
        self._place()

    def changeEvent(self, event: QEvent) -> None:
        """A window that comes back may come back on another day."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange:
            self._panel.refresh_dates()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The rail's surface; the panel paints its own."""
        paint_surface(self)

    # --- inside -------------------------------------------------------------------------------------

    def _build_rail(self) -> QWidget:
        rail = QWidget(self)
        column = QVBoxLayout(rail)
        column.setContentsMargins(0, 12, 1, 8)
        column.setSpacing(8)
        self._chats_button = icon_button("chats", "Show the chats", rail)
        self._chats_button.clicked.connect(self.open_drawer)
        new = icon_button("new_chat", "New chat", rail)
        new.clicked.connect(self.new_chat)
        for button in (self._chats_button, new):
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        return rail

    def _connect(self) -> None:
        panel, chats = self._panel, self._panel.list
        chats.opened.connect(self.opened)
        chats.settled.connect(self.close_drawer)
        chats.settled.connect(self.settled)
        chats.rename_requested.connect(self.rename_requested)
        chats.delete_requested.connect(self.delete_requested)
        chats.export_requested.connect(self.export_requested)
        panel.new_chat.connect(self._on_new_chat)
        panel.import_requested.connect(self.import_requested)
        panel.export_all_requested.connect(self.export_all_requested)
        panel.filter_changed.connect(self.filter_changed)
        panel.theme_chosen.connect(self.theme_chosen)
        panel.saved_settings.connect(self.saved_settings)
        panel.backups_requested.connect(self.backups_requested)
        panel.models_requested.connect(self.models_requested)
        panel.help_requested.connect(self.help_requested)
        panel.keys_requested.connect(self.keys_requested)
        theme.notifier().changed.connect(self.update)

    def _on_new_chat(self) -> None:
        self.close_drawer()
        self.new_chat.emit()

    def _place(self) -> None:
        if self._drawer is None:
            self._panel.setGeometry(0, 0, WIDTH, self.height())
        self._rail.setGeometry(0, 0, RAIL, self.height())
