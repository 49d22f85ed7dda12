"""Where a reply's reasoning ends and its answer begins."""

import re
from dataclasses import dataclass
from typing import Final

from app.core.reasoning_marks import REASONING_END, REASONING_START

# Some templates write the opening tag themselves: then the reply only closes it, on a line of its own.
_LONE_CLOSE: Final = re.compile(rf"^[ \t]*{REASONING_END}[ \t]*$", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"(?:[ \t]*\n)+")
_FENCE: Final = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A reply in two parts, as offsets into its text."""

    start: int
    """Where the thought's words begin; -1 without a thought."""
    end: int
    """Where the thought's words end."""
    answer: int
    """Where the answer begins."""
    is_open: bool
    """Whether the thought has not been closed."""

    @property
    def present(self) -> bool:
        """Whether there is a thought at all."""
        return self.start >= 0


NONE: Final = Reasoning(-1, -1, 0, False)


def split(text: str) -> Reasoning:
    """Find the thought at the start of a reply: closed, still open, or closed without having been opened."""
    lead = len(text) - len(text.lstrip())
    if text.startswith(REASONING_START, lead):
        start = lead + len(REASONING_START)
        end = text.find(REASONING_END, start)
        if end < 0:
            return Reasoning(start, len(text), len(text), True)
        return Reasoning(start, end, _skip_blank(text, end + len(REASONING_END)), False)
    if REASONING_END in text and (lone := _LONE_CLOSE.search(text)) is not None:
        fences = len(_FENCE.findall(text, 0, lone.start()))
        if fences % 2 == 0:
            return Reasoning(lead, lone.start(), _skip_blank(text, lone.end()), False)
    return NONE


def answer_of(text: str) -> str:
    """The answer's exact words, or all of the text where there is nothing but a thought."""
    return text[split(text).answer :] or text


def may_become_thought(text: str) -> bool:
    """Whether a reply that has just begun may turn out to open a thought."""
    text = text.lstrip()
    return len(text) < len(REASONING_START) and REASONING_START.startswith(text)


def held_close(thought: str) -> int:
    """How many characters at the end of an open thought may be the beginning of its closing tag."""
    for length in range(min(len(REASONING_END) - 1, len(thought)), 0, -1):
        if thought.endswith(REASONING_END[:length]):
            return length
    return 0


def _skip_blank(text: str, start: int) -> int:
    blank = _BLANK_LINES.match(text, start)
    return blank.end() if blank else start
