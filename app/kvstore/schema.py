"""The tables of the index, and opening its file: anything but a sound index of this version is begun anew."""

import logging
import os
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from app.kvstore.chunk_file import FORMAT_VERSION, Kind

_log = logging.getLogger(__name__)

INDEX_VERSION: Final = FORMAT_VERSION * 256 + 2
"""SQLite's user_version: a new format of the files, or of these tables (count the 2 up), is a new index.

Unless `_connect` can bring the older tables up to this version.
"""
_WITHOUT_DIGESTS: Final = FORMAT_VERSION * 256 + 1
"""The same tables without that of the digests."""
KNOWN_VERSIONS: Final = (INDEX_VERSION, _WITHOUT_DIGESTS)
"""Those whose tables are used, or brought up to date."""

_CACHE_KIB: Final = 16 * 1024
"""At most; an index of 100,000 chunks has 24 MiB, and SQLite's own 2 MiB made finding twice as slow."""

_NUMBERS: Final = ("start", "tokens", "bytes", "window_bytes", "checkpoint_bytes", "chain_bytes", "children")

_DIGESTS: Final = f"""
-- The SHA-256 of files (kind as in their header), where it is known: an archive's list needs it.
CREATE TABLE digest (
    key BLOB NOT NULL,
    kind INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (key, kind),
    CHECK (typeof(sha256) = 'blob' AND length(sha256) = 32)
) WITHOUT ROWID;

CREATE TRIGGER chunk_file_removed AFTER DELETE ON chunk BEGIN
    DELETE FROM digest WHERE key = OLD.key;
END;

CREATE TRIGGER checkpoint_file_changed AFTER UPDATE OF checkpoint_bytes ON chunk BEGIN
    DELETE FROM digest WHERE key = NEW.key AND kind = {Kind.CHECKPOINT:d};
END;

PRAGMA user_version = {INDEX_VERSION};
"""

_SCHEMA: Final = f"""
CREATE TABLE chunk (
    key BLOB NOT NULL PRIMARY KEY,
    parent BLOB NOT NULL,
    root BLOB NOT NULL,
    start INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    window_bytes INTEGER NOT NULL,
    checkpoint_bytes INTEGER NOT NULL,
    chain_bytes INTEGER NOT NULL,
    used REAL NOT NULL,
    created REAL NOT NULL,
    children INTEGER NOT NULL DEFAULT 0,
    CHECK ({" AND ".join(f"typeof({name}) = 'integer'" for name in _NUMBERS)}),
    CHECK (typeof(key) = 'blob' AND typeof(parent) = 'blob' AND typeof(root) = 'blob')
) WITHOUT ROWID;

-- The lengths of a chunk's children, and the children themselves.
CREATE INDEX chunk_children ON chunk (parent, tokens);
-- What can be evicted, the least recently used first.
CREATE INDEX chunk_leaves ON chunk (used) WHERE children = 0;

CREATE TABLE total (
    root BLOB NOT NULL PRIMARY KEY,
    chunks INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    checkpoint_bytes INTEGER NOT NULL
) WITHOUT ROWID;

-- complete: every file in the folder was looked at since the index was begun.
CREATE TABLE state (complete INTEGER NOT NULL, bytes_written INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0);

CREATE TRIGGER chunk_added AFTER INSERT ON chunk BEGIN
    UPDATE chunk SET children = children + 1 WHERE key = NEW.parent;
    INSERT OR IGNORE INTO total VALUES (NEW.root, 0, 0, 0, 0);
    UPDATE total SET chunks = chunks + 1, tokens = tokens + NEW.tokens, bytes = bytes + NEW.bytes,
        checkpoint_bytes = checkpoint_bytes + NEW.checkpoint_bytes WHERE root = NEW.root;
END;

-- A chunk was as lately of use as what came after it: so its parent takes over its time.
CREATE TRIGGER chunk_removed AFTER DELETE ON chunk BEGIN
    UPDATE chunk SET children = children - 1, used = max(used, OLD.used) WHERE key = OLD.parent;
    UPDATE total SET chunks = chunks - 1, tokens = tokens - OLD.tokens, bytes = bytes - OLD.bytes,
        checkpoint_bytes = checkpoint_bytes - OLD.checkpoint_bytes WHERE root = OLD.root;
    DELETE FROM total WHERE root = OLD.root AND chunks = 0;
END;

CREATE TRIGGER checkpoint_changed AFTER UPDATE OF checkpoint_bytes ON chunk BEGIN
    UPDATE total SET checkpoint_bytes = checkpoint_bytes - OLD.checkpoint_bytes + NEW.checkpoint_bytes
        WHERE root = NEW.root;
END;
{_DIGESTS}
"""

_DISK_ERRORS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the disk is read-only",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_CANTOPEN: "its index cannot be opened",
    sqlite3.SQLITE_PERM: "this account may not write there",
    sqlite3.SQLITE_AUTH: "this account may not write there",
    sqlite3.SQLITE_BUSY: "another program uses its index",
    sqlite3.SQLITE_LOCKED: "another program uses its index",
    sqlite3.SQLITE_PROTOCOL: "another program uses its index",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_NOLFS: "its index is too large for this disk",
}


def disk_reason(error: sqlite3.Error) -> str | None:
    """Why the disk refused, as the part of a sentence that follows "because"; None if the index itself is at fault."""
    return _DISK_ERRORS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)


def open_index(path: Path) -> sqlite3.Connection:
    """A connection to the index at `path`, begun anew if it is missing, damaged or of another version.

    Raises sqlite3.Error and OSError for what the disk refuses.
    """
    if path.exists():
        try:
            connection = _connect(path)
        except sqlite3.DatabaseError as error:
            if disk_reason(error) is not None:
                raise
            _log.warning("The index %s is damaged (%s) and is made anew from the files", path, error)
        except UnicodeDecodeError:  # SQLite's words quote a schema that is no text
            _log.warning("The index %s is damaged and is made anew from the files", path)
        else:
            if connection is not None:
                return connection
            _log.info("The index %s is of another version and is made anew from the files", path)
    return _begin(path)


def remove_index(path: Path) -> None:
    """Delete the index with its sidecars; raises OSError."""
    # The index first: killed here, nothing is left that would pass for one, and `_begin` removes its log.
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _connect(path: Path) -> sqlite3.Connection | None:
    """A connection to an index that was looked over; None if it is of another version."""
    connection = _bare(path)
    with ExitStack() as refused:
        refused.callback(connection.close)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version in KNOWN_VERSIONS:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            if connection.execute("SELECT count(*) FROM state").fetchone() != (1,):
                raise sqlite3.DatabaseError("its state is missing")
            if version == _WITHOUT_DIGESTS:
                connection.executescript(f"BEGIN; {_DIGESTS} COMMIT;")
            refused.pop_all()
            return connection
    return None


def _begin(path: Path) -> sqlite3.Connection:
    """A connection to a new, empty index."""
    remove_index(path)
    connection = _bare(path)
    with ExitStack() as failed:
        failed.callback(connection.close)
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        failed.pop_all()
    return connection


def _bare(path: Path) -> sqlite3.Connection:
    """A connection as the index wants it: explicit transactions, a write-ahead log, no wait for the disk."""
    # Private from the first byte on; and the system says why a file cannot be written, SQLite only that.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with ExitStack() as failed:
        failed.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        failed.pop_all()
    return connection
