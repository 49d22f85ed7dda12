"""The line that stands for a reply's reasoning, and opens and closes it."""

from typing import Final

from PySide6.QtGui import QTextBlock, QTextCursor, QTextDocument, QTextFrame

from app.gui.transcript.layout import Kind, kind_of
from app.gui.transcript.styles import Ink, Place, Styles
from app.gui.transcript.writer import Writer

THOUGHT_INK: Final = Ink("text_soft", pixels=-1)
"""The reasoning's own words."""
_FOLD: Final = Ink("text_faint", pixels=-1)
_FOLD_PLACE: Final = Place(Kind.FOLD, top=4)


def fold_words(*, thinking: bool, unfolded: bool) -> str:
    """The line's words, with a sign for whether the reasoning shows."""
    return f"{'Thinking…' if thinking else 'Thought for a moment'} {'▾' if unfolded else '▸'}"


def write_fold_line(writer: Writer, *, thinking: bool, unfolded: bool) -> None:
    """Write the line."""
    writer.block(_FOLD_PLACE)
    writer.text(fold_words(thinking=thinking, unfolded=unfolded), _FOLD)


def set_fold_line(
    document: QTextDocument, frame: QTextFrame, styles: Styles, *, thinking: bool, unfolded: bool
) -> None:
    """Change the line's words in a message's frame, if it has one."""
    block = fold_block(frame)
    if block is None:
        return
    cursor = QTextCursor(document)
    cursor.setPosition(block.position())
    cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
    cursor.insertText(fold_words(thinking=thinking, unfolded=unfolded), styles.ink(_FOLD))


def fold_block(frame: QTextFrame) -> QTextBlock | None:
    """The line in a message's frame: it stands right below the name."""
    block = frame.firstCursorPosition().block().next()
    return block if block.isValid() and kind_of(block) is Kind.FOLD else None
