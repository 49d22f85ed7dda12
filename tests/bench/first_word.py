"""First word of a follow-up: reading everything again against reuse."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from app.core.sampling import SamplerSettings
from app.protocol.messages import ChatMessage, CountTokens, Done, Failed, Generate, Loaded, Text, TokenCount
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter
from tests.bench.prose import text_of
from tests.support.engine import Engine

CONTEXT = 4096
QUESTION = "Which of these notes was the most surprising one?"
FOLLOW_UPS = 5
LENGTHS = ((1000, 2, None), (3500, 1, Bar("at least", 30)))
"""Tokens of context, readings without reuse, and DESIGN's bar for about 4,000 tokens (there after a restart)."""


def measure() -> Iterator[Figure]:
    """Two lengths of context on the starter model, timed at the window's end of the wire."""
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        loaded = engine.load(starter(), context=CONTEXT)
        assert isinstance(loaded, Loaded), loaded
        for tokens, readings, bar in LENGTHS:
            yield from _compare(engine, tokens, readings, bar)


def _compare(engine: Engine, tokens: int, readings: int, bar: Bar | None) -> Iterator[Figure]:
    talk = [ChatMessage(id="m0", role="user", text=_text_of_tokens(engine, tokens))]
    _, reply = _turn(engine, talk, f"c{tokens}", use_kv=True)  # warm-up, and the first reading
    reused = []
    for _ in range(FOLLOW_UPS):
        talk.append(ChatMessage(id=f"m{len(talk)}", role="assistant", text=reply.text, token_ids=reply.token_ids))
        talk.append(ChatMessage(id=f"m{len(talk)}", role="user", text=QUESTION))
        seconds, reply = _turn(engine, talk, f"c{tokens}", use_kv=True)
        reused.append(seconds)
    read = [_turn(engine, talk, f"c{tokens}", use_kv=False)[0] for _ in range(readings)]
    counts = reply.figures.tokens
    name = f"{STARTER_NAME}, {counts.prompt:,} tokens, {counts.evaluated} evaluated"
    yield Figure(f"{name}: re-read", median(read), "s", median(reused), "reuse", bar, tuple(read))


def _text_of_tokens(engine: Engine, tokens: int) -> str:
    """Prose of about that many tokens: counted once at four characters a token, then cut to size."""
    text = text_of(4 * tokens)
    answer = engine.ask(CountTokens(id=engine.next_id(), text=text))
    assert isinstance(answer, TokenCount)
    return text_of(round(4 * tokens * tokens / answer.count))


def _turn(engine: Engine, messages: Sequence[ChatMessage], conversation: str, *, use_kv: bool) -> tuple[float, Done]:
    """Seconds from the request to the first piece of text, and how the turn ended."""
    request = Generate(
        id=engine.next_id(),
        conversation=conversation,
        messages=tuple(messages),
        sampler=SamplerSettings(temperature=0),
        max_tokens=4,
        use_kv=use_kv,
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
        assert not isinstance(answer, Failed), answer
    raise AssertionError("unreachable")
