"""Engines that are killed while they save, that end in the middle of a reply, and two at one folder."""

import queue
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.load_options import LoadOptions
from app.core.sampling import SamplerSettings
from app.engine import library
from app.engine import saving as engine_saving
from app.engine.helpers import Helpers
from app.engine.saving import LOCK, Saving
from app.engine.worker import Worker
from app.folder_lock import FolderLock
from app.protocol.answers import Done, Failed, Loaded, PromptProgress, Saved, SavedVerified, StoreOpened, Text, Unloaded
from app.protocol.messages import Answer
from app.protocol.parts import ChatMessage
from app.protocol.requests import Generate, LoadModel, OpenStore, Shutdown, Unload, VerifySaved
from tests.support.engine import Engine, EngineEnded, Talk
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]
GREEDY = SamplerSettings(temperature=0.0)
LONG = "All the words of the sea, and of the wind. " * 20


def opened(engine: Engine, model: Path, store: Path) -> Engine:
    assert isinstance(engine.open_store(store), StoreOpened)
    assert isinstance(engine.load(model, context=2048), Loaded)
    return engine


def message(text: str) -> ChatMessage:
    return ChatMessage(id="x", role="user", text=text)


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
            talk.messages.append(message(LONG))
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
        talk.messages.append(message("Go on and on."))
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


# --- two at one folder ------------------------------------------------------------------------------------------------


def test_a_second_engine_is_told_so_and_chats_without_saving(
    tiny_model: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_saving, "LOCK_PATIENCE", 0.0)
    model, store = tiny_model(Kind.FULL), tmp_path / "kv"
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    with Engine() as first:
        opened(first, model, store)
        worker = Worker(library.start(), answers.put)  # in this process, so that its patience can be shorter
        worker.submit(OpenStore(id=1, folder=str(store)))
        refused = answers.get()
        assert isinstance(refused, Failed)
        assert refused.kind == "saved_state"
        assert str(store) in refused.sentence
        assert "Another Ember" in refused.sentence
        worker.submit(LoadModel(id=2, path=str(model), options=LoadOptions(context=512)))
        worker.submit(Generate(id=3, conversation="c", messages=(message(LONG),), max_tokens=3))
        turn = until(answers, Saved)
        assert [turn[0].id, turn[-1]] == [2, Saved(id=3, conversation="c")]
        worker.submit(Unload(id=4))
        until(answers, Unloaded)
        assert Talk(first).say("And the first goes on?", max_tokens=3).text


def until(answers: "queue.SimpleQueue[Answer]", wanted: type[Answer]) -> list[Answer]:
    """The answers up to the first of that kind."""
    found = [answers.get()]
    while not isinstance(found[-1], wanted):
        assert not isinstance(found[-1], Failed), found[-1]
        found.append(answers.get())
    return found


def test_a_successor_waits_for_an_engine_that_is_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that still writes: the lock goes with its process."""
    folder = tmp_path / "kv"
    folder.mkdir()
    dying = FolderLock(folder / LOCK)
    assert dying.acquire()
    waited = []

    def end_at_the_third_look(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            dying.release()

    monkeypatch.setattr(engine_saving.time, "sleep", end_at_the_third_look)
    saving = Saving(folder, None, "commit", Helpers(0))
    assert len(waited) == 3
    saving.writer.flush()
    saving.store.close()


def test_a_killed_engine_leaves_no_lock(tiny_model: TinyModel, tmp_path: Path) -> None:
    store = tmp_path / "kv"
    with Engine() as first, Engine() as second:
        opened(first, tiny_model(Kind.FULL), store)
        second.send(OpenStore(id=second.next_id(), folder=str(store)))
        first.process.kill()
        assert isinstance(second.answer(), StoreOpened)


@pytest.mark.parametrize("obstacle", ["a file", "no folder around it"])
def test_a_folder_that_cannot_be_used_is_said_and_chats_go_on(
    obstacle: str, tiny_model: TinyModel, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "kv"
    if obstacle == "a file":
        folder.parent.mkdir()
        folder.write_text("not a folder")
    with Engine() as engine:
        refused = engine.open_store(folder)
        assert isinstance(refused, Failed)
        assert refused.kind == "saved_state"
        assert isinstance(engine.load(tiny_model(Kind.FULL), context=512), Loaded)
        talk = Talk(engine)
        assert talk.say("Still there?", max_tokens=3).text
        folder.unlink(missing_ok=True)
        folder.parent.mkdir(exist_ok=True)
        assert isinstance(engine.open_store(folder), StoreOpened)
        talk.say("Now it is saved, with a few more words than are needed.", max_tokens=3)
        assert talk.saved is not None
        assert talk.saved.bytes_written > 0
