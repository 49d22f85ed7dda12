"""A block of code on its own quiet surface: the language, a place to copy from, the lines."""

from PySide6.QtGui import QTextBlock, QTextFrame

from app.gui.transcript import layout
from app.gui.transcript.clean_text import clean_code
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.styles import Ink, Place
from app.gui.transcript.writer import Writer

_CODE = Ink(code=True)
_LABEL = Ink("text_faint", pixels=-3)
_LINE = Place(Kind.CODE)
_FIRST_LINE = Place(Kind.CODE, top=8)


def begin_card(writer: Writer, language: str, indent: int = 0, quotes: int = 0, top: float = 0) -> QTextFrame:
    """Begin a card with its label and stay inside it, in the first line of code."""
    writer.block(Place(Kind.GAP, top=top))
    form = writer.styles.frame(FrameKind.CARD)
    form.setLeftMargin(indent * writer.styles.indent)
    if quotes:
        form.setProperty(layout.QUOTES, quotes)
    frame = writer.frame(form)
    writer.block(Place(Kind.LABEL))
    writer.text(language or "text", _LABEL)
    return frame


def write_card(writer: Writer, code: str, language: str, indent: int, quotes: int, top: float) -> QTextFrame:
    """Write a whole card and go on behind it."""
    frame = begin_card(writer, language, indent, quotes, top)
    writer.lines(clean_code(code.removesuffix("\n")), _FIRST_LINE, _CODE)
    writer.leave(frame)
    return frame


class OpenCard:
    """A card whose code still arrives: only what is new is written."""

    def __init__(self, writer: Writer, language: str, top: float) -> None:
        self.language = language
        self.frame = begin_card(writer, language, top=top)
        writer.lines("", _FIRST_LINE, _CODE)
        self._writer = writer
        self._line_feeds = 0
        self.lines = 0
        """How many lines are whole."""

    def add(self, words: str) -> None:
        """Go on with the last line; a line feed in `words` ends it, and shows when the next one begins."""
        first, *others = clean_code(words).split("\n")
        self._words(first)
        for line in others:
            self._line_feeds += 1
            self.lines += 1
            self._words(line)

    def _words(self, words: str) -> None:
        if not words:
            return
        for _ in range(self._line_feeds):
            self._writer.block(_LINE)
        self._line_feeds = 0
        self._writer.text(words, _CODE)

    def close(self) -> None:
        """Write the empty lines at the end, and go on behind the card."""
        for _ in range(self._line_feeds - 1):
            self._writer.block(_LINE)
        self._writer.leave(self.frame)


def code_blocks(frame: QTextFrame) -> list[QTextBlock]:
    """The card's blocks of code, without its label."""
    block = frame.firstCursorPosition().block().next()
    found: list[QTextBlock] = []
    end = frame.lastPosition()
    while block.isValid() and block.position() <= end:
        found.append(block)
        block = block.next()
    return found


def code_lines(frame: QTextFrame) -> list[list[QTextBlock]]:
    """The card's lines, each the blocks that it was cut into."""
    lines: list[list[QTextBlock]] = []
    for block in code_blocks(frame):
        if lines and block.blockFormat().boolProperty(layout.CONTINUES):
            lines[-1].append(block)
        else:
            lines.append([block])
    return lines


def code_of(frame: QTextFrame) -> str:
    """The card's code as it was written."""
    return "\n".join("".join(part.text() for part in line) for line in code_lines(frame))


def language_shown(frame: QTextFrame) -> str:
    """The word at the card's top left."""
    return frame.firstCursorPosition().block().text()


def cards_in(frame: QTextFrame, limit: int = 200) -> list[QTextFrame]:
    """The cards of a message in reading order, at most `limit`."""
    found: list[QTextFrame] = []
    for child in frame.childFrames():
        if layout.frame_kind(child) is FrameKind.CARD:
            found.append(child)
        elif layout.frame_kind(child) is FrameKind.THOUGHT:
            found.extend(cards_in(child, limit))
        if len(found) >= limit:
            break
    return found[:limit]
