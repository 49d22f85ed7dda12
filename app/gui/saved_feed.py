"""Has saved state restored when a chat is opened, and tells what keeps it from being saved."""

from PySide6.QtCore import QObject

from app.core.conversation import Conversation
from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.protocol.messages import ModelInfo
from app.services.chats import TurnOutcome
from app.services.workspace import Workspace

NOT_SAVED = "state-not-saved"
NO_STORE = "no-saved-state"
"""Keys of notices: a turn's state could not be saved, nothing can be."""


class SavedFeed(QObject):
    """Connects the open chat with its saved state."""

    def __init__(self, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QObject) -> None:
        """Follow what is opened, and what model is there."""
        super().__init__(parent)
        self._chat = chat
        self._notices = notices
        self._chats = workspace.chats
        self._told = ""
        """The trouble that was told last; it is not told again after each turn."""
        chat.opened.connect(self._opened)
        workspace.engine.model_changed.connect(self._model_changed)
        workspace.saved.trouble.connect(self._store_trouble)
        workspace.chats.turn_saved.connect(self._turn_saved)

    def _opened(self, conversation: Conversation | None) -> None:
        if conversation is not None:
            self._chats.prepare(conversation.id)

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
