"""A fresh store for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.kvstore.store import Store
from tests.unit.kvstore.made import PLENTY, Clock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where its files are."""
    return tmp_path / "kv"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """An empty store with a budget that is never reached."""
    store = Store(folder, PLENTY, Clock())
    yield store
    store.close()
