"""Conversations out of the app and back: what the window's menu and the commands both call."""

from pathlib import Path
from typing import Literal

from app.core.conversation import ConversationId
from app.storage.archive import export_archive, import_into, read_archive
from app.storage.conversations import ConversationStore
from app.storage.files import write_text_atomically
from app.storage.markdown import to_markdown

ExportFormat = Literal["ember", "markdown"]
SUFFIXES: dict[ExportFormat, str] = {"ember": ".ember", "markdown": ".md"}


def export_conversation(store: ConversationStore, conversation: ConversationId, path: Path, form: ExportFormat) -> None:
    """Write the conversation, all its branches included, to `path`; raises EmberError."""
    tree = store.tree(conversation)
    if form == "markdown":
        write_text_atomically(path, to_markdown(tree))
    else:
        export_archive(tree, store.packed_token_ids(conversation), path)


def import_conversation(store: ConversationStore, path: Path) -> ConversationId:
    """Read an .ember file whole, then store it under its own id, or as a copy; raises EmberError."""
    return import_into(store, read_archive(path))
