"""The prompt of a turn: the conversation through the model's template, as token ids, with its boundaries."""

import time
from dataclasses import dataclass, replace

from app.core.control_tokens import ControlPattern, choose_mark
from app.core.errors import EmberError
from app.core.ledger import LedgerEntry, MessageSpan, Prompt, assemble, common_prefix
from app.core.reasoning_marks import REASONING_STARTS
from app.core.stream_text import boundaries
from app.engine.chat_template import ChatTemplate, Rendering, TemplateFailure
from app.engine.vocabulary import Vocabulary
from app.protocol.parts import ChatMessage

NEAR = 16
"""Tokens; templates put no more between a control token and the message."""


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Places in a prompt, in tokens, at which its state may be wanted again; all lie inside the prompt, in order."""

    chunks: tuple[int, ...] = ()
    """Where messages begin and replies end: saved chunks are cut there."""
    checkpoints: tuple[int, ...] = ()
    """The end of the system prompt, of the last reply, and the place before the generation prompt."""


@dataclass(frozen=True, slots=True)
class TurnPrompt:
    """What a turn begins with."""

    prompt: Prompt
    opening: str
    """What the generation prompt has opened of the reply, such as `<think>`."""
    notices: tuple[str, ...]
    boundaries: Boundaries
    begun: tuple[int, ...] = ()
    """The ids of the reply that is gone on with; the prompt ends with them."""

    @property
    def ids(self) -> list[int]:
        """The prompt's token ids."""
        return self.prompt.ids


class PromptBuilder:
    """Makes prompts for one model."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate) -> None:
        """Prepare for a model's vocabulary and template."""
        self._vocabulary = vocabulary
        self._template = template
        self._pattern = ControlPattern(vocabulary.controls)

    def build(self, messages: tuple[ChatMessage, ...], began: float, *, continues: bool = False) -> TurnPrompt:
        """The prompt that asks for a reply to `messages`; `began` is when the conversation did (Unix time, 0: now).

        `continues`: the last message is the beginning of that reply. Raises EmberError.
        """
        if not continues:
            return self._build(messages, began)
        *before, reply = messages
        turn = self._build(tuple(before), began)
        begun = self._begun(reply, turn.opening)
        return replace(turn, prompt=turn.prompt.extended(reply.id, begun), begun=begun)

    def _begun(self, reply: ChatMessage, opening: str) -> tuple[int, ...]:
        """The ids of a reply that was begun: those it was generated with, else those of its text."""
        ids = self._usable_ids(reply.token_ids)
        if ids is not None and boundaries(map(self._vocabulary.piece, ids))[0] == reply.text.removeprefix(opening):
            return ids
        return tuple(self._vocabulary.tokenize(reply.text.removeprefix(opening), start=False))

    def _build(self, messages: tuple[ChatMessage, ...], began: float) -> TurnPrompt:
        began = began or time.time()
        mark = choose_mark([message.text for message in messages])
        shielded = [(m.role, self._pattern.shield(m.text, mark)) for m in messages]
        system = shielded[0][1] if shielded and shielded[0][0] == "system" else ""
        try:
            rendering = self._template.render(shielded, started=began, check=system)
        except TemplateFailure as failure:  # of the common template even: the conversation is far beyond any context
            raise EmberError(
                f"This chat cannot be made into a prompt: {failure}. Nothing was lost; "
                "shorten the message, or start a new chat.",
                "context_full",
            ) from failure
        roles = [m.role for m in messages]
        skeleton = self._template.skeleton(roles, mark, rendering, started=began)
        entries = [LedgerEntry(m.id, m.text, self._usable_ids(m.token_ids)) for m in messages]
        prompt = self._assemble(rendering.text, mark, entries, skeleton)
        closed = self._template.skeleton(roles, mark, rendering, started=began, generation_prompt=False)
        added = _generation_prompt(rendering, skeleton, closed)
        before_reply = prompt.fragment_at(len(rendering.text.replace(mark, "")) - len(added)) if added else None
        if added and before_reply is None:  # it begins inside a text, whose tokens may reach into it
            before = self._assemble(rendering.text.removesuffix(added), mark, entries, closed)
            before_reply = common_prefix(prompt.ids, before.ids)
        opening = next((start for start in REASONING_STARTS if rendering.text.endswith(start)), "")
        return TurnPrompt(prompt, opening, rendering.notices, _boundaries(prompt, messages, before_reply))

    def _assemble(self, text: str, mark: str, entries: list[LedgerEntry], skeleton: str | None) -> Prompt:
        """The ids of a rendered text, behind the token that begins every text where the template leaves it out."""
        prompt = assemble(text, mark, entries, self._vocabulary, self._pattern, skeleton)
        bos = self._vocabulary.bos
        missing = self._vocabulary.adds_bos and bos >= 0 and prompt.ids[:1] != [bos]
        return prompt.shifted(bos) if missing else prompt

    def _usable_ids(self, ids: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Stored ids that this vocabulary has; they may come from a file, so they are not trusted."""
        if ids is None or not all(0 <= token < self._vocabulary.size for token in ids):
            return None
        return ids


def _generation_prompt(rendering: Rendering, skeleton: str | None, closed: str | None) -> str:
    """What the template puts at the end to ask for a reply (instead of an end, as some do); empty for nothing."""
    if skeleton is None or closed is None:
        return ""
    added = skeleton[common_prefix(skeleton, closed) :]
    return added if rendering.text.endswith(added) else ""


def _boundaries(prompt: Prompt, messages: tuple[ChatMessage, ...], before_reply: int | None) -> Boundaries:
    roles = {message.id: message.role for message in messages}
    begins = [_begin(prompt, span) for span in prompt.spans if roles[span.id] != "system"]
    replies = [span.end for span in prompt.spans if roles[span.id] == "assistant"]
    last = [before_reply] if before_reply is not None else []
    has_system = bool(messages) and messages[0].role == "system"
    checkpoints = [*(begins[:1] if has_system else []), *replies[-1:], *last]
    return Boundaries(_inside(prompt, [*begins, *replies, *last]), _inside(prompt, checkpoints))


def _begin(prompt: Prompt, span: MessageSpan) -> int:
    """Where a message begins: behind the control token before it, or with its text where there is none near."""
    token = prompt.boundary_before(span.start)
    return token if span.start - token <= NEAR else span.start


def _inside(prompt: Prompt, places: list[int]) -> tuple[int, ...]:
    return tuple(sorted({place for place in places if 0 < place < len(prompt.ids)}))
