"""The system's signals, such as Ctrl+C, while Qt's loop runs."""

import signal
import socket
from collections.abc import Callable, Iterable

from PySide6.QtCore import QObject, QSocketNotifier


class SignalWatch(QObject):
    """Wakes Qt's loop for a signal: the loop alone never lets Python run its handlers, and sleeps until then."""

    def __init__(self) -> None:
        """Watch from now on, until `stop`; on the main thread."""
        super().__init__()
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._there.setblocking(False)
        signal.set_wakeup_fd(self._there.fileno(), warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(self._here.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._woken)

    def _woken(self) -> None:
        """Python's handlers run as soon as this is entered; only the byte that woke the loop is left to take."""
        self._here.recv(64)

    def stop(self) -> None:
        """Wake the loop no more."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(-1)
        self._here.close()
        self._there.close()


def call_on_signals(signals: Iterable[signal.Signals], call: Callable[[], object]) -> SignalWatch:
    """Call on each of the signals while Qt's loop runs, until what is returned is stopped."""
    for which in signals:
        signal.signal(which, lambda _number, _frame: call())
    return SignalWatch()
