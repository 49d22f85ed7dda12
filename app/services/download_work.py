"""The work of one download: bytes from the hub into partial files, resumed where they end, verified, put in place.

Pure Python for a thread of its own. What is on the disk is at any instant a beginning of the file, as each piece is
written when it comes: a process that is killed loses nothing but what was under way.
"""

import contextlib
import errno
import hashlib
import io
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.core.errors import EmberError
from app.core.units import format_bytes
from app.folder_lock import FolderLock
from app.paths import plain_reason
from app.services.download_progress import Meter, Phase, Progress, Pulse
from app.services.download_record import (
    DownloadRecord,
    RecordedFile,
    bytes_there,
    lock_path,
    partial,
    read_record,
    write_record,
)
from app.services.hub_errors import HubError
from app.storage.files import sync_folder

if TYPE_CHECKING:
    from app.services.hub import Hub

logger = logging.getLogger(__name__)

DELAYS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each new try; after as many without a single new byte the download stops."""
SPARE: Final = 256 * 1024 * 1024
"""Bytes of the disk that a download leaves free."""
SPAN: Final = 16 * 1024**3
"""Bytes that are asked for at once: storage behind hubs does not answer with 50 GB and more."""
BLOCK: Final = 4 * 1024 * 1024
LOCK_SECONDS: Final = 0.05
LOCK_PATIENCE: Final = 30.0
"""Seconds in which a stopped run of this process has surely let go: no read waits longer for a hub."""


class DownloadWork:
    """Fetches the files of one record; `run` once, `stop` from any thread."""

    def __init__(
        self,
        models: Path,
        path: Path,
        record: DownloadRecord,
        hub: "Callable[[], Hub]",
        report: Callable[[Progress], None],
    ) -> None:
        """`path` is the record's own, below `models`; `hub` is called on `run`'s thread, `report` on others too."""
        self._path = path
        self._record = record
        self._make_hub = hub
        self._lock = FolderLock(lock_path(models, path))
        self._models = models
        self._stopping = threading.Event()
        self._response: Any = None
        self._meter = Meter(record.size)
        self._pulse = Pulse(self._meter, report)

    def stop(self) -> None:
        """End it soon: what has come stays. The socket is closed, so that no read waits for a hub that is silent."""
        self._stopping.set()
        self._pulse.stop()
        response = self._response
        stream = response.extensions.get("network_stream") if response is not None else None
        connection = stream.get_extra_info("socket") if stream is not None else None
        if connection is not None:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def run(self) -> DownloadRecord:
        """Fetch, verify, put in place; the finished record.

        Raises EmberError: "stopped", a refusal of the hub's, "disk_full", "cannot_write", "wrong_checksum". Whatever is
        raised, what has come is kept and taken up again by the next run, except what turned out wrong.
        """
        try:
            with self._pulse:
                self._acquire()
                try:
                    return self._fetch_all()
                finally:
                    self._lock.release()
        except EmberError as error:
            if error.kind not in ("stopped", "in_use"):
                self._note(error.sentence)
            raise

    def _fetch_all(self) -> DownloadRecord:
        self._forget_problem()
        self._require_room()
        hub = self._make_hub()
        for file in self._record.files:
            self._fetch(hub, file)
        done = msgspec.structs.replace(self._record, is_done=True, problem="")
        write_record(self._path, done)
        return done

    def _note(self, problem: str) -> None:
        try:
            write_record(self._path, msgspec.structs.replace(self._record, problem=problem))
        except EmberError as error:  # the same disk; what is raised says it
            logger.warning("why a download stopped is not kept: %s", error)

    def _forget_problem(self) -> None:
        """Why it stopped the last time is over: a process that is killed now would leave it as the reason."""
        before = read_record(self._path)
        if before is not None and before.problem:
            write_record(self._path, msgspec.structs.replace(self._record, problem=""))

    def _acquire(self) -> None:
        """Take the download for this process, once a run that was stopped has let go of it."""
        try:
            lock = lock_path(self._models, self._path)
            lock.parent.mkdir(parents=True, exist_ok=True)
            until = time.monotonic() + LOCK_PATIENCE
            self._pulse.tell(Progress("waiting", bytes_there(self._path, self._record), self._record.size))
            while not self._lock.acquire():
                if time.monotonic() > until:
                    raise EmberError(f"Another Ember is downloading {self._record.files[0].name} already.", "in_use")
                self._wait(LOCK_SECONDS)
        except OSError as error:
            raise _not_written(self._path, error) from error

    def _require_room(self) -> None:
        missing = self._record.size - bytes_there(self._path, self._record)
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise _not_written(self._path, error) from error
        if missing + SPARE > free:
            raise no_room(missing, free)

    # --- one file ----------------------------------------------------------------------------------------------------

    def _fetch(self, hub: "Hub", file: RecordedFile) -> None:
        self._require_going()
        target = self._path.parent / file.name
        try:
            if target.is_file() and target.stat().st_size == file.size:
                self._meter.skip(file.size)
                return
            with partial(target).open("a+b", buffering=0) as opened:
                part = _Part(opened)
                self._look_through(part, file)
                self._download(hub, part, file)
                if part.digest.hexdigest() != file.sha256:
                    raise self._wrong(part, file, "is not what the hub's checksum says")
                os.fsync(opened.fileno())
            partial(target).replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise _not_written(target, error) from error

    def _look_through(self, part: "_Part", file: RecordedFile) -> None:
        """Take up what is there already; more than the file has is cut off."""
        for size in part.take_up(file.size):
            self._meter.skip(size)
            self._tell("checking")
            self._require_going()

    def _download(self, hub: "Hub", part: "_Part", file: RecordedFile) -> None:
        """Fetch what lacks, trying again after a break as long as something comes."""
        tries = 0
        while part.size < file.size:
            before = part.size
            try:
                aimed = self._read(hub, part, file)
                if part.size < aimed:
                    raise HubError("The connection ended too early.", "no_network", is_passing=True)
            except HubError as error:
                self._require_going()
                tries = 0 if part.size > before else tries
                if not error.is_passing or tries >= len(DELAYS):
                    raise _with_kept(error, bytes_there(self._path, self._record)) from error
                logger.info("the download of %s goes on after: %s", file.path, error)
                pause = max(DELAYS[tries], error.retry_after)
                self._pulse.tell(self._meter.progress("waiting"), next_try=pause)
                self._wait(pause)
                tries += 1

    def _read(self, hub: "Hub", part: "_Part", file: RecordedFile) -> int:
        """Write one answer of the hub's to the end of the partial file; the size that it should have then."""
        self._require_going()
        end = min(file.size, part.size + SPAN)
        self._pulse.tell(self._meter.progress("waiting"))
        with hub.stream(self._record.repository, self._record.commit, file.path, part.size, end) as response:
            self._response = response
            try:
                self._require_going()
                if part.size and response.status_code != 206:  # the hub sends all of it instead of the rest
                    self._meter.skip(-part.size)
                    part.clear()
                for piece in response.iter_raw():
                    self._require_going()
                    if part.size + len(piece) > file.size:
                        raise self._wrong(part, file, "is longer than the hub said")
                    part.append(piece)
                    self._meter.add(len(piece))
                    self._tell("downloading")
            finally:
                self._response = None
        self._pulse.tell(self._meter.progress("downloading"))
        return end

    def _wrong(self, part: "_Part", file: RecordedFile, what: str) -> EmberError:
        """The error for bytes that must not be used, which are removed."""
        part.clear()
        return EmberError(
            f"What came of {file.name} {what}, so it was removed. Try again; if it happens twice, choose another "
            "repository.",
            "wrong_checksum",
        )

    # --- waiting and telling -----------------------------------------------------------------------------------------

    def _require_going(self) -> None:
        if self._stopping.is_set():
            raise EmberError("The download was stopped; what has come is kept.", "stopped")

    def _wait(self, seconds: float) -> None:
        self._stopping.wait(seconds)
        self._require_going()

    def _tell(self, phase: Phase) -> None:
        if self._meter.is_due():
            self._pulse.tell(self._meter.progress(phase))


