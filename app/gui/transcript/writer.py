"""The pen: blocks and characters into the document, never more in a block than it can bear."""

from dataclasses import replace

from PySide6.QtGui import QTextCursor, QTextFrame, QTextFrameFormat

from app.gui.transcript.clean_text import PIECE, pieces
from app.gui.transcript.layout import Kind
from app.gui.transcript.styles import Ink, Place, Styles


class Writer:
    """Writes at a cursor; an empty block that waits there (`fresh`) is used before a new one is made."""

    def __init__(self, cursor: QTextCursor, styles: Styles, base: Ink | None = None) -> None:
        self.cursor = cursor
        self.styles = styles
        self.base = base or Ink()
        self.fresh = True
        self._room = PIECE
        self._place = Place()

    def block(self, place: Place) -> None:
        """Begin a block."""
        if self.fresh:
            self.cursor.setBlockFormat(self.styles.place(place))
            self.fresh = False
        else:
            self.cursor.insertBlock(self.styles.place(place))
        self._place, self._room = place, PIECE

    def text(self, words: str, ink: Ink | None = None) -> None:
        """Write clean words without line feeds; a very long line goes on in further blocks."""
        form = self.styles.ink(ink or self.base)
        if len(words) <= self._room:
            self.cursor.insertText(words, form)
            self._room -= len(words)
            return
        for at, piece in enumerate(pieces(words, max(self._room, 1))):
            if at:
                self.block(replace(self._place, continues=True, top=0, hanging=False))
            self.cursor.insertText(piece, form)
            self._room -= len(piece)

    def lines(self, words: str, place: Place, ink: Ink | None = None) -> None:
        """Write clean words with line feeds, each line a block at `place`, the others without space above."""
        ink = ink or self.base
        self.block(place)
        self.cursor.setBlockCharFormat(self.styles.ink(ink))  # as high when it is empty
        rows = words.split("\n")
        if max(map(len, rows)) <= PIECE:
            if place.top and len(rows) > 1:
                self.text(rows[0], ink)
                self.block(replace(place, top=0))
                words = words[len(rows[0]) + 1 :]
            self.cursor.insertText(words, self.styles.ink(ink))
            self._room = PIECE - len(rows[-1])
            return
        self.text(rows[0], ink)
        for row in rows[1:]:
            self.block(replace(place, top=0))
            self.text(row, ink)

    def frame(self, form: QTextFrameFormat) -> QTextFrame:
        """Begin a frame after the current block, with an empty block inside; `leave` ends it."""
        frame = self.cursor.insertFrame(form)
        self.fresh = True
        return frame

    def leave(self, frame: QTextFrame) -> None:
        """Go on behind a frame."""
        self.cursor.setPosition(frame.lastPosition() + 1)
        self.cursor.setBlockFormat(self.styles.place(Place(Kind.GAP)))
        # The first block behind a frame gets no space above it, so that one stays empty.
        self.fresh = False
