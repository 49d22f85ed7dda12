"""Hostile text made fit for a text document: no character that would break its structure, no endless line."""

import re
from collections.abc import Iterator
from typing import Final

SHOWN_MAX: Final = 300_000
"""The most characters of one message that are shown; copying takes all of them."""
LINES_MAX: Final = 4_000
"""The most lines of one message that are shown."""
PIECE: Final = 4_000
"""The most characters of one block: laying out a line without a space costs the square of its length."""

# Control characters, what Qt reserves for frames' borders and for images, halves of surrogate pairs.
_UNFIT: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufdd0-\ufdef\ufffc\ufffe\uffff\ud800-\udfff]"
)
_LINE_ENDS: Final = "\u2028\u2029\x85"
_BIDI: Final = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with line feeds as its only line ends and U+FFFD for what cannot be shown."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNFIT.sub(_substitute, text)


def shown_part(text: str) -> tuple[str, bool]:
    """As much of a text as is shown, clean, and whether that is not all of it."""
    part = clean(text[:SHOWN_MAX])
    cut, at = len(text) > SHOWN_MAX, -1
    if part.count("\n") >= LINES_MAX:
        for _ in range(LINES_MAX):
            at = part.index("\n", at + 1)
        rest = part[at + 1 :]
        part, cut = part[:at], cut or bool(rest.strip())
    return part, cut


def clean_code(code: str) -> str:
    """The same for code, where marks that turn the reading direction could show other code than there is."""
    return _BIDI.sub("\ufffd", code)


def _substitute(match: re.Match[str]) -> str:
    char = match.group()
    if char in _LINE_ENDS:
        return "\n"
    return " " if char in "\x0b\x0c" else "\ufffd"


def pieces(line: str, first: int = PIECE, size: int = PIECE) -> Iterator[str]:
    """Cut a line into parts that a block can bear, after a space where there is one.

    The first part has at most `first` characters, each other one at most `size`.
    """
    start, room = 0, first
    while len(line) - start > room:
        cut = line.rfind(" ", start + room // 2, start + room) + 1 or start + room
        yield line[start:cut]
        start, room = cut, size
    yield line[start:]
