"""A layout for a row of buttons that goes on in the next line where it does not fit."""

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QWidget


class FlowLayout(QLayout):
    """Places its widgets from the left, line by line."""

    def __init__(self, parent: QWidget | None = None, *, is_centred: bool = False, spacing: int = 8) -> None:
        """`spacing` pixels stand between widgets and between lines; `is_centred`: lines stand in the middle."""
        super().__init__(parent)
        self._is_centred = is_centred
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem) -> None:
        """Take one more."""
        self._items.append(item)

    def count(self) -> int:
        """How many there are."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """One of them; None where there is none."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Give one back."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        """It takes no more room than it needs."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        """A narrow one needs more lines."""
        return True

    def heightForWidth(self, width: int) -> int:
        """The height of the lines at a width."""
        return self._place(QRect(0, 0, width, 0), apply=False)

    def sizeHint(self) -> QSize:
        """All in one line."""
        shown = [item.sizeHint() for item in self._items if not item.isEmpty()]
        width = sum(size.width() for size in shown) + self.spacing() * max(0, len(shown) - 1)
        return QSize(width, max((size.height() for size in shown), default=0))

    def minimumSize(self) -> QSize:
        """The widest of them."""
        size = QSize()
        for item in self._items:
            if not item.isEmpty():
                size = size.expandedTo(item.minimumSize())
        return size

    def setGeometry(self, rect: QRect) -> None:
        """Place them within a rectangle."""
        super().setGeometry(rect)
        self._place(rect, apply=True)

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        """The widgets that are shown, line by line."""
        lines: list[list[QLayoutItem]] = []
        room = 0
        for item in self._items:
            if item.isEmpty():
                continue
            wide = item.sizeHint().width()
            if not lines or wide > room:
                lines.append([])
                room = width
            lines[-1].append(item)
            room -= wide + self.spacing()
        return lines

    def _place(self, rect: QRect, *, apply: bool) -> int:
        """Place the widgets, or only find out how high that would be."""
        y = rect.y()
        lines = self._lines(rect.width())
        for line in lines:
            sizes = [item.sizeHint() for item in line]
            spare = rect.width() - sum(size.width() for size in sizes) - self.spacing() * (len(line) - 1)
            x = rect.x() + (max(0, spare) // 2 if self._is_centred else 0)
            for item, size in zip(line, sizes, strict=True):
                if apply:
                    item.setGeometry(QRect(QPoint(x, y), QSize(min(size.width(), rect.width()), size.height())))
                x += size.width() + self.spacing()
            y += max(size.height() for size in sizes) + self.spacing()
        return y - rect.y() - (self.spacing() if lines else 0)
