"""Conversations out of the app: what the window's menu and the commands both call."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage.archive import export_archive
from app.storage.chat_json import to_chat_json
from app.storage.conversations import ConversationStore
from app.storage.files import write_bytes_atomically, write_text_atomically
from app.storage.html_page import to_html
from app.storage.markdown import to_markdown
from app.storage.plain_text import to_plain_text

ExportFormat = Literal["ember", "markdown", "json", "text", "html"]
Branches = Literal["one", "all"]
SUFFIXES: dict[ExportFormat, str] = {
    "ember": ".ember",
    "markdown": ".md",
    "json": ".json",
    "text": ".txt",
    "html": ".html",
}
LONGEST_NAME = 80
_FORMATS: dict[str, ExportFormat] = {
    **{suffix: form for form, suffix in SUFFIXES.items()},
    ".markdown": "markdown",
    ".htm": "html",
}


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
