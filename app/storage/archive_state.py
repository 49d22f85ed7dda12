"""The saved state in an .ember archive: writing it beside the text, and taking its files out into a staging folder."""

import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from app.core.conversation import ConversationTree
from app.core.errors import EmberError
from app.core.units import format_bytes
from app.paths import plain_reason
from app.storage.archive import (
    CONVERSATION,
    MANIFEST,
    STATE_FOLDER,
    add_member,
    check_directory,
    manifest_bytes,
    manifest_of,
    member_info,
    read_open_archive,
)
from app.storage.archive_format import (
    STATE_FILE_BYTES,
    STATE_FILE_LIMIT,
    STATE_MODEL_LIMIT,
    VERSION,
    Manifest,
    RefusedError,
    StateFile,
    StateManifest,
    StateModel,
    StateTip,
    document_of,
)
from app.storage.files import open_regular, written_atomically
from app.storage.records import TokenIds
from app.storage.signing import sign
from app.storage.zip_file import ZIP_ERRORS, read_member, store_member

STATE_LIMIT: Final = 2 * 1000**3
"""Bytes of state in one archive: a zip file without its 64-bit form holds little more."""
_SPARE: Final = 64 * 1024 * 1024
"""Bytes of the disk that are left free when state is taken out of an archive."""

Progress = Callable[[int, int], None]
"""Gets bytes done and all; what it raises stops the work, and nothing is left of it."""


def no_progress(_done: int, _total: int) -> None:
    """For who does not want to know."""


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file of saved state in a staging folder, which never changes, with the sums over it."""

    path: Path
    bytes: int
    sha256: str
    """Hexadecimal digits."""
    crc32: int

    @property
    def entry(self) -> StateFile:
        """What the list of files says of it."""
        return StateFile(name=self.path.name, bytes=self.bytes, sha256=self.sha256)


@dataclass(frozen=True, slots=True)
class OutgoingState:
    """The state of a conversation in a staging folder."""

    files: Sequence[OutgoingFile]
    models: Sequence[StateModel]
    tips: Sequence[StateTip]

    @property
    def total_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.bytes for file in self.files)


def export_with_state(
    tree: ConversationTree,
    token_ids: TokenIds,
    path: Path,
    state: OutgoingState,
    key: bytes,
    progress: Progress = no_progress,
    model_source: str | None = None,
) -> tuple[int, int]:
    """Write a conversation with its state to `path`, atomically, signed with `key`; the bytes of text and of state.

    Raises EmberError of kind "cannot_write" or "too_large", and what `progress` raises.
    """
    with written_atomically(path) as file:
        try:
            total = _checked_total(state)
            document = document_of(tree, token_ids)
            manifest = manifest_of(tree, document, model_source)
            _write(manifest, document, file, state, key, lambda done: progress(done, total))
            read_open_archive(file)
            return file.seek(0, os.SEEK_END) - total, total
        except (RefusedError, zipfile.LargeZipFile) as error:
            raise EmberError(
                f"“{tree.conversation.title}” cannot be written with its state because {error}; its text alone can.",
                kind="too_large",
            ) from error


def _checked_total(state: OutgoingState) -> int:
    """The bytes of the state; raises RefusedError where no reader would take it."""
    total = state.total_bytes
    if total > STATE_LIMIT:
        raise RefusedError(f"its state takes {format_bytes(total)}, and an archive holds {format_bytes(STATE_LIMIT)}")
    if len(state.files) > STATE_FILE_LIMIT or len(state.models) > STATE_MODEL_LIMIT:
        raise RefusedError("its state is in more pieces than an archive holds")
    if any(file.bytes > STATE_FILE_BYTES for file in state.files):
        raise RefusedError(f"a piece of its state is larger than {format_bytes(STATE_FILE_BYTES)}")
    return total


def _write(
    manifest: Manifest,
    document: bytes,
    file: BinaryIO,
    state: OutgoingState,
    key: bytes,
    progress: Callable[[int], None],
) -> None:
    """Write the archive to an open file; the manifest last, because it gets the files' digests."""
    done = 0

    def stored(size: int) -> None:
        nonlocal done
        done += size
        progress(done)

    with zipfile.ZipFile(file, "w", allowZip64=False) as archive:
        add_member(archive, CONVERSATION, document)
        for source in state.files:
            add_state_file(archive, source, stored)
        files = [source.entry for source in state.files]
        manifest = msgspec.structs.replace(
            manifest,
            version=VERSION,
            state=StateManifest(models=list(state.models), tips=list(state.tips), files=files),
        )
        signature = sign(key, manifest.signed_part())
        add_member(archive, MANIFEST, manifest_bytes(msgspec.structs.replace(manifest, signature=signature)))


def add_state_file(archive: zipfile.ZipFile, source: OutgoingFile, stored: Callable[[int], None]) -> None:
    """Add a file as it is: state does not pack. `stored` gets the bytes of each piece; raises RefusedError, OSError."""
    info = member_info(STATE_FOLDER + source.path.name)
    info.file_size, info.CRC = source.bytes, source.crc32
    try:
        store_member(archive, info, source.path, stored)
    except EOFError as error:
        raise RefusedError("a piece of its state changed meanwhile") from error


def extract_state(path: Path, state: StateManifest, folder: Path, progress: Progress = no_progress) -> None:
    """Write the state's files into the empty `folder`, of an archive that `read_archive` took with this manifest.

    Names come from the checked manifest, never from the zip file. What they hold is compared with its digest by whoever
    adopts it. Raises RefusedError, and what `progress` raises.
    """
    total, done = state.total_bytes, 0
    try:
        if shutil.disk_usage(folder).free < total + _SPARE:
            raise RefusedError(f"the disk has no room for the {format_bytes(total)} of it")
        with open_regular(path) as file:
            check_directory(file, file.seek(0, os.SEEK_END))  # it may be another file by now
            archive = zipfile.ZipFile(file)
            for entry in state.files:
                extract_file(archive, entry, folder / entry.name)
                done += entry.bytes
                progress(done, total)
    except (*ZIP_ERRORS, KeyError) as error:
        raise RefusedError("it is damaged") from error
    except OSError as error:
        raise RefusedError(plain_reason(error)) from error


def extract_file(archive: zipfile.ZipFile, entry: StateFile, place: Path) -> None:
    """Write one file of saved state, of exactly the length that it says; raises RefusedError, OSError, ZIP_ERRORS."""
    info = archive.getinfo(STATE_FOLDER + entry.name)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise RefusedError("a piece of it is packed")
    if info.file_size != entry.bytes:
        raise RefusedError(f"a piece of it is {'longer' if info.file_size > entry.bytes else 'shorter'} than it says")
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as target:  # unbuffered, a write may take less than it was given
        read_member(archive, info, target)
