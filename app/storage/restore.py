"""Putting a backup in the place of the library: tried on a copy first, then swapped in at one stroke."""

import datetime
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from msgspec import UNSET

from app.core.errors import EmberError
from app.core.units import format_bytes
from app.paths import plain_reason
from app.storage.archive_format import RefusedError
from app.storage.backup import SPARE_BYTES, library_bytes
from app.storage.backup_format import (
    DATABASE,
    PIECE,
    BackupManifest,
    Progress,
    look_into,
    refused,
    unpack_database,
    unreadable,
)
from app.storage.backup_state import CarriedState
from app.storage.connection import connect
from app.storage.database import Database
from app.storage.files import open_regular, sync_folder
from app.storage.library_check import check_rows, check_version, counts, entries
from app.storage.library_copy import copied, take_rows
from app.storage.saved_roots import UNTOLD
from app.storage.schema import MIGRATIONS, SEARCH_TABLES
from app.storage.signing import is_signed
from app.storage.upgrade import is_kept_copy, migrate
from app.storage.working_folder import working_folder

_log = logging.getLogger(__name__)

_INSTRUCTIONS: Final = 10_000
"""Of SQLite's between two looks whether it shall stop."""
_SETTLE_PARENTS = """
UPDATE messages SET parent = NULL WHERE parent IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM messages AS above WHERE above.id = messages.parent
    AND above.conversation = messages.conversation AND above.position < messages.position
)
"""
# Token ids decide what the model reads, whatever the text says; tips say which saved state a chat owns.
_FORGET_IDS = ("DELETE FROM message_tokens", "DELETE FROM kv_roots", "DELETE FROM kv_models")


@dataclass(frozen=True, slots=True)
class Holds:
    """What a backup holds, seen on a copy of it."""

    conversations: int
    messages: int
    written: datetime.datetime
    app: str | None
    """The version of the Ember that wrote it; None for a copy that Ember kept before it changed the library."""
    is_ours: bool
    """Whether this installation wrote it."""
    state: CarriedState | None = None
    """The saved state that it carries."""


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
    state: CarriedState | None = None
    """Saved state that the backup carries, and that an engine may take now; None also where it is not trusted."""


class Prepared:
    """A backup that was checked and made ready on a copy, which waits in the data folder until `close`."""

    def __init__(self, source: Path, copy: Path, holds: Holds, stack: ExitStack) -> None:
        """Made by `prepare_library`; the stack owns the copy's folder."""
        self.source = source
        self.copy = copy
        self.holds = holds
        self._stack = stack

    def __enter__(self) -> "Prepared":
        """Closed at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the copy."""
        self.close()

    def close(self) -> None:
        """Remove the copy, unless it was put in place; does nothing a second time."""
        self._stack.close()


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
    """Replace the library at `path` by the backup `source`, as `prepare_library` and `put_in_place` do."""
    with prepare_library(source, path, backups_dir, progress, key=key) as prepared:
        return put_in_place(prepared, path, backups_dir, keep_settings=keep_settings, trust_token_ids=trust_token_ids)


def prepare_library(source: Path, path: Path, backups_dir: Path, progress: Progress, *, key: bytes) -> Prepared:
    """Try the backup `source` on a copy beside the library at `path`, which is not touched and may be open.

    `source` may also be a copy in `backups_dir` that Ember kept before a migration or another restore.
    Raises EmberError of kind "bad_backup" or "restore_failed", and whatever `progress` raises; nothing is left then.
    """
    path = path.resolve()
    manifest = None if is_kept_copy(source, backups_dir) else look_into(source)
    try:
        size = source.stat().st_size if manifest is None else manifest.database.bytes
        _check_room(path.parent, 2 * size + library_bytes(path))
        with ExitStack() as stack:
            copy = stack.enter_context(working_folder(path.parent)) / DATABASE
            conversations, messages = _prepare(source, copy, manifest, progress)
            holds = Holds(
                conversations,
                messages,
                written=_written(source) if manifest is None else manifest.written,
                app=None if manifest is None else manifest.app,
                is_ours=manifest is None or is_signed(key, manifest.signed_part(), manifest.signature),
                state=_carried(source, manifest),
            )
            return Prepared(source, copy, holds, stack.pop_all())
    except OSError as error:
        raise _failed(source, plain_reason(error)) from error


