"""The SQLite database: opening it safely, transactions, and errors in plain words."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage import damage, upgrade
from app.storage.connection import connect, connect_to_read, version_of
from app.storage.schema import MIGRATIONS, SEARCH_TABLES, Migration

_log = logging.getLogger(__name__)

_WAL_BYTES_KEPT: Final = 16 * 1024 * 1024
_PAGES_AT_ONCE: Final = 1024
"""Pages that are copied between two reports of progress; 4 MiB."""

_SETUP = f"""
PRAGMA foreign_keys = ON;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = {_WAL_BYTES_KEPT};
"""
# synchronous=FULL: with NORMAL a kill -9 loses nothing, but a power cut may take the last commits. FULL costs
# one fsync a commit, and a chat commits about once a second. secure_delete: what is deleted is overwritten.

Value = str | int | float | bytes | None


class Database:
    """One connection, usable from any thread, one at a time; made by `Database.open`.

    Every method raises EmberError for what can go wrong on a disk, of kind "disk_full", "database_busy",
    "database_readonly", "damaged_database" or "database_unavailable".
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, notice: str | None = None) -> None:
        """Wrap a connection that is set up already."""
        self.path = path
        self.notice = notice
        """A sentence for the window: what had to be done to open the database; None if nothing."""
        self._connection = connection
        self._lock = threading.RLock()
        self._after_commit: list[Callable[[], None]] = []
        self._closed = False
        self._followers = 0

    @classmethod
    def open(
        cls,
        path: Path,
        backups_dir: Path,
        *,
        readonly: bool = False,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> "Database":
        """Open the database at `path`, made or brought up to date as needed.

        A damaged file is set aside beside it and a new database made (see `notice`). Opening read-only
        changes nothing, works while another process writes, and finds an empty database where there is none.

        Raises EmberError: "newer_database", "backup_failed", "migration_failed"; read-only also
        "damaged_database" and "older_database".
        """
        path = path.absolute()
        with plain_errors(path):
            if readonly:
                return cls._open_readonly(path, migrations)
            return cls._open_writable(path, backups_dir, migrations)

    @classmethod
    def _open_readonly(cls, path: Path, migrations: Sequence[Migration]) -> "Database":
        """Open for reading only; a missing or still empty database is an empty one in memory."""
        finding = damage.look_at(path, migrations, thorough=False)
        if finding.damaged:
            raise EmberError(
                f"The database “{path}” is damaged ({finding.damaged}). Nothing was changed; "
                "start Ember's window, which sets the damaged file aside and keeps it.",
                kind="damaged_database",
            )
        if finding.version == 0:
            connection = connect(":memory:")
            upgrade.migrate(connection, migrations)
        elif finding.version < len(migrations):
            raise EmberError(
                f"The database “{path}” was written by an older Ember. Nothing was changed; "
                "start Ember's window once, which brings it up to date.",
                kind="older_database",
            )
        else:
            connection = connect_to_read(path)
        connection.execute("PRAGMA query_only = ON")
        return cls(connection, path)

    @classmethod
    def _open_writable(cls, path: Path, backups_dir: Path, migrations: Sequence[Migration]) -> "Database":
        """Open for writing: look for damage, set aside, back up, migrate."""
        finding = damage.look_at(path, migrations, thorough=True)
        notice = damage.set_aside(path, finding.damaged, backups_dir) if finding.damaged else None
        # Made here and not by SQLite, so that it and the -wal and -shm that inherit its mode are private.
        path.touch(mode=0o600)
        connection = connect(f"{path.as_uri()}?mode=rw")
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":  # a network file system; safe still, but a reader waits for a writer
                _log.warning("The database cannot use a write-ahead log here; its journal is %s", mode)
            version = version_of(connection)
            if 0 < version < len(migrations):
                upgrade.back_up(connection, backups_dir, version)
            upgrade.migrate(connection, migrations)
            connection.executescript(_SETUP)
            if damage.was_suspected(path):
                _rebuild_search(connection)
                damage.clear_suspicion(path)
        except BaseException:
            connection.close()
            raise
        return cls(connection, path, notice)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: commits after the block, takes everything back if it raises; may be nested."""
        with self._lock:
            if self._connection.in_transaction:
                with self._savepoint():
                    yield
                return
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                self._after_commit.clear()
                self._roll_back("ROLLBACK")
                raise
            calls, self._after_commit = self._after_commit, []
        for call in calls:
            call()

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """The inner of two nested transactions, which can fail without taking the outer one with it."""
        calls = len(self._after_commit)
        self._execute("SAVEPOINT inside")
        try:
            yield
        except BaseException:
            del self._after_commit[calls:]
            self._roll_back("ROLLBACK TO inside", "RELEASE inside")
            raise
        self._execute("RELEASE inside")

    def _execute(self, sql: str, parameters: Sequence[Value] = ()) -> sqlite3.Cursor:
        """Run one statement, its errors in plain words."""
        with plain_errors(self.path):
            return self._connection.execute(sql, parameters)

    def _roll_back(self, *statements: str) -> None:
        """Take back what a failed transaction did, unless SQLite has done so itself (as on a full disk)."""
        if self._connection.in_transaction:
            for statement in statements:
                self._execute(statement)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` run once the open transaction is committed, outside the lock; never if it is not."""
        self._require_transaction()
        self._after_commit.append(call)

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, plain_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Value] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def write(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run one statement that changes something, inside a transaction; the number of rows it changed."""
        with self._lock:
            self._require_transaction()
            return self._execute(sql, parameters).rowcount

    def write_many(self, sql: str, parameters: Iterable[Sequence[Value]]) -> None:
        """Run one statement for each row of parameters, inside a transaction."""
        with self._lock, plain_errors(self.path):
            self._require_transaction()
            self._connection.executemany(sql, parameters)

    def follow(self, table: str, column: str, note: Callable[[Any], None]) -> None:
        """Call `note` with `column` of each row of `table` that is added, changed or removed from now on.

        That is also by triggers and cascades, though only over this connection, and inside a transaction that may still
        be taken back; `note` must not use the database.
        """
        with self._lock, plain_errors(self.path):
            self._followers += 1
            name = f"note_{self._followers}"
            self._connection.create_function(name, 1, note)
            for event, row in (("INSERT", "new"), ("UPDATE", "new"), ("UPDATE", "old"), ("DELETE", "old")):
                self._connection.execute(
                    f"CREATE TEMP TRIGGER {name}_{event}_{row} AFTER {event} ON main.{table} "
                    f"BEGIN SELECT {name}({row}.{column}); END"
                )

    def size(self) -> int:
        """Bytes of the database as it is now, what waits in its log included; raises EmberError."""
        pages, page = self.rows("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")[0]
        return int(pages) * int(page)

    def copy_to(self, target: Path, progress: Callable[[int, int], None]) -> None:
        """Copy everything as it is at this moment to the empty file `target`, forced to the disk.

        Others may read and write meanwhile: an open transaction holds the moment. `progress` is told the pages that
        are copied, and all; what it raises ends the copying. Raises sqlite3.Error.
        """
        with self._lock, closing(connect(str(target))) as copy:
            self._connection.execute("BEGIN")
            try:
                self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()
                self._connection.backup(
                    copy, pages=_PAGES_AT_ONCE, progress=lambda _, left, all_: progress(all_ - left, max(all_, 1))
                )
            finally:
                self._connection.execute("ROLLBACK")

    def keep_copy(self, backups_dir: Path) -> Path:
        """Copy everything to `backups_dir`, as before a migration; its path. Raises sqlite3.Error and OSError."""
        with self._lock:
            return upgrade.keep_copy(self._connection, backups_dir, version_of(self._connection))

    def _require_transaction(self) -> None:
        """Refuse a write that would commit by itself: it is a bug of the caller."""
        if not self._connection.in_transaction:
            raise RuntimeError("a write needs `with database.transaction()`")

    def close(self) -> None:
        """Write everything back into the one file and close it; does nothing a second time."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with closing(self._connection) as connection:
                try:
                    connection.execute("PRAGMA busy_timeout = 0")  # a reader must not hold up the end
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                except sqlite3.DatabaseError as error:  # nothing is lost: the -wal file is read next time
                    _log.info("The write-ahead log stays beside the database: %s", error)


def _rebuild_search(connection: sqlite3.Connection) -> None:
    """Make the search indexes anew: they are derived, and damage in them must never stop the text."""
    present = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
    for table in SEARCH_TABLES:
        if table in present:
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")


_KEPT: Final = "What was saved before is kept"
_SENTENCES: Final = {
    sqlite3.SQLITE_FULL: (
        "disk_full",
        f"The disk is full, so the last change was not saved. {_KEPT}; free some space and try again.",
    ),
    sqlite3.SQLITE_BUSY: (
        "database_busy",
        f"Another program is writing to Ember's database, so the last change was not saved. {_KEPT}; "
        "try again in a moment.",
    ),
    sqlite3.SQLITE_READONLY: (
        "database_readonly",
        f"Ember's database can only be read here, so the change was not saved. {_KEPT}; "
        "make the file and its folder writable.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "damaged_database",
        "Ember's database is damaged. It is kept as it is; start Ember again, and it checks the whole file "
        "and begins a new one beside it if this one cannot be used.",
    ),
    sqlite3.SQLITE_IOERR: (
        "database_unavailable",
        f"Ember's database could not be read or written. {_KEPT}; see whether its disk is in order, "
        "then start Ember again.",
    ),
}
_SAME_AS: Final = {
    sqlite3.SQLITE_LOCKED: sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PERM: sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOTADB: sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN: sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PROTOCOL: sqlite3.SQLITE_IOERR,
}


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite or the disk says about the database at `path` into an EmberError; a bug stays one."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
        code = _SAME_AS.get(code, code)
        if code not in _SENTENCES:
            raise
        if code == sqlite3.SQLITE_CORRUPT:
            damage.suspect(path)
        _log.error("SQLite: %s (%s)", error, getattr(error, "sqlite_errorname", "?"))
        kind, sentence = _SENTENCES[code]
        raise EmberError(sentence, kind=kind) from error
    except OSError as error:
        raise EmberError(
            f"Ember's database “{path}” could not be opened because {plain_reason(error)}. Nothing was changed.",
            kind="database_unavailable",
        ) from error
