"""The chats: turns from the person's message to the stored reply, one at a time, the others waiting."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.conversation import (
    UNTITLED,
    Conversation,
    ConversationId,
    Message,
    MessageId,
    new_conversation_id,
    new_message_id,
    title_from,
    was_cut,
)
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.protocol.messages import (
    ChatMessage,
    Done,
    Failed,
    Generate,
    ModelInfo,
    Prepare,
    Prepared,
    PromptProgress,
    Response,
    Saved,
    Text,
)
from app.services.engine_client import EngineClient
from app.services.model_library import display_name
from app.services.saved_states import SavedStates
from app.storage.conversations import ConversationStore
from app.storage.records import storable

logger = logging.getLogger(__name__)

PARTIAL_INTERVAL_MS = 1000
"""How often a streaming reply is stored: a killed window loses at most this much of it."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A turn that is wanted: a new message of the person's, another reply to an old one, or more of a reply."""

    conversation: ConversationId
    text: str | None = None
    """The person's message; None to answer `answers` again, or to go on with `continues`."""
    answers: MessageId | None = None
    continues: MessageId | None = None
    """A reply that was cut; it grows in place."""
    edits: MessageId | None = None
    """The message that `text` is another version of: both stay, as variants."""
    parent: MessageId | None = None
    """The message that `text` follows; None for the last one that is shown when it is asked."""
    max_tokens: int | None = None
    sampler: SamplerSettings | None = None
    """None: the conversation's own."""
    use_kv: bool = True


@dataclass(slots=True)
class RunningTurn:
    """The turn that the engine works on."""

    request: TurnRequest
    engine_id: int
    reply: Message
    """As it was when the turn began; one that is gone on with has its words already."""
    tokenizer: str
    leaf: MessageId | None = None
    """What was shown before."""
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    is_exact: bool = True
    """Whether the token ids are those of the whole text: of words that another model wrote they are not known."""
    stored: int = 0
    """How many of the token ids the last stored partial had."""

    @property
    def ids(self) -> tuple[int, ...] | None:
        """The exact ids of the text, if they are known."""
        return tuple(self.token_ids) if self.is_exact else None


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """How a turn ended: the reply as it was stored, and the engine's account of it unless it failed."""

    reply: Message
    done: Done | None = None
    failure: Failed | None = None


def typed_since(request: TurnRequest, draft: str) -> str:
    """The part of a stored draft that was typed after the request's own words."""
    return draft.removeprefix(request.text or "").lstrip("\n")


def joined_draft(sent: str | None, typed: str) -> str:
    """The words of a waiting request and what was typed after it, as one draft."""
    return "\n\n".join(filter(None, (sent, typed)))


def _came_to_nothing(running: RunningTurn, text: str) -> bool:
    """Whether a reply that was gone on with has no more words than before."""
    return running.request.continues is not None and text == running.reply.text


