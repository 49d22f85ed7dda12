"""Putting a backup in the place of the library: tried on a copy first, then swapped in at one stroke."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import EmberError
from app.core.units import format_bytes
from app.paths import plain_reason
from app.storage.archive_format import RefusedError
from app.storage.backup import SPARE_BYTES
from app.storage.backup_format import (
    DATABASE,
    BackupManifest,
    Progress,
    look_into,
    open_regular,
    refused,
    unpack_database,
    unreadable,
)
from app.storage.connection import connect
from app.storage.database import Database
from app.storage.files import sync_folder
from app.storage.library_check import LONGEST_VALUE, check_library, counts, entries
from app.storage.saved_roots import UNTOLD
from app.storage.schema import MIGRATIONS, SEARCH_TABLES
from app.storage.signing import is_signed
from app.storage.upgrade import migrate
from app.storage.working_folder import working_folder

_log = logging.getLogger(__name__)

_SETTLE_PARENTS = """
UPDATE messages SET parent = NULL WHERE parent IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM messages AS above WHERE above.id = messages.parent
    AND above.conversation = messages.conversation AND above.position < messages.position
)
"""
# Token ids decide what the model reads, whatever the text says; tips say which saved state a chat owns.
_FORGET_IDS = ("DELETE FROM message_tokens", "DELETE FROM kv_roots", "DELETE FROM kv_models")


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in the library now, and where the one before lies."""

    conversations: int
    messages: int
    with_token_ids: bool
    """Whether token ids and tips of saved state were taken over too."""
    kept: Path
    """A copy of the library that was replaced, among those made before migrations; the newest five stay."""
    notice: str | None
    """What had to be done to open the library that was replaced, such as that it was damaged and set aside."""


def restore_library(
    source: Path,
    path: Path,
    backups_dir: Path,
    progress: Progress,
    *,
    key: bytes,
    keep_settings: Sequence[str] = (),
    trust_token_ids: bool = False,
) -> Restored:
    """Replace the library at `path` by the backup `source`; the caller holds the data folder's lock.

    Of the replaced library the settings named in `keep_settings` stay. Token ids and what is known of saved state are
    taken only if the file is signed with the installation's `key`, or the caller trusts it; else texts are tokenized
    again.
    Raises EmberError of kind "bad_backup" or "restore_failed", and whatever `progress` raises; the library is then
    the one it was.
    """
    manifest = look_into(source)
    trusted = trust_token_ids or is_signed(key, manifest.signed_part(), manifest.signature)
    path = path.resolve()
    with closing(Database.open(path, backups_dir)) as old:
        _check_room(path.parent, 2 * manifest.database.bytes + old.size())
        notice = old.notice
        settings = _settings(old, keep_settings)
        try:
            with working_folder(path.parent) as folder:
                copy = folder / DATABASE
                conversations, messages = _prepare(source, copy, manifest, settings, progress, trusted)
                kept = old.keep_copy(backups_dir)
                old.close()
                _swap(copy, path, kept, backups_dir)
        except OSError as error:
            raise _failed(source, plain_reason(error)) from error
    return Restored(conversations, messages, trusted, kept, notice)


def _failed(source: Path, reason: str) -> EmberError:
    return EmberError(
        f"“{source.name}” was not restored because {reason}. Your library is as it was; "
        "see whether its disk is in order and has room, and try again.",
        kind="restore_failed",
    )


