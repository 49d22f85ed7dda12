"""The account of saved state, and what the engine is asked when it has opened the store."""

from datetime import date
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import ConversationId
from app.protocol.answers import SavedDropped, SavedPinned, SavedUsage, StoreOpened
from app.protocol.parts import TipUsage
from app.protocol.requests import DropSaved, GetSavedUsage, OpenStore, PinSaved
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.services.written_today import WritingDay, day_of
from app.storage.conversations import ConversationStore
from app.storage.saved_roots import UNTOLD, SavedModel, SavedRoots
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


def test_what_is_owed_is_removed_before_anyone_is_told_that_the_store_is_open(
    states: SavedStates, roots: SavedRoots
) -> None:
    told: list[str] = []
    states.when_open(told.append)
    engine().say(StoreOpened(id=engine().asked(OpenStore)[-1].id, budget=1 << 30))
    (drop,) = engine().asked(DropSaved)
    assert OWED in drop.tips
    assert drop.keep == roots.wanted() == (TIP,)
    assert not told
    engine().say(SavedDropped(id=drop.id, freed_bytes=10))
    assert told == [""]
    assert roots.owed() == ()


def test_a_deleted_chat_is_owed_though_no_turn_of_it_was_ever_whole(
    states: SavedStates, roots: SavedRoots, store: ConversationStore
) -> None:
    """What a killed engine saved of it leads to no tip, and goes with what is owed."""
    open_store()
    roots.forget(CHAT)
    roots.settled(roots.owed())
    store.delete(CHAT)
    assert roots.owed() == (UNTOLD,)
    states.settle()
    assert engine().asked(DropSaved)[-1].tips == (UNTOLD,)


# --- pins -------------------------------------------------------------------------------------------------------------


def test_a_pinned_chat_is_told_to_the_engine_at_once_and_whenever_its_tips_change(
    states: SavedStates, roots: SavedRoots, store: ConversationStore
) -> None:
    open_store()
    assert not engine().asked(PinSaved)
    states.set_pinned(CHAT, True)
    assert states.pinned() == {CHAT}
    (asked,) = engine().asked(PinSaved)
    assert asked.tips == (TIP,)
    engine().say(SavedPinned(id=asked.id, bytes=4096))
    assert states.pinned_bytes == 4096
    states.record(store.tree(CHAT).path()[1].id, ROOT, b"n" * 32, "a")
    assert engine().asked(PinSaved)[-1].tips == (b"n" * 32, TIP)
    states.set_pinned(CHAT, False)
    assert engine().asked(PinSaved)[-1].tips == ()


def test_pins_outlive_the_engine(states: SavedStates, qtbot: QtBot) -> None:
    open_store()
    states.set_pinned(CHAT, True)
    engine().die()
    qtbot.waitUntil(lambda: len(FakeProcess.made) == 2)
    engine().greet()
    assert engine().asked(OpenStore)[-1].pinned == (TIP,)
    open_store()
    assert [asked.tips for asked in engine().asked(PinSaved)] == [(TIP,)]


def test_the_tips_of_a_deleted_chat_are_not_pinned(
    states: SavedStates, roots: SavedRoots, store: ConversationStore
) -> None:
    states.set_pinned(CHAT, True)
    store.delete(CHAT)
    assert roots.pinned_tips() == ()


def test_who_is_never_saved_is_known(states: SavedStates) -> None:
    states.set_may_save(CHAT, False)
    assert states.never_saved() == {CHAT}
    assert states.pinned() == frozenset[ConversationId]()


# --- written today ----------------------------------------------------------------------------------------------------

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def test_a_day_begins_at_what_was_written_before_it() -> None:
    monday = day_of(None, 1000, MONDAY)
    assert monday.written(1500) == 500
    assert day_of(monday, 1500, MONDAY) == monday
    assert day_of(monday, 1500, TUESDAY).written(1700) == 200


def test_a_count_that_was_begun_anew_begins_the_day_anew() -> None:
    monday = day_of(WritingDay(MONDAY.isoformat(), 1000), 300, MONDAY)
    assert monday.written(450) == 150


def test_what_was_written_today_is_known_after_a_restart_too(
    states: SavedStates, client: EngineClient, roots: SavedRoots, store: ConversationStore, tmp_path: Path
) -> None:
    open_store()
    tell_written(5000)
    assert states.written_today == 0
    again = SavedStates(tmp_path / "kv", roots, SettingsStore(store.database), client, client)
    again.is_open = True
    states.close()
    again.refresh()
    tell_written(7000)
    assert again.written_today == 2000


def tell_written(ever: int) -> None:
    """Let the engine answer the latest question about what is saved."""
    asked = engine().asked(GetSavedUsage)[-1]
    groups = tuple(TipUsage(own=0, shared=0, tokens=0) for _ in asked.groups)
    engine().say(
        SavedUsage(id=asked.id, groups=groups, roots=(), budget=1 << 30, disk_free=0, bytes_written=ever, quarantined=0)
    )
