"""Saved state and backups of the library: out of the store for one, and back into it after a restore."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Qt

from app.core.errors import EmberError
from app.paths import DataDir
from app.protocol.answers import Failed, SavedAdopted, SavedExported
from app.protocol.messages import Response
from app.protocol.parts import StagedFile
from app.protocol.requests import AdoptSaved, ExportSaved
from app.services.background import run_in_background
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.services.state_transfer import OnFailed, outgoing_files, staging_folder
from app.storage.archive_format import RefusedError, StateFile
from app.storage.archive_state import OutgoingFile
from app.storage.backup_format import Progress
from app.storage.backup_state import CarriedState, extract_state
from app.storage.saved_roots import SavedRoots


@dataclass(frozen=True, slots=True)
class TakenState:
    """What became of the saved state of a backup."""

    files: int
    """Those that are in the store now."""
    written_bytes: int
    trouble: str
    """Why not all of it was taken, as the part of a sentence that follows “because”; empty if all was."""


class BackupStates(QObject):
    """Moves saved state through a staging folder, one backup at a time."""

    def __init__(
        self, data_dir: DataDir, engine: EngineClient, saved: SavedStates, roots: SavedRoots, parent: QObject
    ) -> None:
        """Use the engine of a workspace; nothing is begun."""
        super().__init__(parent)
        self._data_dir = data_dir
        self._engine = engine
        self._saved = saved
        self._roots = roots
        self._folder = ExitStack()
        self._cancelled = threading.Event()
        self._request: int | None = None
        """What the engine was asked for."""
        self._is_busy = False

    @property
    def size(self) -> int:
        """Bytes of saved state, as the engine last said; 0 where there is none, or nothing can be had of it."""
        usage = self._saved.usage
        return usage.bytes if usage is not None and self._saved.is_open else 0

    def cancel(self) -> None:
        """End what runs; it then fails, of kind "cancelled"."""
        self._cancelled.set()
        if self._request is not None:
            self._engine.cancel(self._request)

    def end(self) -> None:
        """Remove the staging folder."""
        self._folder.close()
        self._request, self._is_busy = None, False

    def stage(self, told: Callable[[list[OutgoingFile]], None], failed: OnFailed) -> None:
        """Have the state of all chats put into a folder, as second names of its files, which stay until `end`."""

        def begin(folder: Path) -> None:
            def exported(answer: Response) -> None:
                if isinstance(answer, SavedExported):
                    told(outgoing_files(answer, folder))
                elif isinstance(answer, Failed):
                    self._fail(EmberError(answer.sentence, answer.kind), failed)

            request = ExportSaved(id=self._engine.new_id(), tips=self._roots.wanted(), folder=str(folder))
            self._request = request.id
            self._engine.send(request, exported)

        def started() -> None:
            if self._cancelled.is_set():
                failed(_stopped())
            else:
                self._begin(begin, failed)

        if self._engine.state == "stopped":  # a window that has only just opened starts it in a moment
            self._cancelled.clear()
            self._engine.state_changed.connect(lambda _state: started(), Qt.ConnectionType.SingleShotConnection)
        else:
            self._begin(begin, failed)

    def take(self, carried: CarriedState, told: Callable[[TakenState], None], failed: OnFailed) -> None:
        """Take the state of a backup whose text was restored into the store; what is there already stays."""

        def adopted(answer: Response) -> None:
            if isinstance(answer, SavedAdopted):
                self.end()
                self._saved.refresh()
                told(TakenState(answer.files, answer.bytes, answer.trouble))
            elif isinstance(answer, Failed):
                self._fail(EmberError(answer.sentence, answer.kind), failed)

        def begin(folder: Path) -> None:
            def extracted(files: list[StateFile]) -> None:
                if self._cancelled.is_set():
                    self._fail(_stopped(), failed)
                    return
                staged = tuple(StagedFile(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in files)
                request = AdoptSaved(id=self._engine.new_id(), folder=str(folder), files=staged)
                self._request = request.id
                self._engine.send(request, adopted)

            run_in_background(
                self, lambda: _extract(carried, folder, self._check), extracted, lambda error: self._fail(error, failed)
            )

        if self._saved.is_on:
            self._begin(begin, failed)
        else:
            failed(EmberError("The saved state of the backup was not taken because saving it is switched off.", "off"))

    def _begin(self, begin: Callable[[Path], None], failed: OnFailed) -> None:
        """Call with an empty folder once the engine has the store open."""

        def opened(why_not: str) -> None:
            if self._cancelled.is_set():
                self._fail(_stopped(), failed)
            elif why_not:
                self._fail(EmberError(why_not, "saved_state"), failed)
            else:
                try:
                    begin(folder)
                except EmberError as error:  # of the database
                    self._fail(error, failed)

        if self._is_busy:
            failed(EmberError("Saved state is being written to a backup, or taken from one, at the moment.", "busy"))
            return
        self._cancelled.clear()
        try:
            folder = self._folder.enter_context(staging_folder(self._data_dir.staging))
        except EmberError as error:
            failed(error)
            return
        self._is_busy = True
        self._saved.when_open(opened)

    def _check(self, _done: int, _to_do: int) -> None:
        """On the thread that extracts."""
        if self._cancelled.is_set():
            raise _stopped()

    def _fail(self, error: EmberError, failed: OnFailed) -> None:
        self.end()
        failed(error)


def _stopped() -> EmberError:
    return EmberError("It was stopped. The texts are as they were.", "cancelled")


def _extract(carried: CarriedState, folder: Path, progress: Progress) -> list[StateFile]:
    """Take the files out of a backup; raises EmberError."""
    try:
        return extract_state(carried, folder, progress)
    except RefusedError as error:
        sentence = f"The saved state of the backup was not taken because {error}. All texts are there."
        raise EmberError(sentence, "saved_state") from error
