"""Work off the main thread: what to run, what to do with its result, and what with its failure."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

from app.core.errors import EmberError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class _Courier(QObject):
    """Carries an outcome to the thread that asked.

    Its own methods are the receivers: Qt calls those on this object's thread, a plain function on the sender's.
    """

    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(
        self, parent: QObject, on_success: Callable[[Any], None], on_failure: Callable[[EmberError], None]
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

    def run_until_the_end(self) -> None:
        """The same where nobody may be there any more to be told."""
        try:
            self.run()
        except RuntimeError as error:  # Qt's object is gone: whoever asked was closed meanwhile
            logger.info("nobody waits for what ended: %s", error)


def run_in_background(
    parent: QObject, work: Callable[[], _T], done: Callable[[_T], None], failed: Callable[[EmberError], None]
) -> None:
    """Run `work` on another thread; `done` or `failed` is called on this one, unless `parent` is gone by then."""
    courier = _Courier(parent, done, failed)
    QThreadPool.globalInstance().start(_Work(work, courier))


def run_detached(
    parent: QObject, work: Callable[[], _T], done: Callable[[_T], None], failed: Callable[[EmberError], None]
) -> threading.Thread:
    """The same for work that may wait for a network: Ember ends without it, so it must bear being killed."""
    courier = _Courier(parent, done, failed)
    thread = threading.Thread(target=_Work(work, courier).run_until_the_end, daemon=True)
    thread.start()
    return thread


def wait_for_background() -> None:
    """Wait until all background work is done: before the database is closed."""
    QThreadPool.globalInstance().waitForDone()
