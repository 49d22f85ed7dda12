"""A file of another program, recognised by what stands in it, as conversations one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from app.storage.archive import read_archive
from app.storage.archive_format import RefusedError
from app.storage.imports import chatgpt, jan, llama_web, lm_studio, open_webui, openai_chat, own_markdown
from app.storage.imports.bounds import CONVERSATION_LIMIT, begin_of, decode, items_of, lines_of, read_file
from app.storage.imports.draft import Draft, Taken, conversation_of
from app.storage.imports.packed import documents_in

_UNKNOWN: Final = (
    "it is no conversation that Ember knows: it reads .ember, ChatGPT's export, Jan, LM Studio, "
    "llama.cpp's web UI, Open WebUI, OpenAI's form, and Markdown that Ember wrote"
)
_GPT4ALL: Final = b"\xf5\xd5\x53\xcc"
"""What GPT4All's .chat files begin with (CHAT_FORMAT_MAGIC of its chatlistmodel.cpp)."""
_GPT4ALL_REFUSED: Final = (
    "it is a chat of GPT4All, which keeps chats in a form that only GPT4All reads; copy the text from there"
)
_LEAD: Final = 1_000
"""Bytes among which something must stand."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A conversation that was not taken; the reason is the part of a sentence that follows "because"."""

    reason: str
    title: str = ""


class _Head(msgspec.Struct, frozen=True):
    """What tells the formats apart, with nothing of it decoded."""

    mapping: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    chat: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    conv: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    assistants: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    role: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    thread_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    harness: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Titled(msgspec.Struct, frozen=True):
    title: str | None = None
    name: str | None = None


class _Versions(msgspec.Struct, frozen=True):
    versions: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Versioned(msgspec.Struct, frozen=True):
    messages: list[_Versions]


Counted = Callable[[int], None]
"""Is told how many conversations a file holds, before the first is read; a wrong guess for some formats."""


def conversations_in(path: Path, counted: Counted = lambda _number: None) -> Iterator[Taken | Refused]:
    """Each conversation of a file, or why it was not taken.

    Raises RefusedError for a file of which nothing can be read, EmberError for an .ember file that is refused.
    """
    begin = begin_of(path)
    if begin == _GPT4ALL:
        raise RefusedError(_GPT4ALL_REFUSED)
    if not begin.startswith(b"PK"):
        yield from _of_document(read_file(path), path, counted)
        return
    documents = documents_in(path)
    if documents is None:
        yield Taken(read_archive(path))
        return
    for document in documents:
        try:
            yield from _of_document(document.read(), None, counted)
        except RefusedError as error:
            yield Refused(str(error), document.name)


def _of_document(data: bytes, path: Path | None, counted: Counted) -> Iterator[Taken | Refused]:
    """The conversations of a text; it lies at `path`, or in a zip file. Raises RefusedError."""
    begin = data[:_LEAD].lstrip()[:1]
    if begin == b"[":
        yield from _of_list(items_of(data), data, None, counted)
    elif begin == b"{":
        yield from _of_objects(path, data, counted)
    elif own_markdown.looks_like_ours(data[:CONVERSATION_LIMIT].decode("utf-8", "replace")):
        yield _taken(lambda: own_markdown.draft_of(data))
    else:
        raise RefusedError(_UNKNOWN)


def _of_objects(path: Path | None, text: bytes, counted: Counted) -> Iterator[Taken | Refused]:
    """A file that begins with an object: one conversation, or one object a line."""
    try:
        head = decode(text, _Head)
    except RefusedError:
        lines = lines_of(text)
        if len(lines) < 2 or not lines[0].endswith(b"}"):  # not an object a line
            raise
        yield from _of_list(lines, text, path, counted)
        return
    if head.assistants or (head.object and bytes(head.object) == b'"thread"'):
        beside = path.parent / jan.MESSAGES if path is not None else None
        if beside is None or not beside.exists():
            raise RefusedError(f"it is a thread of Jan, and its {jan.MESSAGES} does not lie beside it")
        messages = read_file(beside)
        yield _taken(lambda: jan.draft_of(text, _lines(messages)))
    elif head.thread_id:
        thread = None if path is None else _thread_beside(path)
        yield _taken(lambda: jan.draft_of(thread, _lines(text)))
    else:
        yield from _of_list([text], text)


