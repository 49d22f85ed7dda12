"""A message's frame: the bubble of the person's words, or a reply from its name to its figures."""

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextBlock, QTextBlockFormat, QTextCharFormat, QTextCursor, QTextFrame

from app.gui.transcript import layout, reasoning
from app.gui.transcript.clean_text import clean, shown_part
from app.gui.transcript.code_highlight import Highlighter
from app.gui.transcript.entry import Entry
from app.gui.transcript.fold_line import THOUGHT_INK, write_fold_line
from app.gui.transcript.layout import FrameKind, Kind, kind_of
from app.gui.transcript.live_reply import LiveReply
from app.gui.transcript.markdown_parser import parse
from app.gui.transcript.markdown_writer import MarkdownWriter
from app.gui.transcript.styles import Ink, Place, Styles
from app.gui.transcript.writer import Writer

_NAME: Final = Ink("text_soft", pixels=-3, bold=True)
_FIGURES: Final = Ink("text_faint", pixels=-3)
_NOTICE: Final = Ink("text_faint", pixels=-1)
_ERROR: Final = Ink("danger", pixels=-1)
_CUT: Final = "The rest is not shown here. Copy takes all of it."
_LONG_LINE: Final = 400
"""A line that no column holds: its width need not be measured."""
_FOOT: Final = (Kind.NOTICE, Kind.FOOTER)
_BUBBLE: Final = Place(side=layout.BUBBLE_SIDE)


