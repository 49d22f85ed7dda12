"""What is written and not sent: the draft of each chat and of a new one, and over it a message that is edited."""

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.conversation import ConversationId, ConversationTree, Message, MessageId
from app.core.errors import EmberError
from app.gui.composer import Composer
from app.gui.notices import UNDO_MS, Notice, NoticeBar
from app.services.turns import TurnRequest, joined_draft, typed_since
from app.services.workspace import Workspace
from app.storage.records import storable

DRAFT_STORE_MS: Final = 500
NEW_CHAT_DRAFT: Final = "new_chat.draft"
STORE: Final = "not-stored"
"""Key of the notice that a reply or a draft could not be stored."""
DROPPED: Final = "edit-dropped"
"""Key of the notice that an edit was given up."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Another version of a message, as it is kept until it is sent."""

    message: MessageId
    text: str


def edit_key(conversation: ConversationId) -> str:
    """The setting that keeps the edit of a conversation; the conversation's draft stays beneath it."""
    return f"chat.edit.{conversation}"


class Writing(QObject):
    """Shows in the composer what was written in the open chat, and stores it while it is written."""

    stored = Signal()
    edited_changed = Signal()

    def __init__(self, workspace: Workspace, composer: Composer, notices: NoticeBar, parent: QObject) -> None:
        """Nothing is open yet."""
        super().__init__(parent)
        self._store = workspace.store
        self._settings = workspace.settings
        self._chats = workspace.chats
        self._composer = composer
        self._notices = notices
        self._conversation: ConversationId | None = None
        self._shows = False
        """Whether the composer holds what was written in the open chat."""
        self.edited: Message | None = None
        """The message that is edited."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DRAFT_STORE_MS)
        self._timer.timeout.connect(self.store)
        composer.draft_changed.connect(lambda _text: self._timer.start())

    # --- opening -----------------------------------------------------------------------------------------------------

    def open(self, tree: ConversationTree) -> None:
        """Show what was written in a stored chat."""
        conversation = tree.conversation.id
        edit = self._settings.get(edit_key(conversation), Edit, None)
        self._conversation, self._shows = conversation, True
        self.edited = tree.messages.get(edit.message) if edit is not None else None
        self._composer.open_draft(edit.text if edit is not None and self.edited is not None else self._beneath())

    def open_new(self, draft: str | None = None) -> None:
        """Show what was written for a new chat, or this draft."""
        self._conversation, self._shows, self.edited = None, True, None
        self._composer.open_draft(self._settings.get(NEW_CHAT_DRAFT, str, "") if draft is None else draft)

    def became(self, conversation: ConversationId) -> None:
        """The new chat is stored under this id from now on."""
        self._conversation = conversation
        self._settings.set(NEW_CHAT_DRAFT, "")

    def leave(self) -> None:
        """The open chat is being deleted; what was written in it is stored."""
        self.store()
        self._shows = False

    # --- storing -----------------------------------------------------------------------------------------------------

    def store(self) -> bool:
        """Store what is typed and not sent; False if it cannot be stored, which the window then says."""
        self._timer.stop()
        if not self._shows:
            return True
        try:
            self._keep(storable(self._composer.draft()))
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=STORE))
            return False
        self.stored.emit()
        return True

    def _keep(self, words: str) -> None:
        if self._conversation is None:
            self._settings.set(NEW_CHAT_DRAFT, words)
        elif self.edited is not None:
            self._settings.set(edit_key(self._conversation), Edit(self.edited.id, words))
        else:
            request = self._chats.waiting(self._conversation)
            draft = words if request is None else joined_draft(request.text, words)
            if draft != self._store.get(self._conversation).draft:
                self._store.set_draft(self._conversation, draft)

    def _beneath(self) -> str:
        """The chat's own draft, without the words that wait to be sent."""
        if self._conversation is None:
            return ""
        draft = self._store.get(self._conversation).draft
        request = self._chats.waiting(self._conversation)
        return draft if request is None else typed_since(request, draft)

    # --- editing a message -------------------------------------------------------------------------------------------

    def edit(self, message: Message, text: str | None = None) -> None:
        """Put a message, or another version of it, into the composer; the draft comes back afterwards."""
        if self.edited is None or self.edited.id != message.id:
            self.cancel()
            if not self.store():  # the draft would be lost
                return
            self.edited = message
            self._composer.open_draft(message.text if text is None else text)
            self.store()
            self.edited_changed.emit()
        self._composer.focus_draft()

    def cancel(self) -> None:
        """Leave the message as it is; what was changed of it can be brought back for a while."""
        message, words, conversation = self.edited, self._composer.draft(), self._conversation
        if message is None or conversation is None:
            return
        self._end_edit()
        if words.strip() and words != message.text:

            def bring_back() -> None:
                if self._conversation == conversation:
                    self.edit(message, words)
                else:
                    self._settings.set(edit_key(conversation), Edit(message.id, words))

            text = "The message stays as it was; your changes were put aside."
            actions = [("Undo", bring_back)]
            self._notices.show_notice(Notice(text, "info", actions=actions, timeout_ms=UNDO_MS, key=DROPPED))

    def sent(self) -> None:
        """The edit, if there was one, is on its way: the draft comes back."""
        if self.edited is not None:
            self._end_edit()

    def _end_edit(self) -> None:
        assert self._conversation is not None
        try:
            self._settings.remove(edit_key(self._conversation))
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=STORE))
        self.edited = None
        self._composer.open_draft(self._beneath())
        self.edited_changed.emit()

    # --- words that come back ----------------------------------------------------------------------------------------

    def give_back(self, request: TurnRequest, edited: Message | None) -> None:
        """Words of the open chat that were not sent, of an edit of `edited` if that is what they were."""
        words = request.text or ""
        if edited is not None and self.edited is None:
            self.edit(edited, words)
        elif self.edited is None:
            self._composer.set_draft(joined_draft(words, self._composer.draft()))
        elif self._conversation is not None:  # another message is edited meanwhile: they join the draft beneath
            self._store.set_draft(self._conversation, joined_draft(words, self._beneath()))
