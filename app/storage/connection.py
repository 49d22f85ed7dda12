"""A bare connection to SQLite, as every part of the storage wants it."""

import sqlite3
from pathlib import Path
from typing import Final

BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another process that writes."""


def connect(address: str) -> sqlite3.Connection:
    """A connection with explicit transactions, rows by name, and text that never fails to decode.

    `address` is ":memory:", a path or a file: URI; raises sqlite3.Error.
    """
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # One broken byte in a text must not make its whole conversation unreadable.
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, also where nothing can be written; raises sqlite3.Error.

    Reading a database with a write-ahead log needs a file beside it (-shm), which a full or read-only disk refuses.
    Where no log waits and so nobody writes, the file is read as one that does not change instead.
    """
    connection = connect(f"{path.as_uri()}?mode=ro")
    try:
        version_of(connection)
    except sqlite3.OperationalError:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        return connect(f"{path.as_uri()}?mode=ro&immutable=1")
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of the database; 0 for a new one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
