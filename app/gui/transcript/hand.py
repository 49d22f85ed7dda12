"""What a click works on where the pointer is: a card's copy button, the line of the reasoning."""

from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QTextFrame

from app.gui.transcript.entry import Entry
from app.gui.transcript.layout import FrameKind, Kind, frame_kind, kind_of
from app.gui.transcript.page import Page
from app.gui.transcript.painting import card_rect, copy_rect, frames_around


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a click works on."""

    card: QTextFrame | None = None
    fold: Entry | None = None


def target_at(page: Page, point: QPointF) -> Target | None:
    """What is at a point of the document."""
    geometry = page.document.documentLayout()
    position = geometry.hitTest(point, Qt.HitTestAccuracy.FuzzyHit)
    if position < 0:
        return None
    block = page.document.findBlock(position)
    if kind_of(block) is Kind.FOLD and geometry.blockBoundingRect(block).contains(point):
        entry = page.entry_at(position)
        return Target(fold=entry) if entry is not None else None
    for frame in frames_around(block):
        if frame_kind(frame) is FrameKind.CARD and copy_rect(card_rect(page.document, frame)).contains(point):
            return Target(card=frame)
    return None
