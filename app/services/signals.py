"""The system's signals, such as Ctrl+C, while Qt's loop runs."""

import signal
from collections.abc import Callable, Iterable

from PySide6.QtCore import QTimer

POLL_MS = 100
"""How often Python gets a chance to run its signal handlers, which Qt's loop alone never gives it."""


def call_on_signals(signals: Iterable[signal.Signals], call: Callable[[], object]) -> QTimer:
    """Call on each of the signals, as long as the timer that is returned lives and Qt's loop runs."""
    for which in signals:
        signal.signal(which, lambda _number, _frame: call())
    timer = QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(POLL_MS)
    return timer
