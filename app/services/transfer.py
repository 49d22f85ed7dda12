"""Conversations out of the app and back: what the window's menu and the commands both call."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from app.core.conversation import ConversationId, ConversationTree
from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage.archive import checked_archive, import_into, read_archive
from app.storage.archive_format import ImportedConversation, RefusedError
from app.storage.chat_json import to_chat_json
from app.storage.conversations import ConversationStore
from app.storage.files import write_bytes_atomically
from app.storage.html_page import to_html
from app.storage.imports.draft import Taken
from app.storage.imports.jan import MESSAGES, THREAD
from app.storage.imports.reading import Refused, conversations_in
from app.storage.markdown import to_markdown
from app.storage.plain_text import to_plain_text

ExportFormat = Literal["ember", "markdown", "json", "text", "html", "pdf"]
Branches = Literal["one", "all"]
StateFate = Literal["none", "used", "partly", "dropped"]
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
FILES_LIMIT = 20_000
"""Files of a folder that are looked at."""
_FORMATS: dict[str, ExportFormat] = {
    **{suffix: form for form, suffix in SUFFIXES.items()},
    ".markdown": "markdown",
    ".htm": "html",
}
_READ = (".ember", ".json", ".jsonl", ".md", ".markdown")


@dataclass(frozen=True, slots=True)
class Stored:
    """A conversation as it was stored, and what became of the state that its archive carries."""

    conversation: ConversationId
    state: StateFate = "none"
    why: str = ""
    """A sentence where the state was not used as a whole, or waits for its model."""
    state_bytes: int = 0
    """What of it was written."""


ToPdf = Callable[[ConversationTree], bytes]
"""Lays what is seen of a conversation out on paper; only a window can."""
Take = Callable[[Path, ImportedConversation], Stored]
"""Stores what was found in a file."""


@dataclass(frozen=True, slots=True)
class ImportedOne:
    """A conversation that is in the database now."""

    file: Path
    id: ConversationId
    title: str
    messages: int
    remarks: tuple[str, ...]
    """What of it could not be taken, in sentences."""
    state: StateFate = "none"
    why: str = ""
    state_bytes: int = 0
    """As in `Stored`."""


@dataclass(frozen=True, slots=True)
class NotImported:
    """A file or a conversation that was not taken, and the sentence why."""

    file: Path
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What many files gave."""

    taken: tuple[ImportedOne, ...]
    not_taken: tuple[NotImported, ...]


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
            return checked_archive(tree, store.packed_token_ids(conversation))
        case "markdown":
            text = to_markdown(tree, one=branches == "one")
        case "json":
            return to_chat_json(tree, one=branches != "all")
        case "text":
            text = to_plain_text(tree, one=branches != "all")
        case "html":
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
    write_bytes_atomically(path, contents(store, conversation, form, branches))


def export_all(
    store: ConversationStore,
    conversations: Sequence[ConversationId],
    to: Path,
    form: ExportFormat,
    branches: Branches | None = None,
) -> None:
    """Write each conversation to a file of its own in the folder `to`, in which nothing is overwritten.

    Raises EmberError.
    """
    names = FreeNames(to, SUFFIXES[form])
    for conversation in conversations:
        export_conversation(store, conversation, names.of(store.get(conversation).title), form, branches)


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

    def of(self, title: str) -> Path:
        """A name for a conversation of this title."""
        name = file_name(title)
        for number in count(self._last.get(name, 0) + 1):
            path = self._folder / f"{name}{f' ({number})' if number > 1 else ''}{self._suffix}"
            if not path.exists():
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


def import_conversation(store: ConversationStore, path: Path) -> ConversationId:
    """Read an .ember file whole, then store it under its own id, or as a copy; raises EmberError."""
    return import_into(store, read_archive(path))


def import_files(
    store: ConversationStore,
    paths: Sequence[Path],
    tell: Callable[[ImportedOne], None] | None = None,
    take: Take | None = None,
) -> ImportReport:
    """Take what files and folders hold, each conversation in a transaction of its own; `tell` is given each at once.

    `take` stores them; without it their text alone is. Raises EmberError only where the database cannot be written.
    """
    taken: list[ImportedOne] = []
    not_taken: list[NotImported] = []

    def text_only(_file: Path, imported: ImportedConversation) -> Stored:
        return Stored(import_into(store, imported))

    for path in paths:
        try:
            files = list(_files_of(path))
        except EmberError as error:
            not_taken.append(NotImported(path, "", error.sentence))
            continue
        if not files:
            sentence = f"“{path.name}” holds no file that Ember reads; nothing was imported from it."
            not_taken.append(NotImported(path, "", sentence))
        for file in files:
            _import_file(store, file, taken, not_taken, tell, take or text_only)
    return ImportReport(tuple(taken), tuple(not_taken))


def _import_file(
    store: ConversationStore,
    file: Path,
    taken: list[ImportedOne],
    not_taken: list[NotImported],
    tell: Callable[[ImportedOne], None] | None,
    take: Take,
) -> None:
    """Take the conversations of one file, and report them."""
    try:
        for found in conversations_in(file):
            if isinstance(found, Refused):
                named = f"“{found.title}” of “{file.name}”" if found.title else f"A conversation of “{file.name}”"
                not_taken.append(NotImported(file, found.title, f"{named} was not imported because {found.reason}."))
                continue
            one = _store(store, file, found, take)
            taken.append(one)
            if tell is not None:
                tell(one)
    except RefusedError as error:
        not_taken.append(NotImported(file, "", f"“{file.name}” was not imported because {error}."))
    except EmberError as error:
        if error.kind != "bad_archive":
            raise
        not_taken.append(NotImported(file, "", error.sentence))


def _store(store: ConversationStore, file: Path, found: Taken, take: Take) -> ImportedOne:
    stored, count = take(file, found.imported), len(found.imported.tree.messages)
    title = store.get(stored.conversation).title
    return ImportedOne(
        file, stored.conversation, title, count, found.remarks, stored.state, stored.why, stored.state_bytes
    )


def _files_of(path: Path) -> Iterator[Path]:
    """The file itself, or the files of a folder that may hold conversations; links are not followed."""
    if not path.is_dir():
        yield path
        return
    seen = 0
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > FILES_LIMIT:
                raise EmberError(
                    f"“{path.name}” holds more than {FILES_LIMIT:,} files. Nothing was imported from it; "
                    "choose the folder with the conversations in it.",
                    kind="too_large",
                )
            pair = name == THREAD and MESSAGES in names  # read together with the messages
            if name.lower().endswith(_READ) and not pair and not Path(folder, name).is_symlink():
                yield Path(folder, name)


def _unreadable(error: OSError) -> None:
    raise EmberError(
        f"“{error.filename}” cannot be read because {plain_reason(error)}. Nothing was imported from it.",
        kind="cannot_read",
    ) from error
