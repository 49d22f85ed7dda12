"""Backing up the whole library: one consistent copy of the database, packed with a manifest into one file."""

import datetime
import hashlib
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from app import __version__
from app.core.errors import EmberError
from app.core.units import format_bytes
from app.storage.archive_format import RefusedError
from app.storage.archive_state import OutgoingFile
from app.storage.backup_format import (
    DATABASE,
    FORMAT,
    MANIFEST,
    PIECE,
    RATIO_LIMIT,
    TEXT_VERSION,
    VERSION,
    BackupFile,
    BackupManifest,
    BackupState,
    Progress,
)
from app.storage.backup_state import add_state
from app.storage.connection import connect
from app.storage.database import Database
from app.storage.files import sync_folder, why_not_written
from app.storage.library_check import check_library, counts
from app.storage.own_files import check_place
from app.storage.schema import SEARCH_TABLES
from app.storage.signing import sign
from app.storage.working_folder import working_folder

SPARE_BYTES: Final = 16 * 1024 * 1024
"""Room that is left on the disk beyond what is needed."""
_FASTEST: Final = 1
"""zlib's level: the database packs to within some percent of the best, several times as fast."""


def write_backup(
    database: Database, path: Path, progress: Progress, key: bytes | None = None, state: Sequence[OutgoingFile] = ()
) -> BackupManifest:
    """Write everything that the open database holds to `path`, also while others write to it; what it holds.

    With the installation's `key` it is signed, so that this installation takes its token ids back, and the `state`:
    files of saved state in a staging folder, which are added as they are.
    A file at `path` is replaced only by a whole one. Raises EmberError of kind "backup_failed" (too little room, a
    place that cannot be written, a damaged library), "cannot_write" (`check_place`), and whatever `progress` raises;
    nothing is changed then.
    """
    path = path.absolute()
    check_place(path, database.path.parent)
    try:
        state_bytes = sum(file.bytes for file in state)
        check_room(path.parent, 2 * database.size() + state_bytes)
        with working_folder(path.parent) as folder:
            copy = folder / DATABASE
            copy.touch(mode=0o600)
            size = database.size()
            database.copy_to(copy, lambda done, all_: progress(done * size // all_, 2 * size + state_bytes))
            schema, conversations, messages = _look_at(copy)
            packed = folder / "packed"
            size = copy.stat().st_size
            all_ = 2 * size + state_bytes
            file = _pack(copy, packed, lambda done: progress(size + done, all_))
            carried = _add_state(packed, state, lambda done: progress(2 * size + done, all_))
            manifest = BackupManifest(
                format=FORMAT,
                version=TEXT_VERSION if carried is msgspec.UNSET else VERSION,
                app=__version__,
                written=datetime.datetime.now(datetime.UTC),
                schema=schema,
                conversations=conversations,
                messages=messages,
                files=[file],
                state=carried,
            )
            if key is not None:
                manifest = msgspec.structs.replace(manifest, signature=sign(key, manifest.signed_part()))
            _finish(packed, manifest)
            packed.replace(path)
        sync_folder(path.parent)
    except RefusedError as error:
        raise _failed(path, f"{error}; start Ember again, and it checks the whole library") from error
    except OSError as error:
        raise _failed(path, f"{why_not_written(path, error)}; choose another place for it") from error
    except sqlite3.Error as error:
        raise _failed(path, f"SQLite says “{error}”; choose another place for it, or try again") from error
    return manifest


def library_bytes(path: Path) -> int:
    """What the files of the library at `path` take, its log included; 0 where there is none. Raises OSError."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def check_room(folder: Path, needed: int) -> None:
    """Raise EmberError of kind "backup_failed" unless `needed` bytes and some more are free; OSError without folder."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise EmberError(
            f"There is too little room in “{folder}”: {format_bytes(needed + SPARE_BYTES)} are needed and "
            f"{format_bytes(free)} are free. Nothing was changed; free some space or choose another disk.",
            kind="backup_failed",
        )


def _failed(path: Path, reason: str) -> EmberError:
    return EmberError(
        f"The backup “{path.name}” was not written because {reason}. Nothing was changed.", kind="backup_failed"
    )


def _look_at(copy: Path) -> tuple[int, int, int]:
    """Make a copy one plain file and see that it could be restored: its schema, conversations and messages."""
    with closing(connect(f"{copy.as_uri()}?mode=rw")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # a copy of a database with a log says that it has one
        version = check_library(connection)
        for table in SEARCH_TABLES:  # one that SQLite cannot even open could not be made anew either
            connection.execute(f"SELECT rowid FROM {table} WHERE {table} MATCH 'a' LIMIT 1").fetchone()
        return version, *counts(connection)


def _pack(source: Path, target: Path, progress: Callable[[int], None]) -> BackupFile:
    """Pack the database, unless that would look like a zip bomb when it is read."""
    file = _write(source, target, zipfile.ZIP_DEFLATED, progress)
    if 2 * file.bytes > RATIO_LIMIT * target.stat().st_size:  # with room for what the zip file itself takes
        target.unlink()
        file = _write(source, target, zipfile.ZIP_STORED, progress)
    return file


def _write(source: Path, target: Path, packing: int, progress: Callable[[int], None]) -> BackupFile:
    """A new zip file that holds the database alone."""
    digest, done = hashlib.sha256(), 0
    target.touch(mode=0o600)
    with (
        zipfile.ZipFile(target, "w", packing, compresslevel=_FASTEST) as archive,
        source.open("rb") as data,
        archive.open(DATABASE, "w", force_zip64=source.stat().st_size > zipfile.ZIP64_LIMIT) as member,
    ):
        while piece := data.read(PIECE):
            digest.update(piece)
            member.write(piece)
            done += len(piece)
            progress(done)
    return BackupFile(DATABASE, done, digest.hexdigest())


def _add_state(
    packed: Path, state: Sequence[OutgoingFile], progress: Callable[[int], None]
) -> BackupState | msgspec.UnsetType:
    """Add files of saved state behind the database; unset where there are none."""
    if not state:
        return msgspec.UNSET
    with zipfile.ZipFile(packed, "a") as archive:
        return add_state(archive, state, progress)


def _finish(packed: Path, manifest: BackupManifest) -> None:
    """Add the manifest and force the file to the disk."""
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    with packed.open("rb") as file:
        os.fsync(file.fileno())
