"""A conversation as Markdown: the path that is shown, then every other variant."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.core.conversation import ConversationTree, Message, MessageId
from app.core.reasoning_marks import REASONING_END, REASONING_START

_PARSER: Final = MarkdownIt("commonmark")
_DEEPEST: Final = 6
WORDS_SHOWN: Final = 60
"""Characters of a message by which a variant is told from others."""
ENDINGS: Final = {
    "cancelled": "*The reply was stopped here.*",
    "length": "*The reply reached its limit of tokens here.*",
}
"""What is said below a reply that did not come to its own end, by its finish reason."""
BROKE_OFF: Final = "*The reply broke off: "
"""What begins the line that says why; a star ends it."""
# Only such lines can be a heading, or leave something open that would swallow what follows.
_STRUCTURE: Final = re.compile(r"^ {0,3}(#|=+[ \t]*$|-+[ \t]*$|`{3}|~{3}|<)", re.MULTILINE)
_OPEN_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#&|~!])")
_THINK: Final = re.compile(rf"\s*{REASONING_START}(?P<thought>.*?)(?:{REASONING_END}|\Z)", re.DOTALL)
_SENTINEL: Final = "end-of-message"


def to_markdown(tree: ConversationTree, *, one: bool = False) -> str:
    """The title, the system prompt, the shown path, and under "Other variants" all that branches off it.

    With `one`, the shown path alone.

    Each message stands under a heading. Headings in its own text are moved below that one; what it leaves
    open (a code fence, raw HTML) is closed, so that it cannot take the next message in. Code stays as it is.
    """
    conversation = tree.conversation
    parts = [f"# {_escaped(conversation.title)}"]
    if conversation.system_prompt.strip():
        parts += ["## System prompt", _quoted(conversation.system_prompt.strip())]
    shown = tree.path()
    for message in shown:
        parts += _message_parts(message, 2)
    variants = [] if one else list(variants_of(tree, {message.id for message in shown}))
    if variants:
        parts.append("## Other variants")
    for path in variants:
        parts.append(f"### {_place(tree, path[0])}")
        for message in path:
            parts += _message_parts(message, 4)
    return "\n\n".join(parts) + "\n"


def variants_of(tree: ConversationTree, told: set[MessageId]) -> Iterator[list[Message]]:
    """Every path off those already told, each message once: from where it branches off to its newest leaf."""
    children: dict[MessageId, list[Message]] = {}
    for message in tree.messages.values():
        if message.parent is not None:
            children.setdefault(message.parent, []).append(message)
    for message in tree.messages.values():
        if message.id in told:
            continue
        path = [message]  # its parent, which stands before it, has been told
        while below := children.get(path[-1].id):
            path.append(max(below, key=lambda m: (m.created, m.id)))
        told.update(m.id for m in path)
        yield path


def _place(tree: ConversationTree, message: Message) -> str:
    """Where a variant branches off, as a heading."""
    parent = None if message.parent is None else tree.messages.get(message.parent)
    if parent is None:
        return "From the beginning"
    return f"After “{_escaped(excerpt(parent.text))}”"


def excerpt(text: str) -> str:
    """The first words of a message, on one line."""
    words = " ".join(text.split())
    return words if len(words) <= WORDS_SHOWN else words[: WORDS_SHOWN - 1] + "…"


def _message_parts(message: Message, level: int) -> list[str]:
    """One message below a heading of that level."""
    who = "You" if message.role == "user" else _escaped(message.model or "Assistant")
    parts = [f"{'#' * level} {who}"]
    text = message.text
    thought = _THINK.match(text) if message.role == "assistant" else None
    if thought:
        if thought["thought"].strip():
            parts.append(_quoted("**Reasoning**\n\n" + thought["thought"].strip()))
        text = text[thought.end() :]
    if text.strip():
        parts.append(_contained(text.strip("\n").rstrip(), level))
    if message.error:
        parts.append(f"{BROKE_OFF}{_escaped(' '.join(message.error.split()))}*")
    elif message.finish_reason in ENDINGS:
        parts.append(ENDINGS[message.finish_reason])
    return parts


def _contained(text: str, level: int) -> str:
    """The text with its headings below `level`, and with nothing left open at its end."""
    text = _with_plain_ends(text)
    if not _STRUCTURE.search(text):
        return text
    tokens = _PARSER.parse(text)
    fence = _OPEN_FENCE.match(text.split("\n")[_last_start(tokens)])
    text = _with_lower_headings(text, tokens, level)
    candidates = [text] + ([f"{text}\n{fence[1]}"] if fence else [])
    for candidate in candidates:
        if _ends(candidate):
            return candidate
    return _quoted(text)


def _last_start(tokens: list[Token]) -> int:
    """The line on which the last block of the outermost level begins."""
    starts = [token.map[0] for token in tokens if token.level == 0 and token.map]
    return starts[-1] if starts else 0


def _ends(text: str) -> bool:
    """Whether a heading written after the text is read as one, and not as a part of the text."""
    tokens = _PARSER.parse(f"{text}\n\n# {_SENTINEL}")
    return len(tokens) >= 3 and tokens[-3].type == "heading_open" and tokens[-2].content == _SENTINEL


def _with_lower_headings(text: str, tokens: list[Token], level: int) -> str:
    """The text with each outermost heading moved down by `level`; other lines stay as they are."""
    lines: list[str | None] = list(text.split("\n"))
    for opening, content in pairwise(tokens):
        if opening.type != "heading_open" or opening.level or not opening.map:
            continue
        first, end = opening.map
        depth = min(int(opening.tag[1:]) + level, _DEEPEST)
        words = " ".join(line.strip() for line in content.content.split("\n"))
        # An underlined heading becomes one with signs, since only those have more than two depths.
        lines[first] = f"{'#' * depth} {words}".rstrip()
        lines[first + 1 : end] = [None] * (end - first - 1)
    return "\n".join(line for line in lines if line is not None)


def _quoted(text: str) -> str:
    """The text as a block quote, which ends where it ends whatever stands in it."""
    return "\n".join(f"> {line}" if line else ">" for line in _with_plain_ends(text).split("\n"))


def _with_plain_ends(text: str) -> str:
    """The text with one kind of line end, by which CommonMark counts lines."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _escaped(text: str) -> str:
    """A line of text in which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
