"""Fills the cache page's tables, and carries out what is clicked there: clear, pin, never save."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.units import format_bytes
from app.gui.chat_list import QUIET_CHANGES
from app.gui.dialogs_saved import SavedStateDialog, pins_warning
from app.gui.gauges.clearing import WRITING, reads_again
from app.gui.saved_shares_model import Share, clean_title
from app.gui.saved_shares_page import SharesPage
from app.protocol.answers import Failed, SavedDropped, Statistics
from app.services.model_library import display_name
from app.services.workspace import Workspace
from app.storage.records import ConversationSummary

UNKNOWN_MODEL = "A model that is not known any more"
READ_AGAIN = "Each of its chats is read again when it is next used."


class SavedShares(QObject):
    """Connects the two tables of the dialog with `SavedStates`."""

    def __init__(self, dialog: SavedStateDialog, workspace: Workspace) -> None:
        """Fill them now, and whenever something changes while the dialog is open."""
        super().__init__(dialog)
        self._dialog = dialog
        self._chats_page, self._models_page = dialog.chats, dialog.models
        self._saved, self._store, self._chats = workspace.saved, workspace.store, workspace.chats
        self._statistics: Statistics | None = None
        self._summaries: list[ConversationSummary] | None = None
        """The chats; None where they have to be read again."""
        workspace.saved.changed.connect(self.fill)
        workspace.store_changed.connect(self._store_changed)
        dialog.tabs.currentChanged.connect(self.fill)
        workspace.engine.statistics.connect(self._take)
        workspace.chats.queue_changed.connect(self._explain)
        for page, clear in ((self._chats_page, self._ask_chat), (self._models_page, self._ask_model)):
            page.chosen.connect(self._explain)
            page.clear_requested.connect(clear)
        self._chats_page.model.ticked.connect(self._ticked)
        workspace.engine.refresh_statistics()
        self.fill()

    # --- what is shown -----------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """The table that is seen: a page that nobody looks at costs nothing."""
        page = self._dialog.tabs.currentWidget()
        if page is self._chats_page:
            self._chats_page.show_shares(self._chat_shares())
            self._chats_page.show_warning(pins_warning(self._saved.pinned_bytes, self._budget()))
        elif page is self._models_page:
            self._models_page.show_shares(self._model_shares())

    def _chat_shares(self) -> list[Share]:
        usage, never, pinned = self._saved.all(), self._saved.never_saved(), self._saved.pinned()
        chats = []
        if self._summaries is None:
            self._summaries = self._store.summaries(counted=False)
        for summary in self._summaries:
            has, key = usage.get(summary.id), summary.id
            own, shared, tokens = (has.own, has.shared, has.tokens) if has is not None else (0, 0, 0)
            title = clean_title(summary.title)
            chats.append(Share(key, title, own, shared, tokens, summary.updated, key in pinned, key in never))
        return chats

    def _model_shares(self) -> list[Share]:
        models = self._saved.models()
        sums: dict[str, tuple[str, int, int]] = defaultdict(lambda: ("", 0, 0))
        for root in self._saved.usage.roots if self._saved.usage is not None else ():
            model = models.get(root.root)
            path, name = (
                (model.path, display_name(model.path, model.name)) if model is not None else ("", UNKNOWN_MODEL)
            )
            _, size, tokens = sums[path]
            sums[path] = (name, size + root.bytes, tokens + root.tokens)
        return [Share(path, clean_title(name), size, 0, tokens) for path, (name, size, tokens) in sums.items()]

    def _budget(self) -> int:
        return self._saved.usage.budget if self._saved.usage is not None else 0

    def _store_changed(self, kind: str, _conversation: str) -> None:
        if kind not in QUIET_CHANGES:
            self._summaries = None

    def _take(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._explain()

    def _explain(self) -> None:
        """What clearing the chosen rows would free and cost."""
        chat, model = self._chats_page.chosen_share(), self._models_page.chosen_share()
        words, can = (
            self._about_chat(chat) if chat is not None else ("Choose a chat to see what clearing it costs.", False)
        )
        self._chats_page.show_about(words, can_clear=can)
        words, can = (
            self._about_model(model) if model is not None else ("Choose a model to see what clearing frees.", False)
        )
        self._models_page.show_about(words, can_clear=can)

    def _about_chat(self, chat: Share) -> tuple[str, bool]:
        if self._chats.is_running(ConversationId(chat.key)):
            return WRITING, False
        if not chat.tokens:
            return "Nothing of this chat is saved.", False
        return f"Clearing frees {self._frees(chat)} {self._costs(chat)}", True

    def _frees(self, chat: Share) -> str:
        stays = f" {format_bytes(chat.shared)} more is shared with other chats and stays." if chat.shared else ""
        return f"{format_bytes(chat.own)}.{stays}"

    def _costs(self, chat: Share) -> str:
        now = self._statistics
        if now is not None and now.live_conversation == chat.key and now.context_used:
            return "The next reply goes on from memory."
        rate = now.read_rate if now is not None else 0.0
        return f"The next reply {reads_again(chat.tokens, rate, at_most=bool(chat.shared))}."

    def _about_model(self, model: Share) -> tuple[str, bool]:
        if self._chats.running is not None:
            return WRITING, False
        return f"Clearing frees {format_bytes(model.own)}. {READ_AGAIN}", True

    # --- clearing ----------------------------------------------------------------------------------------------------

    def _ask_chat(self, key: str) -> None:
        chat = self._chats_page.model.share(self._chats_page.model.row_of(key))
        if chat is None:
            return
        words, _ = self._about_chat(chat)
        self._ask(f"Remove the saved state of “{chat.title}”?", words, partial(self._clear_chat, ConversationId(key)))

    def _clear_chat(self, conversation: ConversationId) -> None:
        if self._chats.is_running(conversation):
            self._chats_page.show_outcome(WRITING, "warning")
            return
        self._try(self._chats_page, lambda: self._saved.clear(partial(self._cleared, self._chats_page), conversation))

    def _ask_model(self, key: str) -> None:
        model = self._models_page.model.share(self._models_page.model.row_of(key))
        if model is None:
            return
        words, _ = self._about_model(model)
        self._ask(f"Remove all state that was saved for {model.title}?", words, partial(self._clear_model, key))

    def _clear_model(self, key: str) -> None:
        if self._chats.running is not None:
            self._models_page.show_outcome(WRITING, "warning")
            return
        known = self._saved.models()
        usage = self._saved.usage
        orphans = tuple(root.root for root in usage.roots if root.root not in known) if usage is not None else ()
        roots = self._saved.roots_of(Path(key)) if key else orphans
        self._saved.clear_roots(roots, partial(self._cleared, self._models_page))

    def _ask(self, question: str, words: str, do: partial[None]) -> None:
        """It cannot be undone, so what it frees and costs is said once more."""
        box = QMessageBox(QMessageBox.Icon.NoIcon, "Clear", "", QMessageBox.StandardButton.NoButton, self._dialog)
        box.setObjectName("clear")
        box.setTextFormat(Qt.TextFormat.PlainText)  # a title may look like markup
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setText(question)
        box.setInformativeText(f"{words} This cannot be undone; all texts stay as they are.")
        yes = box.addButton("Remove", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep it", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        yes.clicked.connect(lambda: do())
        box.open()

    def _cleared(self, page: SharesPage, answer: SavedDropped | Failed) -> None:
        if isinstance(answer, SavedDropped):
            page.show_outcome(f"{format_bytes(answer.freed_bytes)} freed. Your texts are untouched.")
        else:
            page.show_outcome(answer.sentence, "warning")
        self._saved.refresh()

    # --- ticks -------------------------------------------------------------------------------------------------------

    def _ticked(self, what: str, key: str, chosen: bool) -> None:
        conversation, page = ConversationId(key), self._chats_page
        if what == "pin":
            self._try(page, lambda: self._saved.set_pinned(conversation, chosen))
            return
        chat = page.model.share(page.model.row_of(key))
        if chosen and self._chats.is_running(conversation):
            page.show_outcome(WRITING, "warning")
        elif chosen and chat is not None and chat.tokens:
            words, _ = self._about_chat(chat)
            self._ask(f"Never save “{chat.title}”?", words, partial(self._set_never, conversation, True))
        else:
            self._set_never(conversation, chosen)

    def _set_never(self, conversation: ConversationId, never: bool) -> None:
        page = self._chats_page

        def told(freed: int | None) -> None:
            if never and freed:
                page.show_outcome(f"{format_bytes(freed)} freed. This chat's state is not saved any more.")

        self._try(page, lambda: self._saved.set_may_save(conversation, not never, told))

    def _try(self, page: SharesPage, do: Callable[[], None]) -> None:
        page.show_outcome("")
        try:
            do()
        except EmberError as error:
            page.show_outcome(error.sentence, "warning")
