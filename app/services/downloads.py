"""The downloads of a window: one after the other, each paused, resumed and cancelled at once."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from PySide6.QtCore import QObject, Qt, Signal

from app.core.errors import EmberError
from app.core.hub_files import Repository, Variant
from app.services.background import run_detached, run_in_background
from app.services.download_progress import Progress
from app.services.download_record import (
    DownloadRecord,
    begin,
    bytes_there,
    files_of,
    plan,
    records,
    remove_empty_folders,
    remove_partial,
)
from app.services.download_work import DownloadWork

if TYPE_CHECKING:
    from app.services.hub import Hub

logger = logging.getLogger(__name__)

DownloadState = Literal["waiting", "running", "paused", "failed"]

CLOSING_SECONDS = 1.0
"""How long the end of Ember waits for a thread that was stopped."""


@dataclass(frozen=True, slots=True)
class Download:
    """One download that is not finished."""

    path: Path
    """Its record's; what it is called by."""
    record: DownloadRecord
    state: DownloadState
    progress: Progress
    problem: str = ""
    """Why it failed, or stopped the last time; a sentence."""


@dataclass(slots=True, eq=False)
class _Run:
    """One run of a download on a thread of its own, which may still be ending when the next one begins."""

    path: Path
    record: DownloadRecord
    work: DownloadWork | None = None
    thread: threading.Thread | None = None
    is_cancelled: bool = False

    def stop(self) -> None:
        """Have it end soon."""
        if self.work is not None:
            self.work.stop()


