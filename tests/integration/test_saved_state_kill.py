"""Engines that are killed while they save, that end in the middle of a reply, and two at one folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.sampling import SamplerSettings
from app.protocol.messages import (
    ChatMessage,
    Done,
    Generate,
    Loaded,
    PromptProgress,
    SavedVerified,
    Shutdown,
    StoreOpened,
    Text,
    VerifySaved,
)
from tests.support.engine import Engine, EngineEnded, Talk
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]
GREEDY = SamplerSettings(temperature=0.0)
LONG = "All the words of the sea, and of the wind. " * 20


def opened(engine: Engine, model: Path, store: Path) -> Engine:
    assert isinstance(engine.open_store(store), StoreOpened)
    assert isinstance(engine.load(model, context=2048), Loaded)
    return engine


def start_turn(engine: Engine, talk: Talk, **options: object) -> Generate:
    request = Generate(id=engine.next_id(), conversation=talk.name, messages=talk.path, sampler=GREEDY, **options)
    engine.send(request)
    return request


MOMENTS = {
    "while reading": lambda answer: isinstance(answer, PromptProgress) and answer.done > 300,
    "while writing": lambda answer: isinstance(answer, Text),
    "at the end": lambda answer: isinstance(answer, Done),
}


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID])
def test_after_kills_while_saving_the_store_is_sound_and_the_next_turn_right(
    kind: Kind, tiny_model: TinyModel, tmp_path: Path
) -> None:
    model, store = tiny_model(kind), tmp_path / "kv"
    talk = None
    for number, moment in enumerate(MOMENTS.values()):
        with Engine() as engine:
            opened(engine, model, store)
            talk = Talk(engine, "Be brief, and be kind.", messages=talk.messages if talk is not None else [])
            talk.say(f"Question {number}?", max_tokens=20, sampler=GREEDY)
            whole = list(talk.messages)
            talk.messages.append(ChatMessage(id=f"x{number}", role="user", text=LONG))
            request = start_turn(engine, talk, max_tokens=60)
            next(answer for answer in engine.answers(request.id) if moment(answer))
            engine.process.kill()
        talk.messages = whole
    assert talk is not None
    with Engine() as engine:
        opened(engine, model, store)
        verified = VerifySaved(id=engine.next_id())
        engine.send(verified)
        found = next(answer for answer in engine.answers(verified.id) if isinstance(answer, SavedVerified))
        assert found.finished
        assert found.chunks > 0 == found.damaged
        again = Talk(engine, talk.system, messages=list(talk.messages))
        done = again.say("And now?", max_tokens=6, sampler=GREEDY)
        assert done.figures.reread is None
        assert done.figures.tokens.reused_saved > 100
        fresh = Talk(engine, talk.system, messages=list(talk.messages))
        read = fresh.say("And now?", max_tokens=6, sampler=GREEDY, use_kv=False)
        assert done.token_ids[:3] == read.token_ids[:3]


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.HYBRID])
@pytest.mark.parametrize("way", ["asked", "stdin closed"])
def test_an_engine_that_ends_in_the_middle_of_a_reply_saves_what_it_has(
    kind: Kind, way: str, tiny_model: TinyModel, tmp_path: Path
) -> None:
    model, store = tiny_model(kind), tmp_path / "kv"
    with Engine() as engine:
        opened(engine, model, store)
        talk = Talk(engine, LONG)
        talk.messages.append(ChatMessage(id="x", role="user", text="Go on and on."))
        request = start_turn(engine, talk, max_tokens=1500)
        ids = next(answer for answer in engine.answers(request.id) if isinstance(answer, Text)).token_ids
        assert ids
        if way == "asked":
            engine.send(Shutdown(id=engine.next_id()))
            with pytest.raises(EngineEnded):
                while True:
                    engine.answer()
    with Engine() as engine:
        opened(engine, model, store)
        done = Talk(engine, LONG, messages=talk.messages).reply(max_tokens=2)
        assert done.figures.tokens.evaluated < 20
