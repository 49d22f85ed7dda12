"""Saved state in a backup of the library: its files beside the database, and out of it into a staging folder."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from app.core.units import format_bytes, format_count
from app.paths import plain_reason
from app.storage.archive import add_member
from app.storage.archive_format import STATE_FILE_BYTES, RefusedError, StateFile, parse
from app.storage.archive_state import OutgoingFile, add_state_file, extract_file
from app.storage.backup_format import (
    STATE_FILE_LIMIT,
    STATE_LIST,
    BackupManifest,
    BackupState,
    Progress,
    read_manifest,
)
from app.storage.files import open_regular
from app.storage.zip_file import ZIP_ERRORS

_LIST_LIMIT: Final = 256 * STATE_FILE_LIMIT
"""Bytes of state.json."""
_SPARE: Final = 64 * 1024 * 1024
"""Bytes of the disk that are left free when state is taken out of a backup."""


class StateList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """state.json: the files of the saved state; which chat they belong to stands in the database."""

    files: Annotated[list[StateFile], msgspec.Meta(min_length=1, max_length=STATE_FILE_LIMIT)]


@dataclass(frozen=True, slots=True)
class CarriedState:
    """The saved state of a backup whose text was restored."""

    source: Path
    manifest: BackupManifest

    @property
    def total_bytes(self) -> int:
        """The bytes of all its files."""
        return self.manifest.state.bytes if isinstance(self.manifest.state, BackupState) else 0


def check_state(files: Sequence[OutgoingFile]) -> None:
    """Raise RefusedError where no backup holds these files of a staging folder, and OSError."""
    if len(files) > STATE_FILE_LIMIT:
        raise RefusedError(f"it is in more pieces than the {format_count(STATE_FILE_LIMIT)} that a backup holds")
    if any(file.path.stat().st_size > STATE_FILE_BYTES for file in files):
        raise RefusedError(f"a piece of it is larger than {format_bytes(STATE_FILE_BYTES)}")


def add_state(archive: zipfile.ZipFile, files: Sequence[OutgoingFile], progress: Callable[[int], None]) -> BackupState:
    """Add files of a staging folder as they are, and the list of them; `progress` is told the bytes done.

    Raises RefusedError, OSError and what `progress` raises.
    """
    done = 0

    def stored(size: int) -> None:
        nonlocal done
        done += size
        progress(done)

    for source in files:
        add_state_file(archive, source, stored)
    data = msgspec.json.encode(StateList(files=[source.entry for source in files]))
    add_member(archive, STATE_LIST, data)
    return BackupState(files=len(files), bytes=done, sha256=hashlib.sha256(data).hexdigest())


def extract_state(carried: CarriedState, folder: Path, progress: Progress) -> list[StateFile]:
    """Write the state of a backup into the empty `folder`; its files, whose digests are compared by who adopts them.

    Raises RefusedError, also where the file is not the one any more that the text was restored from; and what
    `progress` raises.
    """
    total, done = carried.total_bytes, 0
    try:
        if shutil.disk_usage(folder).free < total + _SPARE:
            raise RefusedError(f"the disk has no room for the {format_bytes(total)} of it")
        with open_regular(carried.source) as file:
            if read_manifest(file) != carried.manifest:
                raise RefusedError("the backup was changed meanwhile")
            if total > os.fstat(file.fileno()).st_size:
                raise RefusedError("it says more than it holds")
            with zipfile.ZipFile(file) as archive:
                files = _listed(archive, carried.manifest)
                for entry in files:
                    extract_file(archive, entry, folder / entry.name)
                    done += entry.bytes
                    progress(done, total)
                return files
    except (*ZIP_ERRORS, KeyError) as error:
        raise RefusedError("it is damaged") from error
    except OSError as error:
        raise RefusedError(plain_reason(error)) from error


def _listed(archive: zipfile.ZipFile, manifest: BackupManifest) -> list[StateFile]:
    """The list of the files, as the manifest's checksum says it."""
    with archive.open(STATE_LIST) as member:
        data = member.read(_LIST_LIMIT + 1)
    if not isinstance(manifest.state, BackupState) or hashlib.sha256(data).hexdigest() != manifest.state.sha256:
        raise RefusedError("the list of it does not match its checksum")
    return parse(data, StateList, STATE_LIST).files
