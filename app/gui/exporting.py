"""Takes chats out of the app: asks how and where, shows the progress, and says what came of it."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QStandardPaths
from PySide6.QtWidgets import QFileDialog, QWidget

from app.core.conversation import ConversationId, ConversationTree
from app.core.errors import EmberError
from app.core.units import format_bytes, format_count
from app.gui.file_manager import show_file
from app.gui.notices import Action, Kind, Notice, NoticeBar
from app.gui.progress_strip import ProgressStrip
from app.services.background import run_in_background
from app.services.exports import ExportOrder, ExportReport, ExportRun, ExportStep
from app.services.transfer import SUFFIXES, contents, file_name
from app.services.workspace import Workspace

if TYPE_CHECKING:  # a window that only starts does not need the dialog
    from app.gui.dialogs_export import ExportChoice, ExportDialog, StateOffer

logger = logging.getLogger(__name__)

CHOICE: Final = "export.choice"
FOLDER: Final = "export.folder"
"""Keys of settings: what was chosen last, and the folder that it went to."""
STAYS_MS: Final = 20_000
"""How long the notice of an export that went well stays, in milliseconds."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the dialog is open for."""

    conversations: tuple[ConversationId, ...]
    title: str | None
    """Of the one chat; None where it is all of them."""

    @property
    def name(self) -> str:
        return "all chats" if self.title is None else f"“{self.title}”"


class Exporting(QObject):
    """Connects the export dialog with `Exports`; one export of the window runs at a time."""

    def __init__(self, strip: ProgressStrip, notices: NoticeBar, workspace: Workspace, parent: QWidget) -> None:
        """Nothing is asked yet; `strip` belongs to this."""
        super().__init__(parent)
        self._window = parent
        self._strip = strip
        self._notices = notices
        self._workspace = workspace
        self._saved = workspace.saved
        self._asked: _Asked | None = None
        self._sized: ExportChoice | None = None
        """What the text's size is being worked out for."""
        self.dialog: ExportDialog | None = None
        self.place: QFileDialog | None = None
        """The dialog that asks where to."""
        self.run: ExportRun | None = None
        workspace.exports.to_pdf = _to_pdf
        workspace.saved.changed.connect(self._show_state)
        strip.cancelled.connect(self._cancel)

    # --- asking how --------------------------------------------------------------------------------------------------

    def open(self, conversation: ConversationId) -> None:
        """Ask how a chat is to be exported."""
        try:
            title = self._workspace.store.get(conversation).title
        except EmberError as error:
            self._tell(error.sentence, "error")
            return
        self._ask(_Asked((conversation,), title))

    def open_all(self) -> None:
        """Ask how all chats are to be exported."""
        every = tuple(summary.id for summary in self._workspace.store.summaries(counted=False))
        if every:
            self._ask(_Asked(every, None))
        else:
            self._tell("There are no chats to export yet.")

    def close(self) -> None:
        """The window closes: nothing is asked any more, and what is being written ends."""
        for dialog in (self.place, self.dialog):
            if dialog is not None:
                dialog.reject()
        self._cancel()
        self._strip.end()

    def _ask(self, asked: _Asked) -> None:
        if self.run is not None:
            self._tell("An export is being written. Wait for it, or cancel it, before you begin another one.")
            return
        if (shown := self.place or self.dialog) is not None:
            shown.raise_()
            return
        from app.gui.dialogs_export import ExportChoice, ExportDialog

        self._asked, self._sized = asked, None
        choice = self._workspace.settings.get(CHOICE, ExportChoice, ExportChoice())
        self.dialog = ExportDialog(asked.name, choice, self._window)
        self.dialog.changed.connect(self._show_size)
        self.dialog.accepted.connect(self._accepted)
        self.dialog.finished.connect(self._closed)
        self._saved.refresh()
        self._show_state()
        self._show_size()
        self.dialog.open()

    def _show_state(self) -> None:
        if self.dialog is not None and self._asked is not None:
            self.dialog.show_state(self._offer(self._asked))

    def _offer(self, asked: _Asked) -> "StateOffer":
        """What is saved of these chats, or why it cannot go along."""
        from app.gui.dialogs_export import StateOffer

        saved = self._saved
        if not saved.is_on:
            return StateOffer(why_not="Saving is switched off in the settings of saved state.")
        if saved.usage is None:
            return StateOffer(why_not=saved.why_not or "What is saved is not known just now; wait a moment.")
        there = saved.all()
        size = sum(there[each].own + there[each].shared for each in asked.conversations if each in there)
        if size:
            return StateOffer(size)
        if asked.title is not None and not saved.is_let(asked.conversations[0]):
            return StateOffer(why_not="This chat's state is never saved.")
        return StateOffer(why_not="Nothing is saved of this chat." if asked.title is not None else "Nothing is saved.")

    def _show_size(self) -> None:
        """Work out how large the text gets; of all chats together, and as PDF, that takes as long as writing it."""
        assert self.dialog is not None and self._asked is not None
        choice, asked = self.dialog.choice(), self._asked
        self.dialog.refuse("")
        self._sized = choice
        if asked.title is None:
            count = len(asked.conversations)
            self.dialog.show_text_size(None, f"{format_count(count)} {'files' if count != 1 else 'file'} in a folder")
            return
        if choice.form == "pdf":
            self.dialog.show_text_size(None)
            return
        self.dialog.show_text_size(None, "working out the size…")
        store, dialog = self._workspace.store, self.dialog

        def told(size: int) -> None:
            if self.dialog is dialog and self._sized is choice:
                dialog.show_text_size(size)

        def refused(error: EmberError) -> None:
            if self.dialog is dialog and self._sized is choice:
                dialog.show_text_size(None)
                dialog.refuse(error.sentence)

        (conversation,) = asked.conversations
        run_in_background(self, lambda: len(contents(store, conversation, choice.form, choice.branches)), told, refused)

    def _closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    # --- asking where to ---------------------------------------------------------------------------------------------

    def _accepted(self) -> None:
        assert self.dialog is not None and self._asked is not None
        choice, asked = self.dialog.choice(), self._asked
        self._keep(CHOICE, choice)
        self.place = place = self._place_dialog(asked, choice)
        place.fileSelected.connect(lambda name: self._chosen(asked, choice, Path(name)))
        place.finished.connect(self._place_closed)
        place.open()

    def _place_dialog(self, asked: _Asked, choice: "ExportChoice") -> QFileDialog:
        """The system's dialog for a file, which asks before another one is overwritten, or for a folder."""
        from app.gui.dialogs_export import form_of

        folder = self._workspace.settings.get(FOLDER, str, "")
        if not folder or not Path(folder).is_dir():
            folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        form = form_of(choice.form)
        if asked.title is None:
            place = QFileDialog(self._window, "Choose a folder for the chats", folder)
            place.setFileMode(QFileDialog.FileMode.Directory)
            place.setOption(QFileDialog.Option.ShowDirsOnly)
            return place
        suffix = SUFFIXES[form.key]
        place = QFileDialog(self._window, "Export this chat", folder, form.filter)
        place.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        place.setDefaultSuffix(suffix.removeprefix("."))
        place.selectFile(file_name(asked.title) + suffix)
        return place

    def _place_closed(self) -> None:
        if self.place is not None:
            self.place.deleteLater()
            self.place = None

    def _keep(self, key: str, value: object) -> None:
        try:
            self._workspace.settings.set(key, value)
        except EmberError as error:  # then it is chosen anew the next time
            logger.warning("the choice was not kept: %s", error.sentence)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _chosen(self, asked: _Asked, choice: "ExportChoice", to: Path) -> None:
        into_folder = asked.title is None
        self._keep(FOLDER, str(to if into_folder else to.parent))
        order = ExportOrder(asked.conversations, to, into_folder, choice.form, choice.branches, choice.with_state)
        self._notices.dismiss("export")
        self._strip.begin(f"Exporting {asked.name}")
        self.run = self._workspace.exports.begin(order)
        self.run.progressed.connect(lambda step: self._strip.show_progress(*_progress(asked.name, step)))
        self.run.finished.connect(lambda report: self._finished(report, order))

    def _cancel(self) -> None:
        if self.run is not None:
            self.run.cancel()

    def _finished(self, report: ExportReport, order: ExportOrder) -> None:
        self.run = None
        self._strip.end()
        done = report.exported
        kind: Kind = "info"
        if not report.is_cancelled and (report.failed or any(each.why for each in done)):
            kind = "warning" if done else "error"
        actions: list[Action] = []
        if done:
            actions = [("Show in folder", partial(show_file, done[0].file, self))]
        stays = STAYS_MS if kind == "info" else None
        self._notices.show_notice(Notice(outcome_words(report, order), kind, actions, stays, key="export"))

    def _tell(self, words: str, kind: Kind = "info") -> None:
        self._notices.show_notice(Notice(words, kind, key="export"))


