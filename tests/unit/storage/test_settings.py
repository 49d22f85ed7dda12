"""Settings: typed values, and their defaults where something is wrong."""

import logging

import pytest

from app.core.sampling import SamplerSettings
from app.storage.database import Database
from app.storage.settings import SettingsStore
from tests.unit.storage.made import set_raw


@pytest.fixture
def kept(database: Database) -> SettingsStore:
    """The settings of an empty database."""
    return SettingsStore(database)


def test_what_was_never_set_is_its_default(kept: SettingsStore) -> None:
    assert kept.get("theme", str, "system") == "system"
    assert kept.get("model", str, None) is None


def test_values_of_any_type_come_back(kept: SettingsStore) -> None:
    kept.set("theme", "dark")
    kept.set("size", 11)
    kept.set("widths", [240, 760])
    kept.set("sampler", SamplerSettings(top_k=3))
    assert kept.get("theme", str, "system") == "dark"
    assert kept.get("size", int, 10) == 11
    assert kept.get("widths", list[int], []) == [240, 760]
    assert kept.get("sampler", SamplerSettings, SamplerSettings()).top_k == 3


def test_a_value_is_replaced_and_can_be_forgotten(kept: SettingsStore) -> None:
    kept.set("size", 11)
    kept.set("size", 12)
    assert kept.get("size", int, 10) == 12
    kept.remove("size")
    assert kept.get("size", int, 10) == 10


@pytest.mark.parametrize("value", ["'{broken'", "'\"text\"'", "x'ff'", "7", "''"])
def test_a_broken_value_is_its_default_and_logged(
    kept: SettingsStore, database: Database, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    set_raw(database, f"INSERT INTO settings VALUES ('widths', {value})")
    with caplog.at_level(logging.WARNING):
        assert kept.get("widths", list[int], [1]) == [1]
    assert "widths" in caplog.text
