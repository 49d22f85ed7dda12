"""A reply while it streams: its reasoning, then its answer, each written as it grows."""

from collections.abc import Callable
from enum import Enum, auto

from app.core.reasoning_marks import REASONING_END, REASONING_START
from app.gui.transcript import reasoning
from app.gui.transcript.clean_text import clean
from app.gui.transcript.code_highlight import Highlighter
from app.gui.transcript.fold_line import THOUGHT_INK, set_fold_line, write_fold_line
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.stream_writer import StreamWriter
from app.gui.transcript.styles import Place
from app.gui.transcript.writer import Writer


class _Stage(Enum):
    """How far a growing reply has come."""

    UNDECIDED = auto()
    THINKING = auto()
    BETWEEN = auto()
    ANSWERING = auto()


class LiveReply:
    """Writes a growing reply into the empty block at `writer`, between its name and its figures."""

    def __init__(self, writer: Writer, highlighter: Highlighter, end: Callable[[], int], *, unfolded: bool) -> None:
        self._writer = writer
        self._highlighter = highlighter
        self._end = end
        self._unfolded = unfolded
        self._stage = _Stage.UNDECIDED
        self._waiting = ""
        self._carriage_return = False
        self._folded = False
        self._thought: StreamWriter | None = None
        self._answer = StreamWriter(writer, highlighter, end)
        self._last = ""
        self.misread = False
        """Whether the answer written so far turned out to be a thought: the reply must be written anew."""

    @property
    def frozen_blocks(self) -> int:
        """How many blocks of the answer are written for good."""
        return self._answer.frozen_blocks

    @property
    def divided(self) -> bool:
        """Whether the whole reply, written at once, would look otherwise."""
        return self._answer.divided or (self._thought is not None and self._thought.divided)

    @property
    def begun(self) -> bool:
        """Whether there is a first word, be it of a thought."""
        return self._stage is not _Stage.UNDECIDED or bool(self._waiting)

    def show_status(self, words: str) -> None:
        """Show what happens before the first word."""
        self._answer.show_status(words)

    def begin(self, text: str) -> None:
        """Take in the text that is there already."""
        parts = reasoning.split(text)
        if parts.present and not text.lstrip().startswith(REASONING_START):
            self._begin_thought()
            self._think(clean(text[parts.start : parts.end]))
            self._end_thought()
            text = text[parts.answer :]
        self.feed(text)

    def feed(self, piece: str) -> None:
        """Take in more of the reply; it shows at the next `render`."""
        if self._carriage_return:
            piece = "\r" + piece
        self._carriage_return = piece.endswith("\r")
        self._take(clean(piece[:-1] if self._carriage_return else piece))

    def render(self, *, final: bool = False) -> None:
        """Bring the page up to what was fed."""
        if final:
            self._settle()
        if self._thought is not None and self._stage is _Stage.THINKING:
            self._thought.render(final=final)
        if self._stage is _Stage.ANSWERING or final:
            self._answer.render(final=final)

    def _settle(self) -> None:
        """Decide what was still open: nothing more will come."""
        words, self._waiting = self._waiting, ""
        if self._stage is _Stage.UNDECIDED:
            self._stage = _Stage.ANSWERING
            self._answer.feed(words)
        elif self._stage is _Stage.THINKING:
            self._think(words)
            self._set_fold(thinking=False)

    def _take(self, words: str) -> None:
        if self._stage is _Stage.UNDECIDED:
            words, self._waiting = self._waiting + words, ""
            if reasoning.may_become_thought(words):
                self._waiting = words
                return
            if words.lstrip().startswith(REASONING_START):
                self._begin_thought()
                words = words.lstrip()[len(REASONING_START) :]
            else:
                self._stage = _Stage.ANSWERING
        if self._stage is _Stage.THINKING:
            words = self._take_thought(words)
        if self._stage is _Stage.BETWEEN:
            words = words.lstrip("\n")
            if words:
                self._stage = _Stage.ANSWERING
        if self._stage is _Stage.ANSWERING and words:
            self._answer.feed(words)
            self._watch(words)

    def _take_thought(self, words: str) -> str:
        """Give the thought its words; what stands behind its end comes back."""
        words, self._waiting = self._waiting + words, ""
        end = words.find(REASONING_END)
        if end < 0:
            held = reasoning.held_close(words)
            self._waiting = words[len(words) - held :]
            self._think(words[: len(words) - held])
            return ""
        self._think(words[:end])
        self._end_thought()
        return words[end + len(REASONING_END) :]

    def _watch(self, words: str) -> None:
        """Notice a thought that ends without having been opened: its template opened it."""
        if not self._folded:
            recent = self._last + words
            self.misread = self.misread or REASONING_END in recent
            self._last = recent[-len(REASONING_END) :]

    def _begin_thought(self) -> None:
        self._stage = _Stage.THINKING
        self._answer.clear()
        write_fold_line(self._writer, thinking=True, unfolded=self._unfolded)
        self._folded = True
        if self._unfolded:
            frame = self._writer.frame(self._writer.styles.frame(FrameKind.THOUGHT))
            # The thought grows in a frame of its own, with a pen of its own.
            pen = Writer(frame.lastCursorPosition(), self._writer.styles, THOUGHT_INK)
            self._thought = StreamWriter(pen, self._highlighter, frame.lastPosition)
            self._writer.leave(frame)
        self._writer.block(Place(Kind.GAP))
        self._writer.fresh = True
        self._answer.start_here()

    def _think(self, words: str) -> None:
        if self._thought is not None:
            self._thought.feed(words)

    def _end_thought(self) -> None:
        self._stage = _Stage.BETWEEN
        self._set_fold(thinking=False)
        if self._thought is not None:
            self._thought.render(final=True)

    def _set_fold(self, *, thinking: bool) -> None:
        document = self._writer.cursor.document()
        frame = self._writer.cursor.currentFrame()
        set_fold_line(document, frame, self._writer.styles, thinking=thinking, unfolded=self._unfolded)
