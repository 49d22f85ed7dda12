"""What of the view is painted again after a reply has grown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PySide6.QtCore import QRectF
from PySide6.QtGui import QTextDocument

from app.gui.transcript.painting import AROUND

_FAR: Final = 1e9
"""Wider and higher than any page, in pixels."""


@contextmanager
def from_change_down(document: QTextDocument) -> Iterator[None]:
    """Paint again only from the first block that is changed inside: Qt's layout would ask for all of the view."""
    geometry = document.documentLayout()
    size = geometry.documentSize()
    changed: list[int] = []

    def note(position: int, _removed: int, _added: int) -> None:
        changed.append(position)

    document.contentsChange.connect(note)
    geometry.blockSignals(True)
    try:
        yield
    finally:
        geometry.blockSignals(False)
        document.contentsChange.disconnect(note)
        new_size = geometry.documentSize()
        if new_size != size:
            geometry.documentSizeChanged.emit(new_size)
        if changed:
            block = document.findBlock(min(changed))  # a table's first one, when rows are added
            top = geometry.blockBoundingRect(block).top() - AROUND
            geometry.update[QRectF].emit(QRectF(0, top, _FAR, _FAR))  # type: ignore[index]
