"""Markdown as `markdown.py` writes it: messages under headings, then other variants and where they branch off."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.core.reasoning_marks import REASONING_END, REASONING_START
from app.core.turn import FinishReason
from app.core.units import format_bytes
from app.storage.archive_format import RefusedError
from app.storage.imports.draft import Draft, Node
from app.storage.markdown import BROKE_OFF, ENDINGS, WORDS_SHOWN

MARKDOWN_LIMIT: Final = 4 * 1024 * 1024
"""Bytes; parsing Markdown takes many times its size."""
LINE_LIMIT: Final = 60_000
VARIANT_LIMIT: Final = 2_000
# Headings are all that is looked for, so what stands inside a line is not parsed.
_PARSER: Final = MarkdownIt("commonmark").disable(["inline"])
_ESCAPE: Final = re.compile(r"\\([\\`*_\[\]<>#&|~!])")
_AFTER: Final = re.compile(r"After “(.*)”", re.DOTALL)
_THOUGHT: Final = re.compile(r"\A> \*\*Reasoning\*\*\n>\n((?:>.*(?:\n|\Z))+)\n*")
_BARE: Final = 2_000
_YOU: Final = "You"
_SYSTEM: Final = "System prompt"
_VARIANTS: Final = "Other variants"
_BEGINNING: Final = "From the beginning"


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading and the text below it."""

    level: int
    heading: str
    text: str


def looks_like_ours(text: str) -> bool:
    """Whether a text begins as such a file does: a title, and a first message by a person."""
    headings = re.findall(r"^(#{1,2}) (.+)$", text[:1_000_000], re.MULTILINE)
    below = [heading for signs, heading in headings[1:] if signs == "##" and heading != _SYSTEM]
    return text.startswith("# ") and _YOU in below


def draft_of(data: bytes) -> Draft:
    """The draft of a conversation; raises RefusedError.

    Where several messages begin with the words that a variant names, it branches off the last of them.
    """
    if len(data) > MARKDOWN_LIMIT or data.count(b"\n") > LINE_LIMIT:
        raise RefusedError(f"Markdown is read up to {format_bytes(MARKDOWN_LIMIT)} and {LINE_LIMIT:,} lines")
    title, *sections = _sections(data.decode("utf-8", "replace"))
    nodes: list[Node] = []
    system, leaf, above = "", None, None
    level, placed, lost, variants = 2, True, 0, 0
    bare: list[str] = []
    for section in sections:
        if section.level == 2 and section.heading == _SYSTEM and not nodes and not system:
            system = _unquoted(section.text)
        elif section.level == 2 and section.heading == _VARIANTS and level == 2:
            level, leaf = 4, above
        elif section.level == 3 and level == 4:
            variants += 1
            if variants > VARIANT_LIMIT:
                raise RefusedError(f"it has more than {VARIANT_LIMIT:,} variants, which Markdown is not read with")
            try:
                above, placed = _place(bare, section.heading), True
            except LookupError:
                placed = False
                lost += 1
        elif section.level == level and placed:
            nodes.append(_message(str(len(nodes)), above, section))
            bare.append(_bare(nodes[-1].text))
            above = nodes[-1].key
    source = "markdown " + hashlib.sha256(data).hexdigest()
    shown = leaf if level == 4 else above
    remarks = (f"Variants whose place is not there were left out ({lost}).",) if lost else ()
    return Draft(nodes, source, title.heading, system, shown, remarks=remarks)


def _sections(text: str) -> Iterator[_Section]:
    """The title's section, then those of the headings of a message or a variant."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    tokens = _PARSER.parse(text)
    marks: list[tuple[int, int, str]] = []
    level = 2
    for at, token in enumerate(tokens):
        if token.type != "heading_open" or token.level or token.map is None:
            continue
        heading, depth = _ESCAPE.sub(r"\1", tokens[at + 1].content), int(token.tag[1:])
        if not marks or depth == level or (depth == 3 and level == 4):
            marks.append((token.map[0], depth, heading))
        if depth == 2 and heading == _VARIANTS:
            level = 4
    starts = [start for start, _depth, _heading in marks] + [len(lines)]
    for number, (start, depth, heading) in enumerate(marks):
        body = "\n".join(lines[start + 1 : starts[number + 1]]).strip("\n")
        yield _Section(depth, heading, body)


def _place(bare: Sequence[str], heading: str) -> str | None:
    """The key of the message that a variant answers, by what `_bare` gives of each; None for a beginning.

    Raises LookupError if it is not there.
    """
    if heading == _BEGINNING:
        return None
    words = _AFTER.fullmatch(heading)
    if words is None:
        raise LookupError(heading)
    whole = len(words[1]) < WORDS_SHOWN
    wanted = _bare(words[1] if whole else words[1].removesuffix("…"))
    for at in range(len(bare) - 1, -1, -1):
        if bare[at] == wanted if whole else bare[at].startswith(wanted):
            return str(at)
    raise LookupError(heading)


def _bare(text: str) -> str:
    """The beginning of a text without what writing it as Markdown changes."""
    return "".join(text[:_BARE].split()).replace("#", "")


def _message(key: str, above: str | None, section: _Section) -> Node:
    text, finish = section.text, "stop"
    if section.heading == _YOU:
        return Node(key, above, "user", _raised(text, section.level))
    for reason, line in ENDINGS.items():
        if text.endswith(line):
            text, finish = text.removesuffix(line).rstrip("\n"), reason
    error = None
    head, begins, why = text.rpartition(f"\n\n{BROKE_OFF}" if not text.startswith(BROKE_OFF) else BROKE_OFF)
    if begins and why.endswith("*") and "\n" not in why:
        text, finish, error = head, "failed", _ESCAPE.sub(r"\1", why.removesuffix("*"))
    thought = _THOUGHT.match(text)
    words = _raised(text[thought.end() :] if thought else text, section.level)
    if thought:
        words = f"{REASONING_START}\n{_unquoted(thought[1].rstrip())}\n{REASONING_END}\n\n{words}"
    model = None if section.heading == "Assistant" else section.heading
    return Node(key, above, "assistant", words, model=model, finish_reason=cast(FinishReason, finish), error=error)


def _raised(text: str, level: int) -> str:
    """The text with its headings where they were before they were moved below the message's own."""
    if "#" not in text:
        return text
    lines = text.split("\n")
    for token in _PARSER.parse(text):
        if _is_heading(token) and token.map is not None:
            line = lines[token.map[0]].lstrip(" ")
            signs = len(line) - len(line.lstrip("#"))
            lines[token.map[0]] = "#" * max(1, signs - level) + line[signs:]
    return "\n".join(lines)


def _is_heading(token: Token) -> bool:
    return token.type == "heading_open" and not token.level


def _unquoted(text: str) -> str:
    """The text of a block quote."""
    return "\n".join(line.removeprefix(">").removeprefix(" ") for line in text.split("\n"))