def _lines(data: bytes) -> list[bytes]:
    return [bytes(line) for line in lines_of(data)]


def _thread_beside(path: Path) -> bytes | None:
    """The thread.json that belongs to a messages.jsonl."""
    beside = path.parent / jan.THREAD
    return read_file(beside) if beside.exists() else None


def _of_list(
    items: Sequence[msgspec.Raw | bytes],
    whole: bytes,
    path: Path | None = None,
    counted: Counted = lambda _number: None,
) -> Iterator[Taken | Refused]:
    """The conversations of a list, or of lines; a list of messages is one conversation."""
    if not items:
        raise RefusedError("it holds no conversation")
    try:
        head = decode(items[0], _Head)
    except RefusedError:  # too large or broken, which says nothing about those behind it
        head = _Head()
    if head.harness:
        for lines in llama_web.sessions_of([bytes(item) for item in items]):
            yield _taken(partial(llama_web.draft_of_lines, lines), lines[0])
        return
    if head.thread_id:
        thread = None if path is None else _thread_beside(path)
        yield _taken(lambda: jan.draft_of(thread, [bytes(item) for item in items]))
        return
    if head.role:
        listed = whole if whole.lstrip()[:1] == b"[" else b"[" + b",".join(map(bytes, items)) + b"]"
        yield _taken(lambda: openai_chat.draft_of_list(decode(listed, list[openai_chat.ChatMessage]), listed))
        return
    counted(len(items))
    branches: list[bytes] = []
    group = ""
    for item in items:
        data = bytes(item)
        this = _group(data)
        if branches and (not this or this != group or sum(map(len, branches)) + len(data) > CONVERSATION_LIMIT):
            yield _branches(branches)
            branches = []
        group = this
        if this:
            branches.append(data)
        else:
            yield _one(data)
    if branches:
        yield _branches(branches)


def _group(data: bytes) -> str:
    """What makes an item a branch of the conversation before it; "" for one that stands alone."""
    if b'"conversation"' not in data:
        return ""
    try:
        return openai_chat.group_of(data)
    except RefusedError:
        return ""


def _branches(branches: Sequence[bytes]) -> Taken | Refused:
    whole = list(branches)
    return _taken(lambda: openai_chat.draft_of(whole), whole[0])


def _one(data: bytes) -> Taken | Refused:
    """A conversation of one of the programs."""

    def draft() -> Draft:
        head = decode(data, _Head)
        if head.mapping:
            return chatgpt.draft_of(data)
        if head.chat:
            return open_webui.draft_of(data)
        if head.conv and head.messages:
            return llama_web.draft_of(data)
        if head.messages:
            return lm_studio.draft_of(data) if _has_versions(data) else openai_chat.draft_of([data])
        raise RefusedError(_UNKNOWN)

    return _taken(draft, data)


def _has_versions(data: bytes) -> bool:
    messages = decode(data, _Versioned).messages
    return bool(messages) and bool(messages[0].versions)


def _taken(draft: Callable[[], Draft], data: bytes = b"") -> Taken | Refused:
    """The conversation of a draft, or why there is none."""
    try:
        return conversation_of(draft())
    except RefusedError as error:
        return Refused(str(error), _title(data))


def _title(data: bytes) -> str:
    """What a conversation that was refused calls itself."""
    try:
        found = decode(data, _Titled)
    except RefusedError:
        return ""
    line = " ".join((found.title or found.name or "").split())[:80]
    return "".join(c for c in line if c.isprintable())  # it is told on a terminal
