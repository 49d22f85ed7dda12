"""A store on a fresh database, and stand-ins for the engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.services import engine_client
from app.services.chats import Chats
from app.services.engine_client import EngineClient
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.unit.services.fakes import FakeClient, FakeProcess


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
def chats(store: ConversationStore, fake: FakeClient) -> Iterator[Chats]:
    """Chats on that store and that client."""
    made = Chats(store, fake)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def client(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineClient]:
    """A started client whose processes are fakes, and which restarts them at once."""
    monkeypatch.setattr(engine_client, "EngineProcess", FakeProcess)
    monkeypatch.setattr(engine_client, "RESTART_DELAYS_MS", (0, 0, 0, 0))
    FakeProcess.made.clear()
    made = EngineClient(tmp_path)
    made.start()
    yield made
    made.stop()
    FakeProcess.made.clear()
