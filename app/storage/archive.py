"""Session archives: a conversation with all its branches in one .ember file, read as hostile input."""

import datetime
import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from app import __version__
from app.core.conversation import (
    ConversationId,
    ConversationTree,
    Message,
    MessageId,
    messages_by_id,
    new_conversation_id,
    new_message_id,
)
from app.core.errors import EmberError
from app.core.units import format_bytes
from app.paths import plain_reason
from app.storage.archive_format import (
    FORMAT,
    LIBRARY_FORMAT,
    TEXT_VERSION,
    VERSION,
    ConversationDocument,
    ImportedConversation,
    Manifest,
    ManifestHead,
    RefusedError,
    StateFile,
    branches_of,
    check_counts,
    check_state,
    conversation_from,
    document_of,
    parse,
)
from app.storage.conversations import TITLE_LIMIT, ConversationStore
from app.storage.files import open_regular
from app.storage.records import TokenIds
from app.storage.zip_file import END, END_SIGNATURE, LOCATOR, LOCATOR_SIGNATURE, ZIP_ERRORS

MANIFEST: Final = "manifest.json"
CONVERSATION: Final = "conversation.json"
FILE_LIMIT: Final = 40 * 1024 * 1024
CONVERSATION_LIMIT: Final = 32 * 1024 * 1024
MANIFEST_LIMIT: Final = 8 * 1024 * 1024
STATE_FOLDER: Final = "state/"
RATIO_LIMIT: Final = 200
"""Unpacked over packed bytes of a member. Text packs 3 to 10 times; what packs better is stored unpacked."""
_DIRECTORY_LIMIT: Final = 1024 * 1024
"""Bytes of the zip's directory, a bound for the number of its members."""
_PIECE: Final = 64 * 1024
_COPY: Final = " (copy)"
_UNFINISHED: Final = "This reply was still being written when the chat was exported; what had come by then is kept."


def checked_archive(tree: ConversationTree, token_ids: TokenIds, model_source: str | None = None) -> bytes:
    """The bytes of the archive of a conversation; `token_ids` as from `ConversationStore.packed_token_ids`.

    `model_source` is the repository that its model's file came from.

    Raises EmberError of kind "too_large" for what `read_archive` would not take back.
    """
    try:
        data = archive_bytes(tree, token_ids, model_source)
        read_open_archive(io.BytesIO(data))
    except RefusedError as error:
        raise EmberError(
            f"“{tree.conversation.title}” cannot be written as an .ember file because {error}. "
            "Nothing was changed; export it as Markdown instead. A backup of the library holds it as it is.",
            kind="too_large",
        ) from error
    return data


def archive_bytes(tree: ConversationTree, token_ids: TokenIds, model_source: str | None = None) -> bytes:
    """The bytes of the archive of a conversation; raises RefusedError."""
    document = document_of(tree, token_ids)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        add_member(archive, MANIFEST, manifest_bytes(manifest_of(tree, document, model_source)))
        add_member(archive, CONVERSATION, document)
    return buffer.getvalue()


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it stands in the archive."""
    return msgspec.json.format(msgspec.json.encode(manifest))


def manifest_of(tree: ConversationTree, document: bytes, model_source: str | None) -> Manifest:
    """The manifest of an archive of a conversation, whose `conversation.json` is `document`."""
    return Manifest(
        format=FORMAT,
        version=TEXT_VERSION,
        app=__version__,
        exported=datetime.datetime.now(datetime.UTC),
        messages=len(tree.messages),
        branches=branches_of({message.id: message.parent for message in tree.messages.values()}),
        sha256=hashlib.sha256(document).hexdigest(),
        model_source=model_source,
    )


def add_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a member, deflated unless that would look like a zip bomb to `read_archive`."""
    info = member_info(name)
    bomb = len(data) > RATIO_LIMIT * len(zlib.compress(data))
    info.compress_type = zipfile.ZIP_STORED if bomb else zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def member_info(name: str) -> zipfile.ZipInfo:
    """A member of that name, of now, private to the account, stored."""
    info = zipfile.ZipInfo(name, datetime.datetime.now().timetuple()[:6])
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    return info


def read_archive(path: Path) -> ImportedConversation:
    """Read an .ember file; never extracts anything, and holds at most a bounded part of it in memory.

    Raises EmberError of kind "bad_archive", one sentence, for anything that is not what Ember writes.
    """
    try:
        with open_regular(path) as file:
            return read_open_archive(file)
    except OSError as error:
        reason = plain_reason(error)
        raise EmberError(f"“{path.name}” cannot be read because {reason}.", kind="bad_archive") from error
    except RefusedError as error:
        raise EmberError(f"“{path.name}” was not imported because {error}.", kind="bad_archive") from error


