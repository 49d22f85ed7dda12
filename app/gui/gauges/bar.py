"""The stacked bar: parts side by side on a track."""

from typing import Final

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPainterPath

from app.gui import theme
from app.gui.gauges.reading import Reading, Tone

BAR: Final = 8
"""Its height in pixels."""
_THINNEST: Final = 4.0
"""What a part takes at least, in pixels, the hair after it included."""
_TIGHT_ROLES: Final = ("system", "history", "accent_soft")
"""The parts of the context, which take the colour of its tone when it is getting tight."""
_TONES: Final[dict[Tone, str]] = {"warning": "tight", "danger": "danger"}

Piece = tuple[str, float, float]
"""The name of a colour, and from where to where it is painted."""


def pieces(reading: Reading, left: float, width: float) -> tuple[Piece, ...]:
    """Where each part stands, a hair between them; none too thin to see."""
    found: list[Piece] = []
    right = left + width
    for part in reading.segments:
        if part.role == "track" or reading.total <= 0:
            continue
        wide = min(max(_THINNEST, width * part.value / reading.total), right - left)
        role = _TONES.get(reading.tone, part.role) if part.role in _TIGHT_ROLES else part.role
        found.append((role, left, left + max(1.0, wide - 1)))
        left += wide
    return tuple(found)


def paint_bar(painter: QPainter, bar: QRectF, reading: Reading) -> None:
    """Paint the track with the parts of a reading on it."""
    path = QPainterPath()
    path.addRoundedRect(bar, bar.height() / 2, bar.height() / 2)
    painter.save()
    painter.setClipPath(path)
    painter.fillRect(bar, theme.color("track"))
    for role, start, end in pieces(reading, bar.left(), bar.width()):
        painter.fillRect(QRectF(start, bar.top(), end - start, bar.height()), theme.color(role))
    painter.restore()
