"""Importing in the window: files by dialog, by dropping, or from a second start; what is asked, and what is told."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.units import format_amount
from app.gui import import_words
from app.gui.drop_target import DropTarget
from app.gui.notices import UNDO_MS, Action, Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.gui.progress_strip import ProgressStrip
from app.services.backup_copies import SUFFIX
from app.services.import_files import (
    ImportedOne,
    ImportOrder,
    ImportProgress,
    ImportReport,
    Known,
    StateOutcome,
    Undecided,
)
from app.services.missing_model import called, known_files, missing_model
from app.services.workspace import Workspace

KEY = "import"
"""Of notices, so that a newer one takes the older one's place."""


class Importing(QObject):
    """Carries imports out one after the other: the text, what is asked about chats that are here, then the state."""

    def __init__(
        self,
        strip: ProgressStrip,
        chat: OpenChat,
        notices: NoticeBar,
        workspace: Workspace,
        open_chat: Callable[[ConversationId], None],
        open_library: Callable[[], None],
        open_backup: Callable[[Path], None],
        parent: QWidget,
    ) -> None:
        """Take what is dropped on the window `parent` from now on."""
        super().__init__(parent)
        self._window = parent
        self._strip = strip
        self._chat = chat
        self._notices = notices
        self._workspace = workspace
        self._open = open_chat
        self._open_library = open_library
        self._open_backup = open_backup
        self._waiting: deque[tuple[Path, ...]] = deque()
        self._is_busy = False
        self._report = ImportReport()
        self._left: tuple[Undecided, ...] = ()
        self._in = 0
        """Conversations that are in by now."""
        self._stop: Callable[[], None] = _nothing
        self.target = DropTarget(parent)
        self.target.dropped.connect(self.take)
        strip.cancel.setText("Stop")  # what is in stays
        strip.cancelled.connect(self._stop_now)

    # --- what to import ----------------------------------------------------------------------------------------------

    def choose(self) -> None:
        """Ask for files, and import them."""
        from app.gui.dialogs_import import import_paths

        self.take(import_paths(self._window))

    def choose_folder(self) -> None:
        """Ask for a folder, and import what is in it."""
        from app.gui.dialogs_import import import_folder

        folder = import_folder(self._window)
        self.take([folder] if folder is not None else [])

    def take(self, paths: Sequence[Path]) -> None:
        """Import files and folders, after what is at work; a backup is tried and asked about instead."""
        chats = tuple(path for path in paths if path.suffix != SUFFIX)
        if len(chats) < len(paths):
            self._open_backup(next(path for path in paths if path.suffix == SUFFIX))
        if chats:
            self._waiting.append(chats)
            self._begin_next()

    # --- one import --------------------------------------------------------------------------------------------------

    def _begin_next(self) -> None:
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        self._report, self._left, self._in = ImportReport(), (), 0
        self._notices.dismiss(KEY)
        self._run(ImportOrder(self._waiting.popleft(), known="ask"), self._read)

    def _run(self, order: ImportOrder, done: Callable[[ImportReport], None]) -> None:
        self._strip.begin("Importing …")
        self._stop = self._workspace.imports.run(order, done, self._failed, self._progress, self._count)

    def _count(self, _one: ImportedOne) -> None:
        self._in += 1

    def _progress(self, progress: ImportProgress) -> None:
        done, total = progress.done, progress.total
        if progress.state_total:
            done, total = progress.state_done, progress.state_total
        self._strip.show_progress(import_words.progress_words(progress), done / total if total else None)

    def _stop_now(self) -> None:
        self._stop()

    def _read(self, report: ImportReport) -> None:
        """All texts are in but those of chats that are here already."""
        self._strip.end()
        self._report = report
        if report.undecided and not report.was_stopped:
            from app.gui.dialogs_import import ask_about_known

            ask_about_known(self._window, report.undecided, self._decide)
        else:
            self._left = report.undecided
            self._ask_to_trust()

    def _decide(self, known: Known | None) -> None:
        """What the person wants with those."""
        undecided = self._report.undecided
        if known is None:
            self._left = undecided
            self._ask_to_trust()
            return
        files = tuple(dict.fromkeys(each.file for each in undecided))
        order = ImportOrder(files, known, only=frozenset((each.file, each.id) for each in undecided))
        self._run(order, self._decided)

    def _decided(self, report: ImportReport) -> None:
        self._strip.end()
        first = self._report
        self._report = ImportReport(
            first.taken + report.taken, first.not_taken + report.not_taken, (), report.was_stopped
        )
        self.show_added(report)
        self._ask_to_trust()

    def _ask_to_trust(self) -> None:
        """Ask about state that another installation wrote; the texts are in."""
        foreign = [one for one in self._report.taken if one.foreign is not None]
        if not foreign or self._report.was_stopped:
            self._tell()
            return
        from app.gui.dialogs_import import ask_to_trust

        ask_to_trust(self._window, [one.title for one in foreign], self._trust)

    def _trust(self, trusts: bool) -> None:
        if not trusts:
            self._trusted([import_words.DECLINED for one in self._report.taken if one.foreign is not None])
            return
        states = [one.foreign for one in self._report.taken if one.foreign is not None]
        self._strip.begin("Taking the saved state …")
        self._stop = self._workspace.imports.trust(states, self._trusted, self._failed, self._progress)

    def _trusted(self, outcomes: list[StateOutcome]) -> None:
        self._strip.end()
        following = iter(outcomes)
        taken = tuple(
            one if one.foreign is None else replace(one, state=next(following), foreign=None)
            for one in self._report.taken
        )
        self._report = replace(self._report, taken=taken)
        self._tell()

    def _failed(self, error: EmberError) -> None:
        """The database or the data folder failed; what was in by then stays."""
        self._strip.end()
        stay = "stays" if self._in == 1 else "stay"
        kept = f" {format_amount(self._in, 'chat')} imported before that {stay}." if self._in else ""
        self._notices.show_notice(Notice(f"{error.sentence}{kept}", "error", key=KEY))
        self._end()

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """One conversation opens with a notice; several are a report."""
        report, left = self._report, self._left
        if report.was_stopped or len(report.taken) + len(report.not_taken) + len(left) != 1:
            self._show_report()
        elif report.taken:
            self._tell_one(report.taken[0])
        elif left:
            self._open(left[0].id)
            self._notices.show_notice(
                Notice(f"{called(left[0].title)} stays as it was; nothing was imported.", key=KEY)
            )
        else:
            self._notices.show_notice(Notice(report.not_taken[0].sentence, "error", key=KEY))
        self._end()

    def _tell_one(self, one: ImportedOne) -> None:
        self._open(one.id)
        known = known_files(self._workspace.library)
        actions: list[Action] = []
        if one.added:
            actions.append(("Undo", lambda: self._undo([one])))
        if missing_model(one, known):
            actions.append(("Models…", self._open_library))
        left_out = one.state.fate in ("partly", "dropped") and one.state != import_words.DECLINED
        stays = left_out or bool(one.remarks) or len(actions) > 1
        self._notices.show_notice(
            Notice(
                import_words.sentences(one, known),
                "warning" if left_out else "info",
                actions,
                None if stays else 2 * UNDO_MS,
                KEY,
            )
        )

    def _show_report(self) -> None:
        from app.gui.dialogs_import import ReportDialog

        known = known_files(self._workspace.library)
        words = import_words.summary(self._report, self._left, known)
        dialog = ReportDialog(words, import_words.rows(self._report, self._left, known), self._window)
        dialog.opened.connect(lambda conversation: self._open(ConversationId(conversation)))
        dialog.library_requested.connect(self._open_library)
        dialog.open()
        added = [one for one in self._report.taken if one.added]
        if added:
            text = f"New branches were added to {format_amount(len(added), 'chat')}."
            self._notices.show_notice(Notice(text, actions=[("Undo", lambda: self._undo(added))], key=KEY))

    def _undo(self, added: Sequence[ImportedOne]) -> None:
        """Remove what was added to chats, and nothing else."""
        trouble = ""
        for one in added:
            try:
                self._workspace.store.remove_messages(one.id, one.added)
            except EmberError as error:
                trouble = error.sentence
        if trouble:
            self._notices.show_notice(Notice(trouble, "warning", key=KEY))
        self._workspace.saved.settle()
        if any(one.id == self._chat.conversation_id for one in added):
            self._show_again()

    def show_added(self, report: ImportReport) -> None:
        """Show the branches that the open chat was given."""
        if any(one.added and one.id == self._chat.conversation_id for one in report.taken):
            self._show_again()

    def _show_again(self) -> None:
        """The open chat has other branches now."""
        if self._chat.conversation_id is not None:
            self._chat.open(self._chat.conversation_id)

    def _end(self) -> None:
        self._is_busy = False
        self._stop = _nothing
        self._begin_next()


def _nothing() -> None:
    """There is nothing to stop."""
