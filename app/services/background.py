"""Work off the main thread: what to run, what to do with its result, and what with its failure."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal
from shiboken6 import isValid

from app.core.errors import EmberError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

FEWEST_THREADS: Final = 4
"""The pool has as many threads as there are cores; most of this work waits for a disk, and one backup must not hold up
everything else where there is one core."""


class _Courier(QObject):
    """Carries an outcome to the thread that asked.

    Its own methods are the receivers: Qt calls those on this object's thread, a plain function on the sender's.
    """

    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(
        self, parent: QObject | None, on_success: Callable[[Any], None], on_failure: Callable[[EmberError], None]
    ) -> None:
        super().__init__(parent)
        self._on_success = on_success
        self._on_failure = on_failure
        self.succeeded.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self.failed.connect(self._deliver_failure, Qt.ConnectionType.QueuedConnection)

    def _deliver(self, result: object) -> None:
        self.deleteLater()
        self._on_success(result)

    def _deliver_failure(self, error: EmberError) -> None:
        self.deleteLater()
        self._on_failure(error)


_waiting: set[_Courier] = set()
"""Keeps those alive that nothing else keeps, until they have delivered."""


class _Work(QRunnable):
    """One piece of work on a thread of the pool."""

    def __init__(self, work: Callable[[], object], courier: _Courier) -> None:
        super().__init__()
        self._work = work
        self._courier = courier

    def run(self) -> None:
        """Do it; a failure for the person is carried back, a bug is logged and carried as one."""
        try:
            result = self._work()
        except EmberError as error:
            self._courier.failed.emit(error)
        except Exception:
            logger.exception("background work failed")
            self._courier.failed.emit(EmberError("Something went wrong in Ember; its log has the details.", "bug"))
        else:
            self._courier.succeeded.emit(result)


def run_in_background(
    parent: QObject, work: Callable[[], _T], done: Callable[[_T], None], failed: Callable[[EmberError], None]
) -> None:
    """Run `work` on another thread; `done` or `failed` is called on this one, unless `parent` is gone by then."""
    courier = _Courier(parent, done, failed)
    pool = QThreadPool.globalInstance()
    pool.setMaxThreadCount(max(FEWEST_THREADS, pool.maxThreadCount()))
    pool.start(_Work(work, courier))


def run_detached(
    parent: QObject, work: Callable[[], _T], done: Callable[[_T], None], failed: Callable[[EmberError], None]
) -> threading.Thread:
    """The same for work that may wait for a network: Ember ends without it, so it must bear being killed."""
    waiting = _Courier(None, lambda result: tell(done, result), lambda error: tell(failed, error))

    def tell(listener: Callable[[Any], None], outcome: object) -> None:
        _waiting.discard(waiting)
        if isValid(parent):
            listener(outcome)

    # Not the parent's child: that could be deleted just while the thread, which nobody waits for, tells its end.
    _waiting.add(waiting)
    thread = threading.Thread(target=_Work(work, waiting).run, daemon=True)
    thread.start()
    return thread


def wait_for_background() -> None:
    """Wait until all background work is done: before the database is closed."""
    QThreadPool.globalInstance().waitForDone()
