"""How long it takes until something can be seen: the real widgets, painted offscreen."""

from collections.abc import Callable
from time import perf_counter, thread_time

from PySide6.QtCore import QEvent, QEventLoop, QObject, QTimer
from PySide6.QtWidgets import QApplication, QWidget

LONGEST_WAIT = 30.0
"""Seconds after which something that should have happened is given up."""


class Paints(QObject):
    """Counts the paint events of one widget."""

    def __init__(self, widget: QWidget) -> None:
        """Watch `widget`."""
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Let everything pass."""
        if event.type() == QEvent.Type.Paint:
            self.count += 1
        return False

    def seconds_until_painted(self, act: Callable[[], object]) -> float:
        """Do something, and let the event loop run until the widget has been painted again."""
        before = self.count
        started = perf_counter()
        act()
        run_until(lambda: self.count > before)
        return perf_counter() - started

    def work_until_painted(self, act: Callable[[], object]) -> float:
        """The same, but only the seconds that this thread worked: waiting for a timer is none."""
        before = self.count
        worked = thread_time()
        act()
        run_until(lambda: self.count > before)
        return thread_time() - worked


def run_until(happened: Callable[[], bool]) -> None:
    """Let the event loop run, asleep while there is nothing to do, until something has happened."""
    alarm = QTimer()
    alarm.setSingleShot(True)
    alarm.start(round(1e3 * LONGEST_WAIT))
    while not happened():
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        if not alarm.isActive():
            raise TimeoutError(f"it did not happen within {LONGEST_WAIT:g} s")
