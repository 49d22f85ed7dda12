"""What the person does with conversations: open one, begin one, name it, delete it, give it instructions."""

import logging
import time
from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.conversation import Conversation, ConversationId
from app.core.errors import EmberError
from app.gui import dialogs
from app.gui.chat_list import ChatList
from app.gui.composer import Composer
from app.gui.header import Header
from app.gui.notices import UNDO_MS, Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.gui.sidebar.sidebar import Sidebar
from app.gui.transcript.view import TranscriptView
from app.gui.writing import edit_key
from app.services.workspace import Workspace

logger = logging.getLogger(__name__)

OPEN_CONVERSATION = "window.conversation"
DELETED_KEPT = 24 * 3600.0
"""Seconds after which a deleted conversation is gone for good (at a start of the app)."""


class Conversations(QObject):
    """Carries out what the list and the header ask for; the open chat shows what came of it."""

    def __init__(
        self,
        sidebar: Sidebar,
        header: Header,
        transcript: TranscriptView,
        composer: Composer,
        notices: NoticeBar,
        chat: OpenChat,
        chat_list: ChatList,
        workspace: Workspace,
        window: QWidget,
    ) -> None:
        """Listen to the list and to the header; `open_last` shows something."""
        super().__init__(window)
        self._sidebar = sidebar
        self._header = header
        self._transcript = transcript
        self._composer = composer
        self._notices = notices
        self._chat = chat
        self._chat_list = chat_list
        self._workspace = workspace
        self._window = window
        self._remembered: str | None = None
        sidebar.opened.connect(lambda conversation: self._show(ConversationId(conversation)))
        sidebar.new_chat.connect(self.new)
        sidebar.rename_requested.connect(lambda id_, title: self.rename(ConversationId(id_), title))
        sidebar.delete_requested.connect(lambda conversation: self.delete(ConversationId(conversation)))
        header.rename_requested.connect(lambda title: self.with_open(lambda id_: self.rename(id_, title)))
        header.delete_requested.connect(lambda: self.with_open(self.delete))
        header.instructions_requested.connect(self.edit_instructions)
        chat.opened.connect(self._remember)

    def with_open(self, call: Callable[[ConversationId], object]) -> None:
        """Call with the open conversation's id, if it is stored."""
        if self._chat.conversation_id is not None:
            call(self._chat.conversation_id)

    # --- opening -----------------------------------------------------------------------------------------------------

    def open_last(self) -> None:
        """Show what was open when the app ended, and let go of what was deleted long ago."""
        settings = self._workspace.settings
        for conversation in self._workspace.store.purge_deleted(time.time() - DELETED_KEPT):
            settings.remove(edit_key(conversation))
        last = settings.get(OPEN_CONVERSATION, str, "")
        try:
            self._chat.open(ConversationId(last)) if last else self._chat.start_new()
        except EmberError:  # it was deleted since
            self._chat.start_new()

    def open(self, conversation: ConversationId) -> None:
        """Show a conversation, with the cursor where one writes."""
        if self._show(conversation):
            self._composer.focus_draft()

    def _show(self, conversation: ConversationId) -> bool:
        """Show a conversation, the keyboard staying where it is; whether it could be read."""
        try:
            if conversation != self._chat.conversation_id:
                self._chat.open(conversation)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key="open"))
            self._chat_list.read()
            return False
        sought = self._sidebar.sought(conversation)
        if sought and not self._transcript.find_text(sought):
            self._transcript.find_text(max(sought.split(), key=len))
        return True

    def new(self) -> None:
        """Show an empty conversation."""
        self._chat.start_new()
        self._composer.focus_draft()

    def _remember(self, conversation: Conversation | None) -> None:
        """The next start shows this chat, also where the computer ends this one."""
        opened = conversation.id if conversation is not None else ""
        if opened == self._remembered:
            return
        self._remembered = opened
        try:
            self._workspace.settings.set(OPEN_CONVERSATION, opened)
        except EmberError as error:  # what cannot be written is told where it matters
            logger.error("the open chat was not remembered: %s", error)

    # --- changing ----------------------------------------------------------------------------------------------------

    def rename(self, conversation: ConversationId, title: str) -> None:
        """Give a conversation another title."""
        store = self._workspace.store
        try:
            store.rename(conversation, title)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key="rename"))
            return
        if conversation == self._chat.conversation_id:
            self._chat.renamed(store.get(conversation).title)

    def rename_in_place(self) -> None:
        """Open the field of a title: in the list where the keyboard is there, else above the chat."""
        if not self._sidebar.rename_current():
            self._header.title.start()

    def delete(self, conversation: ConversationId) -> None:
        """Delete a conversation; for a while it can be brought back."""
        store, chats = self._workspace.store, self._workspace.chats
        was_open = conversation == self._chat.conversation_id
        title = store.get(conversation).title
        if was_open:
            self._chat.leave()
        else:
            chats.take_back(conversation)
        neighbour = self._chat_list.neighbour(conversation)
        try:
            store.delete(conversation)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key="delete"))
            if was_open:
                self._chat.open(conversation)
            return
        if chats.is_running(conversation):
            chats.stop()
        if was_open:
            self._chat.open(ConversationId(neighbour)) if neighbour else self._chat.start_new()

        def bring_back() -> None:
            store.restore(conversation)
            self.open(conversation)

        text = f"“{title}” was deleted."
        self._notices.show_notice(Notice(text, "info", actions=[("Undo", bring_back)], timeout_ms=UNDO_MS))

    def edit_instructions(self) -> None:
        """Edit the open conversation's system prompt."""
        chat = self._chat
        dialog = dialogs.InstructionsDialog(chat.instructions, self._window, is_new=chat.conversation is None)
        while dialog.exec():
            try:
                chat.set_instructions(dialog.text())
            except EmberError as error:
                dialog.tell(error.sentence)  # and it opens again, with what was written
            else:
                break
        dialog.deleteLater()
