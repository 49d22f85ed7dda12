"""A bare connection to SQLite, as every part of the storage wants it."""

import sqlite3
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


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of the database; 0 for a new one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
