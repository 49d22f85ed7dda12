"""The account of saved state, and what the engine is asked when it has opened the store."""

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.protocol.messages import DropSaved, Failed, OpenStore, SavedDropped, StoreOpened, SweepSaved
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.storage.conversations import ConversationStore
from app.storage.saved_roots import SavedModel, SavedRoots
from app.storage.settings import SettingsStore
from tests.unit.services.fakes import FakeProcess
from tests.unit.storage.made import CHAT, forked_tree, put

ROOT, TIP, OWED = b"r" * 32, b"t" * 32, b"o" * 32
MODEL = SavedModel("/models/a.gguf", "a")


@pytest.fixture
def roots(store: ConversationStore) -> SavedRoots:
    """A chat with a tip, and a tip that is owed."""
    put(store, forked_tree())
    made = SavedRoots(store.database)
    first, last = store.tree(CHAT).path()[1], store.tree(CHAT).path()[-1]
    made.record(first.id, ROOT, OWED, MODEL)
    made.forget(CHAT)
    made.record(last.id, ROOT, TIP, MODEL)
    return made


@pytest.fixture
def states(client: EngineClient, roots: SavedRoots, store: ConversationStore, tmp_path: Path) -> SavedStates:
    """The account, with an engine that has just started."""
    made = SavedStates(tmp_path / "kv", roots, SettingsStore(store.database), client, client)
    engine().greet()
    return made


def engine() -> FakeProcess:
    return FakeProcess.made[-1]


def open_store() -> None:
    """Let the engine open the store, and remove what is owed."""
    engine().say(StoreOpened(id=engine().asked(OpenStore)[-1].id, budget=1 << 30))
    for asked in engine().asked(DropSaved):
        engine().say(SavedDropped(id=asked.id, freed_bytes=10))


def test_at_the_first_opening_what_leads_to_no_chat_is_swept_after_what_is_owed(
    states: SavedStates, roots: SavedRoots
) -> None:
    told: list[str] = []
    states.when_open(told.append)
    engine().say(StoreOpened(id=engine().asked(OpenStore)[-1].id, budget=1 << 30))
    assert not engine().asked(SweepSaved)
    (drop,) = engine().asked(DropSaved)
    engine().say(SavedDropped(id=drop.id, freed_bytes=10))
    (sweep,) = engine().asked(SweepSaved)
    assert sweep.keep == roots.wanted() == (TIP,)
    assert not told
    engine().say(SavedDropped(id=sweep.id, freed_bytes=0))
    assert told == [""]


def test_the_same_run_never_sweeps_again(states: SavedStates, qtbot: QtBot) -> None:
    """A turn in which the engine died is taken up again, with what was saved of it."""
    open_store()
    assert len(engine().asked(SweepSaved)) == 1
    states.set_budget(1 << 20)
    open_store()
    assert len(engine().asked(SweepSaved)) == 1
    engine().die()
    qtbot.waitUntil(lambda: len(FakeProcess.made) == 2)
    engine().greet()
    open_store()
    assert not engine().asked(SweepSaved)


def test_an_engine_that_dies_before_its_sweep_leaves_it_to_the_next_run(states: SavedStates, qtbot: QtBot) -> None:
    engine().say(StoreOpened(id=engine().asked(OpenStore)[-1].id, budget=1 << 30))
    engine().die()
    qtbot.waitUntil(lambda: len(FakeProcess.made) == 2)
    engine().greet()
    open_store()
    assert not engine().asked(SweepSaved)


def test_a_sweep_that_fails_keeps_nobody_waiting(states: SavedStates) -> None:
    told: list[str] = []
    states.when_open(told.append)
    open_store()
    (sweep,) = engine().asked(SweepSaved)
    engine().say(Failed(id=sweep.id, kind="saved_state", sentence="The disk is read-only."))
    assert told == [""]
    assert states.is_open
