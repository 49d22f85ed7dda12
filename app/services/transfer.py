"""Conversations out of the app and back: what the window's menu and the commands both call."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage.archive import export_archive, import_into, read_archive
from app.storage.archive_format import ImportedConversation, RefusedError
from app.storage.chat_json import to_chat_json
from app.storage.conversations import ConversationStore
from app.storage.files import write_bytes_atomically, write_text_atomically
from app.storage.html_page import to_html
from app.storage.imports.draft import Taken
from app.storage.imports.jan import MESSAGES, THREAD
from app.storage.imports.reading import Refused, conversations_in
from app.storage.markdown import to_markdown
from app.storage.plain_text import to_plain_text

ExportFormat = Literal["ember", "markdown", "json", "text", "html"]
Branches = Literal["one", "all"]
StateFate = Literal["none", "used", "partly", "dropped"]
SUFFIXES: dict[ExportFormat, str] = {
    "ember": ".ember",
    "markdown": ".md",
    "json": ".json",
    "text": ".txt",
    "html": ".html",
}
LONGEST_NAME = 80
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


def export_conversation(
    store: ConversationStore,
    conversation: ConversationId,
    path: Path,
    form: ExportFormat,
    branches: Branches | None = None,
) -> None:
    """Write the conversation to `path`; raises EmberError.

    `branches` is what the format can hold if not given: all of them in .ember and Markdown, else the shown one.
    """
    tree = store.tree(conversation)
    one = branches == "one"
    match form:
        case "ember":
            export_archive(tree, store.packed_token_ids(conversation), path)
        case "markdown":
            write_text_atomically(path, to_markdown(tree, one=one))
        case "json":
            write_bytes_atomically(path, to_chat_json(tree, one=branches != "all"))
        case "text":
            write_text_atomically(path, to_plain_text(tree, one=branches != "all"))
        case "html":
            write_text_atomically(path, to_html(tree))


def export_all(
    store: ConversationStore,
    conversations: Sequence[ConversationId],
    to: Path,
    form: ExportFormat,
    branches: Branches | None = None,
) -> list[Path]:
    """Write one conversation to a file, or each to a file of its own in the folder `to`; the files.

    Nothing that is in the folder already is overwritten. Raises EmberError.
    """
    if len(conversations) == 1 and not to.is_dir():
        export_conversation(store, conversations[0], to, form, branches)
        return [to]
    try:
        to.mkdir(exist_ok=True)
    except OSError as error:
        raise EmberError(
            f"The folder “{to}” could not be made because {plain_reason(error)}. Nothing was written.",
            kind="cannot_write",
        ) from error
    written = []
    for conversation in conversations:
        path = _free_name(to, file_name(store.get(conversation).title), SUFFIXES[form])
        export_conversation(store, conversation, path, form, branches)
        written.append(path)
    return written


def _free_name(folder: Path, name: str, suffix: str) -> Path:
    """A name in the folder that nothing has yet."""
    numbers = (folder / f"{name}{f' ({number})' if number > 1 else ''}{suffix}" for number in count(1))
    return next(path for path in numbers if not path.exists())


def format_of(path: Path) -> ExportFormat:
    """The format that a file's name asks for; .ember for any other."""
    return _FORMATS.get(path.suffix.lower(), "ember")


def file_name(title: str) -> str:
    """A title as the beginning of a file's name, on any system."""
    return "".join(c if c.isalnum() or c in " -_." else "_" for c in title).strip(" .")[:LONGEST_NAME] or "chat"


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
