"""Imports of an open workspace: the text in the background, then the state through the engine, with progress."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from app.core.conversation import MessageId
from app.core.errors import EmberError
from app.paths import DataDir
from app.services.background import run_in_background
from app.services.engine_client import EngineClient
from app.services.import_files import (
    LEFT_OUT,
    STOPPED,
    ForeignState,
    ImportedOne,
    ImportHooks,
    ImportOrder,
    ImportProgress,
    ImportReport,
    StateOutcome,
    adopt_foreign,
    dropped,
    import_files,
)
from app.services.saved_states import SavedStates
from app.services.state_transfer import Adopted, OnFailed, StateTransfer, Stop, staging_folder
from app.storage.archive_format import RefusedError, StateManifest
from app.storage.archive_state import extract_state
from app.storage.conversations import ConversationStore
from app.storage.signing import installation_key

_T = TypeVar("_T")
OnProgress = Callable[[ImportProgress], None]
OnTold = Callable[[ImportedOne], None]
Names = Mapping[MessageId, MessageId]


def _silent(_what: object) -> None:
    """For who does not want to know."""


def _nothing() -> None:
    """There is nothing to stop."""


@dataclass(frozen=True, slots=True)
class _Adoption:
    """State that was taken out of an archive, for the engine; the thread that imports waits for the outcome."""

    state: StateManifest
    names: Names
    folder: Path
    outcome: Future[Adopted]


class _Run(QObject):
    """One order: its thread, and what of it belongs on this one."""

    progressed = Signal()
    told = Signal(object)
    adoption_wanted = Signal(object)

    def __init__(self, imports: "Imports", on_progress: OnProgress, on_told: OnTold) -> None:
        super().__init__(imports)
        self._imports = imports
        self._on_progress, self._on_told = on_progress, on_told
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._is_closed = False
        self._adoption: _Adoption | None = None
        self._stop_adoption: Stop = _nothing
        """Stops what the engine is asked for, also while that waits for an engine."""
        self._conversations = (0, 0)
        self._news: ImportProgress | None = None
        """The latest that was not told yet: a hundred thousand conversations are not as many events."""
        queued = Qt.ConnectionType.QueuedConnection
        self.progressed.connect(self._progressed, queued)
        self.told.connect(self._told, queued)
        self.adoption_wanted.connect(self._adopt_now, queued)

    # --- on this thread ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Begin nothing more; what is in stays."""
        self._stopped.set()
        self._stop_adoption()

    def close(self) -> None:
        """As `stop`, for when no answer of the engine will come any more."""
        self._stopped.set()
        with self._lock:
            self._is_closed = True
            adoption = self._adoption
        if adoption is not None:
            _settle(adoption, _stopped())

    def _progressed(self) -> None:
        with self._lock:
            progress, self._news = self._news, None
        if progress is not None:
            self._on_progress(progress)

    def _told(self, one: ImportedOne) -> None:
        self._on_told(one)

    def _adopt_now(self, adoption: _Adoption) -> None:
        """Let the engine do it; one that does not run is started."""
        if self._stopped.is_set():
            _settle(adoption, _stopped())
            return
        engine = self._imports.engine
        if engine.state == "stopped":
            engine.start()

        def told(adopted: Adopted) -> None:
            self._stop_adoption = _nothing
            _settle(adoption, adopted)

        def failed(error: EmberError) -> None:
            self._stop_adoption = _nothing
            _settle(adoption, error)

        def progress(done: int, total: int) -> None:
            self._on_progress(ImportProgress(*self._conversations, total + done, 2 * total))

        self._stop_adoption = self._imports.adopt(adoption, told, failed, progress)

    # --- on the thread that imports ----------------------------------------------------------------------------------

    def hooks(self) -> ImportHooks:
        """What importing asks and tells."""
        imports = self._imports
        return ImportHooks(
            key=lambda: installation_key(imports.data_dir.key),
            may_save=imports.saved.may_save,
            adopt=self._adopt,
            is_stopped=self._stopped.is_set,
            progressed=self._count,
            told=self.told.emit,
        )

    def _count(self, done: int, total: int) -> None:
        self._conversations = (done, total)
        self._tell_progress(ImportProgress(done, total))

    def _tell_progress(self, progress: ImportProgress) -> None:
        with self._lock:
            is_awaited, self._news = self._news is not None, progress
        if not is_awaited:
            self.progressed.emit()

    def _adopt(self, file: Path, state: StateManifest, names: Names) -> StateOutcome:
        """Take an archive's state out into a staging folder, and wait until the engine has taken it from there."""

        def taken_out(done: int, total: int) -> None:
            if self._stopped.is_set():
                raise _stopped()
            self._tell_progress(ImportProgress(*self._conversations, done, 2 * total))

        try:
            with staging_folder(self._imports.data_dir.staging) as folder:
                extract_state(file, state, folder, taken_out)
                adopted = self._wait_for(_Adoption(state, names, folder, Future()))
        except RefusedError as error:
            return dropped(str(error))
        except EmberError as error:
            if error.kind == "cancelled":
                return dropped(STOPPED)
            return StateOutcome("dropped", f"{error.sentence} {LEFT_OUT}")
        return _outcome(adopted)

    def _wait_for(self, adoption: _Adoption) -> Adopted:
        with self._lock:
            if self._is_closed:
                raise _stopped()
            self._adoption = adoption
        self.adoption_wanted.emit(adoption)
        return adoption.outcome.result()


