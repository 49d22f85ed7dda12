"""Idle: what the window, its gauges and its engine cost while nobody does anything.

`python -m tests.bench.idle DATA_DIR` runs what `python -m app --data-dir DATA_DIR` runs; once the model is loaded it
rests, writes what each of the two processes took meanwhile, and closes. A model that is new here would be measured in
such a rest; that is left out.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import psutil
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.gui.application import make_application, run_window
from app.gui.main_window import MainWindow
from tests.bench.figure import Bar, Figure
from tests.support.engine import ROOT

SETTLING: Final = 5.0
REST: Final = 30.0
"""Seconds: after the model is loaded, and of the rest itself."""
BAR_PERCENT: Final = 0.5
"""Of a core, for the window with its gauges; DESIGN names none for the engine."""


def measure() -> Iterator[Figure]:
    """One launch of the real window on a fresh data folder, with the model that comes with Ember."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.idle", str(Path(folder) / "data")]
        environment = {"QT_QPA_PLATFORM": "offscreen", **os.environ}
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, env=environment).stdout
    shares: dict[str, float] = json.loads(output)
    yield Figure("the window at rest", shares["window"], "%", BAR_PERCENT, "of a core", Bar("below", 1))
    yield Figure("the engine at rest", shares["engine"], "%", BAR_PERCENT, "of a core")


def _taken(process: psutil.Process) -> float:
    """Seconds of processor time, of all its threads."""
    times = process.cpu_times()
    return times.user + times.system


class Rest(QObject):
    """Waits for the main window and its model, rests, and tells."""

    def __init__(self, application: QApplication) -> None:
        """See every event until there is a window."""
        super().__init__(application)
        self._application = application
        application.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let everything pass, and note the first paint of the main window."""
        if event.type() == QEvent.Type.Paint and isinstance(watched, MainWindow):
            self._application.removeEventFilter(self)
            loaded = watched.workspace.engine.model_changed
            loaded.connect(lambda model: self._settle(watched) if model is not None else None)
        return False

    def _settle(self, window: MainWindow) -> None:
        window.workspace.model_settings.close()
        QTimer.singleShot(round(1e3 * SETTLING), lambda: self._begin(window))

    def _begin(self, window: MainWindow) -> None:
        processes = {"window": psutil.Process(), "engine": psutil.Process(window.workspace.engine.pid)}
        began, before = perf_counter(), {name: _taken(each) for name, each in processes.items()}

        def end() -> None:
            seconds = perf_counter() - began
            shares = {name: 100 * (_taken(each) - before[name]) / seconds for name, each in processes.items()}
            sys.stdout.write(json.dumps(shares))
            window.close()

        QTimer.singleShot(round(1e3 * REST), end)


def main(folder: Path) -> int:
    """Run the window until it has rested; the exit status."""
    Rest(make_application())
    return run_window(folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