class Chats(QObject):
    """Runs turns for all conversations: stores the text first, then asks the engine."""

    message_added = Signal(object)
    """Message: a person's, or a reply that begins or is gone on with."""
    prefill_progress = Signal(str, int, int)
    """(reply's id, done, total tokens)"""
    text_added = Signal(str, str)
    """(reply's id, piece)"""
    turn_ended = Signal(object)
    """TurnOutcome"""
    turn_saved = Signal(object, str)
    """(TurnOutcome, a sentence if its state could not be saved): after turn_ended, when all of the turn's work is done;
    the reply's figures then say what was written."""
    prepared = Signal(object)
    """Prepared: an opened conversation's state is in memory, as far as it is saved."""
    storing_failed = Signal(str)
    """Why a reply cannot be stored now; storing is tried again every second. Empty when it could be again."""
    queue_changed = Signal()
    """What waits or runs has changed."""
    refused = Signal(object, str, str)
    """(TurnRequest, kind, sentence): a turn that could not begin; nothing was stored."""

    def __init__(
        self, store: ConversationStore, engine: EngineClient, saved: SavedStates, parent: QObject | None = None
    ) -> None:
        """Work on `store` with `engine`; `saved` knows what is saved of each conversation's state."""
        super().__init__(parent)
        self._store = store
        self._engine = engine
        self._saved = saved
        self._saving: dict[int, TurnOutcome] = {}
        """By request: turns that are over, whose state is still being saved."""
        self.running: RunningTurn | None = None
        self._queue: deque[TurnRequest] = deque()
        self._unstored: deque[Callable[[], None]] = deque()
        """What could not be written to the database, oldest first."""
        self._storing_trouble = ""
        self._partials = QTimer(self)
        self._partials.setInterval(PARTIAL_INTERVAL_MS)
        self._partials.timeout.connect(self._store_partial)
        engine.model_changed.connect(self._model_changed)
        engine.load_failed.connect(self._load_failed)

    # --- conversations -----------------------------------------------------------------------------------------------

    def new_conversation(self, system_prompt: str = "") -> Conversation:
        """A new, empty conversation, stored."""
        conversation = Conversation(id=new_conversation_id(), system_prompt=system_prompt)
        self._store.create(conversation)
        return conversation

    # --- turns -------------------------------------------------------------------------------------------------------

    def ask(self, request: TurnRequest) -> None:
        """Begin the turn, or let it wait for the one that runs or for the model that loads.

        Raises EmberError for an empty message, and when no model is there to answer.
        """
        if request.text is not None and not request.text.strip():
            raise EmberError("There is nothing to send yet. Write something first.", "empty_prompt")
        if self._engine.model is None and not self._engine.is_loading:
            raise EmberError("No model is loaded. Choose one; what you wrote is kept.", "no_model")
        if self.is_busy(request.conversation):
            raise EmberError("This conversation is still being answered. Stop the reply, or wait for it.", "busy")
        if request.text is not None:
            request = self._keep_words(request, storable(request.text))
        self._queue.append(request)
        self._begin_next()
        self.queue_changed.emit()

    def _keep_words(self, request: TurnRequest, text: str) -> TurnRequest:
        """Keep the words as the draft, should Ember end while they wait, and the place where they are going.

        What is edited leaves the draft free for other words: those stay in it.
        """
        stored = self._store.get(request.conversation)
        draft = text if request.edits is None else joined_draft(text, stored.draft)
        self._store.set_draft(request.conversation, draft)
        parent = stored.leaf if request.parent is None and request.edits is None else request.parent
        return replace(request, text=text, parent=parent)

    def is_busy(self, conversation: ConversationId) -> bool:
        """Whether a turn of this conversation runs or waits."""
        return self.is_running(conversation) or self.waiting(conversation) is not None

    def is_running(self, conversation: ConversationId | None) -> bool:
        """Whether the engine works on this conversation, or (None) on any."""
        return self.running is not None and conversation in (None, self.running.request.conversation)

    def waiting(self, conversation: ConversationId) -> TurnRequest | None:
        """The turn of this conversation that waits, if one does."""
        return next((request for request in self._queue if request.conversation == conversation), None)

    @property
    def waiting_conversations(self) -> tuple[ConversationId, ...]:
        """The conversations whose turns wait, the oldest turn first."""
        return tuple(request.conversation for request in self._queue)

    def take_back(self, conversation: ConversationId) -> str | None:
        """Take a waiting turn out of the queue; its text, which is still the conversation's draft."""
        request = self.waiting(conversation)
        if request is None:
            return None
        self._queue.remove(request)
        self.queue_changed.emit()
        return request.text or ""

    def stop(self) -> None:
        """Stop the running turn; what has come of the reply is kept, and turn_ended follows."""
        if self.running is not None:
            self._engine.cancel(self.running.engine_id)

    def close(self) -> None:
        """Store what has come of the running reply; what waits stays a draft."""
        self._queue.clear()
        if self.running is not None:
            self._failed(self.running, Failed(id=self.running.engine_id, kind="cancelled", sentence=""))
        self._store_waiting()
        self._partials.stop()

    def _model_changed(self, model: ModelInfo | None) -> None:
        self._begin_next()
        if model is None and not self._engine.is_loading:
            self._hand_back("no_model", "No model is loaded any more.")

    def _load_failed(self, kind: str, sentence: str) -> None:
        """The model that was there before answers what waits; where none was, hand it back."""
        self._begin_next()
        if self._engine.is_loading or self._engine.model is not None:
            return
        self._hand_back(kind, sentence)

    def _hand_back(self, kind: str, sentence: str) -> None:
        """Nothing will answer what waits: its words go back to the person."""
        while self._queue:
            self.refused.emit(self._queue.popleft(), kind, sentence)
        self.queue_changed.emit()

    def _begin_next(self) -> None:
        """Begin the oldest waiting turn if the engine is free and has a model, and no other is about to replace it."""
        engine = self._engine
        while self.running is None and self._queue and engine.model is not None and not engine.is_loading:
            request = self._queue.popleft()
            try:
                self._begin(request, engine.model)
            except EmberError as error:
                self.refused.emit(request, error.kind, error.sentence)
            self.queue_changed.emit()

    def _begin(self, request: TurnRequest, model: ModelInfo) -> None:
        """Store the message and an empty reply, then ask the engine. Raises EmberError."""
        with self._store.database.transaction():
            conversation = self._store.get(request.conversation)
            question = self._add_question(request, conversation)
            if request.continues is not None:
                reply = self._cut_reply(conversation, request.continues)
            else:
                reply = self._add_reply(request, question, model)
            prompt = self._prompt(conversation, reply.id, model)
        engine_id = self._engine.new_id()
        ids = prompt[-1].token_ids if request.continues is not None else ()
        self.running = RunningTurn(
            request,
            engine_id,
            reply,
            model.tokenizer_key,
            leaf=conversation.leaf,
            text=reply.text,
            token_ids=list(ids or ()),
            is_exact=ids is not None,
            stored=len(ids or ()),
        )
        if question is not None:
            self.message_added.emit(question)
        self.message_added.emit(reply)
        self._partials.start()
        self._engine.send(
            Generate(
                id=engine_id,
                conversation=conversation.id,
                messages=prompt,
                sampler=request.sampler or conversation.sampler,
                max_tokens=request.max_tokens,
                use_kv=request.use_kv,
                continues=request.continues is not None,
                save=self._saved.may_save(conversation.id),
                started=conversation.created,
            ),
            self._answered,
        )

    def _add_question(self, request: TurnRequest, conversation: Conversation) -> Message | None:
        """Store the person's message; None where an old one is answered again, or a reply gone on with."""
        if request.text is None:
            return None
        parent = request.parent
        if request.edits is not None:
            parent = self._message(conversation, request.edits).parent
        question = Message(new_message_id(), conversation.id, parent, "user", request.text)
        self._store.add_message(question)
        if conversation.title == UNTITLED and conversation.leaf is None:
            self._store.rename(conversation.id, title_from(request.text), by_person=False)
        self._store.set_draft(conversation.id, typed_since(request, conversation.draft))
        return question

    def _add_reply(self, request: TurnRequest, question: Message | None, model: ModelInfo) -> Message:
        """Store an empty reply to the new message, or another one to an old message."""
        parent = question.id if question is not None else request.answers
        if parent is None:
            raise EmberError("There is no message to answer.", "empty_prompt")
        author = display_name(model.path, model.name)
        reply = Message(new_message_id(), request.conversation, parent, "assistant", "", model=author)
        self._store.add_message(reply)
        return reply

    def _cut_reply(self, conversation: Conversation, which: MessageId) -> Message:
        """The reply to go on with, which is shown from now on; it stays as it is until more of it has come."""
        reply = self._message(conversation, which)
        if not was_cut(reply) or which in self._store.tree(conversation.id).children():
            raise EmberError("This reply is whole, or the chat has gone on after it.", "not_cut")
        self._store.set_leaf(conversation.id, which)
        return reply

    def _message(self, conversation: Conversation, which: MessageId) -> Message:
        """A message of the conversation; raises EmberError (no_message)."""
        message = self._store.tree(conversation.id).messages.get(which)
        if message is None:
            raise EmberError(f"There is no message “{which}” in this conversation; nothing was changed.", "no_message")
        return message

    def _prompt(self, conversation: Conversation, leaf: MessageId, model: ModelInfo) -> tuple[ChatMessage, ...]:
        """The path to `leaf` as the engine wants it, with the exact ids known for this tokenizer."""
        path = self._store.path(conversation.id, leaf)
        ids = self._store.token_ids(conversation.id, model.tokenizer_key)
        prompt = [ChatMessage(id=m.id, role=m.role, text=m.text, token_ids=ids.get(m.id)) for m in path if m.text]
        if conversation.system_prompt.strip():
            prompt.insert(0, ChatMessage(id="system", role="system", text=conversation.system_prompt))
        return tuple(prompt)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answered(self, answer: Response) -> None:
        if answer.id in self._saving and isinstance(answer, Saved | Failed):
            self._turn_saved(self._saving.pop(answer.id), answer)
            return
        running = self.running
        if running is None or answer.id != running.engine_id:
            return
        if isinstance(answer, PromptProgress):
            self.prefill_progress.emit(running.reply.id, answer.done, answer.total)
        elif isinstance(answer, Text):
            running.text += answer.text
            running.token_ids.extend(answer.token_ids)
            if answer.text:
                self.text_added.emit(running.reply.id, answer.text)
        elif isinstance(answer, Done):
            self._done(running, answer)
        elif isinstance(answer, Failed):
            self._failed(running, answer)

    def _store_later(self, write: Callable[[], None]) -> None:
        """Write to the database now, or, if it cannot be written, again every second until it can."""
        self._unstored.append(write)
        self._store_waiting()

    def _store_waiting(self) -> None:
        """Write what waits, in order."""
        while self._unstored:
            try:
                self._unstored[0]()
            except EmberError as error:
                if error.kind != "no_message":  # a reply that was deleted for good has nowhere to be written
                    self._tell_storing(error.sentence)
                    self._partials.start()
                    return
            self._unstored.popleft()
        self._tell_storing("")
        if self.running is None:
            self._partials.stop()

    def _tell_storing(self, trouble: str) -> None:
        """Report a trouble with the database once, and its end."""
        if trouble != self._storing_trouble:
            self._storing_trouble = trouble
            self.storing_failed.emit(trouble)

    def _store_partial(self) -> None:
        running = self.running
        if self._unstored:
            self._store_waiting()
        elif running is not None and len(running.token_ids) > running.stored:
            grown = replace(running.reply, text=running.text, finish_reason=None, error=None)
            try:
                self._write_reply(grown, running, running.ids)
            except EmberError as error:  # the whole reply is still in memory: the next second tries again
                self._tell_storing(error.sentence)
            else:
                self._tell_storing("")
                running.stored = len(running.token_ids)

    def _write_reply(self, reply: Message, running: RunningTurn, ids: tuple[int, ...] | None) -> None:
        """Store what a reply is by now, with its exact ids where they are known."""
        self._store.update_reply(
            reply.id,
            text=reply.text,
            finish_reason=reply.finish_reason,
            figures=reply.figures,
            error=reply.error,
            tokenizer=running.tokenizer if ids is not None else None,
            token_ids=ids,
        )

    def _done(self, running: RunningTurn, done: Done) -> None:
        # This model's tokens may not give another model's words exactly: then those that stand there stay.
        is_whole = done.text.startswith(running.reply.text)
        text, ids = (done.text, done.token_ids) if is_whole else (running.text, None)
        reply = replace(running.reply, text=text, finish_reason=done.finish_reason, figures=done.figures, error=None)
        if _came_to_nothing(running, text) and done.finish_reason == "cancelled":
            reply = running.reply
        known = ("system", reply.id)
        learned = {MessageId(key): each for key, each in done.prompt_ids.items() if key not in known}

        def write() -> None:
            self._write_reply(reply, running, ids)
            self._store.store_token_ids(running.tokenizer, learned)
            self._record_tip(reply, done)

        self._store_later(write)
        outcome = TurnOutcome(reply, done=done)
        self._saving[done.id] = outcome
        self._end(outcome)

    def _turn_saved(self, outcome: TurnOutcome, answer: Saved | Failed) -> None:
        """Note what was written and where the branch's saved state ends; an engine that died saved nothing."""
        figures = outcome.reply.figures
        if isinstance(answer, Failed) or figures is None:
            self.turn_saved.emit(outcome, answer.sentence if isinstance(answer, Failed) else "")
            return
        written = replace(figures, kv=replace(figures.kv, bytes_written=answer.bytes_written))
        reply = replace(outcome.reply, figures=written)

        def write() -> None:
            self._store.set_figures(reply.id, written)
            self._record_tip(reply, answer)

        self._store_later(write)
        self.turn_saved.emit(replace(outcome, reply=reply), answer.trouble)

    def _record_tip(self, reply: Message, answer: Done | Saved) -> None:
        """Note where the saved state of the reply's branch ends, if it is known by now. Raises EmberError."""
        if answer.root is not None and answer.tip is not None:
            self._saved.record(reply.id, answer.root, answer.tip, reply.model or "")

    # --- restoring ahead ---------------------------------------------------------------------------------------------

    def prepare(self, conversation: ConversationId) -> None:
        """Have the saved state of a conversation that was opened restored, before anything is typed.

        Does nothing while a reply is written, and where nothing is saved or no model is there.
        """
        model = self._engine.model
        if model is None or self.running is not None or self._queue or not self._saved.may_save(conversation):
            return
        try:
            opened = self._store.get(conversation)
            if opened.leaf is None:
                return
            messages = self._prompt(opened, opened.leaf, model)
        except EmberError as error:
            logger.warning("not restored ahead: %s", error.sentence)
            return
        self._engine.send(
            Prepare(id=self._engine.new_id(), conversation=conversation, messages=messages, started=opened.created),
            self._prepared,
        )

    def _prepared(self, answer: Response) -> None:
        if isinstance(answer, Prepared):
            self.prepared.emit(answer)
            self._engine.refresh_statistics()

    def _failed(self, running: RunningTurn, failed: Failed) -> None:
        """Keep what has come, with the sentence that says why no more did."""
        cancelled = failed.kind == "cancelled"
        reply = replace(
            running.reply,
            text=running.text,
            finish_reason="cancelled" if cancelled else "failed",
            error=None if cancelled else failed.sentence,
        )
        if _came_to_nothing(running, running.text):
            before = running.reply
            reply = before if cancelled else replace(reply, finish_reason=before.finish_reason)
        ids = running.ids
        self._store_later(lambda: self._write_reply(reply, running, ids))
        self._end(TurnOutcome(reply, failure=failed))
        if failed.kind == "context_full" and not reply.text:
            self._give_back(running)

    def _give_back(self, running: RunningTurn) -> None:
        """A message that does not fit into the context: leave it out of the path, its words go to the person."""
        request = running.request
        if request.text is None:
            return
        conversation = self._store.get(request.conversation)
        if conversation.leaf == running.reply.id:  # else another branch was chosen since
            self._store.set_leaf(request.conversation, running.leaf)
        self._store.set_draft(request.conversation, joined_draft(request.text, conversation.draft))
        self.refused.emit(request, "context_full", "This message does not fit into what is left of the context.")

    def _end(self, outcome: TurnOutcome) -> None:
        if not self._unstored:
            self._partials.stop()
        self.running = None
        self.turn_ended.emit(outcome)
        self._begin_next()
        self.queue_changed.emit()
