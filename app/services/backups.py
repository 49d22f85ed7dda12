"""Backups for a window, made in the background: one now, and scheduled copies as they fall due."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import EmberError
from app.paths import DataDir, plain_reason
from app.services.background import run_in_background
from app.services.backup_copies import Copy, copies
from app.services.backup_state import BackupStates
from app.services.backup_work import Schedule, back_up, folder_of, is_due, make_scheduled, no_copy
from app.storage.archive_format import RefusedError
from app.storage.archive_state import OutgoingFile
from app.storage.backup import library_bytes
from app.storage.backup_state import check_state
from app.storage.settings import SettingsStore
from app.storage.working_folder import remove_leftovers

logger = logging.getLogger(__name__)

KEY: Final = "backups.schedule"
OWN: Final = "backups.own"
FAILURE: Final = "backups.failure"
"""Keys of settings: the schedule, where the person's own backups were written, and why the last copy failed."""
OF_THIS_MACHINE: Final = (KEY, OWN, FAILURE)
"""Settings that a restored library does not bring with it."""
OWN_KEPT: Final = 20
"""As many of the person's own backups are remembered."""
_TOLD_AGAIN: Final = 7 * 24 * 3600.0
"""Seconds after which the same failure of a scheduled copy is told once more."""
_CANCELLED: Final = "The backup was cancelled. Nothing was changed."
_LOOK_MS: Final = 3_600_000
"""How often an open window looks whether a copy is due."""

Make = Callable[[Sequence[OutgoingFile]], Path]
"""Writes a backup with these files of saved state in it; its path. Raises EmberError."""
Done = Callable[[Path, str], None]
"""Gets that path, and a sentence why saved state is not in it, or nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last scheduled copy was not made, and when the person was told."""

    sentence: str = ""
    """Empty: the last one went well."""
    told: float = 0.0
    """Unix time."""


def _fitting(state: Sequence[OutgoingFile]) -> tuple[Sequence[OutgoingFile], str]:
    """The files that a backup can hold: all or none, and then a sentence why."""
    try:
        check_state(state)
    except RefusedError as error:
        return (), f"Saved state is not in it because {error}."
    except OSError as error:
        return (), f"Saved state is not in it because {plain_reason(error)}."
    return state, ""


