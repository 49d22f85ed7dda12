"""The slider of the budget: logarithmic, with a mark where the saved state is now."""

import math
from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider, QWidget

from app.core.units import format_bytes
from app.gui import theme

SMALLEST: Final = 256 * 1024**2
"""Bytes; a smaller budget would hold hardly any chat."""
STEPS: Final = 1000


class BudgetSlider(QSlider):
    """Chooses a number of bytes between `SMALLEST` and `largest`."""

    chosen = Signal(float)
    """Bytes, moved there by the person; Qt's whole numbers end at 2 GiB."""

    def __init__(self, parent: QWidget) -> None:
        """A slider up to twice the smallest, until more is known."""
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._largest = 2 * SMALLEST
        self._used = 0
        self._bytes = SMALLEST
        self.setRange(0, STEPS)
        self.setSingleStep(STEPS // 100)
        self.setPageStep(STEPS // 10)
        self.setMinimumWidth(120)
        self.setMinimumHeight(32)
        self.valueChanged.connect(self._moved)
        theme.notifier().changed.connect(self.update)

    def set_scale(self, largest: int, used: int) -> None:
        """Reach up to `largest` bytes, and mark the `used` ones."""
        self._largest, self._used = max(largest, 2 * SMALLEST), used
        self.set_bytes(self._bytes)
        self.update()

    def set_bytes(self, size: int) -> None:
        """Stand at a number of bytes, without saying so."""
        self._bytes = size
        self.blockSignals(True)
        self.setValue(self._place(size))
        self.blockSignals(False)
        self.setAccessibleDescription(f"{format_bytes(size)}; {format_bytes(self._used)} are used now.")
        self.update()

    def bytes_at(self, place: int) -> int:
        """The bytes of a place on the slider."""
        return round(SMALLEST * math.pow(self._largest / SMALLEST, place / STEPS))

    def _place(self, size: int) -> int:
        if size <= SMALLEST:
            return 0
        return min(STEPS, round(STEPS * math.log(size / SMALLEST) / math.log(self._largest / SMALLEST)))

    def _moved(self, place: int) -> None:
        self._bytes = self.bytes_at(place)
        self.setAccessibleDescription(f"{format_bytes(self._bytes)}; {format_bytes(self._used)} are used now.")
        self.chosen.emit(self._bytes)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The track, what is used of it, the mark where that ends, and the handle."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        part = QStyle.SubControl
        handle = QRectF(
            self.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part.SC_SliderHandle, self)
        )
        middle, inset = self.height() / 2, handle.width() / 2
        wide = self.width() - handle.width()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("track"))
        painter.drawRoundedRect(QRectF(inset, middle - 3, wide, 6), 3, 3)
        if self._used > SMALLEST:
            mark = inset + wide * self._place(self._used) / STEPS
            painter.setBrush(theme.color("kv_used"))
            painter.drawRoundedRect(QRectF(inset, middle - 3, mark - inset, 6), 3, 3)
            painter.drawRoundedRect(QRectF(mark - 1, middle - 9, 2, 18), 1, 1)
        painter.setBrush(theme.color("card"))
        painter.setPen(QPen(theme.color("focus" if self.hasFocus() else "text_faint"), 2 if self.hasFocus() else 1))
        painter.drawEllipse(QPointF(handle.center().x(), middle), 8, 8)
        painter.end()
