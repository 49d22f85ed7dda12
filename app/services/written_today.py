"""How much saved state was written today: worked out from the store's count of all that was ever written."""

import logging
from dataclasses import dataclass
from datetime import date
from typing import Final

from app.core.errors import EmberError
from app.storage.settings import SettingsStore

logger = logging.getLogger(__name__)

KEY: Final = "saved_state.day"
"""Of the setting that keeps the day."""


@dataclass(frozen=True, slots=True)
class WritingDay:
    """A day as it was first looked at."""

    date: str
    """The local date, ISO 8601."""
    before: int
    """Bytes that had been written ever by then."""

    def written(self, ever: int) -> int:
        """The bytes of this day, where `ever` bytes have been written by now."""
        return max(0, ever - self.before)


def day_of(known: WritingDay | None, ever: int, today: date) -> WritingDay:
    """Today, of which `known` is what was noted last; a new day begins at `ever`, and so does a count begun anew."""
    if known is None or known.date != today.isoformat() or known.before > ever:
        return WritingDay(today.isoformat(), ever)
    return known


def written_today(settings: SettingsStore, ever: int) -> int:
    """The bytes written since Ember first looked today, where `ever` bytes have been written by now."""
    known = settings.get(KEY, WritingDay, None)
    day = day_of(known, ever, date.today())
    try:
        if day != known:
            settings.set(KEY, day)
    except EmberError as error:  # then the next look begins the day
        logger.warning("the day's beginning was not noted: %s", error.sentence)
    return day.written(ever)
