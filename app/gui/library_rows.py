"""The list that the library's pages share: rows of a title and a few lines, painted by one delegate."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QPainter, QPen, QResizeEvent, QTextLayout, QTextOption
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.gui import theme
from app.gui.sidebar.delegate import paint_dot

Index = QModelIndex | QPersistentModelIndex

TONES: Final = {"": "text", "soft": "text_soft", "faint": "text_faint", "warning": "warning", "danger": "danger"}
_NOWHERE: Final = QModelIndex()
_PADDING: Final = 10
_LEFT: Final = 26
_RIGHT: Final = 14
_DOT: Final = 14
_GAP: Final = 3
_BAR: Final = 6
_BAR_GAP: Final = 7
_NARROWEST: Final = 120
_MOST_HEIGHTS: Final = 5000


@dataclass(frozen=True, slots=True)
class Row:
    """What one row shows."""

    key: str
    title: str
    aside: str = ""
    """A few words at the right of the title."""
    lines: tuple[tuple[str, str], ...] = ()
    """Words with their tone; each wraps."""
    progress: float | None = None
    """0 to 1, as a bar under the lines."""
    is_alive: bool = False
    """The filled dot: the model is in memory, the download runs."""

    @property
    def spoken(self) -> str:
        """All of it for a screen reader."""
        parts = [self.title, self.aside, *(words for words, _tone in self.lines)]
        return ". ".join(part.rstrip(".") for part in parts if part)


class RowsModel(QAbstractListModel):
    """Rows in the order given."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; where they are the same ones in the same order only what differs is painted anew."""
        if [row.key for row in rows] != [row.key for row in self._rows]:
            self.beginResetModel()
            self._rows = tuple(rows)
            self.endResetModel()
            return
        before, self._rows = self._rows, tuple(rows)
        for number, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if old != new:
                self.dataChanged.emit(self.index(number), self.index(number))

    def row_at(self, index: Index) -> Row | None:
        """The row at a place; None where there is none."""
        return self._rows[index.row()] if index.isValid() and index.row() < len(self._rows) else None

    def index_of(self, key: str) -> QModelIndex:
        """The place of a row; an invalid one where it is not shown."""
        for number, row in enumerate(self._rows):
            if row.key == key:
                return self.index(number)
        return QModelIndex()

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        """How many there are."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The title, and everything in words for a screen reader."""
        row = self.row_at(index)
        if row is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        return row.spoken if role == Qt.ItemDataRole.AccessibleTextRole else None


class RowsDelegate(QStyledItemDelegate):
    """Paints the rows; their heights follow the fonts, the words and the width."""

    def __init__(self, parent: QObject, *, has_dots: bool = True) -> None:
        """With `has_dots` the words leave room for a dot before the title."""
        super().__init__(parent)
        self._left = _LEFT if has_dots else _RIGHT
        self._strong, self._small = theme.font("strong"), theme.font("small")
        self._strong_metrics, self._small_metrics = QFontMetrics(self._strong), QFontMetrics(self._small)
        self._heights: dict[tuple[str, int], int] = {}

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """As high as the words need at the list's width."""
        row = _row(index)
        view = option.widget
        width = view.viewport().width() if isinstance(view, QListView) else option.rect.width()
        height = 2 * _PADDING + self._strong_metrics.height()
        height += sum(_GAP + self._height(words, width - self._left - _RIGHT) for words, _tone in row.lines)
        if row.progress is not None:
            height += _BAR_GAP + _BAR
        return QSize(_NARROWEST, height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one row."""
        row = _row(index)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_ground(painter, option)
        inner = option.rect.adjusted(self._left, _PADDING, -_RIGHT, -_PADDING)
        if row.is_alive:
            middle = inner.top() + self._strong_metrics.height() / 2
            paint_dot(painter, "memory", option.rect.left() + _DOT, middle)
        top = self._paint_title(painter, inner, row)
        painter.setFont(self._small)
        for words, tone in row.lines:
            top += _GAP
            height = self._height(words, inner.width())
            painter.setPen(theme.color(TONES[tone]))
            painter.drawText(QRectF(inner.left(), top, inner.width(), height), words, _wrapping())
            top += height
        if row.progress is not None:
            _paint_bar(painter, QRectF(inner.left(), top + _BAR_GAP, inner.width(), _BAR), row)
        painter.restore()

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        state = option.state
        chosen, hovered = state & QStyle.StateFlag.State_Selected, state & QStyle.StateFlag.State_MouseOver
        rect = QRectF(option.rect).adjusted(1, 1, -1, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        if chosen or hovered:
            painter.setBrush(theme.color("card" if chosen else "hover"))
            painter.drawRoundedRect(rect, 10, 10)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        by_keyboard = QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_KeyboardFocusChange
        if state & by_keyboard == by_keyboard:
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 9, 9)
        elif chosen:
            painter.setPen(QPen(theme.color("border"), 1))
            painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)

    def _paint_title(self, painter: QPainter, inner: QRect, row: Row) -> int:
        """Title and aside in one line; where the next one begins."""
        height = self._strong_metrics.height()
        aside = self._small_metrics.horizontalAdvance(row.aside) + 12 if row.aside else 0
        painter.setFont(self._strong)
        painter.setPen(theme.color("text"))
        room = max(0, inner.width() - aside)
        words = self._strong_metrics.elidedText(row.title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRect(inner.left(), inner.top(), room, height), Qt.AlignmentFlag.AlignVCenter, words)
        painter.setFont(self._small)
        painter.setPen(theme.color("text_soft"))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.drawText(QRect(inner.left(), inner.top(), inner.width(), height), flags, row.aside)
        return inner.top() + height

    def _height(self, words: str, width: int) -> int:
        width = max(width, _NARROWEST)
        known = self._heights.get((words, width))
        if known is None:
            if len(self._heights) > _MOST_HEIGHTS:
                self._heights.clear()
            known = _height_of(words, self._small, width)
            self._heights[words, width] = known
        return known


def _wrapping() -> QTextOption:
    """Between words, and within one that is longer than the line, such as a file's name."""
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    return option


def _height_of(words: str, font: QFont, width: int) -> int:
    """The height of words that wrap at a width, in pixels."""
    layout = QTextLayout(words, font)
    layout.setTextOption(_wrapping())
    layout.beginLayout()
    height = 0.0
    while (line := layout.createLine()).isValid():
        line.setLineWidth(width)
        height += line.height()
    layout.endLayout()
    return math.ceil(height)


def _row(index: Index) -> Row:
    model = index.model()
    assert isinstance(model, RowsModel)
    row = model.row_at(index)
    assert row is not None
    return row


def _paint_bar(painter: QPainter, rect: QRectF, row: Row) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("track"))
    painter.drawRoundedRect(rect, _BAR / 2, _BAR / 2)
    done = rect.width() * min(1.0, max(0.0, row.progress or 0.0))
    if done > 0:
        painter.setBrush(theme.color("accent" if row.is_alive else "accent_soft"))
        painter.drawRoundedRect(QRectF(rect.left(), rect.top(), max(done, _BAR), _BAR), _BAR / 2, _BAR / 2)


