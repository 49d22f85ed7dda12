"""How a conversation is painted in the list, and edited in place."""

from typing import Final

from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.gui import theme
from app.gui.sidebar.item import SidebarItem, State
from app.gui.sidebar.model import ConversationModel

Index = QModelIndex | QPersistentModelIndex

HEADING_HEIGHT: Final = 32
_TEXT_LEFT: Final = 30
_DOT_CENTRE: Final = 15
_DOT_RADIUS: Final = 4.0
_GAP: Final = 2
_PADDING: Final = 7


def paint_dot(painter: QPainter, state: State, x: float, y: float) -> None:
    """Paint a state's sign around (x, y): filled in memory, half on disk, a ring while it waits; else nothing."""
    if state == "unsaved":
        return
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    colour = theme.color("accent")
    box = QRectF(x - _DOT_RADIUS, y - _DOT_RADIUS, 2 * _DOT_RADIUS, 2 * _DOT_RADIUS)
    if state in ("memory", "writing"):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(box)
    else:
        painter.setPen(QPen(colour, 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        inner = box.adjusted(0.7, 0.7, -0.7, -0.7)
        painter.drawEllipse(inner)
        if state == "saved":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawPie(inner, -90 * 16, 180 * 16)
    painter.restore()


class ConversationDelegate(QStyledItemDelegate):
    """Paints headings and conversations; the rows' heights follow the fonts."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.marked: str | None = None
        """The conversation whose context menu is open; it shows as if under the pointer."""
        self.measure()

    def measure(self) -> None:
        """Take the fonts' sizes anew; sizeHint is asked for every row, so it only hands out what is here."""
        self._title, self._title_strong = theme.font("body"), theme.font("strong")
        self._small, self._caption = theme.font("small"), theme.font("caption")
        title, small = QFontMetrics(self._title).height(), QFontMetrics(self._small).height()
        self._title_height, self._small_height = title, small
        self._item_size = QSize(120, 2 * _PADDING + title + _GAP + small)
        self._heading_size = QSize(120, max(HEADING_HEIGHT, QFontMetrics(self._caption).height() + 18))

    def sizeHint(self, _option: QStyleOptionViewItem, index: Index) -> QSize:
        """A heading's or a conversation's size."""
        model = index.model()
        assert isinstance(model, ConversationModel)
        return self._heading_size if model.heading_at(index.row()) is not None else self._item_size

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one row."""
        model = index.model()
        assert isinstance(model, ConversationModel)
        painter.save()
        item = model.item_at(index.row())
        if item is None:
            self._paint_heading(painter, option.rect, model.heading_at(index.row()) or "")
        else:
            self._paint_item(painter, option, item, model.words_at(index.row()))
        painter.restore()

    def title_rect(self, row: QRect) -> QRect:
        """Where the title stands within a row; the editor takes its place."""
        return QRect(row.left() + _TEXT_LEFT, row.top() + _PADDING, row.width() - _TEXT_LEFT - 12, self._title_height)

    def _paint_heading(self, painter: QPainter, rect: QRect, words: str) -> None:
        painter.setFont(self._caption)
        painter.setPen(theme.color("text_faint"))
        where = rect.adjusted(2, 0, -8, -6)
        painter.drawText(where, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, words.upper())

    def _paint_item(self, painter: QPainter, option: QStyleOptionViewItem, item: SidebarItem, words: str) -> None:
        state = option.state
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver) or item.id == self.marked
        rect = QRectF(option.rect).adjusted(1, 1, -1, -1)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if chosen or hovered:
            painter.setBrush(theme.color("card" if chosen else "hover"))
            painter.drawRoundedRect(rect, 10, 10)
        if chosen and theme.current() in theme.HIGH_CONTRAST:
            painter.setPen(QPen(theme.color("border"), 1))
            painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)
        by_keyboard = QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_KeyboardFocusChange
        if state & by_keyboard == by_keyboard:
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 9, 9)
        paint_dot(painter, item.state, option.rect.left() + _DOT_CENTRE, option.rect.center().y() + 1)
        self._paint_words(painter, self.title_rect(option.rect), item.title, words, chosen)

    def _paint_words(self, painter: QPainter, line: QRect, title: str, words: str, chosen: bool) -> None:
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine
        right = Qt.TextElideMode.ElideRight
        font = self._title_strong if chosen else self._title
        painter.setFont(font)
        painter.setPen(theme.color("text"))
        painter.drawText(line, flags, QFontMetrics(font).elidedText(title, right, line.width()))
        below = QRect(line.left(), line.bottom() + 1 + _GAP, line.width(), self._small_height)
        painter.setFont(self._small)
        painter.setPen(theme.color("text_faint"))
        painter.drawText(below, flags, QFontMetrics(self._small).elidedText(words, right, below.width()))

    # --- editing in place -----------------------------------------------------------------------------

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A line for the title; until it closes no row changes its place."""
        model = index.model()
        assert isinstance(model, ConversationModel)
        model.hold(True)
        editor = QLineEdit(parent)
        editor.setProperty("kind", "in_place")
        editor.setMaxLength(200)
        editor.setAccessibleName("New title")
        editor.setFont(self._title)
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Start from the title as it is."""
        assert isinstance(editor, QLineEdit)
        editor.setText(str(index.data(Qt.ItemDataRole.EditRole)))
        editor.selectAll()

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Hand the typed title over."""
        assert isinstance(editor, QLineEdit)
        model.setData(index, editor.text(), Qt.ItemDataRole.EditRole)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: Index) -> None:
        """Over the whole row but its dot."""
        editor.setGeometry(option.rect.adjusted(_TEXT_LEFT - 8, 6, -6, -6))
