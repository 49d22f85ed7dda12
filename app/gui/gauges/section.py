"""A part of the card: one gauge at large, its last ten minutes as stacked areas, and its figures in rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Final

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.history import SECONDS, Sample
from app.core.units import format_bytes, format_count
from app.gui import theme
from app.gui.gauges.bar import BAR, paint_bar
from app.gui.gauges.reading import Reading

WIDTH: Final = 348
"""Pixels, with text of the usual size."""
CHART: Final = 72
LOW_CHART: Final = 40
"""Height of the areas in pixels: of one gauge alone, and of several."""
NOTHING: Final = "Nothing was measured in the last ten minutes."
_GAP_SECONDS: Final = 5
"""Samples further apart belong to different areas: in between nothing was measured."""
_LEAST: Final = 2.0
"""Pixels that a single sample is wide."""
_SWATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Record:
    """A gauge with what it showed: samples of the parts that have these roles, the oldest first."""

    reading: Reading
    roles: tuple[str, ...]
    samples: Sequence[Sample]
    limit: int = 0
    """The top of the chart, in tokens; 0: as much as the largest sample, which is in bytes, needs."""

    @property
    def peak(self) -> int:
        """The most that all parts together were."""
        return max((sum(sample.values) for sample in self.samples), default=0)

    @property
    def top(self) -> int:
        """What the upper edge of the chart stands for: the limit, or the next power of two."""
        return self.limit or max(1024, 1 << (self.peak - 1).bit_length() if self.peak else 0)

    def words(self, value: int) -> str:
        """A value in the unit of the chart."""
        return f"{format_count(value)} tokens" if self.limit else format_bytes(value)


class SectionView(QWidget):
    """Paints a record; all that it shows is in its accessible description too."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._record = Record(Reading(("",)), (), ())
        self._chart_height = CHART
        self._bold, self._small, self._tiny = theme.font("small_strong"), theme.font("small"), theme.font("tiny")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_record(self, record: Record, chart_height: int = CHART) -> None:
        """Show a record; nothing happens if it is the same."""
        if (record, chart_height) == (self._record, self._chart_height):
            return
        self._record, self._chart_height = record, chart_height
        reading = record.reading
        self.setAccessibleName(" · ".join(filter(None, (reading.names[0], reading.device, *reading.figures[:1]))))
        rows_words = ", ".join(f"{part.name} {part.words}" for part in reading.segments)
        self.setAccessibleDescription(". ".join(filter(None, (rows_words, self._peak_words()))))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Head, bar, chart, one row for each part."""
        chart = self._chart_top() + self._chart_height
        return QSize(theme.scaled(WIDTH), chart + self._line(self._tiny) + 10 + self._rows_height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """All of it, from top to bottom."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        reading = self._record.reading
        head = QRectF(0, 0, self.width(), self._line(self._bold))
        self._write(painter, self._bold, head, reading.names[0], "text")
        figure = reading.figures[0] if reading.figures else ""
        self._write(painter, self._small, head, figure, reading.tone or "text", right=True)
        self._write_device(painter, head, figure)
        paint_bar(painter, QRectF(0, head.bottom() + 5, self.width(), BAR), replace(reading, tone=""))
        chart = QRectF(0, self._chart_top(), self.width(), self._chart_height)
        self._paint_chart(painter, chart)
        self._write_captions(painter, chart)
        self._paint_rows(painter, chart.bottom() + self._line(self._tiny) + 10)
        painter.end()

    # --- the parts ---------------------------------------------------------------------------------------------------

    def _write_device(self, painter: QPainter, head: QRectF, figure: str) -> None:
        """Whose memory it is, between name and figure, as far as it fits."""
        left = QFontMetrics(self._bold).horizontalAdvance(self._record.reading.names[0]) + 8
        room = head.adjusted(left, 0, -QFontMetrics(self._small).horizontalAdvance(figure) - 8, 0)
        metrics = QFontMetrics(self._tiny)
        words = metrics.elidedText(self._record.reading.device, Qt.TextElideMode.ElideRight, int(room.width()))
        self._write(painter, self._tiny, room, words, "text_faint")

    def _paint_chart(self, painter: QPainter, chart: QRectF) -> None:
        """The areas, each on those before it, and hairlines at the top and at nothing."""
        painter.setPen(QPen(theme.color("border"), 1))
        painter.drawLine(QLineF(chart.topLeft(), chart.topRight()))
        painter.setPen(Qt.PenStyle.NoPen)
        for run in _runs(self._record.samples):
            stacked = [tuple(accumulate(sample.values)) for sample in run]
            ages = [sample.age for sample in run]
            for number in reversed(range(len(self._record.roles))):
                if any(sample.values[number] for sample in run):
                    painter.setBrush(theme.color(self._record.roles[number]))
                    painter.drawPolygon(self._area(chart, ages, [sums[number] for sums in stacked]))
        painter.setPen(QPen(theme.color("border"), 1))
        painter.drawLine(QLineF(chart.bottomLeft(), chart.bottomRight()))

    def _area(self, chart: QRectF, ages: list[int], values: list[int]) -> QPolygonF:
        """What lies under a line, from the bottom of the chart up."""
        across = [chart.right() - chart.width() * age / SECONDS for age in ages]
        up = [chart.bottom() - chart.height() * min(1.0, value / self._record.top) for value in values]
        start, end = across[0], max(across[-1], across[0] + _LEAST)
        if end > chart.right():
            start, end = min(start, chart.right() - _LEAST), chart.right()
        points = [QPointF(start, chart.bottom()), QPointF(start, up[0])]
        points += [QPointF(*point) for point in zip(across[1:-1], up[1:-1], strict=True)]
        return QPolygonF([*points, QPointF(end, up[-1]), QPointF(end, chart.bottom())])

    def _write_captions(self, painter: QPainter, chart: QRectF) -> None:
        """What the top stands for, and what the sides do."""
        above = QRectF(0, chart.top() - self._line(self._tiny) - 2, self.width(), self._line(self._tiny))
        has_scale = bool(self._record.samples)
        if has_scale:
            self._write(painter, self._tiny, above, self._record.words(self._record.top), "text_faint")
        self._write(painter, self._tiny, above, self._peak_words(), "text_faint", right=has_scale)
        below = QRectF(0, chart.bottom() + 2, self.width(), self._line(self._tiny))
        self._write(painter, self._tiny, below, "10 minutes ago", "text_faint")
        self._write(painter, self._tiny, below, "now", "text_faint", right=True)

    def _paint_rows(self, painter: QPainter, top: float) -> None:
        height = self._row()
        for number, part in enumerate(self._record.reading.segments):
            row = QRectF(0, top + number * height, self.width(), height)
            painter.setPen(QPen(theme.color("border"), 1) if part.role == "track" else Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(part.role))
            swatch = QRectF(0.5, row.center().y() - _SWATCH / 2, _SWATCH, _SWATCH)
            painter.drawRoundedRect(swatch, 2, 2)
            self._write(painter, self._small, row.adjusted(_SWATCH + 8, 0, 0, 0), part.name, "text")
            self._write(painter, self._small, row, part.words, "text_soft", right=True)

    def _peak_words(self) -> str:
        if not self._record.samples:
            return NOTHING
        return f"at most {self._record.words(self._record.peak)}"

    # --- measures ----------------------------------------------------------------------------------------------------

    def _write(
        self, painter: QPainter, font: QFont, rect: QRectF, words: str, role: str, *, right: bool = False
    ) -> None:
        painter.setFont(font)
        painter.setPen(theme.color(role))
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter, words)

    def _line(self, font: QFont) -> int:
        return QFontMetrics(font).height()

    def _row(self) -> int:
        return self._line(self._small) + 4

    def _rows_height(self) -> int:
        return len(self._record.reading.segments) * self._row()

    def _chart_top(self) -> int:
        return self._line(self._bold) + 5 + BAR + 10 + self._line(self._tiny) + 2


def _runs(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """The samples without those times in which nothing was measured."""
    first = 0
    for number, (one, next_one) in enumerate(pairwise(samples), start=1):
        if one.age - next_one.age > _GAP_SECONDS:
            yield samples[first:number]
            first = number
    if samples:
        yield samples[first:]