def put_in_place(
    prepared: Prepared,
    path: Path,
    backups_dir: Path,
    *,
    keep_settings: Sequence[str] = (),
    trust_token_ids: bool = False,
) -> Restored:
    """Replace the library at `path` by what was prepared; the caller holds the data folder's lock.

    Of the replaced library the settings named in `keep_settings` stay. Token ids and what is known of saved state are
    taken only if this installation wrote the backup, or the caller trusts it; else texts are tokenized again.
    Raises EmberError of kind "restore_failed"; the library is then the one it was.
    """
    path, holds = path.resolve(), prepared.holds
    trusted = trust_token_ids or holds.is_ours
    with closing(Database.open(path, backups_dir)) as old:
        try:
            _make_ours(prepared.copy, _settings(old, keep_settings), trusted)
            kept = old.keep_copy(backups_dir)
            old.close()
            _swap(prepared.copy, path, backups_dir)
        except OSError as error:
            raise _failed(prepared.source, plain_reason(error)) from error
        except sqlite3.Error as error:
            raise _failed(prepared.source, f"SQLite says “{error}”") from error
    state = holds.state if trusted else None
    return Restored(holds.conversations, holds.messages, trusted, kept, old.notice, state)


def _carried(source: Path, manifest: BackupManifest | None) -> CarriedState | None:
    """The saved state that a backup says to carry."""
    return None if manifest is None or manifest.state is UNSET else CarriedState(source.absolute(), manifest)


def _written(kept: Path) -> datetime.datetime:
    """When a copy was kept; raises OSError."""
    return datetime.datetime.fromtimestamp(kept.stat().st_mtime, datetime.UTC)


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


def _prepare(source: Path, copy: Path, manifest: BackupManifest | None, progress: Progress) -> tuple[int, int]:
    """Unpack the backup, check it, and make it what the library will be; its conversations and messages.

    Raises EmberError ("bad_backup", and "migration_failed" of a migration) and OSError for the disk it is written to.
    """
    try:
        file = open_regular(source)
    except OSError as error:
        raise unreadable(source, error) from error
    given = copy.with_name("given.db")
    try:
        with file:
            given.touch(mode=0o600)
            if manifest is None:
                _copy(file, given, progress)
            else:
                unpack_database(file, manifest, given, progress)
        found = _taken_over(given, copy, manifest, progress)
        given.unlink()
    except RefusedError as error:
        raise refused(source, error) from error
    except UnicodeDecodeError as error:  # SQLite's words quote a schema that is no text
        raise refused(source, RefusedError("its database is damaged")) from error
    except sqlite3.DataError as error:  # beyond SQLITE_LIMIT_LENGTH
        raise refused(source, RefusedError("a text in its database is larger than Ember takes back")) from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise _failed(source, f"SQLite says “{error}”") from error
        _log.info("The backup's database was refused: %s", error)
        raise refused(source, RefusedError("its database is damaged")) from error
    return found


@contextmanager
def _stoppable(connection: sqlite3.Connection, size: int, progress: Progress) -> Iterator[None]:
    """Tell `progress` now and then, so that it can cancel what SQLite is at; raises what it raises."""
    raised: list[EmberError] = []

    def look() -> bool:
        try:
            progress(size, size)
        except EmberError as error:  # SQLite only hears that it shall stop
            raised.append(error)
        return bool(raised)

    connection.set_progress_handler(look, _INSTRUCTIONS)
    try:
        yield
    except (sqlite3.OperationalError, EmberError) as error:  # an EmberError where a migration was stopped
        raise raised[0] if raised else error from None
    finally:
        connection.set_progress_handler(None, 0)


