"""Backs the library up, and restores it: the dialog, its notices, and the restart with another library."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QStandardPaths, Qt
from PySide6.QtWidgets import QWidget

from app.core.errors import EmberError
from app.core.units import format_amount, format_bytes
from app.gui.file_manager import show_file
from app.gui.notices import Action, Kind, Notice, NoticeBar
from app.services.backup_copies import SUFFIX, Copy
from app.services.backup_state import TakenState
from app.services.workspace import Workspace
from app.storage.backup_state import CarriedState

if TYPE_CHECKING:  # a window that only starts needs neither the dialog nor a restore
    from app.gui.dialogs_backup import BackupDialog
    from app.storage.restore import Holds, Prepared, Restored

BACKUP: Final = "backup"
COPY: Final = "backup-copy"
RESTORE: Final = "restore"
STATE: Final = "restore-state"
"""Keys of notices: a backup that was asked for, a scheduled copy that failed, what came of a restore and its state."""
TOLD_MS: Final = 12_000
_NO_STATE: Final = "There is no saved state yet."
_NOT_BEGUN: Final = (
    "Another backup is being written just now, so yours was not begun. Begin it again when that is done."
)
_STATE_OFF: Final = "What is saved of chats' state cannot be had at the moment."


@dataclass(frozen=True, slots=True)
class Replacement:
    """A library that shall take the open one's place once the window is closed."""

    prepared: "Prepared"
    trust: bool
    """Whether to take over what another installation says of tokens and saved state."""
    downloads: tuple[Path, ...] = ()
    """Those that are at work and go on afterwards."""


