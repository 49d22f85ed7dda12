"""Python's garbage collection, kept on one thread.

Python collects on whichever thread happens to allocate. A QObject in a reference cycle would then be destroyed on a
thread that is not its own, which ends the process where a timer of it runs.
"""

import gc
from typing import Final

from PySide6.QtCore import QObject, QTimer

EVERY_MS: Final = 1000


def collect_if_due() -> None:
    """Collect on this thread what Python would have collected by now, by its own thresholds."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in reversed(range(len(thresholds))):
        if thresholds[generation] and counts[generation] > thresholds[generation]:
            gc.collect(generation)
            return


class Collector(QObject):
    """From when it is made no other thread collects; this one does, once a second, while its event loop runs."""

    def __init__(self, parent: QObject) -> None:
        """Take over from Python, until the process ends."""
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=EVERY_MS)
        self._timer.timeout.connect(collect_if_due)
        self._timer.start()
