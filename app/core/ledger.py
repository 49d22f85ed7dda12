"""The token ledger: the exact ids of each message, spliced into the rendered prompt.

A reply tokenised again from its text does not always give the ids that were generated (KV_STATE: 1 of 6 replies). The
keys and values in memory belong to the generated ids, so those are kept with the message and put back where the
rendered prompt holds the message's text unchanged. Everything else is tokenised, cut at control tokens.

Text that came from a person or a model never becomes a control token: `shield` breaks such spellings with a mark
before the template is rendered, and `assemble` only takes control tokens that carry no mark, which are the
template's own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.core.errors import EmberError
from app.core.stream_text import boundaries

MARKS = tuple(chr(code) for code in range(0xFDD0, 0xFDF0))
"""Unicode noncharacters: no text has a use for them, and one that this text lacks becomes the mark."""
LOOK_AHEAD = 12
"""Fragments in which a message is looked for; a template puts a handful of them around each message."""
REASONING_START = "<think>"
REASONING_END = "</think>"
REASONING_STARTS = (REASONING_START + "\n", REASONING_START)
"""What a reply's text begins with when the generation prompt, not the model, opened its reasoning."""


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A token that text must not spell: its text and id, and whether it swallows white space beside it."""

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


class Tokenizer(Protocol):
    """What the ledger needs of a vocabulary."""

    controls: tuple[ControlToken, ...]

    def tokenize(self, text: str, *, start: bool = True) -> list[int]:
        """Ids of plain text; `start`: at the beginning, or after a control token."""

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A message as it was sent: its id, its text, and its exact ids if known."""

    id: str
    text: str
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class MessageSpan:
    """Where a message's text stands in the prompt, in tokens: [start, end)."""

    id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt's ids, and what is known of each message in it."""

    ids: list[int]
    spans: tuple[MessageSpan, ...] = ()
    learned: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Exact ids of messages that came without, where their text can be cut out between tokens."""
    spliced: tuple[str, ...] = ()
    """The messages whose ids were put back."""
    fragments: tuple[tuple[int, int], ...] = ()
    """Where control tokens and the texts between them begin: (character of the rendered text, token)."""

    def shifted(self, first: int) -> "Prompt":
        """The same prompt behind one more id, such as the token that begins every text."""
        spans = tuple(MessageSpan(span.id, span.start + 1, span.end + 1) for span in self.spans)
        fragments = tuple((character, token + 1) for character, token in self.fragments)
        return Prompt([first, *self.ids], spans, self.learned, self.spliced, fragments)

    def extended(self, message: str, ids: Sequence[int]) -> "Prompt":
        """The same prompt with a message's ids at its end."""
        end = len(self.ids) + len(ids)
        span = MessageSpan(message, len(self.ids), end)
        return Prompt([*self.ids, *ids], (*self.spans, span), self.learned, (*self.spliced, message), self.fragments)

    def fragment_at(self, character: int) -> int | None:
        """The token of the fragment that begins at a character of the rendered text; None where none does.

        Up to there the ids do not depend on what follows.
        """
        return next((token for start, token in self.fragments if start == character), None)

    def boundary_before(self, token: int) -> int:
        """The last token up to `token` that begins a fragment."""
        return max((begin for _, begin in self.fragments if begin <= token), default=0)