class Backups(QObject):
    """Backups of an open workspace, made in the background, one at a time."""

    began = Signal(bool)
    """A backup, or (True) a scheduled copy."""
    progressed = Signal(object, object)
    """(bytes done, bytes to do)"""
    finished = Signal(object, str)
    """(the path of the backup that was asked for, a sentence: why saved state is not in it; empty otherwise)"""
    failed = Signal(object)
    """Why it was not written: the EmberError; of kind "cancelled" where it was."""
    copied = Signal(object, str)
    """(the path of a scheduled copy, a sentence: why saved state is not in it; empty otherwise)"""
    copy_failed = Signal(object, bool)
    """(EmberError, whether the person does not know it yet): why a scheduled copy was not made."""

    def __init__(
        self,
        data_dir: DataDir,
        settings: SettingsStore,
        parent: QObject | None = None,
        clock: Callable[[], float] = time.time,
        states: BackupStates | None = None,
    ) -> None:
        """Keep the schedule in `settings`, and have saved state from `states`; nothing is made yet."""
        super().__init__(parent)
        self._data_dir = data_dir
        self._states = states
        self._settings = settings
        self._clock = clock
        self._cancelled = threading.Event()
        self._timer = QTimer(self, interval=_LOOK_MS)
        self._timer.timeout.connect(self.run_if_due)
        self._is_closed = self._is_looking = self._has_staged = False
        """Whether the end has come, the schedule's folder is looked into, the engine was asked for saved state."""
        self.is_running = False
        self.is_scheduled = False
        """Whether what runs is a scheduled copy."""

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def schedule(self) -> Schedule:
        """When copies are made by themselves."""
        return self._settings.get(KEY, Schedule, Schedule())

    @property
    def failure(self) -> str:
        """A sentence: why the last scheduled copy was not made; empty if it was."""
        return self._settings.get(FAILURE, Failure, Failure()).sentence

    @property
    def folder(self) -> Path:
        """Where the scheduled copies go."""
        return folder_of(self.schedule, self._data_dir)

    @property
    def kept_in(self) -> Path:
        """Where a library is kept that a backup takes the place of."""
        return self._data_dir.backups

    @property
    def own(self) -> list[Path]:
        """Where the person's own backups were written, the last first; some may be gone."""
        return [Path(path) for path in self._settings.get(OWN, list[str], [])]

    def library_bytes(self) -> int:
        """What the library takes; a backup, which is packed, takes less. 0 where its disk does not say."""
        try:
            return library_bytes(self._data_dir.database)
        except OSError as error:
            logger.warning("The library's size is not known: %s", error)
            return 0

    def list_copies(self, told: Callable[[list[Copy]], None]) -> None:
        """Look for backups in the background: a folder on a network may be slow."""
        folder, kept_in, own = self.folder, self.kept_in, self.own
        run_in_background(self, lambda: copies(folder, kept_in, own), told, lambda _error: told([]))

    # --- making ------------------------------------------------------------------------------------------------------

    def set_schedule(self, schedule: Schedule) -> None:
        """Keep another schedule, and make the first copy at once if it is due. Raises EmberError."""
        self._settings.set(KEY, schedule)
        self._note(FAILURE, Failure())  # of the schedule before
        self.run_if_due()

    def follow_schedule(self) -> None:
        """Make a copy if one is due now, and whenever one is while the window stays open; once, at the start."""
        try:
            remove_leftovers(self._data_dir.root)
        except OSError as error:
            logger.warning("What killed processes left could not be removed: %s", error)
        self._timer.start()
        self.run_if_due()

    def run_if_due(self) -> None:
        """Make a scheduled copy in the background if the last one is old enough; its folder may be slow to answer."""
        schedule, now = self.schedule, self._clock()
        if self.is_running or self._is_looking or schedule.every == "never":
            return
        folder = folder_of(schedule, self._data_dir)
        self._is_looking = True

        def look() -> bool:
            try:
                return is_due(schedule, folder, now)
            except OSError as error:
                raise no_copy(folder, error) from error

        def looked(due: bool) -> None:
            self._is_looking = False
            if due and not self.is_running and not self._is_closed:
                self._copy(schedule, now)

        def could_not_look(error: EmberError) -> None:
            self._is_looking = False
            if not self._is_closed:
                self._not_copied(error)

        run_in_background(self, look, looked, could_not_look)

    def _copy(self, schedule: Schedule, now: float) -> None:
        self._begin(is_scheduled=True)

        def make(state: Sequence[OutgoingFile]) -> Path:
            return make_scheduled(self._data_dir, schedule, now, self._tell, state)

        self._make(make, self._copied, self._copy_ended, with_state=schedule.with_state)

    def back_up(self, path: Path, *, with_state: bool = False) -> bool:
        """Write a backup to `path` in the background; False where another one is being written: then it is not begun.

        With saved state, if the engine can give it; without it the backup is written all the same, and says why.
        """
        if self.is_running:
            return False
        self._begin(is_scheduled=False)

        def make(state: Sequence[OutgoingFile]) -> Path:
            back_up(self._data_dir, path, self._tell, state)
            return path

        self._make(make, self._done, self._ended, with_state=with_state)
        return True

    def _make(self, make: Make, done: Done, ended: Callable[[EmberError], None], *, with_state: bool) -> None:
        """Have the engine put saved state into the staging folder, if it is wanted, then write the backup."""
        self._has_staged = with_state
        if not with_state or self._states is None:
            self._write(make, done, ended)
            return

        def failed(error: EmberError) -> None:
            self._has_staged = False
            if self._cancelled.is_set():
                ended(EmberError(_CANCELLED, "cancelled"))
            else:
                self._write(make, done, ended, why=f"Saved state is not in it. {error.sentence}")

        def staged(files: list[OutgoingFile]) -> None:
            self._write(make, done, ended, files, "" if files else "No saved state was there yet.")

        self._states.stage(staged, failed)

    def _begin(self, *, is_scheduled: bool) -> None:
        self.is_running, self.is_scheduled, self._has_staged = True, is_scheduled, False
        self._cancelled.clear()
        self.began.emit(is_scheduled)

    def _write(
        self,
        make: Make,
        done: Done,
        ended: Callable[[EmberError], None],
        state: Sequence[OutgoingFile] | None = None,
        why: str = "",
    ) -> None:
        """Write it on another thread; the staging folder goes afterwards, if there is one."""

        def work() -> tuple[Path, str]:
            try:
                fit, refusal = _fitting(state or ())
                return make(fit), refusal or why
            finally:
                if state is not None and self._states is not None:
                    self._states.end()

        run_in_background(self, work, lambda made: done(*made), ended)

    def cancel(self) -> None:
        """End the backup that is being made; nothing of it stays."""
        self._cancelled.set()
        if self.is_running and self._has_staged and self._states is not None:
            self._states.cancel()

    def close(self) -> None:
        """End what runs, and begin nothing any more."""
        self._is_closed = True
        self._timer.stop()
        self.cancel()

    def _tell(self, done: int, to_do: int) -> None:
        """On the thread that writes; the signal is delivered on this object's."""
        if self._cancelled.is_set():
            raise EmberError(_CANCELLED, "cancelled")
        self.progressed.emit(done, to_do)

    def _done(self, path: Path, why: str) -> None:
        self.is_running = False
        logger.info("The library was backed up to %s", path)
        own = [path, *(other for other in self.own if other != path)][:OWN_KEPT]
        self._note(OWN, [str(each) for each in own])
        self.finished.emit(path, why)

    def _ended(self, error: EmberError) -> None:
        self.is_running = False
        logger.warning("A backup failed: %s", error)
        self.failed.emit(error)

    def _copied(self, path: Path, why: str) -> None:
        self.is_running = False
        logger.info("A scheduled copy of the library was written to %s. %s", path, why)
        if self.failure:
            self._note(FAILURE, Failure())
        self.copied.emit(path, why)

    def _copy_ended(self, error: EmberError) -> None:
        self.is_running = False
        self._not_copied(error)

    def _not_copied(self, error: EmberError) -> None:
        logger.warning("A scheduled copy failed: %s", error)
        last, now = self._settings.get(FAILURE, Failure, Failure()), self._clock()
        is_new = last.sentence != error.sentence or not 0 <= now - last.told < _TOLD_AGAIN
        if error.kind == "cancelled":
            is_new = False
        elif is_new:
            self._note(FAILURE, Failure(error.sentence, now))
        self.copy_failed.emit(error, is_new)

    def _note(self, key: str, value: object) -> None:
        """Keep what is good to know, if the database can be written."""
        try:
            self._settings.set(key, value)
        except EmberError as error:
            logger.warning("What became of a backup was not noted: %s", error.sentence)
