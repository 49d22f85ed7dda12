"""A turn of a few tokens, timed at the window's end of the wire, and prose of so many tokens to begin with."""

from collections.abc import Sequence
from time import perf_counter

from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Failed, Saved, Text, TokenCount
from app.protocol.parts import ChatMessage
from app.protocol.requests import CountTokens, Generate
from tests.bench.prose import text_of
from tests.support.engine import Engine


def count_tokens(engine: Engine, text: str) -> int:
    """The tokens of a plain text."""
    answer = engine.ask(CountTokens(id=engine.next_id(), text=text))
    assert isinstance(answer, TokenCount)
    return answer.count


def text_of_tokens(engine: Engine, tokens: int, start: int = 0) -> str:
    """Prose of about that many tokens: counted once at four characters a token, then cut to size."""
    text = text_of(4 * tokens, start)
    return text_of(round(4 * tokens * tokens / count_tokens(engine, text)), start)


def first_word(
    engine: Engine, messages: Sequence[ChatMessage], *, use_kv: bool = True, save: bool = True, conversation: str = "c"
) -> tuple[float, Done]:
    """Seconds from the request to the first piece of text, and how the turn ended; returns before it is saved."""
    request = Generate(
        id=engine.next_id(),
        conversation=conversation,
        messages=tuple(messages),
        sampler=SamplerSettings(temperature=0),
        max_tokens=4,
        use_kv=use_kv,
        save=save,
        started=1.0,
    )
    started = perf_counter()
    engine.send(request)
    first = 0.0
    for answer in engine.answers(request.id):
        if isinstance(answer, Text) and not first:
            first = perf_counter() - started
        if isinstance(answer, Done):
            return first, answer
        assert not isinstance(answer, Failed | Saved), answer
    raise AssertionError("unreachable")
