"""Backups of the whole library: one now, and scheduled copies of which the newest stay."""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from PySide6.QtCore import QObject, Signal

from app.core.errors import EmberError
from app.paths import DataDir, plain_reason
from app.services.background import run_in_background
from app.storage.backup import write_backup
from app.storage.backup_format import BackupManifest, Progress
from app.storage.database import Database
from app.storage.settings import SettingsStore
from app.storage.signing import installation_key
from app.storage.upgrade import unused
from app.storage.working_folder import remove_leftovers

logger = logging.getLogger(__name__)

KEY: Final = "backups.schedule"
SUFFIX: Final = ".emberbackup"
_STAMP: Final = "%Y%m%d-%H%M%S"
_NAME: Final = re.compile(rf"Ember-(?P<when>\d{{8}}-\d{{6}})(-\d+)?{re.escape(SUFFIX)}")
_SECONDS: Final = {"day": 24 * 3600.0, "week": 7 * 24 * 3600.0}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When copies are made by themselves, how many stay, and where."""

    every: Literal["never", "day", "week"] = "never"
    keep: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 7
    folder: str = ""
    """Empty: `backups` in the data folder."""


def back_up(data_dir: DataDir, path: Path, progress: Progress) -> BackupManifest:
    """Write the library of a data folder to `path`, also while a window has it open; raises EmberError."""
    try:
        key = installation_key(data_dir.key)
    except EmberError as error:  # on a disk that can only be read, a backup matters most
        logger.warning("The backup is not signed: %s", error)
        key = None
    database = Database.open(data_dir.database, data_dir.backups, readonly=True)
    try:
        return write_backup(database, path, progress, key)
    finally:
        database.close()


def is_due(schedule: Schedule, folder: Path, now: float) -> bool:
    """Whether no copy in `folder` is younger than a day or a week at the Unix time `now`; raises OSError.

    Told by the copies themselves: where they were removed, or the folder is another one, one is made at once. One
    from the future is of a clock that was wrong.
    """
    if schedule.every == "never":
        return False
    ages = [now - when for when, _ in _copies(folder)]
    return not any(0 <= age < _SECONDS[schedule.every] for age in ages)


def make_scheduled(data_dir: DataDir, schedule: Schedule, now: float, progress: Progress) -> Path:
    """Make a copy in the schedule's folder, then remove all but the newest; the copy's path. Raises EmberError."""
    folder = folder_of(schedule, data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = unused(folder, f"Ember-{time.strftime(_STAMP, time.localtime(now))}", SUFFIX)
        back_up(data_dir, path, progress)
        for _, old in [each for each in _copies(folder) if each[1] != path][: -schedule.keep + 1 or None]:
            old.unlink()
    except OSError as error:
        raise _no_copy(folder, error) from error
    return path


def _no_copy(folder: Path, error: OSError) -> EmberError:
    """The sentence for a folder that the copies cannot go to."""
    return EmberError(
        f"The scheduled backup to “{folder}” failed because {plain_reason(error)}. Your library is not touched; "
        "see whether that folder is there and can be written, or choose another one.",
        kind="backup_failed",
    )


def folder_of(schedule: Schedule, data_dir: DataDir) -> Path:
    """Where the copies go."""
    return Path(schedule.folder) if schedule.folder else data_dir.backups


def _copies(folder: Path) -> list[tuple[float, Path]]:
    """The scheduled copies in a folder with their Unix times, the oldest first; raises OSError if it is unreadable."""
    if not folder.exists():
        return []
    found = []
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        try:
            if match is not None and path.is_file():
                found.append((time.mktime(time.strptime(match["when"], _STAMP)), path))
        except (ValueError, OverflowError):  # nobody's date: not one of ours
            continue
    return sorted(found)


class Backups(QObject):
    """Backups of an open workspace, made in the background."""

    progressed = Signal(object, object)
    """(bytes done, bytes to do)"""
    finished = Signal(object)
    """The path of the backup that was written."""
    failed = Signal(object)
    """The EmberError; of kind "cancelled" where it was."""

    def __init__(
        self,
        data_dir: DataDir,
        settings: SettingsStore,
        parent: QObject | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the schedule in `settings`; nothing is made yet."""
        super().__init__(parent)
        self._data_dir = data_dir
        self._settings = settings
        self._clock = clock
        self._cancelled = threading.Event()
        self.is_running = False

    @property
    def schedule(self) -> Schedule:
        """When copies are made by themselves."""
        return self._settings.get(KEY, Schedule, Schedule())

    def set_schedule(self, schedule: Schedule) -> None:
        """Keep another schedule, and make the first copy at once if it is due."""
        self._settings.set(KEY, schedule)
        self.run_if_due()

    def run_if_due(self) -> None:
        """Make a scheduled copy in the background if the last one is old enough; at start, and for a new schedule."""
        schedule, now = self.schedule, self._clock()
        folder = folder_of(schedule, self._data_dir)
        try:
            remove_leftovers(self._data_dir.root)
            if self.is_running or not is_due(schedule, folder, now):
                return
        except OSError as error:
            self.failed.emit(_no_copy(folder, error))
            return
        self._begin(lambda: make_scheduled(self._data_dir, schedule, now, self._tell))

    def back_up(self, path: Path) -> None:
        """Write a backup to `path` in the background; one at a time."""
        if self.is_running:
            return

        def work() -> Path:
            back_up(self._data_dir, path, self._tell)
            return path

        self._begin(work)

    def cancel(self) -> None:
        """End the backup that is being made; nothing of it stays."""
        self._cancelled.set()

    def _begin(self, work: Callable[[], Path]) -> None:
        self.is_running = True
        self._cancelled.clear()
        run_in_background(self, work, self._done, self._ended)

    def _tell(self, done: int, to_do: int) -> None:
        """On the thread that writes; the signal is delivered on this object's."""
        if self._cancelled.is_set():
            raise EmberError("The backup was cancelled. Nothing was changed.", "cancelled")
        self.progressed.emit(done, to_do)

    def _done(self, path: Path) -> None:
        self.is_running = False
        logger.info("The library was backed up to %s", path)
        self.finished.emit(path)

    def _ended(self, error: EmberError) -> None:
        self.is_running = False
        logger.warning("A backup failed: %s", error)
        self.failed.emit(error)
