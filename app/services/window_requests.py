"""Answers commands that ask the open window for what only the process with the data folder can do or know.

What carries a command out is read when one asks, not when the window starts.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QObject, Signal

from app.services.backup_calls import BackupCalls
from app.services.import_files import ImportReport
from app.services.missing_model import known_files
from app.services.single_instance import Caller
from app.services.window_socket import (
    BackupRequest,
    CacheRequest,
    ExportRequest,
    Found,
    ImportRequest,
    OpenRequest,
    Progress,
    Refused,
    Reply,
    WindowRequest,
    decode_request,
)
from app.services.workspace import Workspace

logger = logging.getLogger(__name__)


class WindowRequests(QObject):
    """Takes the requests of a workspace's socket."""

    open_requested = Signal(object)
    """The paths of files that a second start was given."""
    imported = Signal(object)
    """The ImportReport of what a command imported."""

    def __init__(self, workspace: Workspace, parent: QObject) -> None:
        """Answer from now on what comes to the window's socket."""
        super().__init__(parent)
        self._workspace = workspace
        self._backups = BackupCalls(workspace.backups, self)
        workspace.instance.asked.connect(self._asked)

    def _asked(self, caller: Caller, line: bytes) -> None:
        """Begin what is asked; what is no request is not answered."""
        try:
            request = decode_request(line)
        except (msgspec.DecodeError, RecursionError) as error:  # ValidationError is one
            logger.warning("a caller sent what is no request: %s", error)
            caller.end()
            return
        waits = True

        def write(reply: Reply) -> None:
            if waits:
                caller.answer(msgspec.json.encode(reply))
                if not isinstance(reply, Progress):
                    caller.end()

        def gone() -> None:
            nonlocal waits
            waits = False
            stop()

        stop = self._begin(request, write)
        caller.gone.connect(gone)

    def _begin(self, request: WindowRequest, write: Callable[[Reply], None]) -> Callable[[], None]:
        """Carry a request out; what comes back stops it."""
        if isinstance(request, OpenRequest):
            from app.services.import_command import paths_of

            write(Found(answer={}))
            self.open_requested.emit(paths_of(request.paths))
            return lambda: None
        if isinstance(request, ImportRequest):
            from app.services.import_command import order_of, report_answer

            def imported(report: ImportReport) -> None:
                write(Found(answer=report_answer(report, known_files(self._workspace.library))))
                self.imported.emit(report)

            return self._workspace.imports.run(
                order_of(request),
                imported,
                lambda error: write(Refused(error=error.kind, sentence=error.sentence)),
                lambda progress: write(Progress(done=progress.done, total=progress.total)),
            )
        if isinstance(request, BackupRequest):
            return self._backups.begin(request, write)
        if isinstance(request, ExportRequest):
            from app.services.export_command import begin_export

            return begin_export(
                self._workspace,
                request,
                told=lambda answer: write(Found(answer=answer)),
                failed=lambda error: write(Refused(error=error.kind, sentence=error.sentence)),
                progress=lambda done, total: write(Progress(done=done, total=total)),
            )
        if not isinstance(request, CacheRequest):
            from app.services.memory_report import report_memory

            report_memory(
                self._workspace.engine,
                told=lambda answer: write(Found(answer=answer)),
                failed=lambda error: write(Refused(error=error.kind, sentence=error.sentence)),
            )
            return lambda: None
        from app.services.cache_command import CacheDeeds, CacheOptions

        return CacheDeeds(self._workspace).do(
            CacheOptions(
                deed=request.deed,
                conversation=request.conversation,
                model=Path(request.model) if request.model is not None else None,
            ),
            told=lambda answer: write(Found(answer=answer)),
            failed=lambda error: write(Refused(error=error.kind, sentence=error.sentence)),
            progress=lambda done, total: write(Progress(done=done, total=total)),
        )
