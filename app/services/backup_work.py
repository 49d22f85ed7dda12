"""Making a backup of the whole library: one now, or a scheduled copy, of which the newest stay."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from app.core.errors import EmberError
from app.paths import DataDir, plain_reason
from app.services.backup_copies import STAMP, SUFFIX, scheduled_copies
from app.storage.archive_state import OutgoingFile
from app.storage.backup import write_backup
from app.storage.backup_format import BackupManifest, Progress
from app.storage.database import Database
from app.storage.signing import installation_key
from app.storage.upgrade import unused

logger = logging.getLogger(__name__)

_DAY: Final = 24 * 3600.0
_SECONDS: Final = {"day": _DAY, "week": 7 * _DAY}

Every = Literal["never", "day", "week"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When copies are made by themselves, how many stay, and where."""

    every: Every = "never"
    keep: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 7
    folder: str = ""
    """Empty: `backups` in the data folder."""
    with_state: bool = False
    """Whether they hold saved state, where there is any."""


def back_up(data_dir: DataDir, path: Path, progress: Progress, state: Sequence[OutgoingFile] = ()) -> BackupManifest:
    """Write the library of a data folder to `path`, also while a window has it open; raises EmberError.

    `state`: files of saved state, which an engine put into a staging folder.
    """
    try:
        key = installation_key(data_dir.key)
    except EmberError as error:  # on a disk that can only be read, a backup matters most
        logger.warning("The backup is not signed: %s", error)
        key = None
    database = Database.open(data_dir.database, data_dir.backups, readonly=True)
    try:
        return write_backup(database, path, progress, key, state)
    finally:
        database.close()


def is_due(schedule: Schedule, folder: Path, now: float) -> bool:
    """Whether no copy in `folder` is younger than a day or a week at the Unix time `now`; raises OSError.

    Told by the copies themselves: where they were removed, or the folder is another one, one is made at once. One
    from the future is of a clock that was wrong.
    """
    if schedule.every == "never":
        return False
    ages = [now - when for when, _ in scheduled_copies(folder)]
    return not any(0 <= age < _SECONDS[schedule.every] for age in ages)


def make_scheduled(
    data_dir: DataDir, schedule: Schedule, now: float, progress: Progress, state: Sequence[OutgoingFile] = ()
) -> Path:
    """Make a copy in the schedule's folder, then remove all but the newest; the copy's path. Raises EmberError.

    `state` as in `back_up`. Of older ones that cannot be removed the error says that the copy is there.
    """
    folder = folder_of(schedule, data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = unused(folder, f"Ember-{time.strftime(STAMP, time.localtime(now))}", SUFFIX)
        back_up(data_dir, path, progress, state)
    except OSError as error:
        raise no_copy(folder, error) from error
    try:
        for _, old in [each for each in scheduled_copies(folder) if each[1] != path][: -schedule.keep + 1 or None]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise EmberError(
            f"The scheduled backup to “{folder}” was written, but an older one could not be removed because "
            f"{plain_reason(error)}. Remove some by hand, or choose another folder.",
            kind="backup_failed",
        ) from error
    return path


def no_copy(folder: Path, error: OSError) -> EmberError:
    """The sentence for a folder that the copies cannot go to."""
    return EmberError(
        f"The scheduled backup to “{folder}” failed because {plain_reason(error)}. Your library is not touched; "
        "see whether that folder is there and can be written, or choose another one.",
        kind="backup_failed",
    )


def folder_of(schedule: Schedule, data_dir: DataDir) -> Path:
    """Where the copies go."""
    return Path(schedule.folder) if schedule.folder else data_dir.backups
