"""Threads that stand ready from the engine's start on.

Python's `Thread.start` waits for ever if the new thread finds no memory for its first frame. So where memory may be
short, or bounded as it is while a chat template is rendered, work goes to a thread that is there already.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")

READY = 6
"""Four read chunks at once, one hashes a model's file, and one answers a question about the saved state."""


class Helpers:
    """Each piece of work gets a thread at once: one that is free, and only where there is none a new one."""

    def __init__(self, ready: int = READY) -> None:
        """Start that many."""
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0
        """Threads that wait for work, less the calls that they were not given yet."""
        for _ in range(ready):
            self._add()
        self._free = ready

    def run(self, call: Callable[[], None]) -> None:
        """Have `call` run; what it raises ends its thread, as any other's."""
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                self._add()
        self._calls.put(call)

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Have `work` done; the future has what it returned or raised."""
        future: Future[_T] = Future()

        def fulfil() -> None:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - whoever waits for the result gets it
                future.set_exception(error)

        self.run(fulfil)
        return future

    def _add(self) -> None:
        threading.Thread(target=self._work, name="helper", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._calls.get()()
            with self._lock:
                self._free += 1