class RowsView(QListView):
    """The list; Enter and a double click act on a row, Delete removes it."""

    chosen = Signal()
    """Another row is chosen, or the same one shows something else."""
    acted = Signal(str)
    """The key of a row that was double-clicked, or on which Enter was pressed."""
    remove_wanted = Signal()
    looked = Signal()
    """Other rows may be in sight."""

    def __init__(self, name: str, parent: QWidget, *, has_dots: bool = True) -> None:
        """A list that a screen reader calls `name`; without `has_dots` no row of it is ever alive."""
        super().__init__(parent)
        self.rows = RowsModel(self)
        self.setModel(self.rows)
        self.setItemDelegate(RowsDelegate(self, has_dots=has_dots))
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMouseTracking(True)
        self.viewport().setAutoFillBackground(False)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit())
        self.rows.dataChanged.connect(lambda *_: self.scheduleDelayedItemsLayout())  # words may wrap otherwise now
        self.verticalScrollBar().valueChanged.connect(lambda _: self.looked.emit())
        self.doubleClicked.connect(lambda index: self._act(index))
        theme.notifier().changed.connect(self.viewport().update)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these; what was chosen stays chosen, and what was in sight too."""
        before, top = self.chosen_key(), self.verticalScrollBar().value()
        self.rows.show(rows)
        index = self.rows.index_of(before)
        if index.isValid() and index != self.currentIndex():
            self.setCurrentIndex(index)
            self.doItemsLayout()
            self.verticalScrollBar().setValue(top)
        self.chosen.emit()
        self.looked.emit()

    def chosen_key(self) -> str:
        """The key of the chosen row; empty where none is."""
        indexes = self.selectionModel().selectedIndexes()
        row = self.rows.row_at(indexes[0]) if indexes else None
        return row.key if row is not None else ""

    def choose(self, key: str) -> None:
        """Choose a row and bring it into sight; nothing happens where it is not shown."""
        index = self.rows.index_of(key)
        if index.isValid():
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def keys_in_sight(self) -> Iterator[str]:
        """The keys of the rows that can be seen, from the top."""
        area = self.viewport().rect()
        index = self.indexAt(area.topLeft())
        while index.isValid() and self.visualRect(index).intersects(area):
            row = self.rows.row_at(index)
            if row is not None:
                yield row.key
            index = index.siblingAtRow(index.row() + 1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and Delete; the rest is the list's."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._act(self.currentIndex())
        elif event.key() == Qt.Key.Key_Delete:
            self.remove_wanted.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More rows, or fewer, are in sight, and they may be higher or lower."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.scheduleDelayedItemsLayout()  # words wrap otherwise; Qt itself looks at the height only
        self.looked.emit()

    def _act(self, index: Index) -> None:
        row = self.rows.row_at(index)
        if row is not None:
            self.acted.emit(row.key)
