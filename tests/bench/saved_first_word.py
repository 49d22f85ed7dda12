"""Saved state: the first word after a restart, against reading again and against a turn that was never closed."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from app.protocol.answers import Done
from app.protocol.parts import ChatMessage
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter
from tests.bench.saved_turns import engine_with
from tests.bench.short_turn import first_word, text_of_tokens

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