class _Part:
    """A partial file, open to be appended to, and the digest of what is in it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def take_up(self, most: int) -> Iterator[int]:
        """Take what the file has already into the digest, at most so many bytes; yields how many at a time."""
        self._file.seek(0)
        while self.size < most and (block := self._file.read(min(BLOCK, most - self.size))):
            self.digest.update(block)
            self.size += len(block)
            yield len(block)
        self._file.truncate(self.size)

    def append(self, piece: bytes) -> None:
        """Write at the end, all of it, at once."""
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.digest.update(piece)
        self.size += len(piece)

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)
        self.size, self.digest = 0, hashlib.sha256()


def no_room(missing: int, free: int) -> EmberError:
    """The error for a disk that has not the room that a download needs."""
    return EmberError(
        f"The disk has {format_bytes(free)} free, and {format_bytes(missing)} more would be needed, beside the "
        f"{format_bytes(SPARE)} that Ember leaves free. Make room and try again; what has come is kept.",
        "disk_full",
    )


def _not_written(path: Path, error: OSError) -> EmberError:
    kind = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "cannot_write"
    return EmberError(
        f"{path.name} could not be written because {plain_reason(error)}. What has come is kept; "
        "see to the disk and go on with the download.",
        kind,
    )


def _with_kept(error: HubError, there: int) -> HubError:
    """The same error, saying what is kept."""
    kept = f" The {format_bytes(there)} that have come are kept." if there else " Nothing was downloaded."
    return HubError(
        error.sentence + kept,
        error.kind,
        status=error.status,
        is_passing=error.is_passing,
        retry_after=error.retry_after,
    )
