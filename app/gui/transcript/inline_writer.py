"""Words with emphasis, code and links between them, from Markdown's inline tokens."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from app.gui.transcript.clean_text import clean
from app.gui.transcript.styles import Ink
from app.gui.transcript.writer import Writer

if TYPE_CHECKING:
    from markdown_it.token import Token

OPENED: Final = ("http", "https", "mailto")
"""The only addresses that a click may open."""
HREF_MAX: Final = 2_000
_SCHEME: Final = re.compile(r"([a-z]+):", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'`\u2028]{3,1000}", re.IGNORECASE)
_AFTER: Final = ".,;:!?*_~"
_LINE_BREAK: Final = "\u2028"


def may_open(href: str) -> bool:
    """Whether this address is one that a click may open."""
    scheme = _SCHEME.match(href)
    return scheme is not None and scheme[1].lower() in OPENED and len(href) <= HREF_MAX


def has_code(children: "Sequence[Token]") -> bool:
    """Whether there is code between the words."""
    return any(child.type == "code_inline" for child in children)


class _Inline:
    """Writes one block's inline tokens and knows which emphasis is open."""

    def __init__(self, writer: Writer, ink: Ink) -> None:
        self._writer = writer
        self._base = ink
        self._open: dict[str, int] = {}
        self._links: list[tuple[str, str]] = []
        self._current: Ink | None = None
        self._before_code = False

    def write(self, token: "Token", *, before_code: bool) -> None:
        """Write one token."""
        self._before_code = before_code
        kind = token.type
        if kind == "text":
            self._words(token.content)
        elif kind == "code_inline":
            ink = replace(self._ink(), code=True)
            self._spaced(clean(token.content).replace("\n", " "), ink)
        elif kind in ("softbreak", "hardbreak"):
            self._writer.text(_LINE_BREAK, self._ink())
        elif kind == "link_open":
            self._open_link(str(token.attrs.get("href", "")))
        elif kind == "link_close":
            self._close_link()
        elif kind == "image":
            self._writer.text(clean(_image_words(token)), self._ink())
        elif token.nesting:
            name = kind.rpartition("_")[0]
            self._open[name] = max(0, self._open.get(name, 0) + token.nesting)
        elif token.content:
            self._words(token.content)
        if token.nesting:
            self._current = None

    def _ink(self) -> Ink:
        if self._current is None:
            self._current = self._make_ink()
        return self._current

    def _make_ink(self) -> Ink:
        opened = self._open
        if not self._links and not any(opened.values()):
            return self._base
        return replace(
            self._base,
            bold=self._base.bold or opened.get("strong", 0) > 0,
            italic=self._base.italic or opened.get("em", 0) > 0,
            strike=opened.get("s", 0) > 0,
            href=self._links[-1][0] if self._links else "",
        )

    def _open_link(self, href: str) -> None:
        href = clean(href)
        self._links.append((href, "") if may_open(href) else ("", href))

    def _close_link(self) -> None:
        """Behind a link that must not be opened, say in words where it leads."""
        _href, told = self._links.pop() if self._links else ("", "")
        if told:
            self._writer.text(f" ({told})", replace(self._ink(), color="text_faint"))

    def _spaced(self, words: str, ink: Ink) -> None:
        """Write words with some space behind the last character."""
        self._writer.text(words[:-1], ink)
        self._writer.text(words[-1:], replace(ink, spaced=True))

    def _words(self, words: str) -> None:
        """Write words; an address among them is a link."""
        words = clean(words).replace("\n", _LINE_BREAK)
        ink = self._ink()
        if self._links or "://" not in words:
            if self._before_code:
                self._spaced(words, ink)
            else:
                self._writer.text(words, ink)
            return
        at = 0
        for found in _ADDRESS.finditer(words):
            href = _trimmed(found.group())
            if found.start() > at:
                self._writer.text(words[at : found.start()], ink)
            self._writer.text(href, replace(ink, href=href))
            at = found.start() + len(href)
        if at < len(words):
            self._writer.text(words[at:], ink)


def write_inline(writer: Writer, children: "Sequence[Token]", ink: Ink) -> None:
    """Write a block's inline tokens in `ink`."""
    inline = _Inline(writer, ink)
    for child, after in zip_longest(children, children[1:]):
        inline.write(child, before_code=after is not None and after.type == "code_inline")


def _image_words(token: "Token") -> str:
    """An image in words: it is never loaded."""
    address = str(token.attrs.get("src", ""))
    if len(address) > 200:
        address = address[:200] + "…"
    alt = token.content.replace("\n", " ") or "Image"
    return f"{alt} ({address})" if address else alt


def _trimmed(address: str) -> str:
    """An address without the signs of the sentence that it stands in."""
    while address:
        last = address[-1]
        closes = last in ")]}" and address.count(last) > address.count("([{"[")]}".index(last)])
        if last not in _AFTER and not closes:
            break
        address = address[:-1]
    return address
