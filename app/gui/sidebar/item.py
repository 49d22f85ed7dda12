"""One conversation as the sidebar shows it, and the groups by date."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Final, Literal

State = Literal["memory", "saved", "unsaved", "queued", "writing"]
"""What there is of a chat besides its text: its state in memory · saved on disk · neither, and so nothing to say ·
waiting for another reply to finish · a reply streams."""

WORDS: Final[dict[State, str]] = {
    "memory": "in memory",
    "saved": "saved",
    "queued": "waiting to be answered",
    "writing": "writing…",
}
UNSAVED: Final = "Its state is not saved; the text is."
"""What a screen reader says where the others see no sign."""

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
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

    def words(self, today: date) -> str:
        """The line under the title: what there is of its state, or when it was last used."""
        return self.detail or WORDS.get(self.state) or time_words(self.updated, today)

    def spoken(self, today: date) -> str:
        """All of it in words."""
        words = f"{self.title}, {self.words(today)}"
        return f"{words}. {UNSAVED}" if self.state == "unsaved" else words


def _moment(updated: float) -> datetime | None:
    """That Unix time here; None for one that no calendar holds."""
    try:
        return datetime.fromtimestamp(updated)
    except (ValueError, OverflowError, OSError):
        return None


def time_words(updated: float, today: date) -> str:
    """A time as short as its heading allows: the hour, the day of the week, the date."""
    moment = _moment(updated)
    if moment is None:
        return "long ago"
    age = (today - moment.date()).days
    if age <= 1:
        return f"{moment:%H:%M}"
    if age <= 7:
        return f"{_DAYS[moment.weekday()]}, {moment:%H:%M}"
    day = f"{moment.day} {_MONTHS[moment.month - 1]}"
    return day if moment.year == today.year else f"{day} {moment.year}"


def group_name(updated: float, today: date) -> str:
    """The heading for a conversation of that time: ahead of the clock is today, no time at all is older."""
    moment = _moment(updated)
    if moment is None:
        return "Older"
    day = moment.date()
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
