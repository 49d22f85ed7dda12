"""How far a download is, how fast, and how long a hub is silent."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Literal

from app.core.units import format_seconds

Phase = Literal["checking", "downloading", "waiting"]

REPORT_SECONDS: Final = 0.2
SPEED_SECONDS: Final = 5.0
"""Over how long the speed is measured."""
LEAST_SECONDS: Final = 0.5
"""Before this a speed would be a guess."""
PULSE_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 2.5
"""A hub that sends nothing for so long is said to be silent."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is; bytes and bytes a second."""

    phase: Phase
    done: int
    total: int
    speed: float = 0.0
    silent: float = 0.0
    """Seconds for which the hub has sent nothing; 0 where that is not worth a word."""
    next_try: float | None = None
    """Seconds until the hub is asked again; None where it is not such a pause."""

    @property
    def seconds_left(self) -> float | None:
        """None while the speed is not known."""
        return (self.total - self.done) / self.speed if self.speed > 0 else None


def wait_words(progress: Progress) -> str:
    """What a download waits for, and for how long; empty while bytes come."""
    if progress.next_try is not None:
        return f"The hub is asked again in {_whole(progress.next_try)}"
    if progress.silent:
        return f"Waiting for the hub… {_whole(progress.silent)}"
    return "Waiting for the hub" if progress.phase == "waiting" else ""


def _whole(seconds: float) -> str:
    """A duration without the tenths, which would only flicker."""
    return format_seconds(seconds) if seconds >= 10 else f"{round(seconds)} s"


class Meter:
    """Counts bytes, and knows the speed of the last seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.done = 0
        """Bytes that are there."""
        self.heard = 0.0
        """When bytes came last, by the monotonic clock."""
        self._came: deque[tuple[float, int]] = deque()
        self._told = 0.0

    def skip(self, size: int) -> None:
        """Count bytes that did not come just now."""
        self.done += size

    def add(self, size: int) -> None:
        """Count bytes that came."""
        self.done += size
        self.heard = now = time.monotonic()
        self._came.append((now, size))
        while now - self._came[0][0] > SPEED_SECONDS:
            self._came.popleft()

    def is_due(self) -> bool:
        """Whether it is time to tell; asked before each telling."""
        now = time.monotonic()
        if now - self._told < REPORT_SECONDS:
            return False
        self._told = now
        return True

    def progress(self, phase: Phase) -> Progress:
        """How far it is."""
        since = time.monotonic() - self._came[0][0] if self._came else 0.0
        is_moving = phase == "downloading" and since >= LEAST_SECONDS
        speed = sum(size for _when, size in self._came) / since if is_moving else 0.0
        return Progress(phase, self.done, self._total, speed)


class Pulse:
    """Passes progress on, and while none comes says once a second for how long that is so, on a thread of its own."""

    def __init__(self, meter: Meter, report: Callable[[Progress], None]) -> None:
        """`report` is called on the thread of `tell` and on the pulse's own."""
        self._meter = meter
        self._report = report
        self._lock = threading.RLock()
        self._last: Progress | None = None
        self._since = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse of a download", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Beat no more; nobody may be there any longer who could be told."""
        with self._lock:
            self._over.set()

    def tell(self, progress: Progress, *, next_try: float | None = None) -> None:
        """Something happened; `next_try` where nothing will for so many seconds."""
        with self._lock:
            self._last, self._since = replace(progress, next_try=next_try), time.monotonic()
            self._report(self._last)

    def _beat(self) -> None:
        while not self._over.wait(PULSE_SECONDS):
            with self._lock:
                last, now = self._last, time.monotonic()
                silent = now - max(self._since, self._meter.heard)
                if self._over.is_set() or last is None or last.phase == "checking":
                    continue
                if last.next_try is not None:
                    self._report(replace(last, next_try=max(0.0, last.next_try - (now - self._since))))
                elif silent >= SILENT_SECONDS:
                    done = self._meter.done if last.phase == "downloading" else last.done  # more came than was told
                    self._report(replace(last, done=done, speed=0.0, silent=silent))
