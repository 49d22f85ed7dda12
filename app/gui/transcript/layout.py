"""Measures of the page, in device-independent pixels, and the marks that frames and blocks carry."""

from enum import IntEnum
from typing import Final

from PySide6.QtGui import QTextBlock, QTextFormat, QTextFrame

MARGIN: Final = 16
"""Around the words, inside the document: room for the mark of the focus."""
INSET: Final = 8
"""From the edge of the column to the words, so that they stand where the composer's words stand."""
INDENT: Final = 26
"""One level of a list or a quote, at the usual text size."""
MAX_INDENT: Final = 6
"""Deeper levels stay here: the column would get too narrow."""
BUBBLE_SHARE: Final = 0.75
"""The most of the column that the person's own words take."""
BUBBLE_PADDING: Final = 10
BUBBLE_LINE: Final = 22
"""The height of a line in a bubble, at the usual text size."""
FOOT_MIDDLE: Final = 7
"""From the top of a reply's foot to the middle of its line, at the usual text size."""
BUBBLE_SIDE: Final = 8
"""What the words of a bubble keep from its padding, left and right."""
BUBBLE_RADIUS: Final = 14
CARD_PADDING: Final = 14
CARD_RADIUS: Final = 10
COPY_SIDE: Final = 28
"""The side of the square that copies a card's code at a click."""
QUOTE_BAR: Final = 3
CHIP_SPACE: Final = 3
"""What code between words keeps from the words around it, for the ground that is painted under it."""
BUTTON: Final = 27
"""The side of a button in the row of actions."""
VARIANTS: Final = 74
"""The width of the part of that row that leads to other variants."""

KIND: Final = int(QTextFormat.Property.UserProperty) + 1
"""The property with the `Kind` of a block or the `FrameKind` of a frame."""
QUOTES: Final = KIND + 1
"""The property with a bit for each level of indent that is a quote."""
CODE_INSIDE: Final = KIND + 2
"""Set on a block that holds code between words."""
CONTINUES: Final = KIND + 3
"""Set on a block that goes on with the line of the one before it."""
IS_CODE: Final = KIND + 4
"""Set on the characters of code between words."""


class Kind(IntEnum):
    """What a block is for."""

    GAP = 0
    """Between frames, almost without height."""
    BODY = 1
    NAME = 2
    FOLD = 3
    """The line that opens and closes the reasoning."""
    STATUS = 4
    """What happens before the first word."""
    LABEL = 5
    """The language of a code card."""
    CODE = 6
    RULE = 7
    NOTICE = 8
    FOOTER = 9
    """The figures, and room for the row of actions."""
    CELL = 10


class FrameKind(IntEnum):
    """What a frame is for."""

    OTHER = 0
    USER = 1
    REPLY = 2
    CARD = 3
    THOUGHT = 4
    GROUP = 5
    """Messages next to one another; it has no looks."""


def kind_of(block: QTextBlock) -> Kind:
    """What this block is for."""
    return Kind(block.blockFormat().intProperty(KIND))


def frame_kind(frame: QTextFrame) -> FrameKind:
    """What this frame is for."""
    return FrameKind(frame.frameFormat().intProperty(KIND))
