"""The open conversation: its transcript, its composer, and the turns it asks for."""

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.core.context_budget import ContextBudget
from app.core.conversation import Conversation, ConversationId, ConversationTree, Message, MessageId
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.gui import wording
from app.gui.chat_deeds import SEND, ChatDeeds
from app.gui.composer import Composer
from app.gui.context_use import ContextUse
from app.gui.notices import Notice, NoticeBar
from app.gui.shown_messages import WAITING, shown_message, shown_page, waiting_message
from app.gui.transcript.shown import ShownMessage
from app.gui.transcript.view import TranscriptView
from app.gui.writing import STORE, Writing
from app.protocol.parts import ModelInfo
from app.services.turns import TurnOutcome, TurnRequest
from app.services.workspace import Workspace

NEW_CHAT_INSTRUCTIONS = "new_chat.instructions"
NEW_CHAT_SAMPLER = "new_chat.sampler"
FULL = "context-full"
REFUSED = "refused"
"""Keys of notices: a conversation is full, a turn could not begin."""


class OpenChat(QObject):
    """Shows one conversation, or a new one of which nothing is stored before its first message."""

    opened = Signal(object)
    """Conversation, or None for a new one."""
    content_changed = Signal(bool)
    """Whether there is any message to show."""
    figures_changed = Signal()
    """The tokens in use by this conversation may be others now."""
    draft_stored = Signal()

    def __init__(
        self,
        workspace: Workspace,
        transcript: TranscriptView,
        composer: Composer,
        notices: NoticeBar,
        parent: QObject,
    ) -> None:
        """Connect the parts; `open` or `start_new` shows something."""
        super().__init__(parent)
        self._workspace = workspace
        self._transcript = transcript
        self._composer = composer
        self._notices = notices
        self.conversation: Conversation | None = None
        self.tree: ConversationTree | None = None
        self._variants: dict[MessageId | None, list[Message]] = {}
        """The tree's messages by their parent."""
        self._reads_on = False
        """Whether a reply that is gone on with says below its words that it is being read."""
        self._instructions = ""
        self.writing = Writing(workspace, composer, notices, self)
        self._deeds = ChatDeeds(self, workspace, transcript, composer, notices)
        self._use = ContextUse(self, workspace, composer)
        self.tokens = self._use.tokens
        """What is counted of the draft and the instructions."""
        self._connect()

    def _connect(self) -> None:
        chats, engine = self._workspace.chats, self._workspace.engine
        self._use.changed.connect(self._use_changed)
        self._composer.send.connect(self.send)
        self._composer.stop.connect(self.stop)
        self._composer.take_back.connect(self.take_back)
        self._composer.new_chat.connect(self._new_with_draft)
        self.writing.stored.connect(self.draft_stored)
        self.writing.edited_changed.connect(self._edited_changed)
        chats.message_added.connect(self._message_added)
        chats.prefill_progress.connect(self._prefill)
        chats.text_added.connect(self._text_added)
        chats.turn_ended.connect(self._turn_ended)
        chats.queue_changed.connect(self.show_composer)
        chats.refused.connect(self._refused)
        chats.storing_failed.connect(self._storing_failed)
        engine.model_changed.connect(self._model_changed)
        engine.load_progress.connect(lambda _fraction: self.show_composer())
        engine.load_failed.connect(lambda _kind, _sentence: self.show_composer())
        engine.state_changed.connect(lambda _state: self.show_composer())

    # --- opening -----------------------------------------------------------------------------------------------------

    @property
    def conversation_id(self) -> ConversationId | None:
        """The open conversation's id; None for a new one."""
        return self.conversation.id if self.conversation is not None else None

    @property
    def instructions(self) -> str:
        """The system prompt of what is open."""
        return self.conversation.system_prompt if self.conversation is not None else self._instructions

    def open(self, conversation: ConversationId) -> None:
        """Show a stored conversation; raises EmberError if it cannot be read."""
        tree = self._workspace.store.tree(conversation)
        self.writing.store()
        self._notices.dismiss(FULL)
        self._take_tree(tree)
        self.writing.open(tree)
        self._show_messages()
        self._after_opening()

    def start_new(self, instructions: str | None = None, draft: str | None = None) -> None:
        """Show an empty conversation; it is stored with its first message."""
        self.writing.store()
        self._notices.dismiss(FULL)
        settings = self._workspace.settings
        self.conversation = self.tree = None
        self._instructions = settings.get(NEW_CHAT_INSTRUCTIONS, str, "") if instructions is None else instructions
        self.writing.open_new(draft)
        self._transcript.clear()
        self.content_changed.emit(False)
        self._after_opening()

    def leave(self) -> None:
        """Let go of the open conversation, which is being deleted, with its draft stored."""
        self.take_back()
        self.writing.leave()
        self.conversation = self.tree = None

    def _after_opening(self) -> None:
        self._deeds.forget()
        self.opened.emit(self.conversation)
        self.show_composer()
        self._use.begin()

    def set_instructions(self, text: str) -> None:
        """Change the system prompt of what is open."""
        if self.conversation is None:
            self._instructions = text
            self._workspace.settings.set(NEW_CHAT_INSTRUCTIONS, text)
        else:
            self._workspace.store.set_system_prompt(self.conversation.id, text)
            self.conversation = replace(self.conversation, system_prompt=text)
        self._use.count()

    def renamed(self, title: str) -> None:
        """The open conversation has another title."""
        if self.conversation is not None:
            self.conversation = replace(self.conversation, title=title)
            self.opened.emit(self.conversation)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the open conversation again, where it was changed otherwise than by a message at its end."""
        if self.conversation is not None:
            self._take_tree(self._workspace.store.tree(self.conversation.id))

    def _take_tree(self, tree: ConversationTree) -> None:
        self.tree, self.conversation = tree, tree.conversation
        self._variants = tree.children()

    def _show_messages(self) -> None:
        self._transcript.set_messages(self._page())
        self.content_changed.emit(bool(self._transcript.message_ids()))

    def _page(self) -> list[ShownMessage]:
        assert self.tree is not None
        chats = self._workspace.chats
        return shown_page(self.tree, self._variants, chats.running, chats.waiting(self.tree.conversation.id))

    def show_branch(self, leaf: MessageId, variant: tuple[MessageId, MessageId] | None = None) -> bool:
        """Show the path to `leaf` from now on; whether that could be stored.

        `variant`: the message that gives its place, and the one that takes it.
        """
        assert self.tree is not None
        try:
            self._workspace.store.set_leaf(self.tree.conversation.id, leaf)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=STORE))
            return False
        self._read()
        self._deeds.forget()
        if variant is None:
            self._show_messages()
        else:
            self._transcript.show_variant(*variant, self._page())
        self._use.show()
        self.show_composer()
        return True

    def variants(self, message: MessageId) -> list[Message]:
        """The variants of a message, itself included, oldest first."""
        assert self.tree is not None
        return self._variants[self.tree.messages[message].parent]

    def says(self, sentence: str) -> bool:
        """Whether the newest reply on the page ends with this sentence."""
        path = self.tree.path() if self.tree is not None else []
        return bool(path) and path[-1].error == sentence

    def _shown(self, message: Message) -> ShownMessage:
        assert self.tree is not None
        return shown_message(self.tree, self._variants, message, self._workspace.chats.running)

    def goes_on_after(self, message: MessageId) -> bool:
        """Whether the chat went on below a message in some branch."""
        return message in self._variants and self.tree is not None and self.tree.goes_on_after(message)

    def _is_here(self, conversation: ConversationId) -> bool:
        return self.conversation is not None and self.conversation.id == conversation

    def _message_added(self, message: Message) -> None:
        if not self._is_here(message.conversation):
            return
        assert self.tree is not None
        before = self.tree.conversation.leaf
        stored = self._workspace.store.get(message.conversation)  # its title comes with the first message
        self._take_tree(replace(self.tree, conversation=stored).with_message(message))
        if message.role == "user":
            self._transcript.remove_message(WAITING)
        if message.id == before:  # a reply that is gone on with
            self._transcript.update_message(self._shown(message))
        elif message.parent == before:
            self._show_parent(before)
            self._transcript.append_message(self._shown(message))
            self.content_changed.emit(True)
        else:  # the path is another one
            self._show_messages()
            if message.role == "user":
                self._transcript.jump_to_end()
        self._deeds.forget()
        if message.role == "user":
            self.opened.emit(self.conversation)  # the first message names the conversation
        self.show_composer()

    def _show_parent(self, message: MessageId | None) -> None:
        """A message that is not the last one any more offers other actions."""
        assert self.tree is not None
        if message is not None:
            self._transcript.update_message(self._shown(self.tree.messages[message]))

    def _prefill(self, reply: str, done: int, total: int) -> None:
        if self._runs_here() and total > 0:
            percent = f"Reading … {100 * done // total} %" if total > 1 else "Reading …"
            words = percent if done < total else "Thinking …"
            self._transcript.set_status(reply, words)
            running = self._workspace.chats.running
            if running is not None and running.reply.text and total > 1:
                self._reads_on = True
                self._transcript.update_message(replace(self._shown(running.reply), notice=words))

    def _text_added(self, reply: str, piece: str) -> None:
        running = self._workspace.chats.running
        if self._reads_on and running is not None:
            self._reads_on = False
            self._transcript.update_message(self._shown(running.reply))
        elif self._runs_here():
            self._transcript.append_text(reply, piece)

    def _runs_here(self) -> bool:
        running = self._workspace.chats.running
        return running is not None and self._is_here(running.request.conversation)

    def runs_in_sight(self) -> bool:
        """Whether the running reply stands in the branch that is shown."""
        running = self._workspace.chats.running
        return running is not None and running.reply.id in self._transcript.message_ids()

    def _turn_ended(self, outcome: TurnOutcome) -> None:
        self._reads_on = False
        if outcome.done is not None:
            for notice in outcome.done.notices:
                self._notices.show_notice(Notice(notice, "info", key=notice[:40]))
        if self._is_here(outcome.reply.conversation) and self.tree is not None:
            self._take_tree(self.tree.with_state(outcome.reply))
            self._transcript.update_message(self._shown(outcome.reply))
        self._use.show()
        self.show_composer()

    def _refused(self, request: TurnRequest, kind: str, sentence: str) -> None:
        """A turn that could not begin: its words go back into the composer, where they are still the draft."""
        here = self._is_here(request.conversation)
        if here and request.text is not None:
            self._read()
            self._give_back(request)
            self._show_messages()
        if here and kind == "context_full":
            self._tell_full(f"{sentence} Nothing was sent; your words are in the message field.")
        else:
            kept = " What you wrote is kept." if request.text is not None else ""
            self._notices.show_notice(Notice(f"{sentence}{kept}", "error", key=REFUSED))
        self.show_composer()

    def _storing_failed(self, trouble: str) -> None:
        if trouble:
            text = f"{trouble} The reply is not stored yet; Ember tries again every second."
            self._notices.show_notice(Notice(text, "error", key=STORE))
        else:
            self._notices.dismiss(STORE)

    # --- what the person does ----------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send a message; what cannot be sent goes back into the composer, with a sentence."""
        try:
            if self.conversation is None:
                sampler = self._workspace.settings.get(NEW_CHAT_SAMPLER, SamplerSettings, SamplerSettings())
                self.conversation = self._workspace.chats.new_conversation(self._instructions, sampler)
                self.writing.became(self.conversation.id)
                self._read()
                self.opened.emit(self.conversation)
        except EmberError as error:
            self._composer.set_draft(text)
            self._notices.show_notice(Notice(error.sentence, "error", key=SEND))
            return
        edited = self.writing.edited
        if not self._deeds.ask(
            TurnRequest(self.conversation.id, text, edits=edited.id if edited is not None else None)
        ):
            self._composer.set_draft(text)
            return
        self.writing.sent()
        self._notices.dismiss(REFUSED)
        request = self._workspace.chats.waiting(self.conversation.id)
        if request is not None and edited is None:
            self._transcript.append_message(waiting_message(request, self._workspace.chats.running))
            self.content_changed.emit(True)
        elif request is not None:
            self._show_messages()
            self._transcript.jump_to_end()

    def stop(self) -> None:
        """Stop this conversation's reply."""
        if self._runs_here():
            self._workspace.chats.stop()

    def take_back(self) -> None:
        """Take a waiting message back into the composer."""
        if self.conversation is None:
            return
        request = self._workspace.chats.waiting(self.conversation.id)
        self._workspace.chats.take_back(self.conversation.id)
        self._transcript.remove_message(WAITING)
        if request is not None and request.text:
            self._give_back(request)
            if request.edits is not None:  # the old message stands in its place again
                self._show_messages()

    def _give_back(self, request: TurnRequest) -> None:
        """The words of a request that is not carried out go to where they were written."""
        edited = self.tree.messages.get(request.edits) if self.tree is not None and request.edits else None
        self.writing.give_back(request, edited)

    def _tell_full(self, sentence: str) -> None:
        """What the engine found too long; a new chat is a way out only where this one has used some of the context."""
        way_out = [("New chat with the same instructions", self._new_with_draft)] if self._use.used() else []
        self._notices.show_notice(Notice(sentence, "warning", actions=way_out, key=FULL))

    def _new_with_draft(self) -> None:
        draft, instructions = self._composer.draft(), self.instructions
        if self.writing.edited is not None:
            self.writing.sent()
        else:
            self._composer.set_draft("")
        self.start_new(instructions, draft)
        self._composer.focus_draft()

    # --- composer and budget -----------------------------------------------------------------------------------------

    def store_draft(self) -> bool:
        """Store what is typed and not sent; False if it cannot be stored, which the window then says."""
        return self.writing.store()

    def _edited_changed(self) -> None:
        self._use.show()
        self.show_composer()

    def budget(self) -> ContextBudget | None:
        """What the conversation and the draft take of the context; None without a model."""
        return self._use.budget()

    def _use_changed(self) -> None:
        budget = self.budget()
        if budget is not None and not budget.fits:
            self._notices.dismiss(FULL)  # the composer says it, with figures
        self.figures_changed.emit()

    def _model_changed(self, model: ModelInfo | None) -> None:
        self._composer.set_model_name(wording.model_label(model) if model is not None else None)
        self.show_composer()
        self._use.count()

    def show_composer(self) -> None:
        """Bring the composer up to what can be sent now, and where to."""
        engine, chats = self._workspace.engine, self._workspace.chats
        self._composer.set_streaming(self._runs_here(), elsewhere=not self.runs_in_sight())
        self._composer.set_aim(self._deeds.aim())
        waits = self.conversation is not None and chats.waiting(self.conversation.id) is not None
        words = "Waiting for another reply to finish." if chats.running is not None else "Waiting for the model."
        self._composer.set_queued(waits, words)
        reason = None
        if engine.model is None and not engine.is_loading:
            reason = (
                "The engine is starting again." if engine.state == "restarting" else "Choose a model above to begin."
            )
        self._composer.set_enabled_reason(reason)
