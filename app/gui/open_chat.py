"""The open conversation: its transcript, its composer, and the turns it asks for."""

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.context_budget import ContextBudget
from app.core.conversation import Conversation, ConversationId, ConversationTree, Message, MessageId
from app.core.errors import EmberError
from app.gui import wording
from app.gui.composer import Composer
from app.gui.notices import Notice, NoticeBar
from app.gui.shown_messages import WAITING, shown_message, waiting_message
from app.gui.token_counts import TokenCounts, used_tokens
from app.gui.transcript.shown import ShownMessage
from app.gui.transcript.view import TranscriptView
from app.protocol.messages import ModelInfo, Statistics
from app.services.chats import TurnOutcome, TurnRequest, joined_draft, typed_since
from app.services.workspace import Workspace

DRAFT_STORE_MS = 500
DRAFT_COUNT_MS = 250
NEW_CHAT_DRAFT = "new_chat.draft"
NEW_CHAT_INSTRUCTIONS = "new_chat.instructions"
FULL = "context-full"
STORE = "not-stored"
REFUSED = "refused"
"""Keys of notices: a conversation is full, a reply or draft could not be stored, a turn could not begin."""


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
        self._tree: ConversationTree | None = None
        self._variants: dict[MessageId | None, list[Message]] = {}
        """The tree's messages by their parent."""
        self._shows = False
        """Whether the composer holds the open conversation's draft."""
        self._instructions = ""
        self.tokens = TokenCounts(workspace.engine, self)
        self._live_tokens = 0
        """What the context holds of this conversation while its reply is written."""
        self._store_timer = self._timer(DRAFT_STORE_MS, self.store_draft)
        self._count_timer = self._timer(DRAFT_COUNT_MS, self._count_draft)
        self._connect()

    def _timer(self, interval: int, call: object) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(call)
        return timer

    def _connect(self) -> None:
        chats, engine = self._workspace.chats, self._workspace.engine
        self.tokens.changed.connect(self._show_budget)
        self._composer.send.connect(self.send)
        self._composer.stop.connect(self.stop)
        self._composer.take_back.connect(self.take_back)
        self._composer.new_chat.connect(self._new_with_draft)
        self._composer.draft_changed.connect(self._draft_changed)
        self._transcript.action_requested.connect(self._act)
        self._transcript.variant_requested.connect(self._show_variant)
        chats.message_added.connect(self._message_added)
        chats.prefill_progress.connect(self._prefill)
        chats.text_added.connect(self._text_added)
        chats.turn_ended.connect(self._turn_ended)
        chats.queue_changed.connect(self._show_composer)
        chats.refused.connect(self._refused)
        chats.storing_failed.connect(self._storing_failed)
        engine.model_changed.connect(self._model_changed)
        engine.load_progress.connect(lambda _fraction: self._show_composer())
        engine.load_failed.connect(lambda _kind, _sentence: self._show_composer())
        engine.state_changed.connect(lambda _state: self._show_composer())
        engine.statistics.connect(self._take_statistics)

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
        self.store_draft()
        self._notices.dismiss(FULL)
        self._take_tree(tree)
        request = self._workspace.chats.waiting(conversation)
        draft = tree.conversation.draft
        self._composer.open_draft(draft if request is None else typed_since(request, draft))
        self._show_messages()
        self._after_opening()

    def start_new(self, instructions: str | None = None, draft: str | None = None) -> None:
        """Show an empty conversation; it is stored with its first message."""
        self.store_draft()
        self._notices.dismiss(FULL)
        settings = self._workspace.settings
        self.conversation = self._tree = None
        self._instructions = settings.get(NEW_CHAT_INSTRUCTIONS, str, "") if instructions is None else instructions
        self._composer.open_draft(settings.get(NEW_CHAT_DRAFT, str, "") if draft is None else draft)
        self._transcript.clear()
        self.content_changed.emit(False)
        self._after_opening()

    def leave(self) -> None:
        """Let go of the open conversation, which is being deleted, with its draft stored."""
        self.take_back()
        self.store_draft()
        self._shows = False
        self.conversation = self._tree = None

    def _after_opening(self) -> None:
        self._shows = True
        self._live_tokens = 0
        self.opened.emit(self.conversation)
        self._show_composer()
        self.tokens.forget("draft", "instructions")
        self._count_draft()
        self._count_instructions()

    def set_instructions(self, text: str) -> None:
        """Change the system prompt of what is open."""
        if self.conversation is None:
            self._instructions = text
            self._workspace.settings.set(NEW_CHAT_INSTRUCTIONS, text)
        else:
            self._workspace.store.set_system_prompt(self.conversation.id, text)
            self.conversation = replace(self.conversation, system_prompt=text)
        self._count_instructions()

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
        self._tree, self.conversation = tree, tree.conversation
        self._variants = tree.children()

    def _show_messages(self) -> None:
        assert self._tree is not None
        shown = [self._shown(message) for message in self._tree.path()]
        waiting = self._waiting()
        if waiting is not None:
            shown.append(waiting)
        self._transcript.set_messages(shown)
        self.content_changed.emit(bool(shown))

    def says(self, sentence: str) -> bool:
        """Whether the newest reply on the page ends with this sentence."""
        path = self._tree.path() if self._tree is not None else []
        return bool(path) and path[-1].error == sentence

    def _waiting(self) -> ShownMessage | None:
        """A message of the open conversation that waits to be sent, as it is shown."""
        chats = self._workspace.chats
        request = chats.waiting(self.conversation.id) if self.conversation is not None else None
        if request is None or request.text is None:
            return None
        until = "the model is loaded" if chats.running is None else "the other reply is done"
        return waiting_message(request.text, until)

    def _shown(self, message: Message) -> ShownMessage:
        running = self._workspace.chats.running
        streamed = running.text if running is not None and running.reply.id == message.id else None
        return shown_message(message, self._variants[message.parent], streamed)

    def _is_here(self, conversation: ConversationId) -> bool:
        return self.conversation is not None and self.conversation.id == conversation

    def _message_added(self, message: Message) -> None:
        if not self._is_here(message.conversation):
            return
        assert self._tree is not None
        before = self._tree.conversation.leaf
        stored = self._workspace.store.get(message.conversation)  # its title comes with the first message
        self._take_tree(replace(self._tree, conversation=stored).with_message(message))
        if message.role == "user":
            self._transcript.remove_message(WAITING)
        if message.parent == before:
            self._transcript.append_message(self._shown(message))
            self.content_changed.emit(True)
        else:  # another reply to an earlier message: the path is another one
            self._show_messages()
        if message.role == "user":
            self.opened.emit(self.conversation)  # the first message names the conversation
        self._show_composer()

    def _prefill(self, reply: str, done: int, total: int) -> None:
        if self._runs_here() and total > 0:
            percent = f"Reading … {100 * done // total} %" if total > 1 else "Reading …"
            self._transcript.set_status(reply, percent if done < total else "Thinking …")

    def _text_added(self, reply: str, piece: str) -> None:
        if self._runs_here():
            self._transcript.append_text(reply, piece)

    def _runs_here(self) -> bool:
        running = self._workspace.chats.running
        return running is not None and self._is_here(running.request.conversation)

    def _turn_ended(self, outcome: TurnOutcome) -> None:
        if outcome.done is not None:
            for notice in outcome.done.notices:
                self._notices.show_notice(Notice(notice, "info", key=notice[:40]))
        if self._is_here(outcome.reply.conversation) and self._tree is not None:
            self._take_tree(self._tree.with_message(outcome.reply))
            self._transcript.update_message(self._shown(outcome.reply))
        self._show_budget()
        self._show_composer()

    def _refused(self, request: TurnRequest, kind: str, sentence: str) -> None:
        """A turn that could not begin: its words go back into the composer, where they are still the draft."""
        here = self._is_here(request.conversation)
        if here and request.text is not None:
            self._composer.set_draft(joined_draft(request.text, self._composer.draft()))
            self._read()
            self._show_messages()
        if here and kind == "context_full":
            self._tell_full(f"{sentence} Nothing was sent; your words are in the message field.")
        else:
            self._notices.show_notice(Notice(f"{sentence} What you wrote is kept.", "error", key=REFUSED))
        self._show_composer()

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
                self.conversation = self._workspace.chats.new_conversation(self._instructions)
                self._workspace.settings.set(NEW_CHAT_DRAFT, "")
                self._read()
                self.opened.emit(self.conversation)
            self._workspace.chats.ask(TurnRequest(self.conversation.id, text))
        except EmberError as error:
            self._composer.set_draft(text)
            self._notices.show_notice(Notice(error.sentence, "error", key="send"))
        else:
            waiting = self._waiting()
            if waiting is not None:
                self._transcript.append_message(waiting)
                self.content_changed.emit(True)
            self._notices.dismiss("send")
            self._notices.dismiss(REFUSED)

    def stop(self) -> None:
        """Stop this conversation's reply."""
        if self._runs_here():
            self._workspace.chats.stop()

    def take_back(self) -> None:
        """Take a waiting message back into the composer."""
        if self.conversation is not None:
            text = self._workspace.chats.take_back(self.conversation.id)
            self._transcript.remove_message(WAITING)
            if text:
                self._composer.set_draft(joined_draft(text, self._composer.draft()))

    def regenerate(self, reply: MessageId) -> None:
        """Ask for another reply to the same message; the old one stays as a variant."""
        tree = self._tree
        if tree is None or reply not in tree.messages or self.conversation is None:
            return
        try:
            self._workspace.chats.ask(TurnRequest(self.conversation.id, answers=tree.messages[reply].parent))
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key="send"))

    def _act(self, message: str, action: str) -> None:
        if action == "regenerate":
            self.regenerate(MessageId(message))

    def _show_variant(self, message: str, step: int) -> None:
        """Show the branch that goes through the next or the previous variant of a message."""
        tree = self._tree
        if tree is None or self.conversation is None or self._workspace.chats.is_busy(self.conversation.id):
            return
        siblings = self._variants[tree.messages[MessageId(message)].parent]
        at = [sibling.id for sibling in siblings].index(MessageId(message)) + step
        if 0 <= at < len(siblings):
            self._workspace.store.set_leaf(self.conversation.id, tree.newest_leaf(siblings[at].id))
            self._read()
            self._show_messages()
            self._show_budget()

    def _tell_full(self, sentence: str) -> None:
        """What the engine found too long; a new chat is a way out only where this one has used some of the context."""
        way_out = [("New chat with the same instructions", self._new_with_draft)] if self.used_tokens() else []
        self._notices.show_notice(Notice(sentence, "warning", actions=way_out, key=FULL))

    def _new_with_draft(self) -> None:
        draft, instructions = self._composer.draft(), self.instructions
        self._composer.set_draft("")
        self.start_new(instructions, draft)
        self._composer.focus_draft()

    # --- draft and budget --------------------------------------------------------------------------------------------

    def store_draft(self) -> bool:
        """Store what is typed and not sent; False if it cannot be stored, which the window then says."""
        self._store_timer.stop()
        if not self._shows:
            return True
        draft = self._composer.draft()
        try:
            if self.conversation is None:
                self._workspace.settings.set(NEW_CHAT_DRAFT, draft)
            else:
                request = self._workspace.chats.waiting(self.conversation.id)
                draft = joined_draft(request.text, draft) if request is not None else draft
                if draft != self.conversation.draft:
                    self._workspace.store.set_draft(self.conversation.id, draft)
                    self.conversation = replace(self.conversation, draft=draft)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=STORE))
            return False
        self.draft_stored.emit()
        return True

    def _draft_changed(self, text: str) -> None:
        self._store_timer.start()
        self._count_timer.start()
        budget = None if self._composer.fits() else self.budget()
        if budget is not None and len(text.encode("utf-8", "surrogatepass")) <= budget.remaining + budget.draft:
            self.tokens.forget("draft")  # no more tokens than bytes: it may be sent before it is counted

    def used_tokens(self) -> int:
        """Tokens of the open conversation in the context after its last turn; 0 before the first."""
        return used_tokens(self._tree.path()) if self._tree is not None else 0

    def budget(self) -> ContextBudget | None:
        """What the conversation and the draft take of the context; None without a model."""
        model = self._workspace.engine.model
        if model is None:
            return None
        used = max(self.used_tokens(), self._live_tokens if self._runs_here() else 0)
        return ContextBudget(limit=model.context, used=used, draft=self.tokens.of("draft"))

    def _take_statistics(self, statistics: Statistics) -> None:
        here = self.conversation_id
        self._live_tokens = statistics.context_used if statistics.live_conversation == here else 0
        if self._runs_here():
            self._show_budget()

    def _count_draft(self) -> None:
        self.tokens.count("draft", self._composer.draft())

    def _count_instructions(self) -> None:
        self.tokens.count("instructions", self.instructions)

    def _show_budget(self) -> None:
        budget = self.budget()
        self._composer.set_budget(budget)
        if budget is not None and not budget.fits:
            self._notices.dismiss(FULL)  # the composer says it, with figures
        self.figures_changed.emit()

    def _model_changed(self, model: ModelInfo | None) -> None:
        self._composer.set_model_name(wording.model_label(model) if model is not None else None)
        self._show_composer()
        self._count_draft()
        self._count_instructions()

    def _show_composer(self) -> None:
        engine, chats = self._workspace.engine, self._workspace.chats
        self._composer.set_streaming(self._runs_here())
        waits = self.conversation is not None and chats.waiting(self.conversation.id) is not None
        words = "Waiting for another reply to finish." if chats.running is not None else "Waiting for the model."
        self._composer.set_queued(waits, words)
        reason = None
        if engine.model is None and not engine.is_loading:
            reason = (
                "The engine is starting again." if engine.state == "restarting" else "Choose a model above to begin."
            )
        self._composer.set_enabled_reason(reason)
