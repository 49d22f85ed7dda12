"""A database that cannot be read: noticing it, and setting it aside without losing a byte of it."""

import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.errors import EmberError
from app.storage.connection import connect, connect_to_read, version_of
from app.storage.schema import Migration
from app.storage.upgrade import STAMP, unused

_log = logging.getLogger(__name__)

CHECKED_AT_EACH_START_BYTES: Final = 64 * 1024 * 1024
"""Up to this size the whole file is checked at each start (measured: 1 ms per MiB from the page cache).

A larger one (10,000 chats of 20 messages: 275 MiB) is checked after an unclean end, before a migration and
when SQLite reported damage the last time.
"""
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a database file found."""

    version: int = 0
    """Its schema version; 0 for an empty or missing file."""
    damaged: str | None = None
    """What is wrong with it, in SQLite's words."""


def look_at(path: Path, migrations: Sequence[Migration], *, thorough: bool) -> Finding:
    """Look whether the database at `path` can be used, without changing it; `thorough` may read every page.

    Raises EmberError of kind "newer_database", and sqlite3.Error for what is not damage (an unreadable disk).
    """
    if not path.exists() or path.stat().st_size == 0:
        return Finding()
    # A reader cannot roll back the journal of an interrupted first write, so then SQLite may write.
    interrupted = _beside(path, "-journal").exists()
    try:
        opened = connect(f"{path.as_uri()}?mode=rw") if interrupted else connect_to_read(path)
        with closing(opened) as connection:
            version = version_of(connection)
            if version > len(migrations):
                raise EmberError(
                    f"The database “{path}” was written by a newer Ember. Nothing was changed; "
                    "use that newer Ember, or choose another data folder.",
                    kind="newer_database",
                )
            if version < 0 or (version == 0 and _has_tables(connection)):
                return Finding(damaged="it is not a database of Ember")
            if thorough and _needs_check(path, version < len(migrations)):
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    return Finding(version, damaged=str(verdict))
            return Finding(version)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
            raise
        return Finding(damaged=str(error))
    except UnicodeDecodeError:  # what SQLite says of such a schema quotes it, and Python reads no such words
        return Finding(damaged="its schema is no text")


def _has_tables(connection: sqlite3.Connection) -> bool:
    """Whether the database holds anything at all."""
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _needs_check(path: Path, must_migrate: bool) -> bool:
    """Whether every page is read: a small file, an unclean end, a migration ahead, or a suspicion."""
    log = _beside(path, "-wal")
    unclean = log.exists() and log.stat().st_size > 0
    small = path.stat().st_size <= CHECKED_AT_EACH_START_BYTES
    return small or unclean or must_migrate or was_suspected(path)


def set_aside(path: Path, damage: str, backups_dir: Path) -> str:
    """Rename the damaged database and its sidecars, overwriting nothing; the sentence for the person."""
    kept = unused(path.parent, f"{path.stem}.damaged-{time.strftime(STAMP)}", path.suffix)
    # The sidecars first: SQLite would delete a log that it finds beside a new, empty database.
    for suffix in ("-wal", "-shm", "-journal"):
        sidecar = _beside(path, suffix)
        if sidecar.exists():
            sidecar.rename(_beside(kept, suffix))
    path.rename(kept)
    clear_suspicion(path)
    _log.error("The database %s is damaged (%s) and was set aside as %s", path, damage, kept.name)
    hint = f" Earlier copies lie in “{backups_dir}”." if any(backups_dir.glob("ember-v*.db")) else ""
    return (
        f"The file with your conversations was damaged and could not be read, so Ember began a new one. "
        f"The damaged file is kept, unchanged, as “{kept.name}” in “{kept.parent}”.{hint}"
    )


def suspect(path: Path) -> None:
    """Leave a mark: SQLite reported damage in the middle of the work, so the next start checks every page."""
    try:
        _beside(path, ".check").touch(mode=0o600)
    except OSError as error:  # then the damage is met again at the next start, and reported again
        _log.warning("The mark for a check of %s could not be left: %s", path, error)


def was_suspected(path: Path) -> bool:
    """Whether the mark stands."""
    return _beside(path, ".check").exists()


def clear_suspicion(path: Path) -> None:
    """Remove the mark."""
    _beside(path, ".check").unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    """The path with `suffix` added to the whole name, as SQLite names its sidecars."""
    return path.with_name(path.name + suffix)