def _to_pdf(tree: ConversationTree) -> bytes:
    """A conversation on paper; what draws it is read when it is first asked for."""
    from app.gui.pdf_export import to_pdf

    return to_pdf(tree)


def _progress(name: str, step: ExportStep) -> tuple[str, float | None]:
    """How far it is in words, and as a fraction."""
    part = step.done / step.total if step.total else 0.0
    if step.count > 1:
        number, count = format_count(step.number), format_count(step.count)
        return f"Exporting {number} of {count} chats", (step.number - 1 + part) / step.count
    if not step.total:
        return f"Exporting {name}", None
    return f"Exporting: {format_bytes(step.done)} of {format_bytes(step.total)}", part


def outcome_words(report: ExportReport, order: ExportOrder) -> str:
    """What came of an order."""
    done, count = report.exported, len(order.conversations)
    if not done:
        return "The export was cancelled; nothing was written." if report.is_cancelled else report.failed[-1].sentence
    text, state = sum(each.text_bytes for each in done), sum(each.state_bytes for each in done)
    sizes = f"text {format_bytes(text)}, state {format_bytes(state)}" if state else f"text {format_bytes(text)}"
    without = [each.why for each in done if each.why]
    if not order.into_folder:
        lost = f" The file is without its state. {without[0]}" if without else ""
        return f"Exported to {done[0].file} ({sizes}).{lost}"
    which = format_count(count) if len(done) == count else f"{format_count(len(done))} of {format_count(count)}"
    words = f"{which} {'chats' if count != 1 else 'chat'} exported to {order.to} ({sizes})."
    if report.is_cancelled:
        return f"{words} The rest was cancelled."
    if without:
        words += f" {format_count(len(without))} without state. {without[0]}"
    return f"{words} {report.failed[-1].sentence}" if report.failed else words
