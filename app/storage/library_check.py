"""Whether a database is a library of Ember: sound throughout, and with exactly the tables that its version has."""

import sqlite3
from contextlib import closing
from typing import Final

from app.storage.archive_format import RefusedError
from app.storage.connection import connect, version_of
from app.storage.library_copy import CACHE_KIB, LONGEST_VALUE, tables
from app.storage.schema import MIGRATIONS
from app.storage.upgrade import migrate

_SCHEMA_BYTES: Final = 64 * 1024
"""Of one statement of the schema."""
_SCHEMA_STEPS: Final = 10_000
"""Of SQLite's machine for reading the whole schema; ours takes some hundreds."""

_Entry = tuple[str, str, str, str]


def check_library(connection: sqlite3.Connection) -> int:
    """The schema version of a library of our own, which is sound throughout; raises as `check_version`."""
    version = _known_version(connection)
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise RefusedError("its database is damaged")
    return version


def check_version(connection: sqlite3.Connection) -> int:
    """The schema version of a library that may come from anywhere; it sets the connection's progress handler.

    Raises RefusedError if it is no library, and sqlite3.DatabaseError.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")  # a file can ask for any size
    return _known_version(connection)


def check_rows(connection: sqlite3.Connection) -> None:
    """Raise RefusedError unless the rows of a library can be read whose version was checked; sqlite3.DatabaseError.

    What is derived of them is not looked at: `library_copy` reads none of it, and makes it anew.
    """
    for table in tables(connection):
        (verdict,) = connection.execute(f"PRAGMA quick_check({table})").fetchone()
        if verdict != "ok":
            raise RefusedError("its database is damaged")


def _known_version(connection: sqlite3.Connection) -> int:
    """The schema version of the library that is open; raises RefusedError if it is none, and sqlite3.DatabaseError.

    Nothing of the schema is used before it was compared: a trigger, a view or a virtual table that is not ours could
    do anything once it runs.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise RefusedError("its database was written by a newer Ember, so Ember must be updated first")
    if version < 1 or _bounded_entries(connection) != _entries_of_version(version):
        raise RefusedError("its database does not have the tables of an Ember library")
    return version


def entries(connection: sqlite3.Connection) -> list[_Entry]:
    """Everything that the schema of a database names, with its SQL, in a fixed order."""
    rows = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return sorted((str(kind), str(name), str(table), str(sql)) for kind, name, table, sql in rows)


def _bounded_entries(connection: sqlite3.Connection) -> list[_Entry]:
    """The same of a database from anywhere: reading a schema of a million tables ends with sqlite3.DatabaseError."""
    longest = [
        (limit, connection.setlimit(limit, _SCHEMA_BYTES))
        for limit in (sqlite3.SQLITE_LIMIT_LENGTH, sqlite3.SQLITE_LIMIT_SQL_LENGTH)
    ]
    connection.set_progress_handler(lambda: 1, _SCHEMA_STEPS)
    try:
        return entries(connection)
    finally:
        connection.set_progress_handler(None, 0)
        for limit, before in longest:
            connection.setlimit(limit, before)


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """The conversations, without deleted ones, and all messages."""
    (conversations,) = connection.execute("SELECT count(*) FROM conversations WHERE deleted_at IS NULL").fetchone()
    (messages,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    return conversations, messages


def _entries_of_version(version: int) -> list[_Entry]:
    """What a new database of that version has."""
    with closing(connect(":memory:")) as made:
        migrate(made, MIGRATIONS[:version])
        return entries(made)
