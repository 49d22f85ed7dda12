"""The icons: one family (Phosphor), named by what they mean here, in the colours of the palette in use."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Final

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QIconEngine, QPainter, QPixmap

from app.gui import theme

_GLYPHS: Final = {
    "attach": "paperclip",
    "branch": "git-branch",
    "check": "check",
    "chats": "list",
    "close": "x",
    "continue": "caret-double-right",
    "copy": "copy",
    "dark": "moon",
    "down": "caret-down",
    "edit": "pencil-simple",
    "erase": "eraser",
    "error": "warning-circle",
    "export": "export",
    "file": "file-text",
    "folder": "folder-open",
    "import": "download-simple",
    "info": "info",
    "instructions": "sliders-horizontal",
    "left": "caret-left",
    "light": "sun",
    "model": "cube",
    "more": "dots-three-bold",
    "new_chat": "note-pencil",
    "regenerate": "arrows-clockwise",
    "right": "caret-right",
    "search": "magnifying-glass",
    "send": "arrow-up-bold",
    "settings": "gear",
    "stop": "stop-fill",
    "theme": "circle-half",
    "trash": "trash",
    "undo": "arrow-counter-clockwise",
    "up": "caret-up",
    "warning": "warning",
}

NAMES: Final = frozenset(_GLYPHS)
SIZE: Final = QSize(18, 18)

_PACKAGE: Final = "qtawesome"
"""Has the font. It is never imported: that takes 80 ms, and its first glyph reads eleven more fonts."""
_FONT, _CODES = "phosphor-1.3.0.ttf", "phosphor-charmap-1.3.0.json"


def _font_folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"{_PACKAGE}, which has the icons, is not installed")
    return Path(found.origin).parent / "fonts"


@cache
def _codes() -> dict[str, str]:
    """The code of each glyph of the font in hexadecimal, by its name."""
    codes: dict[str, str] = json.loads((_font_folder() / _CODES).read_text(encoding="utf-8"))
    return codes


@cache
def _family() -> str:
    """The name of the font, loaded for this process; needs the application object."""
    path = _font_folder() / _FONT
    families = QFontDatabase.applicationFontFamilies(QFontDatabase.addApplicationFont(str(path)))
    if not families:
        raise OSError(f"the icons' font cannot be used: {path}")
    return families[0]


class _GlyphEngine(QIconEngine):
    """Paints one glyph at any size and scale; asks for the colour at the moment of painting."""

    def __init__(self, name: str, color: str | None) -> None:
        super().__init__()
        self._name = name
        self._glyph = chr(int(_codes()[_GLYPHS[name]], 16))
        self._color = color

    def clone(self) -> QIconEngine:
        """A second engine for the same glyph."""
        return _GlyphEngine(self._name, self._color)

    def iconName(self) -> str:
        """Our name for it."""
        return self._name

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, _state: QIcon.State) -> None:
        """Draw the glyph as large as the rectangle allows."""
        side = min(rect.width(), rect.height())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
        painter.setPen(self._pen(mode))
        font = QFont(_family())
        font.setPixelSize(side)
        painter.setFont(font)
        painter.drawText(QRectF(rect), Qt.AlignmentFlag.AlignCenter, self._glyph)
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """The glyph on nothing; `size` is in device pixels."""
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return pixmap

    def _pen(self, mode: QIcon.Mode) -> QColor:
        if mode == QIcon.Mode.Disabled:
            faint = theme.color("text_faint")
            faint.setAlphaF(0.5)
            return faint
        if self._color is not None and self._color.startswith("#"):
            return QColor(self._color)
        return theme.color(self._color or "text_soft")


def icon(name: str, color: str | None = None) -> QIcon:
    """The icon of that name; KeyError for an unknown one.

    `color` is a field of the palette ("accent", "text_faint") that is looked up at each painting, so that the
    icon follows a change of theme, or a fixed `#RRGGBB`; None means "text_soft".
    """
    if name not in _GLYPHS:
        raise KeyError(f"there is no icon named {name!r}")
    return QIcon(_GlyphEngine(name, color))


def blank() -> QIcon:
    """An icon with nothing on it, which keeps the words of a menu in one column."""
    pixmap = QPixmap(SIZE)
    pixmap.fill(Qt.GlobalColor.transparent)
    return QIcon(pixmap)
