"""What the person does with the messages of the open chat: other versions, other branches, more of a reply."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.core.conversation import Message, MessageId
from app.core.errors import EmberError
from app.gui import wording
from app.gui.aim_line import Aim
from app.gui.composer import Composer
from app.gui.notices import Notice, NoticeBar
from app.gui.transcript.view import TranscriptView
from app.services.turns import TurnRequest
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from app.gui.open_chat import OpenChat

SEND = "send"
"""Key of the notice that a turn was not asked for."""


class ChatDeeds(QObject):
    """Carries out the actions of messages; the chat shows what came of them."""

    def __init__(
        self,
        chat: "OpenChat",
        workspace: Workspace,
        transcript: TranscriptView,
        composer: Composer,
        notices: NoticeBar,
    ) -> None:
        """Listen to the transcript and to the composer."""
        super().__init__(chat)
        self._chat = chat
        self._chats = workspace.chats
        self._transcript = transcript
        self._composer = composer
        self._notices = notices
        self._left: MessageId | None = None
        """What was shown before the person went back to branch."""
        transcript.action_requested.connect(lambda message, action: self.act(MessageId(message), action))
        transcript.variant_requested.connect(lambda message, step: self.show_variant(MessageId(message), step))
        composer.edit_last.connect(self.edit_last)
        composer.aim_dropped.connect(self.drop_aim)
        composer.show_reply.connect(self.show_reply)

    def act(self, which: MessageId, action: str) -> None:
        """Carry out an action of a message."""
        tree = self._chat.tree
        message = tree.messages.get(which) if tree is not None else None
        if message is None:
            return
        if action == "regenerate" and message.parent is not None:
            self.ask(TurnRequest(message.conversation, answers=message.parent))
        elif action == "continue":
            self.ask(TurnRequest(message.conversation, continues=which))
        elif action == "edit":
            self._chat.writing.edit(message)
        elif action == "branch":
            self.branch(message)

    def ask(self, request: TurnRequest) -> bool:
        """Ask for a turn; whether it was taken, which a sentence explains if not."""
        try:
            self._chats.ask(request)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=SEND))
            return False
        self._notices.dismiss(SEND)
        return True

    def edit_last(self) -> None:
        """Edit the person's last message; one that still waits is taken back for it."""
        if self._composer.draft() or self._chat.writing.edited is not None:
            return
        tree = self._chat.tree
        if tree is None:
            return
        if self._chats.waiting(tree.conversation.id) is not None:
            self._chat.take_back()
            return
        last = next((each for each in reversed(tree.path()) if each.role == "user"), None)
        if last is not None:
            self._chat.writing.edit(last)

    # --- branches ----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Another chat is open, or another branch is shown."""
        self._left = None

    def branch(self, reply: Message) -> None:
        """Let the next message follow this reply; the way back stays at the composer."""
        tree = self._chat.tree
        if tree is None or tree.conversation.leaf == reply.id:
            return
        left = self._left or tree.conversation.leaf
        if self._chat.show_branch(reply.id):
            self._left = left
            self._transcript.jump_to_end()
            self._chat.show_composer()
        self._composer.focus_draft()

    def drop_aim(self) -> None:
        """Leave an edit, or else go back to the branch that was shown before."""
        tree, left = self._chat.tree, self._left
        if self._chat.writing.edited is not None:
            self._chat.writing.cancel()
        elif tree is not None and tree.conversation.leaf is not None:
            leaf = left or tree.newest_leaf(tree.conversation.leaf)
            self._chat.show_branch(leaf)
            self._transcript.jump_to_end()
        self._composer.focus_draft()

    def aim(self) -> Aim | None:
        """Where the next message goes, if not to the end of the chat."""
        tree = self._chat.tree
        if tree is None:
            return None
        if self._chat.writing.edited is not None:
            return wording.EDITING
        if self._left is not None:
            return wording.BRANCHING
        leaf = tree.conversation.leaf
        return wording.BRANCHED if leaf is not None and self._chat.goes_on_after(leaf) else None

    def show_variant(self, message: MessageId, step: int) -> None:
        """Show the branch that goes through the next or the previous variant of a message."""
        tree = self._chat.tree
        if tree is None or message not in tree.messages:
            return
        siblings = [each.id for each in self._chat.variants(message)]
        at = siblings.index(message) + step
        if 0 <= at < len(siblings):
            self._chat.show_branch(tree.newest_leaf(siblings[at]), variant=(message, siblings[at]))

    def show_reply(self) -> None:
        """Show the branch in which the reply is being written."""
        tree, running = self._chat.tree, self._chats.running
        if tree is not None and running is not None and running.reply.id in tree.messages:
            self._chat.show_branch(running.reply.id)
            self._transcript.jump_to_end()
