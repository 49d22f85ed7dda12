"""The conversations as rows of a list: headings by date with the chats under them, filtered by title and text."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.gui.sidebar.item import SidebarItem, group_name, grouped

Index = QModelIndex | QPersistentModelIndex

ITEM_ROLE: Final = Qt.ItemDataRole.UserRole
"""The SidebarItem of a row; None for a heading."""
HEADING_ROLE: Final = Qt.ItemDataRole.UserRole + 1
"""The words of a heading; None for a conversation."""

_ITEM_FLAGS: Final = (
    Qt.ItemFlag.ItemIsEnabled
    | Qt.ItemFlag.ItemIsSelectable
    | Qt.ItemFlag.ItemIsEditable
    | Qt.ItemFlag.ItemNeverHasChildren
)


class ConversationModel(QAbstractListModel):
    """Headings and conversations, newest first."""

    renamed = Signal(str, str)
    """The person typed another title in place: id, title."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._items: dict[str, SidebarItem] = {}
        self._rows: list[SidebarItem | str] = []
        self._row_of: dict[str, int] = {}
        self._filter = ""
        self._found: Mapping[str, str] = {}
        """What the texts of chats say around the words of the filter, by id."""
        self._today = date.today()
        self._held = False
        self._stale = False

    # --- what is shown ----------------------------------------------------------------------------

    def set_items(self, items: Sequence[SidebarItem]) -> None:
        """Show these conversations and no others."""
        self._items = {item.id: item for item in items}
        self._rebuild()

    def update_item(self, item: SidebarItem) -> None:
        """Show one conversation anew; rows move only if its place among them or under the filter changed."""
        self._items[item.id] = item
        row = self._row_of.get(item.id)
        shown = self._matches(item)
        if row is None and not shown:
            return
        if row is not None and shown:
            before = self._rows[row]
            assert isinstance(before, SidebarItem)
            if before == item:
                return
            if before.updated == item.updated or self._may_stay(row, item):
                self._rows[row] = item
                index = self.index(row)
                self.dataChanged.emit(index, index, [Qt.ItemDataRole.DisplayRole, ITEM_ROLE])
                return
        self._rebuild()

    def update_states(self, items: Sequence[SidebarItem]) -> None:
        """Show some conversations with other states; no row moves, and the view is told once."""
        changed = []
        for item in items:
            self._items[item.id] = item
            row = self._row_of.get(item.id)
            if row is not None:
                self._rows[row] = item
                changed.append(row)
        if changed:
            roles = [Qt.ItemDataRole.DisplayRole, ITEM_ROLE]
            self.dataChanged.emit(self.index(min(changed)), self.index(max(changed)), roles)

    def remove_item(self, conversation: str) -> None:
        """Show one conversation no more."""
        if self._items.pop(conversation, None) is not None and conversation in self._row_of:
            self._rebuild()

    def set_filter(self, text: str) -> None:
        """Show only conversations whose title holds `text`, whatever the case, and those found; "" shows all."""
        wanted = " ".join(text.split()).casefold()
        if wanted != self._filter:
            if not self._filter or not wanted.startswith(self._filter):
                self._found = {}  # with more letters most of them stay, and need not go for a moment
            self._filter = wanted
            self._rebuild()

    def set_found(self, found: Mapping[str, str]) -> None:
        """Show these too, each with the piece of its text that holds the words of the filter."""
        if self._filter and found != self._found:
            self._found = found
            self._rebuild()

    def found(self, conversation: str) -> str | None:
        """The piece of its text for which a conversation is shown; None where it is shown for its title, or not."""
        item = self._items.get(conversation)
        return self._found.get(conversation) if item is not None and self._filter not in item.title.casefold() else None

    def set_today(self, today: date) -> None:
        """Group anew when the day has changed."""
        if today != self._today:
            self._today = today
            self._rebuild()

    def hold(self, held: bool) -> None:
        """Keep every row where it is while a title is edited in place; what changed meanwhile shows after."""
        self._held = held
        if not held and self._stale:
            self._rebuild()

    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return bool(self._filter)

    def item_count(self) -> int:
        """How many conversations there are, shown or not."""
        return len(self._items)

    def item(self, conversation: str) -> SidebarItem | None:
        """The conversation with that id, shown or not."""
        return self._items.get(conversation)

    def item_at(self, row: int) -> SidebarItem | None:
        """The conversation in a row; None for a heading."""
        entry = self._rows[row]
        return entry if isinstance(entry, SidebarItem) else None

    def heading_at(self, row: int) -> str | None:
        """The heading in a row; None for a conversation."""
        entry = self._rows[row]
        return entry if isinstance(entry, str) else None

    def index_of(self, conversation: str | None) -> QModelIndex:
        """Where a conversation stands; an invalid index if it is not shown."""
        row = self._row_of.get(conversation) if conversation is not None else None
        return self.index(row) if row is not None else QModelIndex()

    def words_at(self, row: int) -> str:
        """The line under the title in a row; empty for a heading."""
        item = self.item_at(row)
        if item is None:
            return ""
        found = self.found(item.id)
        return found if found is not None else item.words(self._today)

    def first(self) -> QModelIndex:
        """The first conversation shown; an invalid index if there is none."""
        return self.index(1) if len(self._rows) > 1 else QModelIndex()

    # --- Qt's side ----------------------------------------------------------------------------------

    def rowCount(self, parent: Index | None = None) -> int:
        """Headings and conversations together."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Headings can be neither chosen nor reached by the keyboard."""
        if index.isValid() and isinstance(self._rows[index.row()], SidebarItem):
            return _ITEM_FLAGS
        return Qt.ItemFlag.ItemNeverHasChildren

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A row's title, its words for a screen reader, or the item itself."""
        if not index.isValid():
            return None
        entry = self._rows[index.row()]
        if isinstance(entry, str):
            # No display text: typing "to" looks for a chat, never for "Today".
            return entry if role in (HEADING_ROLE, Qt.ItemDataRole.AccessibleTextRole) else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return entry.title
        if role == ITEM_ROLE:
            return entry
        if role == Qt.ItemDataRole.AccessibleTextRole:
            found = self.found(entry.id)
            return f"{entry.title}, {found}" if found is not None else entry.spoken(self._today)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Report a title typed in place; an empty or unchanged one is no change."""
        entry = self._rows[index.row()] if index.isValid() else None
        if not isinstance(entry, SidebarItem) or role != Qt.ItemDataRole.EditRole:
            return False
        title = " ".join(str(value).split())
        if not title or title == entry.title:
            return False
        self.renamed.emit(entry.id, title)
        return True

    # --- inside ---------------------------------------------------------------------------------------

    def _matches(self, item: SidebarItem) -> bool:
        return not self._filter or self._filter in item.title.casefold() or item.id in self._found

    def _may_stay(self, row: int, item: SidebarItem) -> bool:
        """Whether a row would stand where it is with this item's time."""
        before = self._rows[row]
        assert isinstance(before, SidebarItem)
        if group_name(before.updated, self._today) != group_name(item.updated, self._today):
            return False
        above, below = self._rows[row - 1], self._rows[row + 1] if row + 1 < len(self._rows) else ""
        return (not isinstance(above, SidebarItem) or above.updated > item.updated) and (
            not isinstance(below, SidebarItem) or below.updated < item.updated
        )

    def _rebuild(self) -> None:
        self._stale = self._held
        if self._held:
            return
        rows: list[SidebarItem | str] = []
        row_of: dict[str, int] = {}
        for name, members in grouped(filter(self._matches, self._items.values()), self._today):
            rows.append(name)
            for item in members:
                row_of[item.id] = len(rows)
                rows.append(item)
        self.beginResetModel()
        self._rows, self._row_of = rows, row_of
        self.endResetModel()
