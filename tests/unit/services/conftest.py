"""A store on a fresh database, and stand-ins for the engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.services.chats import Chats
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.saved_roots import SavedRoots
from app.storage.settings import SettingsStore
from tests.unit.services.exporting import exporting  # noqa: F401
from tests.unit.services.fakes import FakeClient, FakeProcess, processes  # noqa: F401


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    """An empty store."""
    database = Database.open(tmp_path / "ember.db", tmp_path / "backups")
    yield ConversationStore(database)
    database.close()


@pytest.fixture
def fake(qtbot: QtBot) -> FakeClient:
    """An engine's client with a model."""
    return FakeClient()


@pytest.fixture
def saved(store: ConversationStore, fake: FakeClient, tmp_path: Path) -> SavedStates:
    """The account of saved state, on that store and that client."""
    settings = SettingsStore(store.database)
    return SavedStates(tmp_path / "kv", SavedRoots(store.database), settings, fake, fake)  # type: ignore[arg-type]


@pytest.fixture
def chats(store: ConversationStore, fake: FakeClient, saved: SavedStates) -> Iterator[Chats]:
    """Chats on that store and that client."""
    made = Chats(store, fake, saved)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def client(qtbot: QtBot, tmp_path: Path, processes: list[FakeProcess]) -> Iterator[EngineClient]:  # noqa: F811
    """A started client whose processes are fakes, and which restarts them at once."""
    made = EngineClient(tmp_path)
    made.start()
    yield made
    made.stop()
