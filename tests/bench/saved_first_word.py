"""Saved state: the first word after a restart, against reading again and against a turn that was never closed."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from app.core.sampling import SamplerSettings
from app.protocol.messages import ChatMessage, Done, Failed, Generate, Saved, Text
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter
from tests.bench.prose import text_of
from tests.bench.saved_turns import count_tokens, engine_with
from tests.support.engine import Engine

TOKENS = 3850
QUESTION = "Which of these notes was the most surprising one?"
RESTARTS = 5
SAVING_TURNS = 7


def measure() -> Iterator[Figure]:
    """About 4,000 tokens on the starter model; times from Generate to the first piece of text, restore included."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with engine_with(starter(), folder) as engine:
            talk = [ChatMessage(id="m0", role="user", text=text_of_tokens(engine, TOKENS))]
            _, reply = first_word(engine, talk)
            talk = [*talk, *_asked(reply)]
        fresh: list[float] = []
        restored: list[float] = []
        for number in range(RESTARTS):
            with engine_with(starter(), folder) as engine:
                asked = [*talk[:-1], ChatMessage(id="q", role="user", text=f"{number}. {QUESTION}")]
                seconds, done = first_word(engine, asked)
                restored.append(seconds)
                counts = done.figures.tokens
                assert counts.reused_saved > TOKENS * 0.9, counts
                asked = [*talk[:-1], ChatMessage(id="q", role="user", text=f"Once more, {number}: {QUESTION}")]
                fresh.append(first_word(engine, asked)[0])
                if number == RESTARTS - 1:
                    again, _ = first_word(engine, asked, use_kv=False)
        name = f"{STARTER_NAME}, {counts.reused_saved:,} tokens saved, {counts.evaluated} new"
        after = median(restored)
        yield Figure(f"{name}: read again", again, "s", after, "after a restart", Bar("at least", 30))
        yield Figure(
            f"{name}: after a restart", after, "s", median(fresh), "never closed", Bar("at most", 1.6), tuple(restored)
        )
        yield from _saving(folder)


def _saving(folder: Path) -> Iterator[Figure]:
    """The next first word while the turn before is being saved, against turns that save nothing."""
    with engine_with(starter(), folder) as engine:
        times: dict[bool, list[float]] = {True: [], False: []}
        for number in range(2 * SAVING_TURNS):
            save = number % 2 == 0
            text = text_of_tokens(engine, 300, start=100 + number)
            talk = [ChatMessage(id="m0", role="user", text=text)]
            _, reply = first_word(engine, talk, save=save, conversation=f"s{number}")
            times[save].append(first_word(engine, [*talk, *_asked(reply)], save=save, conversation=f"s{number}")[0])
    yield Figure(
        f"{STARTER_NAME}: next first word while 300 tokens are being saved",
        1e3 * median(times[True]),
        "ms",
        1e3 * median(times[False]),
        "without saving",
        Bar("at most", 1.1),
        tuple(1e3 * each for each in times[True]),
    )


def _asked(reply: Done) -> list[ChatMessage]:
    return [
        ChatMessage(id="m1", role="assistant", text=reply.text, token_ids=reply.token_ids),
        ChatMessage(id="m2", role="user", text=QUESTION),
    ]


def text_of_tokens(engine: Engine, tokens: int, start: int = 0) -> str:
    """Prose of about that many tokens: counted once at four characters a token, then cut to size."""
    text = text_of(4 * tokens, start)
    return text_of(round(4 * tokens * tokens / count_tokens(engine, text)), start)


def first_word(
    engine: Engine, messages: list[ChatMessage], *, use_kv: bool = True, save: bool = True, conversation: str = "c"
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
