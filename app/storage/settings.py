"""The person's settings: JSON values by key."""

import logging
from typing import TypeVar

import msgspec

from app.storage.database import Database
from app.storage.records import to_json

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_D = TypeVar("_D")


class SettingsStore:
    """Typed access to the settings; what was never set, or cannot be read any more, is its default."""

    def __init__(self, database: Database) -> None:
        """Use the `settings` table of the database."""
        self._database = database

    def get(self, key: str, kind: type[_T], default: _D) -> _T | _D:
        """The value of `key` as a `kind`; the default where it is missing or broken (which is logged)."""
        row = self._database.row("SELECT value FROM settings WHERE key = ?", (key,))
        if row is None:
            return default
        try:
            return msgspec.json.decode(row["value"], type=kind)
        except (msgspec.DecodeError, TypeError, RecursionError) as error:
            _log.warning("The setting %s could not be read, its default is used: %s", key, error)
            return default

    def set(self, key: str, value: object) -> None:
        """Keep `value`, anything that msgspec can write as JSON (plain values, dataclasses, structs)."""
        with self._database.transaction():
            self._database.write(
                "INSERT INTO settings (key, value) VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, to_json(value)),
            )

    def remove(self, key: str) -> None:
        """Forget the value, so that the default holds again."""
        with self._database.transaction():
            self._database.write("DELETE FROM settings WHERE key = ?", (key,))
