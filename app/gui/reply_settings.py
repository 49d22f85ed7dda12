"""Opens the settings of replies, of the open chat or of new ones, and keeps what is chosen."""

from functools import partial
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import NEW_CHAT_SAMPLER, OpenChat
from app.services.workspace import Workspace

if TYPE_CHECKING:  # a window that only starts does not need the dialog
    from app.gui.dialogs_replies import RepliesDialog

REPLIES: Final = "replies"
"""Key of the notice that they could not be kept."""


class ReplySettings(QObject):
    """What is chosen holds from the next reply on."""

    def __init__(self, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QWidget) -> None:
        """Nothing is open yet."""
        super().__init__(parent)
        self._window, self._chat, self._notices = parent, chat, notices
        self._workspace = workspace

    def open(self) -> "RepliesDialog":
        """Show the settings of what is open."""
        from app.gui.dialogs_replies import open_replies

        here = self._chat.conversation_id
        if here is None:
            settings = self._workspace.settings.get(NEW_CHAT_SAMPLER, SamplerSettings, SamplerSettings())
        else:
            settings = self._workspace.store.get(here).sampler
        return open_replies(self._window, settings, partial(self._keep, here), is_new=here is None)

    def _keep(self, conversation: ConversationId | None, settings: SamplerSettings) -> None:
        try:
            if conversation is None:
                self._workspace.settings.set(NEW_CHAT_SAMPLER, settings)
            else:
                self._workspace.store.set_sampler(conversation, settings)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=REPLIES))
