"""One turn: the prompt from the conversation, prefill of what is new, and the decode loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.core.errors import EmberError
from app.core.ledger import common_prefix
from app.core.reread import explain_reread
from app.core.stream_text import StreamText
from app.core.turn import FinishReason, KvFigures, Reread, TokenCounts, TurnFigures, TurnSeconds
from app.core.units import format_count
from app.engine.context import Context, Interrupted
from app.engine.model import Model
from app.engine.prompt import PromptBuilder, TurnPrompt
from app.engine.sampler import Sampler
from app.engine.saved_state import SavedState
from app.engine.sequence import LiveSequence, Resumed, prefill
from app.protocol.answers import Done, PromptProgress, Text
from app.protocol.messages import Answer
from app.protocol.requests import Generate, Prepare

TEXT_INTERVAL = 1 / 30
"""Seconds between two pieces of text that are sent."""
SWITCHED_OFF = "Reuse was switched off for this turn."


@dataclass(slots=True)
class _Reply:
    """The reply so far: its ids, its text, and what of both is not sent yet."""

    opening: str
    """What the generation prompt has opened already, such as `<think>`; part of the text, not of the ids."""
    ids: list[int] = field(default_factory=list)
    """All that were generated, also those of a character that is not whole yet: they are in the context."""
    text: str = ""
    sent_ids: int = 0
    sent_text: int = 0
    begun: int = 0
    """How many of the ids were there before this turn."""
    stream: StreamText = field(default_factory=StreamText)

    @property
    def generated(self) -> int:
        """The ids of this turn."""
        return len(self.ids) - self.begun

    def take_up(self, ids: Sequence[int], piece: Callable[[int], bytes]) -> None:
        """Go on with a reply that has these ids; nothing of it is sent again."""
        for token in ids:
            self.add(token, piece(token))
        self.begun = self.sent_ids = len(self.ids)
        self.sent_text = len(self.text)

    def add(self, token: int, piece: bytes) -> None:
        """Take in a generated token."""
        self.ids.append(token)
        self.text += self.stream.feed(piece)

    def take_unsent(self) -> tuple[str, tuple[int, ...]]:
        """What has not been sent: whole characters, and all ids."""
        text, ids = self.text[self.sent_text :], tuple(self.ids[self.sent_ids :])
        self.sent_text, self.sent_ids = len(self.text), len(self.ids)
        return text, ids


class TurnRunner:
    """Runs turns of one model in one context."""

    def __init__(self, model: Model, builder: PromptBuilder, context: Context, sequence: LiveSequence) -> None:
        """Hold what a turn needs; all of it belongs to the calling thread."""
        self._vocabulary = model.vocabulary
        self._builder = builder
        self._context = context
        self._sequence = sequence
        self.boundaries: tuple[int, ...] = ()
        """Where the chunks of the latest turn's prompt are cut."""

    def run(
        self,
        request: Generate,
        send: Callable[[Answer], None],
        stopped: Callable[[], bool],
        bytes_per_token: int,
    ) -> Done:
        """Answer the conversation, sending progress and text on the way.

        Raises EmberError; the sequence is sound afterwards in any case.
        """
        started = time.perf_counter()
        turn = self._builder.build(request.messages, request.started, continues=request.continues)
        self._check_room(turn.ids)
        self.boundaries = turn.boundaries.chunks
        resumed, reread = self._resume(request, turn, stopped)
        evaluated, kept = 0, resumed.tokens

        def read(done: int, total: int) -> None:
            nonlocal evaluated
            evaluated = done
            self._read(request, turn)
            send(PromptProgress(id=request.id, done=done, total=total, reused=kept))

        resumed_at = prefilled = time.perf_counter()
        reply = _Reply(turn.opening, text=turn.opening)
        reply.take_up(turn.begun, self._vocabulary.piece)
        finish: FinishReason = "cancelled"
        first: float | None = None
        try:
            send(PromptProgress(id=request.id, done=0, total=len(turn.ids) - kept, reused=kept))
            if prefill(self._sequence, turn.ids[kept:], self._stops(turn, kept), read, stopped):
                prefilled = time.perf_counter()
                finish, first = self._decode(request, turn.ids, reply, send, stopped)
        except Interrupted:
            finish = "cancelled"
        finally:
            if not request.use_kv:
                self._sequence.empty(SWITCHED_OFF)
        ended = time.perf_counter()
        generated = reply.generated
        spent = ended - first if first is not None else 0.0
        if self._sequence.saved is not None:
            self._sequence.saved.rates.measured_prefill(evaluated, prefilled - resumed_at)
        figures = TurnFigures(
            tokens=TokenCounts(len(turn.ids), resumed.memory, resumed.saved, evaluated, generated),
            seconds=TurnSeconds(
                restore=resumed.seconds,
                prefill=max(0.0, (prefilled if first is not None else ended) - resumed_at),
                first_token=first - started if first is not None else 0.0,
                total=ended - started,
            ),
            tokens_per_second=(generated - 1) / spent if generated > 1 and spent > 0 else 0.0,
            kv=KvFigures(bytes_written=0, bytes_per_token=bytes_per_token),
            reread=reread,
        )
        return Done(
            id=request.id,
            conversation=request.conversation,
            text=reply.text if reply.ids else "",
            token_ids=tuple(reply.ids),
            prompt_ids=turn.prompt.learned,
            finish_reason=finish,
            figures=figures,
            notices=turn.notices,
        )

    def saved_for(self, request: Generate) -> SavedState | None:
        """The way to the store, where there is one and this turn may use it."""
        return self._sequence.saved if request.use_kv and request.save else None

    def restore_ahead(self, request: Prepare, stopped: Callable[[], bool]) -> tuple[int, int]:
        """Restore what is saved of a conversation before its next turn.

        How many of its tokens are in memory then, and how many came from the store. Raises EmberError.
        """
        turn, sequence, restored = self._builder.build(request.messages, request.started), self._sequence, 0
        if 0 < len(turn.ids) < self._context.size:
            restored = sequence.restore_ahead(turn.ids, stopped)
        if restored:
            sequence.conversation = request.conversation
        return common_prefix(sequence.tokens, turn.ids), restored

    def _check_room(self, ids: Sequence[int]) -> None:
        if not ids:
            raise EmberError("There is nothing to answer: the message is empty.", "empty_prompt")
        if len(ids) >= self._context.size:
            raise EmberError(
                f"This chat has {format_count(len(ids))} tokens with your message, and the context "
                f"holds {format_count(self._context.size)}. Nothing was lost; shorten the message, start a new chat, "
                "or load the model with a larger context.",
                "context_full",
            )

    def _resume(
        self, request: Generate, turn: TurnPrompt, stopped: Callable[[], bool]
    ) -> tuple[Resumed, Reread | None]:
        """Have what memory and store hold of the prompt; why, if that was less than could be expected."""
        if not request.use_kv:
            self._sequence.empty(SWITCHED_OFF)
        live, because = self._sequence.conversation, self._sequence.emptied_because
        ahead = self._sequence.trouble_ahead if live == request.conversation else ""
        resumed = self._sequence.resume(turn.ids, use_saved=self.saved_for(request) is not None, stopped=stopped)
        self._sequence.conversation = request.conversation
        replies = [i for i, message in enumerate(request.messages) if message.role == "assistant"]
        answered = [message.id for message in request.messages[: replies[-1] + 1]] if replies else []
        reread = explain_reread(
            turn.prompt,
            resumed.tokens,
            answered=answered,
            live_conversation=live,
            conversation=request.conversation,
            emptied_because=because,
            rewound=resumed.rewound,
            trouble=resumed.trouble or ahead,
        )
        return resumed, reread

    def _stops(self, turn: TurnPrompt, kept: int) -> list[int]:
        """Where slices of the rest of the prompt end: after a batch, and at boundaries whose state must be caught."""
        saved = self._sequence.saved
        caught = turn.boundaries.checkpoints if saved is not None and saved.needs_checkpoints else ()
        end, batch = len(turn.ids) - kept, self._context.settings.batch
        stops, at = [], 0
        for stop in [*(place - kept for place in caught if place > kept), end]:
            stops += [*range(at + batch, stop, batch), stop]
            at = stop
        return stops

    def _read(self, request: Generate, turn: TurnPrompt) -> None:
        """After a slice: catch what could not be had later."""
        saved, tokens = self.saved_for(request), self._sequence.tokens
        if saved is not None:
            saved.after_slice(tokens, turn.boundaries.chunks, checkpoint=len(tokens) in turn.boundaries.checkpoints)

    def _decode(
        self,
        request: Generate,
        prompt: Sequence[int],
        reply: _Reply,
        send: Callable[[Answer], None],
        stopped: Callable[[], bool],
    ) -> tuple[FinishReason, float | None]:
        """Draw tokens until an end; how it ended, and when the first token came (perf_counter)."""
        sampler = Sampler(request.sampler, self._vocabulary.size)
        first, last_sent = None, 0.0
        self._context.abort.armed = self._sequence.can_go_back  # one token is soon decoded
        saved = self.saved_for(request)
        try:
            sampler.remember(prompt)
            while True:
                token = sampler.draw(self._context.pointer)
                now = time.perf_counter()
                first = first or now
                if self._vocabulary.is_end(token):
                    return "stop", first
                reply.add(token, self._vocabulary.piece(token))
                if now - last_sent >= TEXT_INTERVAL:
                    self._send_text(request, reply, send)
                    last_sent = now
                if reply.generated == request.max_tokens or len(self._sequence.tokens) >= self._context.size:
                    return "length", first
                if stopped():
                    return "cancelled", first
                try:
                    self._sequence.extend([token])
                except Interrupted:
                    return "cancelled", first
                if saved is not None:
                    saved.after_slice(self._sequence.tokens)
        finally:
            self._context.abort.armed = True
            self._send_text(request, reply, send)
            sampler.close()

    def _send_text(self, request: Generate, reply: _Reply, send: Callable[[Answer], None]) -> None:
        text, ids = reply.take_unsent()
        if text or ids:
            send(Text(id=request.id, text=text, token_ids=ids))
