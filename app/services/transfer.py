"""Conversations out of the app: what the window's menu and the commands both call."""

from collections.abc import Callable, Container, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from app.core.conversation import ConversationId, ConversationTree
from app.core.errors import EmberError
from app.paths import plain_reason
from app.services.model_source import source_of
from app.storage.archive import checked_archive
from app.storage.conversations import ConversationStore
from app.storage.files import write_bytes_atomically
from app.storage.own_files import check_place

ExportFormat = Literal["ember", "markdown", "json", "text", "html", "pdf"]
Branches = Literal["one", "all"]
SUFFIXES: dict[ExportFormat, str] = {
    "ember": ".ember",
    "markdown": ".md",
    "json": ".json",
    "text": ".txt",
    "html": ".html",
    "pdf": ".pdf",
}
LONGEST_NAME = 80
LONGEST_NAME_BYTES = 200
"""File systems take 255, and a number and the suffix follow."""
_NOT_IN_NAMES = '<>:"/\\|?*'
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
"""What Windows keeps for itself, whatever the suffix."""
_FORMATS: dict[str, ExportFormat] = {
    **{suffix: form for form, suffix in SUFFIXES.items()},
    ".markdown": "markdown",
    ".htm": "html",
}


ToPdf = Callable[[ConversationTree], bytes]
"""Lays what is seen of a conversation out on paper; only a window can."""


def no_pdf(_tree: ConversationTree) -> bytes:
    """Where there is no window; raises EmberError of kind "wrong_format"."""
    raise EmberError("A PDF file can only be written from Ember's window. Nothing was written.", "wrong_format")


def contents(
    store: ConversationStore,
    conversation: ConversationId,
    form: ExportFormat,
    branches: Branches | None = None,
    to_pdf: ToPdf = no_pdf,
) -> bytes:
    """The conversation's text as a file of that format; raises EmberError.

    `branches` is what the format can hold if not given: all of them in .ember and Markdown, else the shown one.
    """
    tree = store.tree(conversation)
    match form:
        case "ember":
            return checked_archive(tree, store.packed_token_ids(conversation), source_of(tree.conversation))
        case "markdown":
            from app.storage.markdown import to_markdown

            text = to_markdown(tree, one=branches == "one")
        case "json":
            from app.storage.chat_json import to_chat_json

            return to_chat_json(tree, one=branches != "all")
        case "text":
            from app.storage.plain_text import to_plain_text

            text = to_plain_text(tree, one=branches != "all")
        case "html":
            from app.storage.html_page import to_html

            text = to_html(tree)
        case "pdf":
            return to_pdf(tree)
    return text.encode("utf-8", "replace")


def export_conversation(
    store: ConversationStore,
    conversation: ConversationId,
    path: Path,
    form: ExportFormat,
    branches: Branches | None = None,
) -> None:
    """Write the text of a conversation to `path`; raises EmberError. `branches` as in `contents`."""
    check_place(path, store.database.path.parent)
    write_bytes_atomically(path, contents(store, conversation, form, branches))


def export_all(
    store: ConversationStore,
    conversations: Sequence[ConversationId],
    to: Path,
    form: ExportFormat,
    branches: Branches | None = None,
) -> list[EmberError]:
    """Write each conversation to a file of its own in the folder `to`, in which nothing is overwritten.

    Those that the format cannot hold are left out; why. Raises EmberError for what stands in the way of all.
    """
    check_place(to, store.database.path.parent)
    names = FreeNames(to, SUFFIXES[form])
    left_out = []
    for conversation in conversations:
        try:
            export_conversation(store, conversation, names.of(store.get(conversation).title), form, branches)
        except EmberError as error:
            if error.kind != "too_large":
                raise
            left_out.append(error)
    return left_out


class FreeNames:
    """Names of files in a folder that nothing has yet, also for many conversations of the same title."""

    def __init__(self, folder: Path, suffix: str) -> None:
        """Make the folder if it is not there; raises EmberError of kind "cannot_write"."""
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise EmberError(
                f"The folder “{folder}” could not be made because {plain_reason(error)}. Nothing was written.",
                kind="cannot_write",
            ) from error
        self._folder, self._suffix = folder, suffix
        self._last: dict[str, int] = {}

    def of(self, title: str, taken: Container[Path] = ()) -> Path:
        """A name for a conversation of this title, which is not among those that are `taken` for files to come."""
        name = file_name(title)
        for number in count(self._last.get(name, 0) + 1):
            path = self._folder / f"{name}{f' ({number})' if number > 1 else ''}{self._suffix}"
            if path not in taken and not path.exists():
                self._last[name] = number
                return path
        raise AssertionError("numbers do not end")


def format_of(path: Path) -> ExportFormat:
    """The format that a file's name asks for; .ember for any other."""
    return _FORMATS.get(path.suffix.lower(), "ember")


def file_name(title: str) -> str:
    """A title as the beginning of a file's name, on any system."""
    name = "".join(c if c.isprintable() and c not in _NOT_IN_NAMES else "_" for c in title)[:LONGEST_NAME]
    name = name.encode()[:LONGEST_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"{name}_" if name.partition(".")[0].upper() in _DEVICES else name or "chat"