class MessageWriter:
    """Writes messages into frames of one document."""

    def __init__(self, styles: Styles, highlighter: Highlighter, width: float) -> None:
        self.styles = styles
        self.highlighter = highlighter
        self.width = width
        """How wide the column of words is."""

    # Whole messages

    def write(self, entry: Entry, cursor: QTextCursor) -> None:
        """Write a message into a new frame at the cursor, and leave the cursor behind it."""
        user = entry.message.role == "user"
        entry.natural = self._natural_width(entry) if user else 0
        form = self.styles.frame(FrameKind.USER if user else FrameKind.REPLY)
        if user:
            form.setLeftMargin(self.bubble_margin(entry))
        frame = entry.frame = cursor.insertFrame(form)
        self._write_inside(entry, Writer(cursor, self.styles))
        cursor.setPosition(frame.lastPosition() + 1)
        cursor.setBlockFormat(self.styles.place(Place(Kind.GAP)))

    def rewrite(self, entry: Entry) -> None:
        """Write a message that is on the page anew, in the frame that it has."""
        frame = entry.frame
        if frame is None:
            return
        cursor = frame.firstCursorPosition()
        cursor.setPosition(frame.lastPosition(), QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if entry.message.role == "user":
            entry.natural = self._natural_width(entry)
            self.place_bubble(entry)
        self._write_inside(entry, Writer(cursor, self.styles))

    def _write_inside(self, entry: Entry, writer: Writer) -> None:
        entry.live = None
        if entry.message.role == "user":
            self._write_words(entry, writer)
            self._write_notice(entry, writer)
        else:
            self._write_reply(entry, writer)

    def _write_words(self, entry: Entry, writer: Writer) -> None:
        """The person's own words, as they were typed."""
        text, cut = shown_part(entry.text)
        writer.lines(text.rstrip("\n"), _BUBBLE)
        if cut:
            writer.block(Place(Kind.NOTICE, side=layout.BUBBLE_SIDE))
            writer.text(_CUT, _NOTICE)

    def _write_reply(self, entry: Entry, writer: Writer) -> None:
        writer.block(Place(Kind.NAME))
        writer.text(clean(entry.message.author).replace("\n", " "), _NAME)
        writer.block(Place(Kind.GAP))
        writer.fresh = True
        if entry.message.streaming:
            self._begin_live(entry, writer)
        else:
            self._write_answer(entry, writer)
            self._write_foot(entry, writer)

    # A finished reply

    def _write_answer(self, entry: Entry, writer: Writer) -> None:
        text, first = entry.text, True
        parts = reasoning.split(text)
        if parts.present:
            first = False
            self._write_thought(entry, writer, text[parts.start : parts.end])
        self._write_markdown(writer, text[parts.answer :], first=first)

    def _write_thought(self, entry: Entry, writer: Writer, thought: str) -> None:
        write_fold_line(writer, thinking=False, unfolded=entry.unfolded)
        if entry.unfolded:
            frame = writer.frame(self.styles.frame(FrameKind.THOUGHT))
            pen = Writer(frame.lastCursorPosition(), self.styles, THOUGHT_INK)
            self._write_markdown(pen, thought, first=True)
            writer.leave(frame)

    def _write_markdown(self, writer: Writer, text: str, *, first: bool) -> None:
        source, cut = shown_part(text)
        if not source.strip():
            return
        tokens = parse(source)
        if tokens is None:
            writer.lines(source.strip("\n"), Place(top=0 if first else 10))
        else:
            MarkdownWriter(writer, self.highlighter, first=first).write(tokens)
        if cut:
            writer.block(Place(Kind.NOTICE, top=8))
            writer.text(_CUT, _NOTICE)

    # A reply that streams

    def _begin_live(self, entry: Entry, writer: Writer) -> None:
        """Leave an empty block between name and figures, in which the reply grows."""
        slot = writer.cursor.block().position()
        self._write_foot(entry, writer)
        frame = entry.frame
        assert frame is not None
        cursor = QTextCursor(writer.cursor)
        cursor.setPosition(slot)
        live = LiveReply(
            Writer(cursor, self.styles),
            self.highlighter,
            lambda: foot_of(frame).position() - 1,
            unfolded=entry.unfolded,
        )
        entry.live = live
        live.begin(entry.text)
        if entry.status and not live.begun:
            live.show_status(entry.status)
        live.render()

    def finish(self, entry: Entry) -> None:
        """End the streaming: what was held back shows, what was divided is written as a whole."""
        live, entry.live = entry.live, None
        if live is None:
            return
        if entry.status and not live.begun:
            live.show_status("")
        live.render(final=True)
        if live.divided or live.misread:
            self.rewrite(entry)

    # Below the words

    def _write_notice(self, entry: Entry, writer: Writer) -> None:
        if entry.message.notice:
            side = layout.BUBBLE_SIDE if entry.message.role == "user" else 0
            writer.block(Place(Kind.NOTICE, top=8, side=side))
            words = clean(entry.message.notice).replace("\n", "\u2028")
            writer.text(words, _ERROR if entry.message.is_error else _NOTICE)

    def _write_foot(self, entry: Entry, writer: Writer) -> None:
        """The notice, and a reply's last line: figures at the right, room for the actions at the left."""
        writer.fresh = False
        self._write_notice(entry, writer)
        writer.block(Place(Kind.FOOTER, top=12))
        form = QTextBlockFormat()
        form.setAlignment(Qt.AlignmentFlag.AlignRight)
        variants = layout.VARIANTS if entry.message.variants > 1 else 0
        form.setLeftMargin(len(entry.message.actions) * layout.BUTTON + variants)
        writer.cursor.mergeBlockFormat(form)
        writer.cursor.setBlockCharFormat(self.styles.ink(_FIGURES))  # as high without figures as with them
        first = writer.cursor.position()
        writer.text(clean(entry.message.figures).replace("\n", " "), _FIGURES)
        if entry.message.figures_detail:
            words, detail = QTextCursor(writer.cursor), QTextCharFormat()
            words.setPosition(first, QTextCursor.MoveMode.KeepAnchor)
            detail.setToolTip(entry.message.figures_detail)
            words.mergeCharFormat(detail)

    def rewrite_foot(self, entry: Entry) -> None:
        """Write only what stands below the words anew."""
        if entry.frame is None:
            return
        cursor = QTextCursor(foot_of(entry.frame))
        cursor.movePosition(QTextCursor.MoveOperation.PreviousCharacter)
        form, end = cursor.blockFormat(), entry.frame.lastPosition()
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.setBlockFormat(form)  # an empty block would take that of the one it swallowed
        self._write_foot(entry, Writer(cursor, self.styles))

    # Bubbles

    def _natural_width(self, entry: Entry) -> float:
        """The width of the longest line and of the padding around it."""
        lines = clean(entry.text[:20_000]).split("\n")
        if entry.message.notice:
            lines.append(entry.message.notice)
        longest = sorted(lines, key=len)[-8:]
        if len(longest[-1]) > _LONG_LINE or len(entry.text) > 20_000 or "\t" in entry.text:
            return float("inf")
        sides = 2 * (layout.BUBBLE_PADDING + layout.BUBBLE_SIDE)
        return max(self.styles.advance(line) for line in longest) + sides + 2

    def bubble_margin(self, entry: Entry) -> float:
        """What is left free at the left of a bubble."""
        return max(0.0, self.width - min(entry.natural, round(self.width * layout.BUBBLE_SHARE)))

    def place_bubble(self, entry: Entry) -> None:
        """Fit a bubble to the width of the column."""
        if entry.frame is not None:
            form = entry.frame.frameFormat()
            form.setLeftMargin(self.bubble_margin(entry))
            entry.frame.setFrameFormat(form)


def foot_of(frame: QTextFrame) -> QTextBlock:
    """The first block below a reply's words."""
    block = frame.lastCursorPosition().block()
    while kind_of(block.previous()) in _FOOT and block.previous().position() >= frame.firstPosition():
        block = block.previous()
    return block
