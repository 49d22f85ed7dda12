"""A backup that a command asks the open window for, because only the window's engine has the saved state."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject

from app.core.errors import EmberError
from app.services.backups import Backups
from app.services.window_socket import BackupRequest, Found, Progress, Refused, Reply

Write = Callable[[Reply], None]


class BackupCalls(QObject):
    """Answers one command at a time with what becomes of its backup."""

    def __init__(self, backups: Backups, parent: QObject) -> None:
        """Nothing is asked yet."""
        super().__init__(parent)
        self._backups = backups
        self._write: Write | None = None
        backups.progressed.connect(self._progressed)
        backups.finished.connect(self._finished)
        backups.failed.connect(self._failed)

    def begin(self, request: BackupRequest, write: Write) -> Callable[[], None]:
        """Write the backup with saved state; what comes back cancels it."""
        if self._backups.is_running:
            sentence = "The window is writing another backup. Try again when that is done."
            write(Refused(error="in_use", sentence=sentence))
            return lambda: None
        self._write = write
        self._backups.back_up(Path(request.file), with_state=True)

        def cancel() -> None:
            if self._write is write:  # not another command's, which began since
                self._backups.cancel()

        return cancel

    def _progressed(self, done: int, to_do: int) -> None:
        if self._write is not None:
            self._write(Progress(done=done, total=to_do))

    def _finished(self, _path: Path, why: str) -> None:
        self._end(Found(answer={"why": why}))

    def _failed(self, error: EmberError) -> None:
        self._end(Refused(error=error.kind, sentence=error.sentence))

    def _end(self, reply: Reply) -> None:
        write, self._write = self._write, None
        if write is not None:
            write(reply)
