"""The tables of the cache page: what each chat, and each model, has of the saved state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractTableModel,
    QDateTime,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from app.core.units import format_bytes, format_count

LONGEST_TITLE: Final = 200
"""Characters; a title may be as long as it likes, a row may not."""
Index = QModelIndex | QPersistentModelIndex
Role = Qt.ItemDataRole


@dataclass(frozen=True, slots=True)
class Share:
    """What a chat or a model has of the saved state."""

    key: str
    """The chat's id, or the model's file."""
    title: str
    own: int
    """Bytes that nothing else needs."""
    shared: int = 0
    tokens: int = 0
    used: float = 0.0
    """Unix time; 0 where it is not known."""
    is_pinned: bool = False
    is_never: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its header, what it is sorted by, and its words, or (`mark`) its tick."""

    name: str
    about: str
    value: Callable[[Share], Any]
    widest: str
    """What needs as much room as any cell."""
    words: Callable[[Share], str] = lambda _share: ""
    mark: str = ""
    """What a tick chooses: `pin` or `never`."""
    is_spare: bool = False
    """Left out where the table is narrow."""


def _size(size: int) -> str:
    return format_bytes(size) if size else "–"


def _day(at: float) -> str:
    return QLocale().toString(QDateTime.fromSecsSinceEpoch(round(at)).date(), "d MMM yyyy") if at else ""


def _title(name: str, about: str) -> Column:
    return Column(name, about, lambda share: share.title.casefold(), "", lambda share: share.title)


_TOKENS: Final = Column(
    "Tokens",
    "How many tokens need not be read again.",
    lambda share: share.tokens,
    "888,888",
    lambda share: format_count(share.tokens) if share.tokens else "–",
    is_spare=True,
)
CHATS: Final = (
    _title("Chat", "The chat's title."),
    Column(
        "Own", "What only this chat needs: clearing it frees this.", lambda s: s.own, "1000 MiB", lambda s: _size(s.own)
    ),
    Column(
        "Shared",
        "What other chats use as well.",
        lambda s: s.shared,
        "1000 MiB",
        lambda s: _size(s.shared),
        is_spare=True,
    ),
    _TOKENS,
    Column(
        "Last used",
        "When the chat was last used.",
        lambda s: s.used,
        "28 Nov 2028",
        lambda s: _day(s.used),
        is_spare=True,
    ),
    Column("Pinned", "A pinned chat's saved state stays, whatever the budget.", lambda s: s.is_pinned, "", mark="pin"),
    Column("Never save", "This chat's state is never saved.", lambda s: s.is_never, "", mark="never"),
)
MODELS: Final = (
    _title("Model", "The model that the state was saved for."),
    Column("Saved", "What is saved for this model.", lambda s: s.own, "1000 MiB", lambda s: _size(s.own)),
    _TOKENS,
)
SIZE: Final = 1
"""The column that a table is sorted by at first."""


class SharesModel(QAbstractTableModel):
    """Rows of shares in sorted order; ticking a cell is a wish, the next rows say whether it was fulfilled."""

    ticked = Signal(str, str, bool)
    """(what a tick chooses, the row's key, chosen)."""

    def __init__(self, columns: Sequence[Column], parent: QObject | None = None) -> None:
        """Without rows, the largest first."""
        super().__init__(parent)
        self.columns = columns
        self._given: Sequence[Share] = ()
        self._rows: list[Share] = []
        self._sorted_by, self._order = SIZE, Qt.SortOrder.DescendingOrder

    # --- rows --------------------------------------------------------------------------------------------------------

    def show(self, rows: Sequence[Share]) -> None:
        """Show these rows; where only figures changed, the view keeps its place."""
        self._given = rows
        arranged = self._arranged(rows)
        if [row.key for row in arranged] == [row.key for row in self._rows]:
            if arranged != self._rows:
                self._rows = arranged
                self.dataChanged.emit(self.index(0, 0), self.index(len(arranged) - 1, len(self.columns) - 1))
            return
        self.beginResetModel()
        self._rows = arranged
        self.endResetModel()

    def share(self, row: int) -> Share | None:
        """The share in a row."""
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def row_of(self, key: str) -> int:
        """The row of a key; -1 where there is none."""
        return next((number for number, row in enumerate(self._rows) if row.key == key), -1)

    def _arranged(self, rows: Sequence[Share]) -> list[Share]:
        """In order; equal ones as they came, so that nothing jumps."""
        value = self.columns[self._sorted_by].value
        return sorted(rows, key=value, reverse=self._order == Qt.SortOrder.DescendingOrder)

    # --- Qt ----------------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """How many rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """How many columns."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """Words, ticks and alignment of a cell."""
        share, column = self._rows[index.row()], self.columns[index.column()]
        if role == Role.DisplayRole:
            return column.words(share)
        if role == Role.CheckStateRole and column.mark:
            return Qt.CheckState.Checked if column.value(share) else Qt.CheckState.Unchecked
        if role == Role.AccessibleTextRole:
            words = column.words(share) if not column.mark else ("yes" if column.value(share) else "no")
            return words if index.column() == 0 else f"{column.name}: {words}"
        if role == Role.TextAlignmentRole and not column.mark and index.column():
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def setData(self, index: Index, value: Any, role: int = Role.EditRole) -> bool:
        """A tick is asked for, not taken."""
        column = self.columns[index.column()]
        if role == Role.CheckStateRole and column.mark:
            self.ticked.emit(column.mark, self._rows[index.row()].key, Qt.CheckState(value) == Qt.CheckState.Checked)
        return False

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Cells with a tick can be ticked."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if self.columns[index.column()].mark else flags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """The columns' names, and what they say."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Role.DisplayRole:
                return self.columns[section].name
            if role == Role.ToolTipRole:
                return self.columns[section].about
            if role == Role.TextAlignmentRole:
                right = section > 0 and not self.columns[section].mark
                side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self._sorted_by, self._order = column, order
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        keys = [self._rows[index.row()].key for index in before]
        self._rows = self._arranged(self._given)
        places = {row.key: number for number, row in enumerate(self._rows)} if keys else {}
        after = [self.index(places[key], index.column()) for key, index in zip(keys, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()


def clean_title(title: str) -> str:
    """A title as a cell shows it: one line, not endless."""
    return " ".join(title[:LONGEST_TITLE].split())
