"""The chats: turns from the person's message to the stored reply, one at a time, the others waiting."""

import logging
from collections import deque
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.core.conversation import Conversation, ConversationId, Message, MessageId, new_conversation_id
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Failed, Prepared, PromptProgress, Saved, Text
from app.protocol.messages import Response
from app.protocol.parts import ModelInfo
from app.protocol.requests import Generate, Prepare
from app.services.engine_client import EngineClient
from app.services.reply_storing import ReplyStoring
from app.services.saved_states import SavedStates
from app.services.turn_text import TurnText
from app.services.turns import RunningTurn, TurnOutcome, TurnRequest, joined_draft
from app.storage.conversations import ConversationStore
from app.storage.records import storable

logger = logging.getLogger(__name__)


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
        self._text = TurnText(store)
        self._storing = ReplyStoring(store, self)
        self._storing.trouble.connect(self.storing_failed)
        self._preparing = 0
        """How many conversations are being restored ahead."""
        engine.model_changed.connect(self._model_changed)
        engine.load_failed.connect(self._load_failed)

    # --- conversations -----------------------------------------------------------------------------------------------

    def new_conversation(self, system_prompt: str = "", sampler: SamplerSettings | None = None) -> Conversation:
        """A new, empty conversation, stored."""
        sampler = sampler or SamplerSettings()
        conversation = Conversation(id=new_conversation_id(), system_prompt=system_prompt, sampler=sampler)
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
            raise EmberError("This chat is still being answered. Stop the reply, or wait for it.", "busy")
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

    @property
    def is_idle(self) -> bool:
        """Whether the engine has nothing to do for any conversation: no turn, nothing to save, nothing to restore."""
        return self.running is None and not (self._queue or self._saving or self._preparing)

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
        self._storing.close()

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
        begun = self._text.begin(request, model)
        engine_id = self._engine.new_id()
        ids = begun.prompt[-1].token_ids if request.continues is not None else ()
        self.running = RunningTurn(
            request,
            engine_id,
            begun.reply,
            model.tokenizer_key,
            leaf=begun.conversation.leaf,
            text=begun.reply.text,
            token_ids=list(ids or ()),
            is_exact=ids is not None,
            stored=len(ids or ()),
        )
        if begun.question is not None:
            self.message_added.emit(begun.question)
        self.message_added.emit(begun.reply)
        self._storing.follow(self.running)
        self._engine.send(
            Generate(
                id=engine_id,
                conversation=begun.conversation.id,
                messages=begun.prompt,
                sampler=request.sampler or begun.conversation.sampler,
                max_tokens=request.max_tokens,
                use_kv=request.use_kv,
                continues=request.continues is not None,
                save=self._saved.may_save(begun.conversation.id),
                started=begun.conversation.created,
            ),
            self._answered,
        )

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

    def _done(self, running: RunningTurn, done: Done) -> None:
        # This model's tokens may not give another model's words exactly: then those that stand there stay.
        is_whole = done.text.startswith(running.reply.text)
        text, ids = (done.text, done.token_ids) if is_whole else (running.text, None)
        reply = replace(running.reply, text=text, finish_reason=done.finish_reason, figures=done.figures, error=None)
        if running.came_to_nothing(text) and done.finish_reason == "cancelled":
            reply = running.reply
        known = ("system", reply.id)
        learned = {MessageId(key): each for key, each in done.prompt_ids.items() if key not in known}

        def write() -> None:
            self._storing.write_reply(reply, running, ids)
            self._store.store_token_ids(running.tokenizer, learned)
            self._record_tip(reply, done)

        self._storing.later(write)
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

        self._storing.later(write)
        self.turn_saved.emit(replace(outcome, reply=reply), answer.trouble)

    def _record_tip(self, reply: Message, answer: Done | Saved) -> None:
        """Note where the saved state of the reply's branch ends, if it is known by now. Raises EmberError."""
        if answer.root is not None and answer.tip is not None:
            self._saved.record(reply.id, answer.root, answer.tip, reply.model or "")

    # --- restoring ahead ---------------------------------------------------------------------------------------------

    def prepare(self, conversation: ConversationId) -> None:
        """Have the saved state of a conversation that was opened restored, before anything is typed.

        Does nothing while a reply is written or another model loads, and where nothing is saved or no model is there.
        """
        model = self._engine.model
        if model is None or self._engine.is_loading or self.running is not None or self._queue:
            return
        if not self._saved.may_save(conversation):
            return
        try:
            opened = self._store.get(conversation)
            if opened.leaf is None:
                return
            messages = self._text.prompt(opened, opened.leaf, model)
        except EmberError as error:
            logger.warning("not restored ahead: %s", error.sentence)
            return
        self._preparing += 1
        self._engine.send(
            Prepare(id=self._engine.new_id(), conversation=conversation, messages=messages, started=opened.created),
            self._prepared,
        )

    def _prepared(self, answer: Response) -> None:
        self._preparing -= 1
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
        if running.came_to_nothing(running.text):
            before = running.reply
            reply = before if cancelled else replace(reply, finish_reason=before.finish_reason)
        ids = running.ids
        self._storing.later(lambda: self._storing.write_reply(reply, running, ids))
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
        self._storing.release()
        self.running = None
        self.turn_ended.emit(outcome)
        self._begin_next()
        self.queue_changed.emit()