class BackingUp(QObject):
    """Connects the dialog with `Backups` and `Restoring`."""

    def __init__(self, notices: NoticeBar, workspace: Workspace, parent: QWidget) -> None:
        """Nothing is open yet."""
        super().__init__(parent)
        self._window = parent
        self._notices = notices
        self._workspace = workspace
        self._backups = workspace.backups
        self._restoring = workspace.restoring
        self._source = Path()
        """The backup that is tried."""
        self._last: Path | None = None
        """The backup that was written last."""
        self.dialog: BackupDialog | None = None
        self.replacement: Replacement | None = None
        """What is to be put in place after the window is closed; the window then opens again."""
        self._backups.began.connect(self._began)
        self._backups.progressed.connect(self._progressed)
        self._backups.finished.connect(self._finished)
        self._backups.failed.connect(self._failed)
        self._backups.copied.connect(lambda _path, why: self._copied(why))
        self._backups.copy_failed.connect(self._copy_failed)
        self._restoring.progressed.connect(self._restore_progressed)
        self._restoring.ready.connect(self._ready)
        self._restoring.failed.connect(self._not_ready)
        workspace.saved.changed.connect(self._show_sizes)

    def open(self) -> None:
        """Show the dialog, or bring it to the front."""
        from app.gui.dialogs_backup import BackupDialog

        if self.dialog is None:
            self.dialog = BackupDialog(self._backups.schedule, self._backups.kept_in, self._window)
            make, restore = self.dialog.backup, self.dialog.restore
            make.backup_requested.connect(self._back_up)
            make.cancel_requested.connect(self._backups.cancel)
            make.show_requested.connect(self._show_last)
            restore.prepare_requested.connect(lambda path: self._prepare(Path(path)))
            restore.other_requested.connect(self._choose_file)
            restore.show_requested.connect(lambda path: show_file(Path(path), self))
            restore.cancel_requested.connect(self._restoring.cancel)
            restore.back_requested.connect(self._go_back)
            restore.restore_requested.connect(self._restore)
            self.dialog.finished.connect(self._closed)
            self._show_sizes()
            make.show_failure(self._backups.failure)
            if self._backups.is_running:
                make.show_running(is_scheduled=self._backups.is_scheduled)
            self._list_copies()
            self.dialog.open()
        self.dialog.raise_()

    def tell(self, outcome: "Restored | EmberError") -> None:
        """Say what came of putting a backup in the library's place, after the window opened again."""

        if isinstance(outcome, EmberError):
            self._notices.show_notice(Notice(outcome.sentence, "error", key=RESTORE))
            return
        text = (
            f"The backup is restored: {format_amount(outcome.conversations, 'chat')}. "
            f"What was here before is kept as “{outcome.kept.name}”."
        )
        if not outcome.with_token_ids:
            text += " Another installation wrote it, so the next reply in each chat reads it anew."
        if outcome.notice is not None:
            text += f" {outcome.notice}"
        again = ("Go back to it…", lambda: self.restore(outcome.kept))
        self._notices.show_notice(Notice(text, "info", actions=[again], key=RESTORE))
        if outcome.state is not None:
            self._take_state(outcome.state)

    def _take_state(self, carried: CarriedState) -> None:
        """Have the backup's saved state taken in the background; the chats can be used meanwhile."""
        text = f"{format_bytes(carried.total_bytes)} of saved state are taken from the backup. You can go on meanwhile."
        stop: Action = ("Stop", self._workspace.backup_states.cancel)
        self._notices.show_notice(Notice(text, "info", actions=[stop], key=STATE))
        engine, once = self._workspace.engine, Qt.ConnectionType.SingleShotConnection
        if engine.state == "stopped":  # the window has only just opened, and starts it in a moment
            engine.state_changed.connect(lambda _state: self._take(carried), once)
        else:
            self._take(carried)

    def _take(self, carried: CarriedState) -> None:
        self._workspace.backup_states.take(carried, self._state_taken, self._state_failed)

    def _state_taken(self, taken: TakenState) -> None:
        if not taken.trouble:
            text = "The saved state of the backup is here too: the next replies read only the new words."
            self._notices.show_notice(Notice(text, "info", timeout_ms=TOLD_MS, key=STATE))
            return
        part = "Only a part" if taken.files else "Nothing"
        text = f"{part} of the backup's saved state was taken because {taken.trouble}. All texts are there."
        self._notices.show_notice(Notice(text, "warning", key=STATE))

    def _state_failed(self, error: EmberError) -> None:
        self._notices.show_notice(Notice(error.sentence, "warning", key=STATE))

    def restore(self, path: Path) -> None:
        """Try a backup, and ask whether it shall be restored."""
        self.open()
        assert self.dialog is not None
        self.dialog.show_restore()
        self._prepare(path)

    def _closed(self) -> None:
        dialog, self.dialog = self.dialog, None
        self._restoring.cancel()
        self._restoring.drop()
        if dialog is None:
            return
        chosen = dialog.backup.schedule()
        dialog.deleteLater()
        if chosen != self._backups.schedule:
            try:
                self._backups.set_schedule(chosen)
            except EmberError as error:
                self._notices.show_notice(Notice(error.sentence, "error", key=COPY))

    def _show_sizes(self) -> None:
        if self.dialog is None:
            return
        why_not = "" if self._workspace.saved.is_open else self._workspace.saved.why_not or _STATE_OFF
        state = self._workspace.backup_states.size
        self.dialog.backup.show_sizes(self._backups.library_bytes(), state, why_not or ("" if state else _NO_STATE))

    def _list_copies(self) -> None:
        from app.gui.backup_words import copy_row

        def told(copies: list[Copy]) -> None:
            if self.dialog is not None:
                self.dialog.restore.show_copies([copy_row(copy) for copy in copies])

        self._backups.list_copies(told)

    # --- backing up --------------------------------------------------------------------------------------------------

    def _back_up(self, with_state: bool) -> None:
        if self.dialog is None or self._backups.is_running:
            return
        from app.gui.dialogs_backup import ask_where

        path = ask_where(self.dialog, self._own_folder() / f"Ember {time.strftime('%Y-%m-%d')}{SUFFIX}")
        if path is not None and not self._backups.back_up(path, with_state=with_state):
            self._notices.show_notice(Notice(_NOT_BEGUN, "warning"))  # another one began while the person chose

    def _own_folder(self) -> Path:
        """Where the person wrote the last backup, else the documents."""
        documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        return next((path.parent for path in self._backups.own), Path(documents))

    def _began(self, is_scheduled: bool) -> None:
        if self.dialog is not None:
            self.dialog.backup.show_running(is_scheduled=is_scheduled)

    def _progressed(self, done: int, to_do: int) -> None:
        if self.dialog is not None:
            self.dialog.backup.row.show_progress(done, to_do)

    def _finished(self, path: Path, why: str) -> None:
        self._last = path
        text = f"Backed up to “{path}”{_size(path)}."
        if why:
            text = f"{text} {why}"
        actions: list[Action] = [("Show in folder", self._show_last)]
        kind: Kind = "warning" if why else "info"
        self._notices.show_notice(Notice(text, kind, actions=actions, timeout_ms=None if why else TOLD_MS, key=BACKUP))
        if self.dialog is not None:
            self.dialog.backup.show_outcome(text, has_file=True)
            self._list_copies()

    def _failed(self, error: EmberError) -> None:
        is_cancelled = error.kind == "cancelled"
        if self.dialog is not None:
            self.dialog.backup.show_outcome(error.sentence, "soft" if is_cancelled else "warning")
        if not is_cancelled:
            self._notices.show_notice(Notice(error.sentence, "error", key=BACKUP))

    def _copied(self, why: str) -> None:
        self._notices.dismiss(COPY)
        if self.dialog is not None:
            self.dialog.backup.show_failure("")
            self.dialog.backup.show_outcome(f"A scheduled copy was written. {why}".rstrip())
            self._list_copies()

    def _copy_failed(self, error: EmberError, is_new: bool) -> None:
        """A copy that fails again for the same reason is not told again for a week; the dialog has it at any time."""
        if self.dialog is not None:
            self.dialog.backup.show_outcome(error.sentence if error.kind == "cancelled" else "")
            self.dialog.backup.show_failure(self._backups.failure)
        if is_new:
            self._notices.show_notice(Notice(error.sentence, "warning", actions=[("Backups…", self.open)], key=COPY))

    def _show_last(self) -> None:
        if self._last is not None:
            show_file(self._last, self)

    # --- restoring ---------------------------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        if self.dialog is None:
            return
        from app.gui.dialogs_backup import ask_which

        path = ask_which(self.dialog, self._own_folder())
        if path is not None:
            self._prepare(path)

    def _prepare(self, path: Path) -> None:
        if self.dialog is not None:
            self._source = path
            self.dialog.restore.show_trying(path.name)
            self._restoring.prepare(path)

    def _restore_progressed(self, done: int, to_do: int) -> None:
        if self.dialog is not None:
            self.dialog.restore.row.show_progress(done, to_do)

    def _ready(self, holds: "Holds") -> None:
        from app.gui.backup_words import promise_of

        if self.dialog is None:
            self._restoring.drop()
            return
        is_writing = self._workspace.chats.is_running(None)
        self.dialog.restore.show_promise(promise_of(self._source, holds, self._backups.kept_in, is_writing=is_writing))

    def _not_ready(self, error: EmberError) -> None:
        if self.dialog is not None:
            self.dialog.restore.show_list("" if error.kind == "cancelled" else error.sentence)

    def _go_back(self) -> None:
        self._restoring.drop()
        if self.dialog is not None:
            self.dialog.restore.show_list()

    def _restore(self, trust: bool) -> None:
        """Close the window, so that the backup can be put in place; the window's process then opens it again."""
        prepared = self._restoring.take()
        if prepared is None:
            return
        downloads = self._workspace.downloads.downloads
        at_work = tuple(each.path for each in downloads if each.state in ("running", "waiting"))
        self.replacement = Replacement(prepared, trust, at_work)
        if self.dialog is not None:
            self.dialog.close()
        if not self._window.close():  # something keeps it open, and its notice says what
            self.replacement = None
            prepared.close()


def _size(path: Path) -> str:
    """The size of a file in brackets; empty if it is gone already."""
    try:
        return f" ({format_bytes(path.stat().st_size)})"
    except OSError:
        return ""
