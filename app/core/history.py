"""The last ten minutes of a few figures, at most one sample a second, in a ring of arrays that never grows."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Sample:
    """What the figures were some seconds ago."""

    age: int
    values: tuple[int, ...]


class History:
    """Samples of `parts` whole numbers each; seconds are counted by any clock that does not go back."""

    def __init__(self, parts: int) -> None:
        """Hold nothing yet; the room for everything is taken now."""
        self._seconds = array("q", bytes(8 * SECONDS))
        self._values = tuple(array("q", bytes(8 * SECONDS)) for _ in range(parts))
        self._next = 0
        self._count = 0

    def note(self, second: int, values: Sequence[int]) -> None:
        """Keep a sample; a second one within the same second takes its place, and one beyond the room the oldest's."""
        last = (self._next - 1) % SECONDS
        at = last if self._count and self._seconds[last] == second else self._next
        self._seconds[at] = second
        for column, value in zip(self._values, values, strict=True):
            column[at] = value
        if at == self._next:
            self._next = (at + 1) % SECONDS
            self._count = min(self._count + 1, SECONDS)

    def until(self, second: int) -> list[Sample]:
        """The samples of the ten minutes up to `second`, the oldest first."""
        places = ((self._next - self._count + number) % SECONDS for number in range(self._count))
        return [
            Sample(second - self._seconds[at], tuple(column[at] for column in self._values))
            for at in places
            if second - self._seconds[at] < SECONDS
        ]
