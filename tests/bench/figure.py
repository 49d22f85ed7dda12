"""A figure of the bench: what was measured, what it is divided by, and the bar for the ratio."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Literal

Sense = Literal["at most", "below", "at least", "within"]
SIGNS: dict[Sense, str] = {"at most": "≤", "below": "<", "at least": "≥", "within": "±"}


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio has to reach."""

    sense: Sense
    limit: float
    """For `within`: how far from 1 the ratio may be."""

    def met(self, ratio: float) -> bool:
        """Whether the ratio reaches it."""
        match self.sense:
            case "at most":
                return ratio <= self.limit
            case "below":
                return ratio < self.limit
            case "at least":
                return ratio >= self.limit
            case "within":
                return abs(ratio - 1) <= self.limit

    def __str__(self) -> str:
        """As the table shows it."""
        if self.sense == "within":
            return f"1 ± {self.limit:g}"
        return f"{SIGNS[self.sense]} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `value` and `reference` are in `unit`, and their quotient is the ratio."""

    what: str
    value: float
    unit: str
    reference: float
    reference_name: str
    """What it is divided by, in words."""
    bar: Bar | None = None
    """None where DESIGN names no bar."""
    runs: tuple[float, ...] = ()
    """The single measurements that `value` is the median of, in `unit`."""

    @property
    def ratio(self) -> float:
        """`value` over `reference`."""
        return self.value / self.reference if self.reference else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        return None if self.bar is None else self.bar.met(self.ratio)


def against_bar(what: str, seconds: Sequence[float], bar_seconds: float) -> Figure:
    """Times against a bar that DESIGN gives in seconds, shown in milliseconds below 10 s."""
    runs = tuple(1e3 * each for each in seconds)
    return Figure(what, median(runs), "ms", 1e3 * bar_seconds, "the bar", Bar("below", 1), runs)


def timed(call: Callable[[], object], runs: int, warm_up: int = 1) -> list[float]:
    """The seconds that each of `runs` calls took, after `warm_up` calls that do not count."""
    for _ in range(warm_up):
        call()
    seconds = []
    for _ in range(runs):
        gc.collect()
        started = perf_counter()
        call()
        seconds.append(perf_counter() - started)
    return seconds
