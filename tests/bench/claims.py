"""What is commonly said of KV caching, measured: a token with the cache kept and with everything read again."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Loaded
from app.protocol.parts import ChatMessage
from tests.bench.figure import Figure
from tests.bench.models import STARTER_NAME, starter
from tests.bench.prose import question
from tests.bench.short_turn import text_of_tokens
from tests.support.engine import Engine, Talk

GENERATED = 64
CONTEXTS = ((512, 8), (2048, 3))
"""Tokens of context, and how many of the 64 tokens are generated with everything recomputed: each one costs the same
reading, so a few stand for all (64 would take three and ten minutes)."""
TURNS = 10


def measure() -> Iterator[Figure]:
    """Articles say 3 to 5 and 5 to 20 times for 64 tokens; then a chat of ten turns with and without reuse."""
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        loaded = engine.load(starter(), context=4096)
        assert isinstance(loaded, Loaded), loaded
        for context, recomputed in CONTEXTS:
            yield _tokens(engine, context, recomputed)
        yield _chat(engine)


def _tokens(engine: Engine, context: int, recomputed: int) -> Figure:
    messages = [ChatMessage(id="m0", role="user", text=text_of_tokens(engine, context - 20))]
    greedy = SamplerSettings(temperature=0)
    done = engine.generate(messages, sampler=greedy, max_tokens=GENERATED)
    assert isinstance(done, Done)
    kept = (done.figures.seconds.total - done.figures.seconds.first_token) / max(1, len(done.token_ids) - 1)
    seconds = []
    for _ in range(recomputed):
        began = perf_counter()
        engine.generate(messages, sampler=greedy, max_tokens=1, use_kv=False)
        seconds.append(perf_counter() - began)
    name = f"{STARTER_NAME}, {GENERATED} tokens at {done.figures.tokens.prompt:,}: everything recomputed"
    return Figure(name, GENERATED * median(seconds), "s", GENERATED * kept, "KV kept", None)


def _chat(engine: Engine) -> Figure:
    """Seconds of a whole chat."""
    seconds = {}
    for use_kv in (True, False):
        talk, began = Talk(engine, name=f"chat {use_kv}"), perf_counter()
        for number in range(TURNS):
            talk.say(question(number), max_tokens=24, sampler=SamplerSettings(temperature=0), use_kv=use_kv)
        seconds[use_kv] = perf_counter() - began
    return Figure(
        f"{STARTER_NAME}, a chat of {TURNS} turns: no reuse between turns", seconds[False], "s", seconds[True], "reuse"
    )
