"""The strip at the bottom: three gauges and Clear cache, always visible."""

from typing import Final

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.gui import theme
from app.gui.gauges.card import HistoryCard
from app.gui.gauges.clear_button import ClearButton
from app.gui.gauges.clearing import NO_MODEL, UNKNOWN, clear_choices
from app.gui.gauges.figures import ClearFigures, ContextFigures, MemoryFigures, SavedFigures
from app.gui.gauges.gauge import Gauge
from app.gui.gauges.reading import Reading, read_context, read_memory, read_saved

WITHOUT_LINES: Final = 720
"""Below this width of the strip, in pixels, the lines in words go."""
CLOSE: Final = 560
"""Below this width the gauges stand closer."""
SHORT: Final = 480
"""Below this width, with text of the usual size, the button says one word, so that each gauge keeps its figure."""
_SHARES: Final = (10, 11, 9)
"""Of the width, while the lines show: the memory's has most to say."""
_CLOSE_SHARES: Final = (14, 15, 14)
"""Without the lines: a GPU's name and figure are the widest."""
_CLOSE_SIDE: Final = 12
_CLOSE_BETWEEN: Final = 6


class GaugeStrip(QWidget):
    """Context, memory and saved state side by side with the button that clears."""

    clear = Signal()
    """The memory."""
    clear_chat = Signal()
    clear_model = Signal()
    clear_all = Signal()
    """The saved state of the open chat, of the loaded model, or all of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = Gauge(read_context(None), self)
        self.memory = Gauge(read_memory(None), self)
        self.saved = Gauge(read_saved(None), self)
        self.clear_button = ClearButton(self)
        self.clear_button.clear.connect(self.clear)
        self.clear_button.clear_chat.connect(self.clear_chat)
        self.clear_button.clear_model.connect(self.clear_model)
        self.clear_button.clear_all.connect(self.clear_all)
        self.card = HistoryCard(self)
        self._memories: tuple[Reading, ...] = ()
        self.show_clear(ClearFigures(no_memory=NO_MODEL, no_chat=UNKNOWN, no_model=UNKNOWN, no_saved=UNKNOWN))
        self._row = QHBoxLayout(self)
        for gauge in self.gauges():
            gauge.setMaximumWidth(360)
            self._row.addWidget(gauge)
        self._row.addWidget(self.clear_button)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._arrange()

    def gauges(self) -> tuple[Gauge, Gauge, Gauge]:
        """Context, memory, saved state."""
        return self.context, self.memory, self.saved

    # --- what it shows ------------------------------------------------------------------------------

    def show_context(self, figures: ContextFigures | None) -> None:
        """Tokens in use; None when no model is loaded."""
        self.context.show_reading(read_context(figures))

    def show_memory(self, *devices: MemoryFigures) -> None:
        """The memory of each device, the main one first; none when nothing is known of it yet."""
        self._memories = tuple(read_memory(each) for each in devices)
        self.memory.show_reading(self._memories[0] if devices else read_memory(None))

    def memories(self) -> tuple[Reading, ...]:
        """The readings of all devices; the gauge shows the first."""
        return self._memories

    def show_saved(self, figures: SavedFigures | None) -> None:
        """State saved on disk; None when nothing is known of it just now."""
        self.saved.show_reading(read_saved(figures))

    def show_clear(self, figures: ClearFigures) -> None:
        """What Clear cache frees and costs."""
        self.clear_button.show_choices(clear_choices(figures))

    # --- Qt's side ----------------------------------------------------------------------------------

    def minimumSizeHint(self) -> QSize:
        """The closest that gauges and button can stand, whatever the present spacing."""
        gauges = sum(gauge.minimumSizeHint().width() for gauge in self.gauges())
        width = gauges + self.clear_button.sizeHint().width() + 2 * _CLOSE_SIDE + 3 * _CLOSE_BETWEEN
        return QSize(width, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The lines go first, then the bars shrink."""
        super().resizeEvent(event)
        self._arrange()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The window's surface and a hairline above."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("window"))
        painter.fillRect(0, 0, self.width(), 1, theme.color("border"))
        painter.end()

    def _arrange(self) -> None:
        close = self.width() < CLOSE
        side, between = (_CLOSE_SIDE, _CLOSE_BETWEEN) if close else (20, 12)
        self._row.setContentsMargins(side, 9, min(side, 16), 8)
        self._row.setSpacing(between)
        self.clear_button.set_icon_shown(not close)
        self.clear_button.set_short(self.width() < theme.scaled(SHORT))
        lines = self.width() >= WITHOUT_LINES
        for gauge, share in zip(self.gauges(), _SHARES if lines else _CLOSE_SHARES, strict=True):
            gauge.set_line_shown(lines)
            self._row.setStretchFactor(gauge, share)
