"""First word of a follow-up: reading everything again against reuse."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from app.protocol.answers import Loaded
from app.protocol.parts import ChatMessage
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter
from tests.bench.short_turn import first_word, text_of_tokens
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
    talk = [ChatMessage(id="m0", role="user", text=text_of_tokens(engine, tokens))]
    _, reply = first_word(engine, talk, conversation=f"c{tokens}")  # warm-up, and the first reading
    reused = []
    for _ in range(FOLLOW_UPS):
        talk.append(ChatMessage(id=f"m{len(talk)}", role="assistant", text=reply.text, token_ids=reply.token_ids))
        talk.append(ChatMessage(id=f"m{len(talk)}", role="user", text=QUESTION))
        seconds, reply = first_word(engine, talk, conversation=f"c{tokens}")
        reused.append(seconds)
    read = [first_word(engine, talk, conversation=f"c{tokens}", use_kv=False)[0] for _ in range(readings)]
    counts = reply.figures.tokens
    name = f"{STARTER_NAME}, {counts.prompt:,} tokens, {counts.evaluated} evaluated"
    yield Figure(f"{name}: re-read", median(read), "s", median(reused), "reuse", bar, tuple(read))
