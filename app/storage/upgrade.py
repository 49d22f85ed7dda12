"""Bringing a database up to the newest schema, with a copy of it kept before."""

import logging
import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage.connection import connect, version_of
from app.storage.files import sync_folder
from app.storage.schema import Migration, apply

_log = logging.getLogger(__name__)

BACKUPS_KEPT: Final = 5
STAMP: Final = "%Y%m%d-%H%M%S"
"""Local date and time in the names of backups and of damaged files."""
_BACKUP_NAME: Final = re.compile(r"ember-v\d+-(?P<when>\d{8}-\d{6}(-\d+)?)\.db")


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Run the migrations that the database lacks, each in one transaction together with its new version.

    Foreign keys must be off (SQLite's default for a new connection): a step that makes a table anew would
    otherwise delete what refers to the old one. Raises EmberError of kind "migration_failed"; the failed step
    left no trace.
    """
    for version in range(version_of(connection), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            apply(connection, migrations[version])
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError):
                raise EmberError(
                    f"Ember's database could not be converted from version {version} to {version + 1} "
                    f"({error}). It stays at version {version} and nothing is lost; please report this.",
                    kind="migration_failed",
                ) from error
            raise
        _log.info("The database is now at version %d", version + 1)


def back_up(connection: sqlite3.Connection, folder: Path, version: int) -> Path:
    """Copy the open database to `folder`/ember-v{version}-{date}.db, keep the newest five; the copy's path.

    Raises EmberError of kind "backup_failed"; the database is then untouched.
    """
    try:
        return keep_copy(connection, folder, version)
    except (OSError, sqlite3.OperationalError) as error:
        reason = plain_reason(error) if isinstance(error, OSError) else f"SQLite says “{error}”"
        raise EmberError(
            f"Ember was updated and must convert its database, but could not first copy it to “{folder}” "
            f"because {reason}. Nothing was changed; make room there and start Ember again.",
            kind="backup_failed",
        ) from error


def keep_copy(connection: sqlite3.Connection, folder: Path, version: int) -> Path:
    """Copy the open database as `back_up` does; raises OSError and sqlite3.OperationalError."""
    stem = f"ember-v{version}-{time.strftime(STAMP)}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = unused(folder, stem, ".db")
    temporary = folder / f"{target.name}.tmp"
    temporary.unlink(missing_ok=True)
    try:
        temporary.touch(mode=0o600)
        with closing(connect(str(temporary))) as copy:
            connection.backup(copy)  # includes what is still in the write-ahead log; forced to the disk
        temporary.replace(target)
    finally:
        for part in (temporary, temporary.with_name(f"{temporary.name}-journal")):  # a full disk keeps SQLite's too
            part.unlink(missing_ok=True)
    sync_folder(folder)
    _prune(folder)
    return target


def unused(folder: Path, stem: str, suffix: str) -> Path:
    """A path in `folder` at which nothing stands: the stem, or the stem with -2, -3 … added."""
    path = folder / f"{stem}{suffix}"
    number = 2
    while path.exists() or path.is_symlink():
        path = folder / f"{stem}-{number}{suffix}"
        number += 1
    return path


def kept_copies(folder: Path) -> list[Path]:
    """The copies in `folder` that were made before migrations and restores; raises OSError if it is unreadable."""
    return [path for path in folder.iterdir() if is_kept_copy(path, folder)]


def is_kept_copy(path: Path, folder: Path) -> bool:
    """Whether `path` is a copy in `folder` that was made before a migration or a restore."""
    return _BACKUP_NAME.fullmatch(path.name) is not None and path.parent.resolve() == folder.resolve()


def _prune(folder: Path) -> None:
    """Delete all but the newest five backups and what killed copies left; files with any other name are left alone."""
    named = ((_BACKUP_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    backups = sorted((match["when"], path) for match, path in named if match)
    for _, path in backups[:-BACKUPS_KEPT]:
        path.unlink()
    for path in folder.glob("ember-v*.db.tmp*"):  # nobody else makes one: the folder's lock is held
        if _BACKUP_NAME.fullmatch(path.name.removesuffix("-journal").removesuffix(".tmp")):
            path.unlink()
