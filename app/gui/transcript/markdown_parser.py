"""Markdown into tokens within a budget, and which of them can no longer change while a reply streams."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # a window that opens without a chat is painted before it is read
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MARKDOWN_MAX: Final = 100_000
"""Longer texts are shown as they were written."""
_STEPS_MAX: Final = 12_000
"""Steps of the parser per text, about 10 µs each: 100,000 characters of prose need a good half of them."""
_BRACKET: Final = 20
"""The steps that an opening bracket counts for: the parser looks for the end of a link behind each."""
_TOKENS_MAX: Final = 20_000
_BLOCKS_MAX: Final = 4_000
_FRAMES_MAX: Final = 300
"""Cards and tables: each costs the document as much as a message."""
_PIPES_MAX: Final = 8_000
_NESTING_MAX: Final = 40
_STEPS: Final = "ember_steps"

_LIST_OPEN: Final = ("bullet_list_open", "ordered_list_open")
_FENCE_OPEN: Final = re.compile(r"^( {0,3})(`{3,}(?=[^`\n]*$)|~{3,})[ \t]*([^\n]*)$")
_FENCE_CLOSE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*$")
# The end of a text that may still turn into a marker: shown too early it would flicker as words.
_UNDECIDED: Final = re.compile(r"^[ \t]*(?:>[ \t]*)*(?:\d{1,9}[.)]?|[-+*_=#`~|: ]+|(?:```|~~~)[^\n]*|\|[^\n]*)$")

_FENCE_LINE: Final = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:`{3,}|~{3,})", re.MULTILINE)
_INLINE_CODE: Final = re.compile(r"`[^`]*`")
_STRONG: Final = re.compile(r"\*\*(?=\S)|(?<=\S)\*\*")


class TooMuch(Exception):
    """The text costs more than a message may."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The line that opens a block of code."""

    indent: int
    mark: str
    language: str

    def is_closed_by(self, line: str) -> bool:
        """Whether this line ends the block."""
        found = _FENCE_CLOSE.match(line)
        return found is not None and found[1][0] == self.mark[0] and len(found[1]) >= len(self.mark)

    def may_be_closed_by(self, start: str) -> bool:
        """Whether a line that begins like this may come to end the block."""
        words = start.lstrip(" ")
        return len(start) - len(words) <= 3 and not words.rstrip(" \t").strip(self.mark[0])


def _count(state: "StateInline | StateBlock", steps: int) -> None:
    state.env[_STEPS] = left = state.env.get(_STEPS, _STEPS_MAX) - steps
    if left < 0:
        raise TooMuch


def _count_inline(state: "StateInline", _silent: bool) -> bool:
    _count(state, _BRACKET if state.src[state.pos] == "[" else 1)
    return False


def _count_block(state: "StateBlock", _start: int, _end: int, _silent: bool) -> bool:
    _count(state, 1)
    return False


@cache
def parser() -> "MarkdownIt":
    """The parser, the same every time; the first call reads markdown-it, which takes 20 ms."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "maxNesting": _NESTING_MAX})
    made.enable(["table", "strikethrough"])
    made.inline.ruler.before("text", "ember_steps", _count_inline)
    made.block.ruler.before("table", "ember_steps", _count_block, {"alt": ["paragraph", "reference"]})
    return made


def parse(source: str, env: dict[str, Any] | None = None) -> "list[Token] | None":
    """The tokens of a clean text; None if it is too long, too deep or too costly to be more than plain text.

    `env` keeps the definitions of links from one part of a reply for the next.
    """
    if len(source) > MARKDOWN_MAX or source.count("|") > _PIPES_MAX:
        return None
    env = {} if env is None else env
    env[_STEPS] = _STEPS_MAX
    try:
        tokens = parser().parse(source, env)
    except (TooMuch, RecursionError):
        return None
    return tokens if _is_bearable(tokens) else None


def _is_bearable(tokens: "list[Token]") -> bool:
    """Whether the tokens are few enough to be written, and complete."""
    if len(tokens) > _TOKENS_MAX:
        return False
    kinds = [token.type for token in tokens]
    frames = sum(kinds.count(kind) for kind in ("fence", "code_block", "table_open"))
    blocks = kinds.count("inline") + kinds.count("hr")
    # At the deepest level the parser leaves words out.
    deepest = max((token.level for token in tokens), default=0)
    return frames <= _FRAMES_MAX and blocks <= _BLOCKS_MAX and deepest < _NESTING_MAX - 2


def fence_at(line: str) -> Fence | None:
    """The block of code that this whole line opens, if it does."""
    found = _FENCE_OPEN.match(line)
    if found is None:
        return None
    return Fence(len(found[1]), found[2], language_of(found[3]))


def language_of(info: str) -> str:
    """The language that the words after a fence name, fit to be shown."""
    words = info.split(maxsplit=1)
    return words[0].strip("{}.").lower()[:40] if words else ""


def held_back(tail: str) -> int:
    """How many characters at the end of a growing text wait until it is known what they are."""
    line = tail[tail.rfind("\n") + 1 :]
    return len(line) if line and _UNDECIDED.match(line) else 0


def completed(tail: str) -> str:
    """A growing text with what it left open closed, so that half an emphasis shows no signs."""
    if tail.endswith("\n") or len(_FENCE_LINE.findall(tail)) % 2:
        return tail
    start = max(tail.rfind("\n\n") + 2, tail.rfind("\n- ") + 1, tail.rfind("\n* ") + 1, 0)
    paragraph = tail[start:]
    if paragraph.startswith("    "):
        return tail
    bare = paragraph.rstrip("*_~`")
    if len(bare) < len(paragraph):
        opened = paragraph[len(bare) :]
        # A closing sign stands after a word, an opening one after a space.
        if not bare or bare[-1].isspace() or bare[-1] in "([\"'":
            tail, paragraph = tail[: len(tail) - len(opened)], bare
    if paragraph.count("`") % 2:
        return tail + "`"
    if len(_STRONG.findall(_INLINE_CODE.sub("", paragraph))) % 2:
        return tail.rstrip(" ") + "**"
    return tail


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a growing text's tokens."""

    closed: "Sequence[Token]"
    """Blocks that no more text can change."""
    tail: "Sequence[Token]"
    line: int
    """The line on which the tail begins."""
    in_list: bool = False
    """Whether the tail goes on with the list that the closed part ends in."""


def split_closed(tokens: "Sequence[Token]") -> Split:
    """Divide before the last block, or inside a list before its last item."""
    starts = [at for at, token in enumerate(tokens) if token.level == 0 and token.nesting >= 0]
    if not starts:
        return Split((), tokens, 0)
    last = starts[-1]
    if tokens[last].type in _LIST_OPEN:
        items = [at for at in range(last, len(tokens)) if tokens[at].level == 1 and tokens[at].type == "list_item_open"]
        if len(items) > 1:
            return Split(tokens[: items[-1]], tokens[items[-1] :], _first_line(tokens[items[-1]]), True)
    return Split(tokens[:last], tokens[last:], _first_line(tokens[last]))


def _first_line(token: "Token") -> int:
    return token.map[0] if token.map else 0
