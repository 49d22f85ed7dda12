"""Control tokens: the tokens that text must not spell, and the marks that keep a person's text from spelling them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.core.errors import EmberError

MARKS = tuple(chr(code) for code in range(0xFDD0, 0xFDF0))
"""Unicode noncharacters: no text has a use for them, and one that this text lacks becomes the mark."""


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A token that text must not spell: its text and id, and whether it swallows white space beside it."""

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


class ControlPattern:
    """Finds control tokens in text, the longest first; made once per vocabulary."""

    def __init__(self, controls: Sequence[ControlToken]) -> None:
        """Prepare for these tokens; empty texts are ignored."""
        self.by_text = {token.text: token for token in controls if token.text}
        longest_first = sorted(self.by_text, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def find(self, text: str) -> Iterator[re.Match[str]]:
        """The control tokens spelled in `text`, left to right."""
        return self._pattern.finditer(text) if self._pattern is not None else iter(())

    def shield(self, text: str, mark: str) -> str:
        """The text with `mark` after the first character of each control token, so that it is none any more."""
        if self._pattern is None:
            return text
        while True:  # breaking one spelling can leave another whole, such as the inner one of <|a<|b|>
            broken = self._pattern.sub(lambda m: m[0][0] + mark + m[0][1:] if len(m[0]) > 1 else mark, text)
            if broken == text:
                return text
            text = broken


def choose_mark(texts: Sequence[str]) -> str:
    """A character that none of the texts contains; raises EmberError for texts made to contain them all."""
    for mark in MARKS:
        if not any(mark in text for text in texts):
            return mark
    raise EmberError(
        "This chat holds all the characters that Unicode keeps out of texts, and Ember needs one of them. "
        "Nothing was lost; take one of them out.",
        "bad_text",
    )