def _check_room(folder: Path, needed: int) -> None:
    """Raise EmberError of kind "restore_failed" unless the copies have room on the data folder's disk."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise EmberError(
            f"Restoring needs {format_bytes(needed + SPARE_BYTES)} of room in “{folder}” and "
            f"{format_bytes(free)} are free. Nothing was changed; free some space and try again.",
            kind="restore_failed",
        )


def _settings(old: Database, keys: Sequence[str]) -> dict[str, str | None]:
    """The stored values of those settings; None for one that is not set."""
    rows = {key: old.row("SELECT value FROM settings WHERE key = ?", (key,)) for key in keys}
    return {key: None if row is None else str(row["value"]) for key, row in rows.items()}


def _prepare(
    source: Path,
    copy: Path,
    manifest: BackupManifest,
    settings: dict[str, str | None],
    progress: Progress,
    trust_token_ids: bool,
) -> tuple[int, int]:
    """Unpack the backup, check it, and make it what the library will be; its conversations and messages.

    Raises EmberError ("bad_backup", and "migration_failed" of a migration) and OSError for the disk it is written to.
    """
    try:
        file = open_regular(source)
    except OSError as error:
        raise unreadable(source, error) from error
    try:
        with file:
            copy.touch(mode=0o600)
            unpack_database(file, manifest, copy, progress)
        with closing(connect(f"{copy.as_uri()}?mode=rw")) as connection:
            found = _checked(connection, manifest)
            migrate(connection, MIGRATIONS)
            _settle(connection, settings, trust_token_ids)
    except RefusedError as error:
        raise refused(source, error) from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise _failed(source, f"SQLite says “{error}”") from error
        _log.info("The backup's database was refused: %s", error)
        raise refused(source, RefusedError("its database is damaged")) from error
    return found


def _checked(connection: sqlite3.Connection, manifest: BackupManifest) -> tuple[int, int]:
    """The counts of a library that is what its manifest says; raises RefusedError and sqlite3.DatabaseError."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    if check_library(connection) != manifest.schema:
        raise RefusedError("its database has another version than its manifest says")
    found = counts(connection)
    if found != (manifest.conversations, manifest.messages):
        raise RefusedError("it holds another number of conversations or messages than it says")
    return found


def _settle(connection: sqlite3.Connection, settings: dict[str, str | None], trust_token_ids: bool) -> None:
    """Take out what holds on another installation only, and make the search anew; raises sqlite3.DatabaseError."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("BEGIN IMMEDIATE")
    for table in SEARCH_TABLES:  # derived, and too intricate to be believed
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")
    connection.execute(_SETTLE_PARENTS)
    for statement in () if trust_token_ids else _FORGET_IDS:
        connection.execute(statement)
    # What is owed there is not owed here. The empty tip has the state go that only the replaced library knew of.
    connection.execute("DELETE FROM kv_drops")
    connection.execute("INSERT INTO kv_drops (tip) VALUES (?)", (UNTOLD,))
    for key, value in settings.items():
        connection.execute("DELETE FROM settings WHERE key = ?", (key,))
        if value is not None:
            connection.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (key, value))
    connection.execute("COMMIT")
    with closing(connect(":memory:")) as made:
        migrate(made, MIGRATIONS)
        if entries(connection) != entries(made):
            raise RefusedError("its database could not be brought up to date")


def _swap(copy: Path, path: Path, kept: Path, backups_dir: Path) -> None:
    """Put the copy in the library's place, see that it opens, and put the old one back if it does not.

    The old database is closed, so that its log is empty: a log that still held something would be read into the new
    one. Raises EmberError of kind "restore_failed", and OSError.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise EmberError(
            "The backup was not restored because another program is reading Ember's library. "
            "Your library is as it was; close that program and try again.",
            kind="restore_failed",
        )
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _force_to_disk(copy)
    copy.replace(path)
    sync_folder(path.parent)
    try:
        with closing(Database.open(path, backups_dir)) as opened:
            trouble = opened.notice
    except EmberError as error:
        trouble = error.sentence
    if trouble is not None:
        again = copy.with_name("old.db")
        shutil.copyfile(kept, again)
        again.chmod(0o600)
        _force_to_disk(again)
        again.replace(path)
        raise EmberError(
            f"The restored library could not be opened, so the one before was put back. {trouble}",
            kind="restore_failed",
        )


def _force_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