def read_open_archive(file: BinaryIO) -> ImportedConversation:
    """Read an archive from an open file; raises RefusedError."""
    size = file.seek(0, io.SEEK_END)
    check_directory(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _read_manifest(archive)
            state = manifest.state
            if size - (state.total_bytes if state is not None else 0) > FILE_LIMIT:
                raise RefusedError(f"it is larger than {format_bytes(FILE_LIMIT)}")
            _check_members(archive, [] if state is None else state.files, size)
            data = _member(archive, CONVERSATION, CONVERSATION_LIMIT)
    except ZIP_ERRORS as error:
        raise RefusedError("it is damaged") from error
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise RefusedError("its contents do not match its checksum")
    document = parse(data, ConversationDocument, CONVERSATION)
    check_counts(manifest, document)
    imported = replace(conversation_from(document), model_source=manifest.model_source)
    if manifest.state is None:
        return imported
    check_state(manifest.state, document)
    return replace(imported, manifest=manifest)


def _check_members(archive: zipfile.ZipFile, state: list[StateFile], size: int) -> None:
    """Raise RefusedError unless the archive, of `size` bytes, holds the two documents and these files, and no other."""
    files = {STATE_FOLDER + file.name: file.bytes for file in state}
    if sorted(archive.namelist()) != sorted([CONVERSATION, MANIFEST, *files]):
        raise RefusedError("it holds files that do not belong to a conversation")
    if sum(files.values()) > size:
        raise RefusedError("its state says that it is larger than the file")
    for name, expected in files.items():
        info = archive.getinfo(name)
        if (info.compress_type, info.file_size, info.compress_size) != (zipfile.ZIP_STORED, expected, expected):
            raise RefusedError("a piece of its state is not as long as it says")


def check_directory(file: BinaryIO, size: int) -> None:
    """Raise RefusedError unless the file ends with a plain, small directory; zipfile would read any."""
    if size < END.size:
        raise RefusedError("it is not an Ember archive")
    tail_bytes = min(size, LOCATOR.size + END.size)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    signature, disk, first_disk, here, entries, length, offset, comment = END.unpack(tail[-END.size :])
    if signature != END_SIGNATURE or comment:
        raise RefusedError("it is not an Ember archive, or its end is missing")
    locator = tail[: -END.size].startswith(LOCATOR_SIGNATURE)
    if locator or disk or first_disk or here != entries or offset + length != size - END.size:
        raise RefusedError("it is damaged")
    if length > _DIRECTORY_LIMIT:
        raise RefusedError("it holds too many files")


def _read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """The manifest; RefusedError with its own reason for an archive of a newer Ember."""
    if archive.namelist().count(MANIFEST) != 1:
        raise RefusedError("it is not an Ember archive: it has no manifest")
    data = _member(archive, MANIFEST, MANIFEST_LIMIT)
    head = parse(data, ManifestHead, MANIFEST)
    if head.format == LIBRARY_FORMAT:
        raise RefusedError("it is a backup of a whole library, which is restored: “Back up and restore…”, or `restore`")
    if head.format != FORMAT:
        raise RefusedError("it is not an Ember archive: its manifest names another format")
    if head.version > VERSION:
        raise RefusedError(
            f"it was written by a newer Ember (format {head.version}; this one reads up to {VERSION}), "
            "so Ember must be updated first"
        )
    return parse(data, Manifest, MANIFEST)


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The bytes of a member, counted while they are unpacked; raises RefusedError beyond `limit`."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError("it is packed in a way that Ember does not use")
    if info.file_size > RATIO_LIMIT * info.compress_size:
        raise RefusedError("it unpacks to far more than its size")
    data = bytearray()
    with archive.open(info) as member:
        while piece := member.read(_PIECE):
            data += piece
            if len(data) > limit:
                raise RefusedError(f"its {name} is larger than {format_bytes(limit)}")
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an imported conversation stands in the database, and what its messages are called there."""

    conversation: ConversationId
    messages: Mapping[MessageId, MessageId]


def place(store: ConversationStore, imported: ImportedConversation, *, trust_token_ids: bool = False) -> Placed:
    """Add an imported conversation, all of it or nothing.

    Nothing is overwritten: where the conversation or one of its messages is there already (also deleted), a
    copy with new ids and a title that says so is added. Token ids decide what the model reads, whatever the
    text says, so they are stored only if the caller trusts the file; else the text is tokenized again.
    """
    tree = imported.tree
    token_ids: TokenIds = imported.token_ids if trust_token_ids else {}
    tree = ConversationTree(tree.conversation, messages_by_id(map(ended, tree.messages.values())))
    before = tuple(tree.messages)
    if store.knows_any(tree.conversation.id, tree.messages):
        tree, token_ids = _copy(tree, token_ids)
    store.insert_tree(tree, token_ids)
    return Placed(tree.conversation.id, dict(zip(before, tree.messages, strict=True)))


def ended(message: Message) -> Message:
    """The message to be stored; a reply that had not ended when it was exported will not go on here, and says so."""
    if message.role == "user" or message.finish_reason is not None:
        return message
    return replace(message, finish_reason="failed", error=message.error or _UNFINISHED)


def _copy(tree: ConversationTree, token_ids: TokenIds) -> tuple[ConversationTree, TokenIds]:
    """The same conversation with new ids throughout, named as a copy."""
    conversation = new_conversation_id()
    new = {message: new_message_id() for message in tree.messages}
    messages = [
        replace(
            message,
            id=new[message.id],
            conversation=conversation,
            parent=None if message.parent is None else new[message.parent],
        )
        for message in tree.messages.values()
    ]
    leaf = tree.conversation.leaf
    named = replace(
        tree.conversation,
        id=conversation,
        title=tree.conversation.title[: TITLE_LIMIT - len(_COPY)] + _COPY,
        leaf=None if leaf is None else new[leaf],
    )
    ids = {
        tokenizer: {new[message]: packed for message, packed in each.items()} for tokenizer, each in token_ids.items()
    }
    return ConversationTree(named, messages_by_id(messages)), ids
