"""A ring in the header that fills while a model is being downloaded, and opens the page of downloads."""

from typing import Final

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolButton, QWidget

from app.gui import icons, theme
from app.gui.library_words import downloads_summary
from app.gui.parts import ICON_BUTTON, name_button
from app.services.downloads import Download

_RING: Final = 20
_ICON: Final = 12
_WIDTH: Final = 2.4


class DownloadIndicator(QToolButton):
    """Hidden while there is nothing to show."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("kind", "icon")
        self.setFixedSize(ICON_BUTTON, ICON_BUTTON)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._fraction = 0.0
        self._state = ""
        name_button(self, "Downloads")
        theme.notifier().changed.connect(self.update)
        self.hide()

    def show_downloads(self, downloads: tuple[Download, ...]) -> None:
        """Show how far the running one is, that one stopped, or that all rest."""
        shown = next((each for each in downloads if each.state == "running"), downloads[0] if downloads else None)
        self.setVisible(shown is not None)
        if shown is None:
            return
        failed = any(each.state == "failed" for each in downloads)
        self._state = "running" if shown.state == "running" else "failed" if failed else "paused"
        progress = shown.progress
        self._fraction = progress.done / progress.total if progress.total else 0.0
        name_button(self, downloads_summary(downloads))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The ring around an arrow, or around a sign where one stopped."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = QRectF(self.rect()).center()
        ring = QRectF(middle.x() - _RING / 2, middle.y() - _RING / 2, _RING, _RING)
        painter.setPen(QPen(theme.color("track"), _WIDTH))
        painter.drawEllipse(ring)
        colour = theme.color("accent" if self._state == "running" else "text_faint")
        painter.setPen(QPen(colour, _WIDTH, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        if self._fraction > 0:
            painter.drawArc(ring, 90 * 16, -round(360 * 16 * min(1.0, self._fraction)))
        failed = self._state == "failed"
        sign = QRect(round(middle.x() - _ICON / 2), round(middle.y() - _ICON / 2), _ICON, _ICON)
        icons.icon("warning" if failed else "import", "warning" if failed else "text_soft").paint(painter, sign)
        painter.end()
