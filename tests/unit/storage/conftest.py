"""A fresh database and store for each test, with a clock that ticks once a question."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.conversations import ConversationStore
from app.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open, empty database."""
    database = Database.open(tmp_path / "ember.db", tmp_path / "backups")
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> ConversationStore:
    """A store on it, whose clock says 1001, 1002 …"""
    ticks = itertools.count(1001)
    return ConversationStore(database, clock=lambda: float(next(ticks)))
