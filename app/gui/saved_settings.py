"""Opens the settings of saved state, keeps what is chosen there, and runs the check."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.errors import EmberError
from app.gui.notices import Notice, NoticeBar
from app.protocol.answers import Failed, SavedVerified, VerifyProgress
from app.protocol.messages import Response
from app.services.saved_words import check_words
from app.services.workspace import Workspace

if TYPE_CHECKING:  # a window that only starts does not need the dialog
    from app.gui.dialogs_saved import SavedStateDialog


class SavedSettings(QObject):
    """Connects the dialog with `SavedStates`."""

    def __init__(self, notices: NoticeBar, workspace: Workspace, parent: QWidget) -> None:
        """Nothing is open yet."""
        super().__init__(parent)
        self._window = parent
        self._notices = notices
        self._workspace = workspace
        self._engine = workspace.engine
        self._saved = workspace.saved
        self.dialog: SavedStateDialog | None = None
        self._check: int | None = None
        """The request of the check that runs."""
        self._read = 0
        workspace.saved.changed.connect(self._show)

    def open(self) -> None:
        """Show the dialog, or bring it to the front."""
        from app.gui.dialogs_saved import SavedChoice, SavedStateDialog
        from app.gui.saved_shares import SavedShares

        if self.dialog is None:
            choice = SavedChoice(self._saved.is_on, self._saved.chosen_budget)
            self.dialog = SavedStateDialog(choice, self._saved.default_budget, self._window)
            self.dialog.check_requested.connect(self._begin_check)
            self.dialog.stop_requested.connect(self._stop_check)
            self.dialog.accepted.connect(self._keep)
            self.dialog.finished.connect(self._closed)
            SavedShares(self.dialog, self._workspace)
            self._saved.refresh()
            self._show()
            self.dialog.open()
        self.dialog.raise_()

    def _show(self) -> None:
        usage = self._saved.usage
        if self.dialog is None:
            return
        from app.gui.dialogs_saved import SavedTotals

        self.dialog.set_check_enabled(self._saved.is_open)
        if usage is not None:
            totals = SavedTotals(
                usage.bytes,
                usage.budget,
                usage.bytes_written,
                usage.disk_free,
                usage.quarantined,
                written_today=self._saved.written_today,
                pinned=self._saved.pinned_bytes,
            )
            self.dialog.show_totals(totals)
        elif self._saved.why_not:
            self.dialog.show_result(self._saved.why_not, "warning")

    def _keep(self) -> None:
        assert self.dialog is not None
        choice = self.dialog.choice()
        try:
            if choice.is_on != self._saved.is_on:
                self._saved.switch(choice.is_on)
            if choice.budget != self._saved.chosen_budget:
                self._saved.set_budget(choice.budget)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key="settings"))

    def _closed(self) -> None:
        self._stop_check()
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    # --- the check ---------------------------------------------------------------------------------------------------

    def _begin_check(self) -> None:
        if self._check is None and self.dialog is not None:
            self._read = 0
            self.dialog.show_progress(0, 0)
            self._check = self._saved.verify(self._checked)

    def _stop_check(self) -> None:
        if self._check is not None:
            self._engine.cancel(self._check)

    def _checked(self, answer: Response) -> None:
        if isinstance(answer, VerifyProgress):
            if self.dialog is not None:
                self.dialog.show_progress(answer.done, answer.total)
            return
        self._check = None
        self._saved.refresh()
        if self.dialog is None:
            return
        if isinstance(answer, SavedVerified):
            self.dialog.show_result(*found(answer))
        elif isinstance(answer, Failed):
            self.dialog.show_result(answer.sentence, "warning")


def found(answer: SavedVerified) -> tuple[str, str]:
    """What a check found in words, and their tone."""
    if not answer.chunks:
        return "There is nothing to check.", "soft"
    words = check_words(answer.chunks, answer.bytes, answer.damaged)
    if not answer.finished:
        words = f"Stopped after {words}"
    return (f"{words} What they held is read again from the text.", "warning") if answer.damaged else (words, "soft")
