"""Restoring the whole library: tried on a copy while the window is open, put in place while nobody has it open."""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.core.errors import EmberError
from app.paths import DataDir
from app.services.background import run_in_background
from app.services.backups import OF_THIS_MACHINE
from app.services.single_instance import SingleInstance, in_use
from app.storage.backup_format import Progress
from app.storage.signing import installation_key

if TYPE_CHECKING:  # a window that only starts restores nothing
    from app.storage.restore import Prepared, Restored

logger = logging.getLogger(__name__)


def prepare(data_dir: DataDir, path: Path, progress: Progress) -> "Prepared":
    """Try the backup at `path` on a copy, also while the library is open; whoever gets it closes it. EmberError."""
    from app.storage import restore

    key = installation_key(data_dir.key)
    return restore.prepare_library(path, data_dir.database, data_dir.backups, progress, key=key)


def put_in_place(data_dir: DataDir, prepared: "Prepared", *, trust: bool) -> "Restored":
    """Put it in the library's place; `trust` takes over what another installation says of tokens and saved state.

    Raises EmberError: "in_use" while a window or a command has the folder, and what `restore.put_in_place` raises.
    """
    from app.storage import restore

    instance = SingleInstance(data_dir.root)
    if not instance.acquire():
        raise in_use(data_dir.root)
    try:
        done = restore.put_in_place(
            prepared, data_dir.database, data_dir.backups, keep_settings=OF_THIS_MACHINE, trust_token_ids=trust
        )
    finally:
        instance.release()
    logger.info("The library was restored from %s; what stood there is kept as %s", prepared.source, done.kept)
    return done


class Restoring(QObject):
    """Tries backups in the background, one at a time, and holds the one that is ready."""

    progressed = Signal(object, object)
    """(bytes done, bytes to do)"""
    ready = Signal(object)
    """What the backup holds: `Holds`."""
    failed = Signal(object)
    """The EmberError; of kind "cancelled" where it was."""

    def __init__(self, data_dir: DataDir, parent: QObject | None = None) -> None:
        """For the library in a data folder."""
        super().__init__(parent)
        self._data_dir = data_dir
        self._cancelled = threading.Event()
        self._prepared: Prepared | None = None
        self._next: Path | None = None
        """What is tried as soon as what runs has ended."""
        self.is_running = False

    def prepare(self, path: Path) -> None:
        """Try a backup; `ready` or `failed` follows. What is being tried ends first, and nothing is told of it."""
        if self.is_running:
            self._cancelled.set()
            self._next = path
            return
        self.drop()
        self.is_running = True
        self._cancelled.clear()

        def work() -> None:
            self._prepared = prepare(self._data_dir, path, self._tell)  # kept here, so that `drop` finds it in any case

        run_in_background(self, work, lambda _: self._done(), self._ended)

    def cancel(self) -> None:
        """End what runs; nothing of it stays."""
        self._cancelled.set()
        self._next = None

    def take(self) -> "Prepared | None":
        """Hand over what is ready to whoever puts it in place, and closes it."""
        taken, self._prepared = self._prepared, None
        return taken

    def drop(self) -> None:
        """Remove what is ready, if anything is."""
        prepared = self.take()
        if prepared is not None:
            prepared.close()

    def _tell(self, done: int, to_do: int) -> None:
        """On the thread that works; the signal is delivered on this object's."""
        if self._cancelled.is_set():
            raise EmberError("The backup was not restored. Nothing was changed.", "cancelled")
        self.progressed.emit(done, to_do)

    def _done(self) -> None:
        if self._goes_on():
            return
        if self._cancelled.is_set() or self._prepared is None:
            self.drop()
            self.failed.emit(EmberError("The backup was not restored. Nothing was changed.", "cancelled"))
        else:
            self.ready.emit(self._prepared.holds)

    def _ended(self, error: EmberError) -> None:
        logger.info("A backup was not prepared: %s", error)
        if not self._goes_on():
            self.failed.emit(error)

    def _goes_on(self) -> bool:
        """What ran is over; whether another backup is tried now."""
        self.is_running = False
        path, self._next = self._next, None
        if path is not None:
            self.prepare(path)
        return path is not None
