"""What calibration chooses, against llama.cpp's own choice (flash attention on), in a long chat."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from app.core.sampling import SamplerSettings
from app.protocol.answers import Calibrated, CalibrationProgress, Loaded
from app.protocol.requests import Calibrate
from tests.bench.figure import Bar, Figure, against_bar
from tests.bench.models import STARTER_NAME, starter
from tests.bench.prose import question
from tests.bench.short_turn import text_of_tokens
from tests.support.engine import Engine, Talk

CONTEXT = 6144
DEPTH = 3840
PAIRS = 5
REPLY_TOKENS = 32
LONGEST = 15.0
"""Seconds that the measurement may take."""


def measure() -> Iterator[Figure]:
    """Two engines with the same chat, which go on in turns, so that what else runs slows both."""
    with TemporaryDirectory() as folder, Engine(Path(folder)) as ours, Engine(Path(folder)) as theirs:
        assert isinstance(ours.load(starter(), context=CONTEXT), Loaded)
        seconds = _calibrate(ours)
        yield against_bar(f"{STARTER_NAME}: the measurement itself", [seconds], LONGEST)
        assert isinstance(theirs.load(starter(), context=CONTEXT, flash_attention="on"), Loaded)
        talks = (Talk(ours), Talk(theirs))
        text = text_of_tokens(ours, DEPTH)
        for talk in talks:
            talk.say(text, max_tokens=4, sampler=SamplerSettings(temperature=0))
        speeds = [[_follow_up(talk, number) for talk in talks] for number in range(PAIRS)]
    for which, name in enumerate(("follow-up", "writing")):
        pairs = sorted(((mine[which], other[which]) for mine, other in speeds), key=lambda pair: pair[0] / pair[1])
        mine, other = pairs[len(pairs) // 2]
        runs = tuple(each[0] for each in pairs)
        what = f"{STARTER_NAME}: {name} after {DEPTH:,} tokens (the median pair)"
        yield Figure(what, mine, "tok/s", other, "flash attention on", Bar("at least", 1), runs)


def _calibrate(engine: Engine) -> float:
    """Seconds that it took; the engine uses what was found from then on."""
    request = Calibrate(id=engine.next_id())
    began = perf_counter()
    engine.send(request)
    answer = next(answer for answer in engine.answers(request.id) if not isinstance(answer, CalibrationProgress))
    assert isinstance(answer, Calibrated), answer
    return perf_counter() - began


def _follow_up(talk: Talk, number: int) -> tuple[float, float]:
    """Tokens a second of reading a short message and of writing the reply."""
    figures = talk.say(
        question(number), max_tokens=REPLY_TOKENS, sampler=SamplerSettings(temperature=0.8, seed=number)
    ).figures
    return figures.tokens.evaluated / figures.seconds.prefill, figures.tokens_per_second
