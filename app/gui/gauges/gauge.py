"""One gauge: a name and a figure, a stacked bar, a line in words beneath; a click opens its last ten minutes."""

from html import escape
from typing import Final

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QFont, QFontMetrics, QHelpEvent, QHideEvent, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QToolTip, QWidget

from app.gui import theme
from app.gui.gauges.bar import BAR, paint_bar, pieces
from app.gui.gauges.reading import Reading
from app.gui.parts import announce

PAUSE_MS: Final = 500
"""At most twice a second something else is shown."""
_GAP: Final = 5
_SIDE: Final = 4
"""Room at the sides for the ring of the focus."""
_BETWEEN: Final = 6
"""The least space between name and figure."""
_TONES: Final = ("", "warning", "danger")
_MORE: Final = "Click for the last ten minutes."


class Gauge(QAbstractButton):
    """Paints a reading, again only if it looks otherwise; a click, Space or Enter asks for more."""

    def __init__(self, reading: Reading, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._reading = reading
        self._looks: tuple[object, ...] = ()
        """What of the reading is on the screen."""
        self._with_line = True
        self.pause = QTimer(self)
        self.pause.setSingleShot(True)
        self.pause.setInterval(PAUSE_MS)
        self.pause.timeout.connect(self._bring_up)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._name_font, self._small_font = theme.font("small_strong"), theme.font("small")
        self._line_font = theme.font("tiny")
        self._bring_up()

    def reading(self) -> Reading:
        """The latest; what is on the screen follows within half a second."""
        return self._reading

    def show_reading(self, reading: Reading) -> None:
        """Show another reading; nothing happens if it is the same."""
        if reading == self._reading:
            return
        is_tighter = _TONES.index(reading.tone) > _TONES.index(self._reading.tone)
        self._reading = reading
        if is_tighter:
            announce(self, reading.alert)
        if not self.pause.isActive():
            self._bring_up()

    def set_line_shown(self, shown: bool) -> None:
        """Show or leave out the line in words."""
        if shown != self._with_line:
            self._with_line = shown
            self.updateGeometry()
            self.update()

    def explanation(self) -> str:
        """What it is and the exact figures, as rich text in the colours of the palette."""
        rows = "".join(
            f'<tr><td style="color:{getattr(theme.current(), part.role)}">■&nbsp;</td>'
            f"<td>{escape(part.name)}&nbsp;&nbsp;</td><td>{escape(part.words)}</td></tr>"
            for part in self._reading.segments
        )
        table = f"<table cellspacing='2'>{rows}</table>" if rows else ""
        words = " ".join(filter(None, (self._reading.alert, self._reading.sentence, _MORE)))
        return f"<table width='320'><tr><td>{escape(words)}</td></tr></table>{table}"

    def shown_words(self) -> tuple[str, str, str]:
        """Name, figure and line as they fit into the present width."""
        name, figure = self._fitting_head()
        return name, figure, self._fitting_line() if self._with_line else ""

    # --- Qt's side ----------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Comfortable in a window of usual width."""
        return QSize(220, self._height())

    def minimumSizeHint(self) -> QSize:
        """Room for the shortest words."""
        return QSize(72, self._height())

    def event(self, event: QEvent) -> bool:
        """The tooltip is made when it is asked for, in the colours of that moment."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.explanation(), self)
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter does what Space does for every button."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nothing is on the screen any more."""
        super().hideEvent(event)
        self.pause.stop()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Head, bar, line."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = self.width() - 2 * _SIDE
        head = QFontMetrics(self._name_font).height()
        name, figure, line = self.shown_words()
        tone = self._reading.tone
        if self.isDown() or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("hover"))
            painter.drawRoundedRect(QRectF(self.rect()), 8, 8)
        top = QRect(_SIDE, 2, width, head)
        self._write(painter, self._name_font, top, name, "text_soft")
        self._write(painter, self._small_font, top, figure, tone or "text", right=True)
        paint_bar(painter, QRectF(_SIDE, 2 + head + _GAP, width, BAR), self._reading)
        if line:
            below = QRect(_SIDE, 2 + head + _GAP + BAR + _GAP, width, QFontMetrics(self._line_font).height())
            self._write(painter, self._line_font, below, line, tone or "text_faint")
        if self.hasFocus():
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        painter.end()

    # --- inside -------------------------------------------------------------------------------------

    def _write(
        self, painter: QPainter, font: QFont, rect: QRect, words: str, role: str, *, right: bool = False
    ) -> None:
        painter.setFont(font)
        painter.setPen(theme.color(role))
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter, words)

    def _bring_up(self) -> None:
        """Show the reading if it looks otherwise than what is shown, and then nothing else for a while."""
        reading, dots = self._reading, self.devicePixelRatioF()
        bar = pieces(reading, 0, (self.width() - 2 * _SIDE) * dots)
        edges = tuple((role, round(start), round(end)) for role, start, end in bar)
        looks = (reading.names, reading.figures, reading.lines, reading.tone, edges)
        if looks != self._looks:
            self._looks = looks
            self._tell()
            self.update()
            if self.isVisible():
                self.pause.start()

    def _height(self) -> int:
        head = 2 + QFontMetrics(self._name_font).height() + _GAP + BAR
        return head + (_GAP + QFontMetrics(self._line_font).height() + 1 if self._with_line else 4)

    def _fitting_head(self) -> tuple[str, str]:
        """The longest name and figure that fit side by side; the figure gives way first, then the name."""
        width = self.width() - 2 * _SIDE
        bold, plain = QFontMetrics(self._name_font), QFontMetrics(self._small_font)
        for name in self._reading.names:
            for figure in self._reading.figures or ("",):
                beside = _BETWEEN + plain.horizontalAdvance(figure) if figure else 0
                if bold.horizontalAdvance(name) + beside <= width:
                    return name, figure
        shortest = self._reading.names[-1]
        return bold.elidedText(shortest, Qt.TextElideMode.ElideRight, width), ""

    def _fitting_line(self) -> str:
        width, metrics = self.width() - 2 * _SIDE, QFontMetrics(self._line_font)
        fitting = (line for line in self._reading.lines if metrics.horizontalAdvance(line) <= width)
        return next(fitting, "")

    def _tell(self) -> None:
        """The name and the words for a screen reader, set only when they differ: each setting is an event."""
        reading = self._reading
        name = f"{reading.names[0]}: {reading.figures[0]}" if reading.figures else reading.names[0]
        line = reading.alert or (reading.lines[0] if reading.lines else "")
        if name != self.accessibleName():
            self.setAccessibleName(name)
        if line != self.accessibleDescription():
            self.setAccessibleDescription(line)