@dataclass(slots=True)
class _Fragment:
    """A stretch of the rendered prompt from character `start` on: one control token, or the text between two."""

    text: str
    start: int
    control: int | None = None
    found: list["_Found"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """A message's text [start, end) in a fragment, and the ids to put there, if any."""

    entry: LedgerEntry
    start: int
    end: int
    ids: tuple[int, ...] | None


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


def placeholder(number: int, mark: str) -> str:
    """What stands for the message `number` in a skeleton: the prompt rendered without the messages' texts."""
    return f"{mark}{number}{mark}"


def assemble(
    rendered: str,
    mark: str,
    entries: Sequence[LedgerEntry],
    tokenizer: Tokenizer,
    pattern: ControlPattern,
    skeleton: str | None = None,
) -> Prompt:
    """The ids of a rendered prompt whose messages were shielded with `mark`, stored ids spliced in.

    The skeleton, rendered with a placeholder for each message, tells the template's own text from the messages';
    without it they are looked for.
    """
    fragments = _cut(rendered, mark, pattern)
    _locate(fragments, rendered.replace(mark, ""), entries, _literals(skeleton, mark), tokenizer)
    ids: list[int] = []
    spans: list[MessageSpan] = []
    learned: dict[str, tuple[int, ...]] = {}
    begins: list[tuple[int, int]] = []
    for fragment in fragments:
        begins.append((fragment.start, len(ids)))
        if fragment.control is not None:
            ids.append(fragment.control)
        else:
            _emit(fragment, tokenizer, ids, spans, learned)
    spliced = tuple(f.entry.id for fragment in fragments for f in fragment.found if f.ids is not None)
    return Prompt(ids, tuple(spans), learned, spliced, tuple(begins))


def _cut(rendered: str, mark: str, pattern: ControlPattern) -> list[_Fragment]:
    """The rendered prompt cut at the template's own control tokens; places are counted without the marks."""
    fragments: list[_Fragment] = []
    at, place = 0, 0
    strip_left = False

    def add_plain(text: str, strip_right: bool) -> None:
        nonlocal place
        plain = text.replace(mark, "")
        kept = plain.lstrip() if strip_left else plain
        start = place + len(plain) - len(kept)
        kept = kept.rstrip() if strip_right else kept
        if kept:
            fragments.append(_Fragment(kept, start))
        place += len(plain)

    for match in pattern.find(rendered):
        token = pattern.by_text[match[0]]
        add_plain(rendered[at : match.start()], token.strips_left)
        fragments.append(_Fragment(match[0], place, token.id))
        place += len(match[0])
        at, strip_left = match.end(), token.strips_right
    add_plain(rendered[at:], strip_right=False)
    return fragments


def _literals(skeleton: str | None, mark: str) -> dict[int, tuple[str, str]]:
    """By message number: the template's text before it and after it, up to the next message or the end."""
    if skeleton is None:
        return {}
    pieces = re.split(f"{re.escape(mark)}(\\d+){re.escape(mark)}", skeleton)
    return {int(pieces[i]): (pieces[i - 1], pieces[i + 1]) for i in range(1, len(pieces), 2)}


def _locate(
    fragments: list[_Fragment],
    text: str,
    entries: Sequence[LedgerEntry],
    literals: dict[int, tuple[str, str]],
    tokenizer: Tokenizer,
) -> None:
    """Note in the fragments where each message's text stands, in order; `text` is the whole prompt without marks."""
    plain = [fragment for fragment in fragments if fragment.control is None]
    at = index = 0
    for number, entry in enumerate(entries):
        if not entry.text:
            continue
        forms = _forms(entry.text)
        place = _between(text, at, forms, literals.get(number)) or _search(plain, index, at, forms)
        if place is None:
            continue
        start, form, skipped = place
        at = start + len(form)
        while index < len(plain) - 1 and plain[index].start + len(plain[index].text) < at:
            index += 1
        begin = start - plain[index].start
        if begin < 0 or plain[index].text[begin : begin + len(form)] != form:
            continue  # a control token of the template's stands inside, or white space was swallowed
        ids = _slice_ids(entry, skipped, skipped + len(form), tokenizer)
        plain[index].found.append(_Found(entry, begin, begin + len(form), ids))


_Form = tuple[str, int]
_Place = tuple[int, str, int]
"""Where a form stands in the prompt, the form, and the characters of the message left out before it."""


def _between(text: str, at: int, forms: list[_Form], around: tuple[str, str] | None) -> _Place | None:
    """The place of a message between the template's text before and after it."""
    if around is None:
        return None
    before, after = around
    start = at if text.startswith(before, at) else text.find(before, at)
    if start < 0:
        return None
    start += len(before)
    for form, skipped in forms:
        if text.startswith(form, start) and text.startswith(after, start + len(form)):
            return start, form, skipped
    return None


def _search(fragments: list[_Fragment], index: int, at: int, forms: list[_Form]) -> _Place | None:
    """The place of a message that stands at the end of a fragment, or else anywhere in one.

    At the end first: a control token follows most messages, and a short one such as "a" stands inside the word
    "assistant" too.
    """
    ahead = fragments[index : index + LOOK_AHEAD]
    for at_end in (True, False):
        for fragment in ahead:
            begin = max(0, at - fragment.start)
            for form, skipped in forms:
                if at_end:
                    start = len(fragment.text) - len(form) if fragment.text.endswith(form) else -1
                else:
                    start = fragment.text.find(form, begin)
                if start >= begin:
                    return fragment.start + start, form, skipped
    return None


def _forms(text: str) -> list[_Form]:
    """What templates make of a message's text: itself, trimmed, and without its reasoning.

    Each with the number of characters left out before it.
    """
    forms: dict[str, int] = {}

    def add(form: str, skipped: int) -> None:
        trimmed = form.lstrip()
        left = skipped + len(form) - len(trimmed)
        for variant, at in (
            (form, skipped),
            (form.rstrip(), skipped),
            (trimmed, left),
            (trimmed.rstrip(), left),
        ):
            if variant:
                forms.setdefault(variant, at)

    add(text, 0)
    head, found, answer = text.rpartition(REASONING_END)
    if found:
        add(answer, len(head) + len(found))
    return list(forms.items())


def _slice_ids(entry: LedgerEntry, start: int, end: int, tokenizer: Tokenizer) -> tuple[int, ...] | None:
    """The stored ids of the characters [start, end) of a message, or None where no token ends there."""
    if entry.token_ids is None:
        return None
    text, ends = boundaries(tokenizer.piece(token) for token in entry.token_ids)
    opening = entry.text[: len(entry.text) - len(text)] if entry.text.endswith(text) else None
    if opening is None or (opening and opening not in REASONING_STARTS):
        return None  # the text was changed since
    begins = [0, *ends[:-1]]
    try:
        first = begins.index(start - len(opening))
        last = len(ends) - 1 - ends[::-1].index(end - len(opening))
    except ValueError:
        return None
    return entry.token_ids[first : last + 1] if first <= last else None


def _emit(
    fragment: _Fragment,
    tokenizer: Tokenizer,
    ids: list[int],
    spans: list[MessageSpan],
    learned: dict[str, tuple[int, ...]],
) -> None:
    """Append a plain fragment's ids: stored ones where they are known, tokenised text between them."""
    at = 0
    waiting: list[_Found] = []

    def flush(until: int) -> None:
        nonlocal at
        _emit_text(fragment.text, at, until, waiting, tokenizer, ids, spans, learned)
        waiting.clear()
        at = until

    for found in fragment.found:
        if found.ids is None:
            waiting.append(found)
            continue
        flush(found.start)
        spans.append(MessageSpan(found.entry.id, len(ids), len(ids) + len(found.ids)))
        ids.extend(found.ids)
        at = found.end
    flush(len(fragment.text))


def _emit_text(
    text: str,
    start: int,
    end: int,
    messages: list[_Found],
    tokenizer: Tokenizer,
    ids: list[int],
    spans: list[MessageSpan],
    learned: dict[str, tuple[int, ...]],
) -> None:
    """Append the ids of text[start:end], and learn the messages in it if it can be cut around them.

    It can when the parts, tokenised alone, give the very ids of the whole: then splicing them later changes nothing.
    """
    whole = tokenizer.tokenize(text[start:end], start=start == 0)
    parts: list[tuple[_Found | None, list[int]]] = []
    at = start
    for found in messages:
        parts.append((None, tokenizer.tokenize(text[at : found.start], start=at == 0)))
        parts.append((found, tokenizer.tokenize(text[found.start : found.end], start=found.start == 0)))
        at = found.end
    parts.append((None, tokenizer.tokenize(text[at:end], start=at == 0) if messages else whole))
    separable = [token for _, part in parts for token in part] == whole
    base = len(ids)
    if separable:
        position = base
        for part_of, part in parts:
            if part_of is not None:
                spans.append(MessageSpan(part_of.entry.id, position, position + len(part)))
                if part_of.entry.text == text[part_of.start : part_of.end]:
                    learned[part_of.entry.id] = tuple(part)
            position += len(part)
    else:
        spans.extend(MessageSpan(found.entry.id, base, base + len(whole)) for found in messages)
    ids.extend(whole)


def common_prefix(left: Sequence[int] | str, right: Sequence[int] | str) -> int:
    """How many leading ids, or characters, are equal."""
    shorter = min(len(left), len(right))
    if left[:shorter] == right[:shorter]:
        return shorter
    low, high = 0, shorter  # the answer lies in [low, high): compare slices, which is faster than single ids
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
