"""Has saved state restored when a chat is opened, removes it as the person chooses, and tells what keeps it away."""

from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.conversation import Conversation, ConversationId
from app.core.errors import EmberError
from app.core.units import format_bytes
from app.gui import dialogs, wording
from app.gui.gauges.clearing import WRITING
from app.gui.gauges.strip import GaugeStrip
from app.gui.header import Header
from app.gui.notices import UNDO_MS, Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.protocol.answers import Failed, SavedDropped
from app.protocol.parts import ModelInfo
from app.services.turns import TurnOutcome
from app.services.workspace import Workspace

NOT_SAVED = "state-not-saved"
NO_STORE = "no-saved-state"
REMOVED = "state-removed"
"""Keys of notices: a turn's state could not be saved, nothing can be, some was removed."""
TOLD_MS = 12_000


class SavedFeed(QObject):
    """Connects the open chat with its saved state."""

    def __init__(
        self,
        header: Header,
        strip: GaugeStrip,
        chat: OpenChat,
        notices: NoticeBar,
        workspace: Workspace,
        parent: QWidget,
    ) -> None:
        """Follow what is opened, and what model is there."""
        super().__init__(parent)
        self._window = parent
        self._header = header
        self._chat = chat
        self._notices = notices
        self._chats = workspace.chats
        self._engine = workspace.engine
        self._saved = workspace.saved
        self._told = ""
        """The trouble that was told last; it is not told again after each turn."""
        chat.opened.connect(self._opened)
        header.saving_chosen.connect(self._choose_saving)
        header.remove_saved_requested.connect(self.remove_of_chat)
        strip.clear_chat.connect(self.remove_of_chat)
        strip.clear_model.connect(self._ask_for_model)
        strip.clear_all.connect(self._ask_for_all)
        workspace.engine.model_changed.connect(self._model_changed)
        workspace.saved.trouble.connect(self._store_trouble)
        workspace.saved.changed.connect(self._show)
        workspace.chats.turn_saved.connect(self._turn_saved)

    def _opened(self, conversation: Conversation | None) -> None:
        self._show()
        if conversation is not None:
            self._chats.prepare(conversation.id)

    def _show(self) -> None:
        """The open chat's entries in the header's menu."""
        conversation = self._chat.conversation_id
        usage = self._saved.of(conversation)
        is_let = conversation is None or self._saved.is_let(conversation)
        self._header.set_saved(is_let=is_let, saved=usage.own if usage is not None else None)

    def _model_changed(self, model: ModelInfo | None) -> None:
        conversation = self._chat.conversation_id
        if model is not None and conversation is not None:
            self._chats.prepare(conversation)

    def _store_trouble(self, sentence: str) -> None:
        self._notices.dismiss(NO_STORE)
        if sentence:
            self._notices.show_notice(Notice(sentence, "warning", key=NO_STORE))

    def _turn_saved(self, outcome: TurnOutcome, trouble: str) -> None:
        open_chat = self._chat.conversation_id
        if open_chat is not None and open_chat != outcome.reply.conversation:
            self._chats.prepare(open_chat)  # it was opened while the other was being answered
        if not trouble:
            self._notices.dismiss(NOT_SAVED)
        elif trouble != self._told:
            self._notices.show_notice(Notice(trouble, "warning", key=NOT_SAVED))
        self._told = trouble

    # --- never save this chat's state --------------------------------------------------------------------------------

    def _choose_saving(self, saves: bool) -> None:
        conversation = self._chat.conversation_id
        if conversation is not None:
            self._set_saving(conversation, saves)

    def _set_saving(self, conversation: ConversationId, saves: bool) -> None:
        """Let a chat's state be saved, or never; what there is of it goes then."""
        try:
            self._saved.set_may_save(conversation, saves, lambda freed: self._tell_saving(conversation, saves, freed))
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=REMOVED))
            self._show()

    def _tell_saving(self, conversation: ConversationId, saves: bool, freed: int | None) -> None:
        if saves:
            text = "This chat's state is saved again, from its next reply on."
            if not self._saved.is_on:
                text = "This chat's state may be saved again. Saving is off for all chats, in the settings."
            self._notices.show_notice(Notice(text, "info", timeout_ms=TOLD_MS, key=REMOVED))
            return
        removed = f" {format_bytes(freed)} were freed." if freed else ""
        if freed is None:
            removed = " What there is of it is removed as soon as the engine is there."
        text = f"This chat's state is not saved any more.{removed} Its text is untouched."
        undo = ("Undo", lambda: self._set_saving(conversation, True))
        self._notices.show_notice(Notice(text, "info", actions=[undo], timeout_ms=UNDO_MS, key=REMOVED))

    # --- removing ----------------------------------------------------------------------------------------------------

    def remove_of_chat(self) -> None:
        """Remove what is saved of the open chat; the text stays."""
        if self._chat.conversation_id is not None:
            self._remove(self._chat.conversation_id)

    def _ask_for_all(self) -> None:
        """It cannot be undone, so it is asked once more."""
        usage = self._saved.usage
        size = format_bytes(usage.bytes) if usage is not None else ""
        dialogs.ask_to_remove(self._window, "all saved state", size, lambda: self._remove(None))

    def _ask_for_model(self) -> None:
        """The same for what is saved of the loaded model."""
        model = self._engine.model
        if model is None:
            return
        path = Path(model.path)
        roots, taken = self._saved.roots_of(path), self._saved.bytes_of(path)
        what = f"the saved state of {wording.model_label(model)}"
        size = format_bytes(taken) if taken else ""
        dialogs.ask_to_remove(self._window, what, size, lambda: self._remove_roots(roots))

    def _remove_roots(self, roots: tuple[bytes, ...]) -> None:
        if not self._is_refused(None):
            self._saved.clear_roots(roots, self._removed)

    def _is_refused(self, conversation: ConversationId | None) -> bool:
        """Whether a reply is written of this chat, or (None) of any: what it is about to save would come back."""
        is_running = self._chats.is_running(conversation)
        if is_running:
            self._notices.show_notice(Notice(WRITING, "info", timeout_ms=TOLD_MS, key=REMOVED))
        return is_running

    def _remove(self, conversation: ConversationId | None) -> None:
        """Remove a chat's saved state, or (None) all."""
        if self._is_refused(conversation):
            return
        try:
            self._saved.clear(self._removed, conversation)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=REMOVED))

    def _removed(self, answer: SavedDropped | Failed) -> None:
        if isinstance(answer, SavedDropped):
            text = f"{format_bytes(answer.freed_bytes)} of saved state removed from the disk. Your texts are untouched."
            self._notices.show_notice(Notice(text, "info", timeout_ms=TOLD_MS, key=REMOVED))
        else:
            self._notices.show_notice(Notice(answer.sentence, "error", key=REMOVED))