def _copy(file: BinaryIO, target: Path, progress: Progress) -> None:
    """Copy an open file to `target`; raises OSError."""
    size, done = os.fstat(file.fileno()).st_size, 0
    with target.open("wb") as out:
        while piece := file.read(PIECE):
            out.write(piece)
            done += len(piece)
            progress(done, max(done, size))


def _taken_over(given: Path, copy: Path, manifest: BackupManifest | None, progress: Progress) -> tuple[int, int]:
    """Check the library `given` and make `copy` out of its rows, brought up to date; its counts.

    Raises RefusedError, sqlite3.DatabaseError, and what `progress` raises.
    """
    size = given.stat().st_size
    with closing(connect(f"{given.as_uri()}?mode=ro&immutable=1")) as connection:
        version = check_version(connection)
        with _stoppable(connection, size, progress):
            check_rows(connection)
    if manifest is not None and version != manifest.schema:
        raise RefusedError("its database has another version than its manifest says")
    copy.touch(mode=0o600)
    with copied(given, copy, version) as connection, _stoppable(connection, size, progress):
        take_rows(connection)
        found = counts(connection)
        if manifest is not None and found != (manifest.conversations, manifest.messages):
            raise RefusedError("it holds another number of conversations or messages than it says")
        migrate(connection, MIGRATIONS)
        _settle(connection)
    return found


def _settle(connection: sqlite3.Connection) -> None:
    """Take out what holds on another installation only, and make the search anew; raises sqlite3.DatabaseError."""
    connection.execute("BEGIN IMMEDIATE")
    for table in SEARCH_TABLES:
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")
    connection.execute(_SETTLE_PARENTS)
    # What is owed there is not owed here. The empty tip has the state go that only the replaced library knew of.
    connection.execute("DELETE FROM kv_drops")
    connection.execute("INSERT INTO kv_drops (tip) VALUES (?)", (UNTOLD,))
    connection.execute("COMMIT")
    with closing(connect(":memory:")) as made:
        migrate(made, MIGRATIONS)
        if entries(connection) != entries(made):
            raise RefusedError("its database could not be brought up to date")


def _make_ours(copy: Path, settings: dict[str, str | None], trust_token_ids: bool) -> None:
    """Give the copy this machine's own settings, and leave out what is not trusted; raises sqlite3.Error."""
    with closing(connect(f"{copy.as_uri()}?mode=rw")) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        for statement in () if trust_token_ids else _FORGET_IDS:
            connection.execute(statement)
        for key, value in settings.items():
            connection.execute("DELETE FROM settings WHERE key = ?", (key,))
            if value is not None:
                connection.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (key, value))
        connection.execute("COMMIT")


def _swap(copy: Path, path: Path, backups_dir: Path) -> None:
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
    _remove_log(path)
    old = _second_name(path, copy.with_name("old.db"))
    _force_to_disk(copy)
    copy.replace(path)
    sync_folder(path.parent)
    try:
        with closing(Database.open(path, backups_dir)) as opened:
            trouble = opened.notice
    except EmberError as error:
        trouble = error.sentence
    if trouble is not None:
        _remove_log(path)  # of the new one, which the old one would read
        old.replace(path)
        sync_folder(path.parent)
        raise EmberError(
            f"The restored library could not be opened, so the one before was put back. {trouble}",
            kind="restore_failed",
        )


def _remove_log(path: Path) -> None:
    """Remove what SQLite left beside a database that nobody has open."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _second_name(path: Path, name: Path) -> Path:
    """The same file under another name, so that putting it back needs no room; a copy where the disk has no links."""
    try:
        name.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, name)
        name.chmod(0o600)
        _force_to_disk(name)
    return name


def _force_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
