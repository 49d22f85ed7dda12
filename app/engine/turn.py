"""One turn: the prompt from the conversation, prefill of what is new, and the decode loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.errors import EmberError
from app.core.ledger import (
    REASONING_STARTS,
    ControlPattern,
    LedgerEntry,
    Prompt,
    assemble,
    choose_mark,
)
from app.core.reread import explain_reread
from app.core.stream_text import StreamText
from app.core.turn import FinishReason, KvFigures, Reread, TokenCounts, TurnFigures, TurnSeconds
from app.core.units import format_count
from app.engine.chat_template import ChatTemplate, TemplateFailure
from app.engine.context import Context, Interrupted
from app.engine.model import Model
from app.engine.sampler import Sampler
from app.engine.sequence import LiveSequence, prefill
from app.protocol.messages import Answer, Done, Generate, PromptProgress, Text

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
    stream: StreamText = field(default_factory=StreamText)

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

    def __init__(self, model: Model, template: ChatTemplate, context: Context, sequence: LiveSequence) -> None:
        """Hold what a turn needs; all of it belongs to the calling thread."""
        self._vocabulary = model.vocabulary
        self._template = template
        self._context = context
        self._sequence = sequence
        self._pattern = ControlPattern(model.vocabulary.controls)

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
        prompt, opening, notices = self.prompt(request)
        self._check_room(prompt)
        kept, reread = self._keep(request, prompt)
        evaluated = 0

        def read(done: int, total: int) -> None:
            nonlocal evaluated
            evaluated = done
            send(PromptProgress(id=request.id, done=done, total=total, reused=kept))

        prefilled, reply = started, _Reply(opening, text=opening)
        finish: FinishReason = "cancelled"
        first: float | None = None
        try:
            read(0, len(prompt.ids) - kept)
            if prefill(self._sequence, prompt.ids[kept:], self._context.settings.batch, read, stopped):
                prefilled = time.perf_counter()
                finish, first = self._decode(request, prompt, reply, send, stopped)
        except Interrupted:
            finish = "cancelled"
        finally:
            if not request.use_kv:
                self._sequence.empty(SWITCHED_OFF)
        ended = time.perf_counter()
        generated = len(reply.ids)
        spent = ended - first if first is not None else 0.0
        figures = TurnFigures(
            tokens=TokenCounts(len(prompt.ids), kept, 0, evaluated, generated),
            seconds=TurnSeconds(
                restore=0.0,
                prefill=max(0.0, (prefilled if first is not None else ended) - started),
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
            text=reply.text if generated else "",
            token_ids=tuple(reply.ids),
            prompt_ids=prompt.learned,
            finish_reason=finish,
            figures=figures,
            notices=notices,
        )

    def prompt(self, request: Generate) -> tuple[Prompt, str, tuple[str, ...]]:
        """The prompt's ids, what it opens in the reply (`<think>`), and notices. Raises EmberError."""
        mark = choose_mark([message.text for message in request.messages])
        shielded = [(m.role, self._pattern.shield(m.text, mark)) for m in request.messages]
        system = shielded[0][1] if shielded and shielded[0][0] == "system" else ""
        began = request.started or time.time()
        try:
            rendering = self._template.render(shielded, started=began, check=system)
        except TemplateFailure as failure:  # of the common template even: the conversation is far beyond any context
            raise EmberError(
                f"This conversation cannot be made into a prompt: {failure}. Nothing was lost; "
                "shorten the message, or start a new chat.",
                "context_full",
            ) from failure
        skeleton = self._template.skeleton([m.role for m in request.messages], mark, rendering, started=began)
        entries = [LedgerEntry(m.id, m.text, self._usable_ids(m.token_ids)) for m in request.messages]
        prompt = assemble(rendering.text, mark, entries, self._vocabulary, self._pattern, skeleton)
        bos = self._vocabulary.bos
        if self._vocabulary.adds_bos and bos >= 0 and prompt.ids[:1] != [bos]:
            prompt = prompt.shifted(bos)
        opening = next((start for start in REASONING_STARTS if rendering.text.endswith(start)), "")
        return prompt, opening, rendering.notices

    def _usable_ids(self, ids: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Stored ids that this vocabulary has; they may come from a file, so they are not trusted."""
        if ids is None or not all(0 <= token < self._vocabulary.size for token in ids):
            return None
        return ids

    def _check_room(self, prompt: Prompt) -> None:
        if not prompt.ids:
            raise EmberError("There is nothing to answer: the message is empty.", "empty_prompt")
        if len(prompt.ids) >= self._context.size:
            raise EmberError(
                f"This conversation has {format_count(len(prompt.ids))} tokens with your message, and the context "
                f"holds {format_count(self._context.size)}. Nothing was lost; shorten the message, start a new chat, "
                "or load the model with a larger context.",
                "context_full",
            )

    def _keep(self, request: Generate, prompt: Prompt) -> tuple[int, Reread | None]:
        """Keep the common prefix of the live sequence; why, if it was less than could be expected."""
        if not request.use_kv:
            self._sequence.empty(SWITCHED_OFF)
        live, because = self._sequence.conversation, self._sequence.emptied_because
        kept, rewound = self._sequence.keep_prefix(prompt.ids)
        self._sequence.conversation = request.conversation
        replies = [i for i, message in enumerate(request.messages) if message.role == "assistant"]
        answered = [message.id for message in request.messages[: replies[-1] + 1]] if replies else []
        reread = explain_reread(
            prompt,
            kept,
            answered=answered,
            live_conversation=live,
            conversation=request.conversation,
            emptied_because=because,
            rewound=rewound,
        )
        return kept, reread

    def _decode(
        self,
        request: Generate,
        prompt: Prompt,
        reply: _Reply,
        send: Callable[[Answer], None],
        stopped: Callable[[], bool],
    ) -> tuple[FinishReason, float | None]:
        """Draw tokens until an end; how it ended, and when the first token came (perf_counter)."""
        sampler = Sampler(request.sampler, self._vocabulary.size)
        first, last_sent = None, 0.0
        try:
            sampler.remember(prompt.ids)
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
                if len(reply.ids) == request.max_tokens or len(self._sequence.tokens) >= self._context.size:
                    return "length", first
                if stopped():
                    return "cancelled", first
                try:
                    self._sequence.extend([token])
                except Interrupted:
                    return "cancelled", first
        finally:
            self._send_text(request, reply, send)
            sampler.close()

    def _send_text(self, request: Generate, reply: _Reply, send: Callable[[Answer], None]) -> None:
        text, ids = reply.take_unsent()
        if text or ids:
            send(Text(id=request.id, text=text, token_ids=ids))
