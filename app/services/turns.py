"""What a turn is to the window: what was asked for, what has come so far, how it ended."""

from dataclasses import dataclass, field

from app.core.conversation import ConversationId, Message, MessageId
from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Failed


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

    def came_to_nothing(self, text: str) -> bool:
        """Whether a reply that was gone on with has, with `text`, no more words than before."""
        return self.request.continues is not None and text == self.reply.text


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
