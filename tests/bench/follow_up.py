"""Follow-ups: evaluated tokens against new tokens + 1."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.sampling import SamplerSettings
from app.protocol.answers import Loaded
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter, tiny
from tests.bench.prose import question
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import Kind

TURNS = 5
REPLY_TOKENS = 48
CONTEXT = 2048


def measure() -> Iterator[Figure]:
    """The worst of the 2nd to 5th turn for the starter model and a tiny model of each kind."""
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        yield _worst_follow_up(engine, starter(), STARTER_NAME)
        for kind in Kind:
            yield _worst_follow_up(engine, tiny(kind, Path(folder)), f"tiny model, {kind.value.replace('_', ' ')}")


def _worst_follow_up(engine: Engine, path: Path, name: str) -> Figure:
    """The turn that evaluated most beside what was new: all after the prompt before it and its reply's stored ids."""
    loaded = engine.load(path, context=CONTEXT)
    assert isinstance(loaded, Loaded), loaded
    talk = Talk(engine, name=name)
    turns: list[tuple[int, int]] = []
    known = 0
    for number in range(TURNS):
        settings = SamplerSettings(temperature=0.8, seed=number + 1)
        done = talk.say(question(number), max_tokens=REPLY_TOKENS, sampler=settings)
        counts = done.figures.tokens
        turns.append((counts.evaluated, counts.prompt - known + 1))
        known = counts.prompt + len(done.token_ids)
    follow_ups = turns[1:]
    evaluated, allowed = max(follow_ups, key=lambda turn: turn[0] / turn[1])
    runs = tuple(float(turn[0]) for turn in follow_ups)
    return Figure(f"{name}: worst of turns 2–{TURNS}", evaluated, "tokens", allowed, "new + 1", Bar("at most", 1), runs)
