"""The rows of a library that may come from anywhere, taken into a new database, so that nothing else of it is.

What a file holds beside its rows could do harm that no comparison of its tables shows: indexes and search indexes made
by another hand, the settings of the search, sizes of pages and of caches. None of it is copied or even read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from app.storage.archive_format import RefusedError
from app.storage.connection import connect
from app.storage.schema import MIGRATIONS, SEARCH_TABLES
from app.storage.upgrade import migrate

LONGEST_VALUE: Final = 64 * 1024 * 1024
"""Bytes of one value in a library that is restored: what bounds the memory that reading it takes."""
CACHE_KIB: Final = 8192
"""Of SQLite's cache of pages; a file can ask for any size."""
_SHORT: Final = 1024 * 1024
"""Bytes of a value in any other column than those."""
_LONG: Final = frozenset({"text", "system_prompt", "draft", "error", "ids", "value"})
"""The last is a setting's: what is typed into a new chat, and into a message that is edited, is kept there."""


@contextmanager
def copied(source: Path, target: Path, version: int) -> Iterator[sqlite3.Connection]:
    """An empty library of that version in the new file `target`, with the checked library `source` attached to it.

    It needs no journal, because nobody has any use for half of a copy. Raises sqlite3.DatabaseError.
    """
    with closing(connect(f"{target.as_uri()}?mode=rw")) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        migrate(connection, MIGRATIONS[:version])
        connection.execute("ATTACH ? AS given", (f"{source.as_uri()}?mode=ro&immutable=1",))
        connection.execute("PRAGMA given.cell_size_check = ON")
        connection.execute(f"PRAGMA given.cache_size = -{CACHE_KIB}")
        yield connection


def take_rows(connection: sqlite3.Connection) -> None:
    """Take over the rows of the library that `copied` attached, and let go of it; the search index stays empty.

    Raises RefusedError and sqlite3.DatabaseError.
    """
    triggers = connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
    connection.execute("BEGIN")
    for name, _ in triggers:  # they keep the search index, which is made anew as a whole
        connection.execute(f"DROP TRIGGER main.{name}")
    for table in tables(connection):
        _take(connection, table)
    for _, sql in triggers:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.execute("DETACH given")


def tables(connection: sqlite3.Connection) -> list[str]:
    """The tables of the open library that hold what is not derived."""
    rows = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")
    return [str(name) for (name,) in rows if not str(name).startswith((*SEARCH_TABLES, "sqlite_"))]


def _take(connection: sqlite3.Connection, table: str) -> None:
    """Take the rows of a table in their order; what SQLite numbered is numbered anew."""
    info = connection.execute(f"PRAGMA main.table_info({table})").fetchall()
    names = [str(row["name"]) for row in info if not (row["pk"] and row["type"] == "INTEGER")]
    long = " OR ".join(f"length(CAST({name} AS BLOB)) > {_SHORT}" for name in names if name not in _LONG)
    if connection.execute(f"SELECT 1 FROM given.{table} NOT INDEXED WHERE {long} LIMIT 1").fetchone():
        raise RefusedError("its database holds a value that is far longer than Ember writes any")
    listed = ", ".join(names)
    connection.execute(
        f"INSERT INTO main.{table} ({listed}) SELECT {listed} FROM given.{table} NOT INDEXED ORDER BY rowid"
    )
