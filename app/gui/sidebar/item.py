"""One conversation as the sidebar shows it, and the groups by date."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Final, Literal

State = Literal["memory", "saved", "unsaved", "queued", "writing"]
"""In memory · saved on disk · neither · waiting for another reply to finish · a reply streams."""

WORDS: Final[dict[State, str]] = {
    "memory": "in memory",
    "saved": "saved",
    "unsaved": "not saved",
    "queued": "waiting to be answered",
    "writing": "writing…",
}

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SidebarItem:
    """A row of the sidebar."""

    id: str
    title: str
    updated: float
    """Unix time in seconds."""
    state: State = "unsaved"
    detail: str = ""
    """Words under the title in place of the state's own, such as `opens in 0.1 s instead of 24 s`."""

    @property
    def words(self) -> str:
        """The line under the title."""
        return self.detail or WORDS[self.state]


def group_name(updated: float, today: date) -> str:
    """The heading for a conversation of that time: ahead of the clock is today, no time at all is older."""
    try:
        day = datetime.fromtimestamp(updated).date()
    except (ValueError, OverflowError, OSError):  # a time that no calendar holds
        return "Older"
    age = (today - day).days
    if age <= 0:
        return "Today"
    if age == 1:
        return "Yesterday"
    if age <= 7:
        return "Previous 7 days"
    if day.year == today.year:
        return _MONTHS[day.month - 1]
    if age <= 366:
        return f"{_MONTHS[day.month - 1]} {day.year}"
    return "Older"


def grouped(items: Iterable[SidebarItem], today: date) -> Iterator[tuple[str, list[SidebarItem]]]:
    """The items, newest first, under their headings."""
    newest_first = sorted(items, key=lambda item: item.updated, reverse=True)
    for name, members in groupby(newest_first, key=lambda item: group_name(item.updated, today)):
        yield name, list(members)
