"""Conversations written to files in the background, with their saved state where that is wanted."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.paths import DataDir
from app.services.background import run_in_background
from app.services.model_source import source_of
from app.services.state_transfer import StateTransfer, Stop, staging_folder
from app.services.transfer import SUFFIXES, Branches, ExportFormat, FreeNames, ToPdf, contents, no_pdf
from app.storage.archive_state import OutgoingState, export_with_state, no_progress
from app.storage.conversations import ConversationStore
from app.storage.files import remove_dead_temporaries, write_bytes_atomically
from app.storage.own_files import check_place
from app.storage.saved_roots import SavedRoots
from app.storage.signing import installation_key

logger = logging.getLogger(__name__)

ENDS_ALL = ("cancelled", "cannot_write")
"""Kinds of errors after which no other conversation is tried."""


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What is to be written where."""

    conversations: tuple[ConversationId, ...]
    to: Path
    """The file; with `into_folder` the folder, in which nothing is overwritten."""
    into_folder: bool = False
    form: ExportFormat = "ember"
    branches: Branches | None = None
    """As in `contents`."""
    with_state: bool = False
    """Whether .ember files carry what is saved of the conversations' state."""


@dataclass(frozen=True, slots=True)
class ExportStep:
    """How far it is: the conversation that is being written, counted from 1, and how much of it."""

    number: int
    count: int
    done: int = 0
    total: int = 0
    """Bytes; 0 while it is not known how many."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A conversation that stands in its file now."""

    conversation: ConversationId
    file: Path
    text_bytes: int
    """The file without the state in it."""
    state_bytes: int = 0
    why: str = ""
    """A sentence: why state that is saved is not in the file."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What came of an order."""

    exported: tuple[Exported, ...]
    failed: tuple[EmberError, ...]
    """Why some were not; after the last one, if it is among ENDS_ALL, the rest was not tried."""

    @property
    def is_cancelled(self) -> bool:
        """Whether it was ended before all was done."""
        return any(error.kind == "cancelled" for error in self.failed)


class Exports(QObject):
    """Takes orders; several may be carried out side by side."""

    def __init__(
        self,
        data_dir: DataDir,
        store: ConversationStore,
        roots: SavedRoots,
        transfer: StateTransfer,
        parent: QObject | None = None,
    ) -> None:
        """Use these of a workspace."""
        super().__init__(parent)
        self.data_dir = data_dir
        self.store = store
        self.roots = roots
        self.transfer = transfer
        self.to_pdf: ToPdf = no_pdf
        self._running: list[ExportRun] = []
        self._naming = threading.Lock()
        self._taken: set[Path] = set()
        """Where files are being written into folders, so that no two orders choose the same name."""

    def begin(self, order: ExportOrder) -> "ExportRun":
        """Carry an order out, from the event loop on."""
        run = ExportRun(order, self)
        self._running.append(run)
        run.finished.connect(self._finished)
        return run

    def cancel(self) -> None:
        """End all that runs."""
        for run in tuple(self._running):
            run.cancel()

    def close(self) -> None:
        """Leave nothing of what was cancelled, once neither an engine nor a thread writes any more."""
        for run in self._running:
            run.close()
        self._running.clear()

    @contextmanager
    def naming(self, names: FreeNames, title: str) -> Iterator[Path]:
        """A name that nothing has yet, for a conversation of this title: nobody else's until the end of the block."""
        with self._naming:
            path = names.of(title, self._taken)
            self._taken.add(path)
        try:
            yield path
        finally:
            self._taken.discard(path)

    def _finished(self, _report: ExportReport) -> None:
        self._running = [run for run in self._running if not run.is_over]