class Downloads(QObject):
    """Keeps the queue. Nothing is asked of a hub until `start` or `resume`; what is on the disk is all it remembers."""

    changed = Signal()
    """`downloads` are others now, or further."""
    finished = Signal(object)
    """The Path of a model that is whole and verified."""
    failed = Signal(str)
    """A sentence about what a cancelled download left."""
    _went_on = Signal(object, object)
    """From a run's thread: (_Run, Progress)."""

    def __init__(self, models: Path, hub: Callable[[], "Hub"], parent: QObject | None = None) -> None:
        """Downloads go below the folder `models`; those of an earlier run are there, paused."""
        super().__init__(parent)
        self._models = models
        self._hub = hub
        self._run: _Run | None = None
        self._runs: list[_Run] = []
        """All whose threads have not ended, as far as is known here."""
        self._went_on.connect(self._progressed, Qt.ConnectionType.QueuedConnection)
        self._downloads: dict[Path, Download] = {}
        self._removing: set[Path] = set()
        """What of these was given up is still being removed: the thread may have the file open for a while."""
        self._wanted_again: dict[Path, tuple[Repository, Variant]] = {}
        """Started anew in that time; they wait for its end."""
        for path, record in records(models):
            if not record.is_done:
                self._downloads[path] = self._at_rest(path, record, "failed" if record.problem else "paused")

    @property
    def downloads(self) -> tuple[Download, ...]:
        """Those that are not finished, the first in the queue first."""
        return tuple(self._downloads.values())

    def start(self, repository: Repository, variant: Variant) -> Path:
        """Put a download at the end of the queue; what it is called by. Raises EmberError."""
        path, planned = plan(self._models, repository, variant)
        before = self._downloads.get(path)
        if path in self._removing:
            self._wanted_again[path] = repository, variant
            self._set(Download(path, planned, "waiting", Progress("waiting", 0, planned.size)))
            return path
        if before is None or before.state in ("paused", "failed"):
            path, record = begin(self._models, repository, variant)
            self._set(self._at_rest(path, record, "waiting"))
            self._next()
        return path

    def resume(self, path: Path) -> None:
        """Go on with a download that was paused or failed, after those that wait already."""
        download = self._downloads.get(path)
        if download is None or download.state == "running":
            return
        record = msgspec.structs.replace(download.record, problem="")  # nor is it said when this is paused
        self._set(replace(download, state="waiting", record=record, problem=""))
        self._next()

    def pause(self, path: Path) -> None:
        """Let a download rest; what has come is kept."""
        download = self._downloads.get(path)
        if download is None or download.state not in ("waiting", "running"):
            return
        self._stop(path)
        self._set(self._at_rest(path, download.record, "paused"))
        self._next()

    def prefer(self, path: Path) -> None:
        """Let a download have its turn before the others that wait."""
        download = self._downloads.get(path)
        if download is None or download.state == "running":
            return
        running = {each.path: each for each in self.downloads if each.state == "running"}
        self._downloads = running | {path: download} | self._downloads
        self.changed.emit()

    def pause_all(self) -> None:
        """Let all of them rest."""
        for download in self.downloads:
            self.pause(download.path)

    def cancel(self, path: Path) -> None:
        """Give a download up and remove what has come, in the background; `failed` follows where the disk refuses."""
        download = self._downloads.pop(path, None)
        if download is None:
            return
        if path in self._removing:  # it was only waiting for that
            self._wanted_again.pop(path, None)
            self.changed.emit()
            return
        self._removing.add(path)
        run = self._stop(path)
        self.changed.emit()
        if run is not None:
            run.is_cancelled = True  # its thread may have the file open for a moment; `_ended` removes it then
        else:
            self._remove(path, download.record)
        self._next()

    def close(self) -> None:
        """Stop; what has come is kept."""
        for run in self._runs:
            run.stop()
            if run.thread is not None:
                run.thread.join(CLOSING_SECONDS)
            if run.is_cancelled:
                self._remove(run.path, run.record)
        self._run = None

    # --- the queue ---------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._run is not None:
            return
        able = (each for each in self._downloads.values() if each.path not in self._removing)
        waiting = next((download for download in able if download.state == "waiting"), None)
        if waiting is not None:
            self._begin(waiting)

    def _begin(self, download: Download) -> None:
        self._run = run = _Run(download.path, download.record)
        self._runs.append(run)

        def report(progress: Progress) -> None:
            self._went_on.emit(run, progress)

        run.work = work = DownloadWork(self._models, download.path, download.record, self._hub, report)
        self._set(replace(download, state="running"))
        run.thread = run_detached(
            self, work.run, lambda record: self._done(run, record), lambda error: self._failed(run, error)
        )

    def _stop(self, path: Path) -> _Run | None:
        """End the run of a download, if it is the one that runs; nothing more is told of it."""
        run = self._run
        if run is None or run.path != path:
            return None
        self._run = None
        run.stop()
        return run

    def _progressed(self, run: _Run, progress: Progress) -> None:
        if run is self._run:
            self._set(replace(self._downloads[run.path], progress=progress))

    def _done(self, run: _Run, record: DownloadRecord) -> None:
        is_current = self._ended(run)
        download = self._downloads.get(run.path)
        if run.is_cancelled or download is None:
            return
        if not is_current and download.state in ("waiting", "running"):
            return  # the run that follows finds that all is there
        self._downloads.pop(run.path)
        self.changed.emit()
        self.finished.emit(files_of(run.path, record)[0])
        self._next()

    def _failed(self, run: _Run, error: EmberError) -> None:
        if not self._ended(run):
            return
        logger.warning("a download stopped: %s", error)
        record = msgspec.structs.replace(run.record, problem=error.sentence)
        self._set(self._at_rest(run.path, record, "failed"))
        self._next()

    def _ended(self, run: _Run) -> bool:
        """A thread is at its end; False for one that was stopped, whose download goes another way since."""
        self._runs.remove(run)
        if run is self._run:
            self._run = None
            return True
        if run.is_cancelled:
            self._remove(run.path, run.record)
        return False

    def _remove(self, path: Path, record: DownloadRecord) -> None:
        """Remove what came of a cancelled download; a large file takes the disk a while."""

        def done(_nothing: None) -> None:
            self._removing.discard(path)
            self._take_up_again(path)

        def failed(error: EmberError) -> None:
            self.failed.emit(error.sentence)
            done(None)

        def remove() -> None:
            remove_partial(path, record)
            remove_empty_folders(self._models, path.parent)

        run_in_background(self, remove, done, failed)

    def _take_up_again(self, path: Path) -> None:
        """A download that was started while the one before was being removed has its turn."""
        wanted, download = self._wanted_again.pop(path, None), self._downloads.get(path)
        if wanted is None or download is None:
            return
        try:
            _, record = begin(self._models, *wanted)
        except EmberError as error:
            self._set(replace(download, state="failed", problem=error.sentence))
        else:
            self._set(self._at_rest(path, record, download.state))
        self._next()

    def _set(self, download: Download) -> None:
        self._downloads[download.path] = download
        self.changed.emit()

    def _at_rest(self, path: Path, record: DownloadRecord, state: DownloadState) -> Download:
        there = bytes_there(path, record)
        return Download(path, record, state, Progress("waiting", there, record.size), record.problem)