class Imports(QObject):
    """Imports for a workspace, one after the other; each calls back once, and may be stopped before."""

    def __init__(
        self,
        data_dir: DataDir,
        store: ConversationStore,
        engine: EngineClient,
        saved: SavedStates,
        transfer: StateTransfer,
        parent: QObject,
    ) -> None:
        """Use these of the workspace."""
        super().__init__(parent)
        self.data_dir, self.engine, self.saved = data_dir, engine, saved
        self._store = store
        self._transfer = transfer
        self._runs: deque[tuple[_Run, Callable[[], None]]] = deque()
        """What is under way, then what waits."""

    def run(
        self,
        order: ImportOrder,
        done: Callable[[ImportReport], None],
        failed: OnFailed,
        progress: OnProgress = _silent,
        told: OnTold = _silent,
    ) -> Callable[[], None]:
        """Import; `told` gets each conversation as soon as it is in. What comes back stops it, with a report."""
        run = _Run(self, progress, told)
        hooks = run.hooks()
        return self._start(run, lambda: import_files(self._store, order, hooks), done, failed)

    def trust(
        self,
        states: Sequence[ForeignState],
        done: Callable[[list[StateOutcome]], None],
        failed: OnFailed,
        progress: OnProgress = _silent,
    ) -> Callable[[], None]:
        """Take state that the person trusts, for conversations that are in; what comes back stops it."""
        run = _Run(self, progress, _silent)
        hooks = run.hooks()

        def work() -> list[StateOutcome]:
            outcomes = []
            for number, state in enumerate(states):
                hooks.progressed(number, len(states))
                outcomes.append(dropped(STOPPED) if hooks.is_stopped() else adopt_foreign(self._store, state, hooks))
            return outcomes

        return self._start(run, work, done, failed)

    def adopt(
        self,
        adoption: _Adoption,
        told: Callable[[Adopted], None],
        failed: OnFailed,
        progress: Callable[[int, int], None],
    ) -> Stop:
        """Have the engine take what lies in a staging folder; what comes back stops it."""
        return self._transfer.adopt(adoption.state, adoption.names, adoption.folder, told, failed, progress)

    @property
    def is_running(self) -> bool:
        """Whether an import is under way."""
        return bool(self._runs)

    def close(self) -> None:
        """End what is under way and forget what waits, before the engine stops; nothing is called back."""
        runs, self._runs = self._runs, deque()
        for run, _begin in runs:
            run.close()

    def _start(
        self, run: _Run, work: Callable[[], _T], done: Callable[[_T], None], failed: OnFailed
    ) -> Callable[[], None]:
        def ended(call: Callable[[Any], None], result: object) -> None:
            if self._runs and self._runs[0][0] is run:
                self._runs.popleft()
                run.deleteLater()
                if self._runs:
                    self._runs[0][1]()
                call(result)

        def begin() -> None:
            run_in_background(run, work, lambda result: ended(done, result), lambda error: ended(failed, error))

        self._runs.append((run, begin))
        if len(self._runs) == 1:
            begin()
        return run.stop


def _settle(adoption: _Adoption, outcome: Adopted | EmberError) -> None:
    """Tell the thread that waits, unless it was told already."""
    with suppress(InvalidStateError):
        if isinstance(outcome, EmberError):
            adoption.outcome.set_exception(outcome)
        else:
            adoption.outcome.set_result(outcome)


def _stopped() -> EmberError:
    return EmberError("The import was stopped. What is in stays.", "cancelled")


def _outcome(adopted: Adopted) -> StateOutcome:
    """What became of it in words."""
    if not adopted.tips:
        return dropped(adopted.trouble or "nothing of it was left")
    size = adopted.written_bytes
    if adopted.trouble:
        why = f"Only a part of the state in the archive was taken because {adopted.trouble}. The text is all there."
        return StateOutcome("partly", why, size)
    if adopted.unknown:
        names = " and ".join(f"“{name}”" for name in adopted.unknown)
        why = f"Its state is kept until {names} is loaded here in the same way as where it was written."
        return StateOutcome("used", why, size)
    return StateOutcome("used", "", size)