class ExportRun(QObject):
    """One order on its way; deletes itself at its end."""

    progressed = Signal(object)
    """ExportStep"""
    finished = Signal(object)
    """ExportReport; the last."""
    _written = Signal(object, object)
    """From the thread that writes: bytes of state, and all of them."""

    def __init__(self, order: ExportOrder, exports: Exports) -> None:
        super().__init__(exports)
        self.is_over = False
        self._order = order
        self._exports = exports
        self._left = deque(order.conversations)
        self._exported: list[Exported] = []
        self._failed: list[EmberError] = []
        self._cancelled = threading.Event()
        self._stop_staging: Stop | None = None
        self._staging = ExitStack()
        self._names: FreeNames | None = None
        self._written.connect(self._progress, Qt.ConnectionType.QueuedConnection)
        QTimer.singleShot(0, self, self._next)

    def cancel(self) -> None:
        """End it: the file that is being written is not there, those that are finished stay."""
        self._cancelled.set()
        if self._stop_staging is not None:
            self._stop_staging()

    def close(self) -> None:
        """As the end, with nobody to tell."""
        self.is_over = True
        self._staging.close()

    # --- one after the other -----------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin with the next conversation: its state, if there is any, else its text."""
        if self.is_over:
            return
        if self._left and self._cancelled.is_set() and not self._is_ended():
            self._failed.append(_cancelled())
        if not self._left or self._is_ended():
            self._end()
            return
        conversation = self._left.popleft()
        self._progress(0, 0)
        try:
            if self._order.with_state and self._exports.roots.of(conversation):
                self._stage(conversation, self._staging.enter_context(staging_folder(self._exports.data_dir.staging)))
                return
        except EmberError as error:
            self._write(conversation, None, error.sentence)
            return
        self._write(conversation, None, "")

    def _stage(self, conversation: ConversationId, folder: Path) -> None:
        """Have the engine put the state into the folder; without it the text goes alone."""
        is_answered = False

        def told(state: OutgoingState) -> None:
            answered()
            self._write(conversation, state if state.tips else None, "")

        def failed(error: EmberError) -> None:
            answered()
            self._write(conversation, None, error.sentence)

        def answered() -> None:
            nonlocal is_answered
            is_answered, self._stop_staging = True, None

        stop = self._exports.transfer.stage(conversation, folder, told, failed, no_progress)
        if not is_answered:
            self._stop_staging = stop

    def _write(self, conversation: ConversationId, state: OutgoingState | None, why: str) -> None:
        """Write the file on another thread, then go on."""

        def done(exported: Exported) -> None:
            self._exported.append(exported)
            self._go_on()

        def failed(error: EmberError) -> None:
            logger.warning("a conversation was not exported: %s (%s)", error, error.kind)
            self._failed.append(error)
            self._go_on()

        run_in_background(self, lambda: self._file(conversation, state, why), done, failed)

    def _go_on(self) -> None:
        if not self.is_over:
            self._staging.close()
            self._next()

    def _is_ended(self) -> bool:
        return bool(self._failed) and self._failed[-1].kind in ENDS_ALL

    def _end(self) -> None:
        self.is_over = True
        report = ExportReport(tuple(self._exported), tuple(self._failed))
        logger.info("%d conversations exported, %d not", len(report.exported), len(report.failed))
        self.finished.emit(report)
        self.deleteLater()

    def _progress(self, done: int, total: int) -> None:
        if not self.is_over:
            count = len(self._order.conversations)
            self.progressed.emit(ExportStep(count - len(self._left), count, done, total))

    # --- on the thread that writes -----------------------------------------------------------------------------------

    def _file(self, conversation: ConversationId, state: OutgoingState | None, why: str) -> Exported:
        """Write a conversation; raises EmberError."""
        self._check()
        check_place(self._order.to, self._exports.data_dir.root)
        with self._place(conversation) as path:
            if not self._exported:
                remove_dead_temporaries(path.parent)
            if state is not None:
                try:
                    return self._with_state(conversation, path, state)
                except EmberError as error:
                    if error.kind in ENDS_ALL:
                        raise
                    why = error.sentence
            exports, order = self._exports, self._order
            data = contents(exports.store, conversation, order.form, order.branches, exports.to_pdf)
            self._check()
            write_bytes_atomically(path, data)
            return Exported(conversation, path, len(data), why=why)

    def _with_state(self, conversation: ConversationId, path: Path, state: OutgoingState) -> Exported:
        def progress(done: int, total: int) -> None:
            self._check()
            self._written.emit(done, total)

        store, key = self._exports.store, installation_key(self._exports.data_dir.key)
        tree, token_ids = store.tree(conversation), store.packed_token_ids(conversation)
        source = source_of(tree.conversation)
        text_bytes, state_bytes = export_with_state(tree, token_ids, path, state, key, progress, source)
        return Exported(conversation, path, text_bytes, state_bytes)

    def _place(self, conversation: ConversationId) -> AbstractContextManager[Path]:
        """The file of a conversation."""
        order = self._order
        if not order.into_folder:
            return nullcontext(order.to)
        if self._names is None:
            self._names = FreeNames(order.to, SUFFIXES[order.form])
        return self._exports.naming(self._names, self._exports.store.get(conversation).title)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise _cancelled()


def _cancelled() -> EmberError:
    return EmberError("The export was cancelled.", "cancelled")
